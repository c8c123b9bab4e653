"""A stand-in of the Superserve server, for development and tests on one machine.

`with LocalServer() as server:` serves on a free loopback port; `python -m superserve.local` does so from a shell.
"""

# ruff: noqa: E402 - what they need comes first

from importlib.util import find_spec

# Looked for here, as some are not imported before they are needed: what is not there must not be found out amid a test.
for _name in ("starlette", "uvicorn", "websockets", "tree_sitter", "tree_sitter_bash"):
    if find_spec(_name) is None:
        # With the name of this module, `python -m superserve.local` prints this on one line, without a traceback.
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
