"""Everything behind the socket of one server. It runs in the server's event loop."""

import asyncio

from superserve.local._app.api import Api
from superserve.local._app.data_plane import DataPlane
from superserve.local._app.front_door import FrontDoor
from superserve.local._app.preview import Preview
from superserve.local._app.recorder import Record, Recorder
from superserve.local._app.router import Router
from superserve.local._app.services import Services
from superserve.local._app.settings import Settings
from superserve.local._faults.registry import Registry
from superserve.local._resources import DATA_PLANE, RESOURCES
from superserve.local._resources.sandboxes import SandboxResource
from superserve.local._web.control import Control
from superserve.local._web.page import Page


class Backend:
    """The resources and the ASGI application of one server."""

    def __init__(self, settings: Settings, faults: Registry, record: Record) -> None:
        services = self.services = Services(settings, RESOURCES, faults)
        try:
            resources = [services.resource(kind) for kind in RESOURCES]
            services.populate()
        except BaseException:
            services.store.close()
            raise
        self._api = Api(Router(resources), services.teams, settings.limits)
        self._record = record
        data_plane = _data_plane(services)
        self.app = FrontDoor(
            self._api,
            data_plane,
            Preview(services.resource(SandboxResource), data_plane.counting),
            Control(faults, record, key=services.teams.api_key, reset=self.reset),
            Page(services),
            keys=services.teams.keys,
            recorder=Recorder(record),
            faults=faults,
            streams=services.streams,
            local_hosts_only=settings.execute,
        )

    async def run(self) -> None:
        """Do the background work until cancelled."""
        await asyncio.gather(*(resource.run() for resource in self.services.resources()))

    async def reset(self) -> None:
        """Go back to the initial state."""
        self.services.faults.reset()
        self._api.reset()
        self._record.clear(None)
        self.services.reset()

    async def aclose(self) -> None:
        """Stop all work, and close the state file."""
        for resource in self.services.resources():
            await resource.aclose()
        self.services.store.close()


def _data_plane(services: Services) -> DataPlane:
    routes = {
        (method, operation.path): getattr(services.resource(kind), name)
        for kind, name, method, operation in DATA_PLANE
    }
    return DataPlane(services.resource(SandboxResource), routes)
