"""What the package offers, and what importing it costs."""

import importlib.metadata
import inspect
import pickle
import shutil
import subprocess
import sys
import types

import pytest

import superserve
import superserve.errors
import superserve.types

HEAVY = {
    "httpx",
    "httpcore",
    "attrs",
    "attr",
    "asyncio",
    "ssl",
    "socket",
    "threading",
    "backoff",
    "typing",
    "superserve_api",
}


def loaded_by(code):
    """Return the modules that a fresh interpreter has loaded once it has run this."""
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_the_package_loads_nothing_else():
    loaded = loaded_by("import superserve")
    assert {module for module in loaded if module.startswith("superserve")} == {"superserve"}
    assert not loaded & HEAVY


@pytest.mark.parametrize("error", ["ImportError", "AttributeError"])
def test_a_dependency_that_cannot_be_imported_shows_its_own_error_each_time(tmp_path, error):
    # As after `pip uninstall backoff`, which takes the files of python-backoff along, or of a version too old.
    (tmp_path / "backoff.py").write_text(f"raise {error}('module backoff lacks its wings')\n")
    program = f"""
import sys, traceback
sys.path.insert(0, {str(tmp_path)!r})
for name in ("Superserve", "AsyncSuperserve", "Template", "AsyncTemplate"):
    try:
        exec(f"from superserve import {{name}}")
    except ImportError:
        print(traceback.format_exc(), end=chr(0))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    tracebacks = ran.stdout.split("\0")[:-1]
    assert len(tracebacks) == 4
    for text in tracebacks:
        *_, said = text.strip().split("\n")
        assert said.startswith("ImportError: ")
        assert "module backoff lacks its wings" in said
        assert "cannot import name" not in text


def test_errors_and_types_come_without_an_http_library():
    loaded = loaded_by("from superserve import BuildError, SandboxError")
    assert not loaded & (HEAVY - {"typing"})
    assert not loaded_by("from superserve import RunStep, TemplateStatus") & {
        "httpx",
        "ssl",
        "asyncio",
        "backoff",
    }


def test_specs_and_the_printing_of_logs_come_without_an_http_library():
    loaded = loaded_by("from superserve import SpecError, TemplateSpec, print_log, ready")
    assert not loaded & {
        "httpx",
        "ssl",
        "asyncio",
        "backoff",
        "yaml",
        "superserve_api",
        "e2b_dockerfile_utils",
    }


def test_websockets_is_loaded_by_the_first_command_alone():
    code = """
from superserve import AsyncSandbox, AsyncSuperserve, Sandbox, Superserve
Superserve(api_key="key", base_url="http://127.0.0.1:1").sandboxes
"""
    loaded = loaded_by(code)
    assert "httpx" in loaded
    assert "websockets" not in loaded


def test_asynchronous_use_does_not_load_the_synchronous_half():
    loaded = loaded_by("from superserve import AsyncSuperserve, AsyncTemplate")
    assert "superserve._async.templates" in loaded
    assert not {module for module in loaded if module.startswith("superserve._sync")}


def test_every_public_name_can_be_imported_and_they_are_sorted():
    assert superserve.__all__ == sorted(superserve.__all__)
    assert len(set(superserve.__all__)) == len(superserve.__all__)
    for name in superserve.__all__:
        assert getattr(superserve, name) is getattr(superserve, name)


def test_a_star_import_brings_every_public_name():
    names = {}
    exec("from superserve import *", names)
    assert set(names) - {"__builtins__"} == set(superserve.__all__)


def test_errors_and_types_are_public_whole():
    assert set(superserve.errors.__all__) < set(superserve.__all__)
    # But for the dicts that a step may be, whose classes only type checkers need.
    assert {name for name in superserve.types.__all__ if not name.endswith("Dict")} < set(superserve.__all__)


def test_dir_can_be_the_first_thing_that_is_asked():
    # freezegun asks every module for it.
    assert "superserve.types" in loaded_by("import superserve\ndir(superserve)")


def test_dir_shows_what_there_is_and_nothing_of_how_it_is_made():
    assert set(superserve.__all__) < set(dir(superserve))
    assert "__version__" in dir(superserve)
    assert "__doc__" in dir(superserve)
    for name in dir(superserve):
        assert name.startswith("__") or not name.startswith("_")
        assert isinstance(getattr(superserve, name), object)
    assert not {"TYPE_CHECKING", "import_module"} & set(dir(superserve))


def test_submodules_for_people_are_there_without_importing_them(monkeypatch):
    monkeypatch.delitem(vars(superserve), "errors")
    assert superserve.errors is sys.modules["superserve.errors"]
    loaded = loaded_by("import superserve\nsuperserve.errors.SandboxError\nsuperserve.types.RunStep")
    assert {"superserve.errors", "superserve.types"} < loaded


def test_the_version_is_the_packages():
    try:
        expected = importlib.metadata.version("superserve-client")
    except importlib.metadata.PackageNotFoundError:
        # Run from a source tree.
        expected = "0"
    assert superserve.__version__ == expected


def imported_beside(folder, *, name):
    """Import a copy of the package's own module, in a folder that something else is installed in too."""
    (folder / "superserve").mkdir()
    shutil.copy(superserve.__file__, folder / "superserve" / "__init__.py")
    (folder / name).mkdir()
    # -I: neither the environment nor this folder says where modules are.
    program = (
        f"import sys\nsys.path.insert(0, {str(folder)!r})\nimport superserve\nprint(superserve.__file__)"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(str(folder))
    return ran.stderr


def test_the_other_package_in_the_same_folder_is_warned_of_once_with_what_to_do(tmp_path):
    said = imported_beside(tmp_path, name="superserve-0.11.4.dist-info")
    assert said.count("RuntimeWarning") == 1
    assert "the package superserve 0.11.4 is installed beside superserve-client" in said
    assert "pip uninstall -y superserve superserve-client" in said


@pytest.mark.parametrize(
    "name", ["superserve_client-0.1.0.dist-info", "superserve-theme", "httpx-0.28.1.dist-info"]
)
def test_what_else_is_installed_is_not_warned_of(tmp_path, name):
    assert imported_beside(tmp_path, name=name) == ""


def test_without_an_installed_package_there_is_a_version_all_the_same(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.delitem(vars(superserve), "__version__", raising=False)
    assert superserve.__version__ == "0"
    monkeypatch.delitem(vars(superserve), "__version__")


def test_a_slip_in_a_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'superserve' has no attribute 'Tempalte'$"):
        superserve.Tempalte  # noqa: B018 - the access itself fails
    with pytest.raises(ImportError, match="cannot import name 'Tempalte'"):
        exec("from superserve import Tempalte")


def test_public_classes_say_where_they_are_to_be_found_again():
    for name in superserve.__all__:
        value = getattr(superserve, name)
        if isinstance(value, type) and not isinstance(value, types.GenericAlias):
            assert pickle.loads(pickle.dumps(value)) is value


def test_every_public_class_and_method_is_documented():
    for name in superserve.__all__:
        value = getattr(superserve, name)
        if not inspect.isclass(value):
            continue
        assert inspect.getdoc(value), name
        for attribute, member in vars(value).items():
            if not attribute.startswith("_") and (
                callable(member) or isinstance(member, property | classmethod)
            ):
                assert inspect.getdoc(member), f"{name}.{attribute}"
