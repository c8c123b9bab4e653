"""The base class of resources, and the objects that they share."""

import random
from collections.abc import Iterable, Sequence
from typing import ClassVar, TypeVar
from uuid import UUID

from superserve.local._app.auth import Teams
from superserve.local._app.clock import Clock
from superserve.local._app.settings import Settings
from superserve.local._app.streams import Streams
from superserve.local._faults.registry import Registry
from superserve.local._machines.sandboxes.scripts import Commands
from superserve.local._store.rows import Row
from superserve.local._store.store import Store

P = TypeVar("P", bound="Resource")


class Services:
    """The objects that the resources of one server share. Resources also find each other here."""

    def __init__(self, settings: Settings, kinds: Sequence[type["Resource"]], faults: Registry) -> None:
        self.settings = settings
        self.faults = faults
        self.clock = Clock(settings.speed, real_work=settings.execute)
        self.streams = Streams()
        self.commands = Commands()
        self.store = Store([*Teams.ROWS, *(row for kind in kinds for row in kind.ROWS)], settings.state)
        self._random = random.Random(settings.seed)  # noqa: S311 - ids only have to be unlike each other
        self.teams = Teams(self.store, settings, self.new_id)
        self._resources: dict[type[Resource], Resource] = {}

    def resource(self, kind: type[P]) -> P:
        """Return the resource of a class. It is made on first use."""
        found = self._resources.get(kind)
        if not isinstance(found, kind):
            found = self._resources[kind] = kind(self)
        return found

    def resources(self) -> Iterable["Resource"]:
        """Return all resources, each after those that it uses."""
        return self._resources.values()

    def new_id(self) -> str:
        """Return a new id. The same seed makes the same ids in the same order."""
        while True:
            made = str(UUID(int=self._random.getrandbits(128), version=4))
            # A state file may contain ids that the same seed made in another run.
            if made not in self.store:
                return made

    def populate(self) -> None:
        """Add the rows that every server has, unless a state file contained them."""
        self.teams.populate()
        for resource in self.resources():
            resource.populate()

    def reset(self) -> None:
        """Go back to the initial state."""
        self.streams.reset()
        for resource in self.resources():
            resource.reset()
        self.store.reset()
        self._random.seed(self.settings.seed)
        self.populate()


class Resource:
    """A part of the API, with its operations (see `router.operation`), its rows and its checks."""

    ROWS: ClassVar[tuple[type[Row], ...]] = ()
    """The classes of its rows, each after those that it references."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def populate(self) -> None:
        """Add the rows that every server has. Called at the start and after a reset."""

    def reset(self) -> None:
        """Forget everything except rows, which the store forgets itself."""

    async def run(self) -> None:
        """Do the background work until cancelled, if there is any."""

    async def aclose(self) -> None:
        """Release its resources. Returns when nothing of it runs."""
