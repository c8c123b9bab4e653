"""Specs as values: written step by step or at once, never changed, and where each part was written."""

import copy
import pickle
from pathlib import Path

import attrs
import pytest

from superserve import (
    EnvStep,
    EnvStepValue,
    RunStep,
    SpecError,
    TemplateSpec,
    UserStep,
    UserStepValue,
    ValidationError,
    WorkdirStep,
)
from superserve.local._app import go_json
from superserve.local._resources.template_spec import read_spec
from superserve.specs import load_all
from superserve.specs.dockerfile import read_dockerfile

DICTS = [
    {"run": "make"},
    {"env": {"key": "DEBUG", "value": "1"}},
    {"workdir": "/app"},
    {"user": {"name": "app", "sudo": True}},
]
BASE = TemplateSpec(name="web", from_="python:3.11")
WHOLE = TemplateSpec(
    name="web",
    from_="python:3.11",
    vcpu=2,
    memory_mib=2048,
    disk_mib=8192,
    steps=DICTS,
    start_cmd="serve",
    ready_cmd="up",
)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: BASE.pip_install(5), "requirements[0]: expected a string, got int"),
        (lambda: BASE.pip_install("a", ["b"]), "requirements[1]: expected a string, got list"),
        (BASE.pip_install, "requirements: expected at least one"),
        (lambda: BASE.apt_install(None), "packages[0]: expected a string, got None"),
        (BASE.apt_install, "packages: expected at least one"),
        (lambda: BASE.env([("A", "b")]), "variables: expected a dict of strings, got list"),
        (lambda: BASE.place_of(5), "where: expected a string, got int"),
        (lambda: TemplateSpec.load(None), "path: expected a path, got NoneType"),
        (lambda: TemplateSpec.load("x.toml", name=5), "name: expected a string, got int"),
        (lambda: load_all("x.toml", b"y.toml"), "path: expected a path, got bytes"),
        (lambda: read_dockerfile(5), "path: expected a path, got int"),
        (lambda: read_dockerfile("Dockerfile", name=5), "name: expected a string, got int"),
        (lambda: read_dockerfile("Dockerfile", args=["A=1"]), "args: expected a dict of strings, got list"),
        (lambda: read_dockerfile("Dockerfile", args={"A": 1}), "args['A']: expected a string, got int"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_by_its_name(build, told):
    with pytest.raises(ValidationError) as caught:
        build()
    assert str(caught.value) == told


def here():
    """Return the line that calls this."""
    import sys

    return sys._getframe(1).f_lineno


def test_the_builder_makes_the_same_value_as_dicts_and_typed_steps():
    built = BASE.run("make").env(DEBUG="1").workdir("/app").user("app", sudo=True)
    typed = [
        RunStep("make"),
        EnvStep(EnvStepValue("DEBUG", "1")),
        WorkdirStep("/app"),
        UserStep(UserStepValue("app", sudo=True)),
    ]
    assert built == TemplateSpec(name="web", from_="python:3.11", steps=DICTS)
    assert built == TemplateSpec(name="web", from_="python:3.11", steps=typed)
    assert built.start("serve", ready="up").resources(vcpu=2, memory_mib=2048, disk_mib=8192) == WHOLE


def test_no_method_changes_the_spec_it_is_called_on():
    changed = [
        BASE.run("a"), BASE.env(A="1"), BASE.workdir("/a"), BASE.user("a"), BASE.pip_install("a"),
        BASE.apt_install("a"), BASE.start("a"), BASE.resources(vcpu=2), BASE.renamed("other"),
    ]  # fmt: skip
    assert TemplateSpec(name="web", from_="python:3.11") == BASE
    assert len({*changed, BASE}) == len(changed) + 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        BASE.name = "other"


def test_a_malformed_step_is_kept_as_a_copy_for_check_to_tell():
    step = {"run": "a", "workdir": "b", "more": [1]}
    spec = TemplateSpec(name="web", from_="python:3.11", steps=[step])
    step["more"].append(2)
    assert spec.steps == ({"run": "a", "workdir": "b", "more": [1]},)


def test_steps_are_read_as_the_server_reads_them():
    spec = TemplateSpec(
        name="web",
        from_="python:3.11",
        steps=[{"run": None, "WorkDir": "/a"}, {"env": {"key": "A"}}, {"user": {"name": "a", "sudo": None}}],
        start_cmd="",
    )
    assert spec == BASE.workdir("/a").env(A="").user("a")


def test_installers_quote_what_they_install():
    spec = BASE.pip_install("flask>=3", "numpy").apt_install("curl")
    assert spec.steps[0] == RunStep("pip install --no-cache-dir 'flask>=3' numpy")
    assert "install -y --no-install-recommends curl" in spec.steps[1].run
    assert spec.check() == []


def test_env_takes_names_that_are_no_words_of_python():
    assert BASE.env({"a.b": "1"}, C="2") == BASE.env({"a.b": "1", "C": "2"})


def test_every_step_remembers_the_line_of_the_program_that_wrote_it():
    spec = TemplateSpec(name="web", from_="python:3.11", steps=[{"run": "a"}])
    first = here() - 1
    spec = spec.run("b")
    second = here() - 1
    assert (spec.place_of("steps[0].run").line, spec.place_of("steps[1]").line) == (first, second)
    assert spec.place_of("steps[1]").file == __file__
    assert spec.place_of("from").line == first
    assert str(spec.place_of("steps[1]")) in (
        f"{__file__}:{second}",
        f"{Path(__file__).relative_to(Path.cwd())}:{second}",
    )


def test_places_make_no_difference_between_specs():
    one = BASE.run("a")
    assert one == BASE.run("a")
    assert hash(one) == hash(BASE.run("a"))
    assert "place" not in repr(one)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda spec: pickle.loads(pickle.dumps(spec))])
