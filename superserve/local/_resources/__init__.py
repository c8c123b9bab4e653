"""What the API has: each resource with its operations, its rows and its checks. A new one is added to this list."""

from superserve.local._app.patterns import Operations
from superserve.local._app.router import find_operations
from superserve.local._app.services import Resource
from superserve.local._resources.build_logs import BuildLogResource
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.health import HealthResource
from superserve.local._resources.templates import TemplateResource

RESOURCES: tuple[type[Resource], ...] = (
    HealthResource,
    TemplateResource,
    BuildResource,
    BuildLogResource,
)
OPERATIONS = Operations(operation for kind in RESOURCES for _, operation in find_operations(kind))
