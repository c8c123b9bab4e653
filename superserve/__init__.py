"""Python SDK for Superserve: build templates for isolated micro-VMs, sync and async.

Names are loaded when they are first used, so that `import superserve` costs next to nothing.
"""

from importlib import import_module as _import_module

# As type checkers know it from typing, whose import would take longer than all the rest here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from superserve import errors as errors
    from superserve import types as types
    from superserve._async.client import AsyncSuperserve
    from superserve._async.templates import AsyncTemplate
    from superserve._sync.client import Superserve
    from superserve._sync.templates import Template
    from superserve.errors import (
        AuthenticationError,
        BuildCancelledError,
        BuildError,
        ConflictError,
        NotFoundError,
        RateLimitError,
        SandboxConnectionError,
        SandboxError,
        SandboxTimeoutError,
        ServerError,
        ValidationError,
    )
    from superserve.types import (
        BuildLogEvent,
        BuildLogStream,
        BuildStep,
        EnvStep,
        EnvStepValue,
        RunStep,
        TemplateBuildInfo,
        TemplateBuildStatus,
        TemplateInfo,
        TemplateStatus,
        UserStep,
        UserStepValue,
        WorkdirStep,
    )

    __version__: str

__all__ = [
    "AsyncSuperserve",
    "AsyncTemplate",
    "AuthenticationError",
    "BuildCancelledError",
    "BuildError",
    "BuildLogEvent",
    "BuildLogStream",
    "BuildStep",
    "ConflictError",
    "EnvStep",
    "EnvStepValue",
    "NotFoundError",
    "RateLimitError",
    "RunStep",
    "SandboxConnectionError",
    "SandboxError",
    "SandboxTimeoutError",
    "ServerError",
    "Superserve",
    "Template",
    "TemplateBuildInfo",
    "TemplateBuildStatus",
    "TemplateInfo",
    "TemplateStatus",
    "UserStep",
    "UserStepValue",
    "ValidationError",
    "WorkdirStep",
]

_HOMES = {
    "AsyncSuperserve": "_async.client",
    "AsyncTemplate": "_async.templates",
    "Superserve": "_sync.client",
    "Template": "_sync.templates",
}


# Hidden from type checkers, which would take every slip in a name for one that this finds.
if not TYPE_CHECKING:  # pragma: no branch

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = _version()
        elif name in ("errors", "types"):
            value = _load(name)
        elif name in __all__:
            home = _HOMES.get(name) or ("errors" if name.endswith("Error") else "types")
            value = getattr(_load(home), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Found at once from now on.
        globals()[name] = value
        return value


def _load(module: str) -> object:
    try:
        return _import_module(f"{__name__}.{module}")
    except AttributeError as error:
        # A dependency of another version lacks something. As it is, Python would say that this package lacks a name.
        raise ImportError(f"{__name__}.{module} cannot be loaded: {error}", name=error.name) from error


def __dir__() -> list[str]:
    return sorted(
        {*__all__, "__version__", "errors", "types", *(name for name in globals() if name[:2] == "__")}
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("superserve")
    except PackageNotFoundError:  # run from a source tree
        return "0"