def test_a_spec_can_be_copied_and_pickled_with_its_places(copied):
    assert copied(WHOLE) == WHOLE
    assert copied(WHOLE).place_of("steps[0]") == WHOLE.place_of("steps[0]")


def test_a_spec_turns_into_the_arguments_of_create_and_back():
    assert WHOLE.to_dict() == {
        "name": "web", "from_": "python:3.11", "vcpu": 2, "memory_mib": 2048, "disk_mib": 8192, "steps": DICTS,
        "start_cmd": "serve", "ready_cmd": "up",
    }  # fmt: skip
    assert TemplateSpec(**WHOLE.to_dict()) == WHOLE
    assert BASE.to_dict() == {"name": "web", "from_": "python:3.11"}


@pytest.mark.parametrize(
    "spec",
    [
        BASE,
        WHOLE,
        BASE.user("app"),
        BASE.run("a && b < c > d", '\u2028 \u2029 é 😀 \x7f \\ " \t\n'),
        BASE.start("</script>"),
    ],
)
def test_the_hash_is_the_servers(spec):
    assert spec.has_sure_hash
    assert spec.build_spec_hash == read_spec(_wire(spec)).hash


def _wire(spec):
    return dict(go_json.read(spec.to_json().encode()))["build_spec"]


@pytest.mark.parametrize(
    ("command", "is_sure"), [("a\bb", False), ("a\fb", False), ("a\\bb", True), ("\ud800", False)]
)
def test_a_hash_that_servers_may_make_otherwise_is_not_sure(command, is_sure):
    assert BASE.run(command).has_sure_hash is is_sure


def test_the_error_of_a_spec_has_all_its_problems():
    problems = TemplateSpec(name="A", from_="", steps=[5]).check()
    error = SpecError.of(problems)
    assert error.problems == tuple(problems)
    assert len(problems) == 3
    assert all(problem.message in str(error) for problem in problems)
    assert pickle.loads(pickle.dumps(error)).problems == tuple(problems)
