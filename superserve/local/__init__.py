"""A stand-in of the Superserve server, for development and tests on one machine.

`with LocalServer() as server:` serves on a free loopback port; `python -m superserve.local` does so from a shell.
"""

try:
    from superserve.local._control import Builds, Team, Templates
    from superserve.local._errors import StateError
    from superserve.local._fault import Fault
    from superserve.local._faults import Faults
    from superserve.local._limits import Limits, TeamLimits
    from superserve.local._requests import Request, Requests
    from superserve.local._server import LocalServer
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in {"starlette", "uvicorn"}:
        raise
    # With the name of this module, `python -m superserve.local` prints this on one line, without a traceback.
    raise ImportError(
        f"superserve.local needs {missing}, which isn't installed: pip install 'superserve[local]'",
        name=__name__,
    ) from None

__all__ = [
    "Builds",
    "Fault",
    "Faults",
    "Limits",
    "LocalServer",
    "Request",
    "Requests",
    "StateError",
    "Team",
    "TeamLimits",
    "Templates",
]
