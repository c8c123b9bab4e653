"""The resources of the API, each with its operations, rows and checks. A new one is added to this list."""

from superserve.local._app.patterns import Operation, Operations
from superserve.local._app.router import find_operations
from superserve.local._app.services import Resource
from superserve.local._resources.build_logs import BuildLogResource
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.exec import ExecResource
from superserve.local._resources.files import FileResource
from superserve.local._resources.health import HealthResource
from superserve.local._resources.sandboxes import SandboxResource
from superserve.local._resources.templates import TemplateResource

RESOURCES: tuple[type[Resource], ...] = (
    HealthResource,
    TemplateResource,
    BuildResource,
    BuildLogResource,
    SandboxResource,
    FileResource,
)
# The operations on one sandbox, with the resource and method that carry them out. A WebSocket has a method of its own.
DATA_PLANE: tuple[tuple[type[Resource], str, str, Operation], ...] = (
    (ExecResource, "run_command", "POST", Operation("execRun", "POST", "/exec", needs_key=False)),
    (
        ExecResource,
        "stream_command",
        "POST",
        Operation("execStream", "POST", "/exec/stream", needs_key=False, streams_events=True),
    ),
    (
        ExecResource,
        "connect",
        "WEBSOCKET",
        Operation("execConnect", "GET", "/exec/connect", needs_key=False, streams_events=True),
    ),
    (FileResource, "read_file", "GET", Operation("readFile", "GET", "/files", needs_key=False)),
    (FileResource, "write_file", "POST", Operation("writeFile", "POST", "/files", needs_key=False)),
)
OPERATIONS = Operations(
    [operation for kind in RESOURCES for _, operation in find_operations(kind)]
    + [operation for *_, operation in DATA_PLANE]
)
