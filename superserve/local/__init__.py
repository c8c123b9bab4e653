"""The local server: it stands in for the Superserve service, for development and tests on one machine.

`with LocalServer() as server:` serves on a free loopback port. `python -m superserve.local` does the same from a shell.
"""

# ruff: noqa: E402 - the check of the extra comes first

from importlib.util import find_spec

# Some of these are imported late. A missing one must be reported here, not in the middle of a test.
for _name in ("starlette", "uvicorn", "websockets", "tree_sitter", "tree_sitter_bash"):
    if find_spec(_name) is None:
        # Because of name=, `python -m superserve.local` prints this on one line, without a traceback.
        raise ImportError(
            f"superserve.local needs {_name}, which isn't installed: pip install 'superserve-client[local]'",
            name=__name__,
        )

from superserve.local._app.auth import Team
from superserve.local._app.errors import StateError
from superserve.local._app.limits import Limits, TeamLimits
from superserve.local._app.recorder import Request, Requests
from superserve.local._app.server import LocalServer
from superserve.local._faults.faults import Faults
from superserve.local._faults.registry import Fault
from superserve.local._machines.sandboxes.scripts import Commands
from superserve.local._resources.build_steering import Builds
from superserve.local._resources.sandbox_steering import Sandboxes
from superserve.local._resources.template_steering import Templates

__all__ = [
    "Builds",
    "Commands",
    "Fault",
    "Faults",
    "Limits",
    "LocalServer",
    "Request",
    "Requests",
    "Sandboxes",
    "StateError",
    "Team",
    "TeamLimits",
    "Templates",
]
