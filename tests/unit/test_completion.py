"""Editors complete: what Jedi, which reads the source, finds behind the names that are imported lazily."""

import inspect

import jedi
import pytest

import superserve

# Jedi reads the package for seconds.
pytestmark = pytest.mark.slow


def completed(code):
    """Return the public names that are offered at the end of a program."""
    found = jedi.Script(inspect.cleandoc(code)).complete()
    return {completion.name for completion in found if not completion.name.startswith("_")}


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    "code",
    [
        "Template.",
        """
        template = Template.connect("x")
        template.
        """,
        """
        template = Superserve().templates.create(name="x", from_="y")
        template.
        """,
    ],
)
def test_a_template_is_completed(code):
    code = f"from superserve import Superserve, Template\n{inspect.cleandoc(code)}"
    assert public(superserve.Template) <= completed(code)


def test_an_asynchronous_template_is_completed():
    code = """
    from superserve import AsyncTemplate
    async def main():
        template = await AsyncTemplate.connect("x")
        template."""
    assert public(superserve.AsyncTemplate) <= completed(code)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ('Template.connect("x").get_info().', superserve.TemplateInfo),
        ('Template.connect("x").rebuild().', superserve.TemplateBuildInfo),
        ("Template.list()[0].", superserve.TemplateInfo),
        ("Superserve().templates.list()[0].", superserve.TemplateInfo),
    ],
)
def test_what_methods_return_is_completed(code, kind):
    fields = set(inspect.signature(kind).parameters) | {"to_dict"}
    assert fields <= completed(f"from superserve import Superserve, Template\n{code}")


def test_every_public_name_is_completed():
    assert set(superserve.__all__) <= completed("from superserve import ")
    assert set(superserve.__all__) <= completed("import superserve\nsuperserve.")


def test_arguments_are_completed():
    assert {"name=", "from_=", "steps=", "disk_mib="} <= completed(
        "from superserve import Template\nTemplate.create("
    )
