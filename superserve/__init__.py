"""Python SDK for Superserve: templates for isolated micro-VMs and sandboxes that start from them, sync and async.

A name is loaded on first use, so that `import superserve` is fast.
"""

# Type checkers know this name. Importing it from typing would take longer than the rest of this module. With a plain
# False, Jedi would ignore the block.
TYPE_CHECKING = bool()  # noqa: UP018
if TYPE_CHECKING:
    from superserve import errors as errors
    from superserve import types as types
    from superserve._async.build import AsyncBuild as AsyncBuild
    from superserve._async.client import AsyncSuperserve as AsyncSuperserve
    from superserve._async.command_session import AsyncCommandSession as AsyncCommandSession
    from superserve._async.file_stream import AsyncFileStream as AsyncFileStream
    from superserve._async.sandboxes import AsyncSandbox as AsyncSandbox
    from superserve._async.templates import AsyncTemplate as AsyncTemplate
    from superserve._print_log import print_log as print_log
    from superserve._sync.build import Build as Build
    from superserve._sync.client import Superserve as Superserve
    from superserve._sync.command_session import CommandSession as CommandSession
    from superserve._sync.file_stream import FileStream as FileStream
    from superserve._sync.sandboxes import Sandbox as Sandbox
    from superserve._sync.templates import Template as Template
    from superserve.errors import *  # noqa: F403
    from superserve.specs import Place as Place
    from superserve.specs import SpecProblem as SpecProblem
    from superserve.specs import TemplateSpec as TemplateSpec
    from superserve.specs import ready as ready
    from superserve.types import *  # noqa: F403

    __version__: str

# The module of each name. All names in `errors` and `types` are public as well.
_HOMES = {
    "AsyncBuild": "_async.build",
    "AsyncCommandSession": "_async.command_session",
    "AsyncFileStream": "_async.file_stream",
    "AsyncSandbox": "_async.sandboxes",
    "AsyncSuperserve": "_async.client",
    "AsyncTemplate": "_async.templates",
    "Build": "_sync.build",
    "CommandSession": "_sync.command_session",
    "FileStream": "_sync.file_stream",
    "Place": "specs",
    "Sandbox": "_sync.sandboxes",
    "SpecProblem": "specs",
    "Superserve": "_sync.client",
    "Template": "_sync.templates",
    "TemplateSpec": "specs",
    "print_log": "_print_log",
    "ready": "specs",
}


# Hidden from type checkers: they would accept any misspelt name.
if not TYPE_CHECKING:  # pragma: no branch

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = _version()
        elif name == "__all__":
            value = sorted([*_HOMES, *__getattr__("errors").__all__, *__getattr__("types").__all__])
        elif name in ("errors", "types"):
            value = _load(name)
        else:
            home = _HOMES.get(name) or ("errors" if name.endswith("Error") else "types")
            module = _load(home)
            if name not in _HOMES and name not in module.__all__:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
            value = getattr(module, name)
        # The next look-up finds the name directly.
        globals()[name] = value
        return value

    def _load(module: str) -> object:
        from importlib import import_module

        try:
            return import_module(f"{__name__}.{module}")
        except AttributeError as error:
            # A dependency has the wrong version. Without this, Python would say that this package lacks the name.
            raise ImportError(f"{__name__}.{module} cannot be loaded: {error}", name=error.name) from error

    def __dir__() -> list[str]:
        own = [name for name in globals() if name[:2] == "__"]
        return sorted({*__getattr__("__all__"), "__version__", "errors", "types", *own})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("superserve-client")
    except PackageNotFoundError:  # run from a source tree
        return "0"


def _warn_of_the_other_package() -> None:
    """Warn if the package `superserve`, which has files of the same names, is installed in the same folder."""
    import os  # always loaded already

    folder = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib takes longer to import than all this
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:  # in a zip file, for example
        return
    found = [name for name in names if name[:11] == "superserve-" and name[-10:] == ".dist-info"]
    if found:
        import warnings

        warnings.warn(
            f"the package superserve {found[0][11:-10]} is installed beside superserve-client and has files of the "
            "same names: `pip uninstall -y superserve superserve-client`, then install superserve-client again",
            RuntimeWarning,
            stacklevel=3,
        )


_warn_of_the_other_package()
