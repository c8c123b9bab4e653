"""Everything behind the socket, put together; it lives in the server's event loop."""

import random
from functools import partial
from pathlib import Path
from uuid import UUID

import attrs

from superserve.local._app.api import Api
from superserve.local._app.clock import Clock
from superserve.local._app.front_door import Front
from superserve.local._app.limits import Limits, TeamLimits
from superserve.local._app.recorder import Recorder, Requests
from superserve.local._faults.faults import Faults
from superserve.local._faults.registry import Book
from superserve.local._faults.runner import FaultyRunner
from superserve.local._machines.build_host import Host
from superserve.local._machines.jobs import Runner
from superserve.local._resources.build_logs import LogStream, Streams
from superserve.local._resources.build_spec import SYSTEM_PREFIX, BuildSpec
from superserve.local._resources.builds import MIB, Supervisor
from superserve.local._resources.newer import UNKNOWN_TEMPLATE_STATUS
from superserve.local._resources.templates import Templates
from superserve.local._store.store import Store, Team, Template, new_key
from superserve.local._web.control import Remote
from superserve.local._web.page import Page

# The curated templates: name after superserve/, base image, vcpu, memory and disk in MiB.
_CATALOGUE = [
    ("base", "debian:12", 1, 1024, 4096),
    ("python-3.11", "python:3.11", 1, 1024, 4096),
    ("node-22", "node:22", 1, 1024, 4096),
    ("openclaw", "node:22", 2, 2048, 8192),
    ("desktop", "debian:12", 2, 4096, 8192),
]


@attrs.frozen
class Settings:
    """What a server is started with."""

    api_key: str | None
    """None takes the state file's, or a random one."""
    limits: Limits | None
    speed: float
    execute: bool
    system_templates: bool
    newer: bool
    seed: int | None
    state: Path | None
    """The file that keeps the rows; None keeps them in memory."""


class Backend:
    """The rows, the build host, the supervisor and the ASGI application of one server."""

    def __init__(self, settings: Settings, book: Book, requests: Requests) -> None:
        self._settings = settings
        self._book = book
        self._requests = requests
        self._random = random.Random(settings.seed)  # noqa: S311 - ids only have to be unlike each other
        self.clock = Clock(settings.speed, real_work=settings.execute)
        runner = FaultyRunner(
            _runner(settings, self.clock),
            lambda job: book.strike_build(job, self.store.templates[job.template_id].name),
            # Both are still to come: one of them needs the runner, and the other one that one.
            lose=lambda build_id: self.host.forget(build_id),  # noqa: PLW0108
            time_out=lambda build_id: self.supervisor.overdue.add(build_id),  # noqa: PLW0108
        )
        self.host = Host(runner, self.clock, newer=settings.newer)
        self.store = _store(settings)
        self.supervisor = Supervisor(self.store, self.host, self.clock, self.new_id, newer=settings.newer)
        self.streams = Streams()
        self._api = Api(
            self.store,
            Templates(
                store=self.store,
                host=self.host,
                supervisor=self.supervisor,
                clock=self.clock,
                streams=self.streams,
                new_id=self.new_id,
                newer=settings.newer,
            ),
            settings.limits,
        )
        self.api_key = settings.api_key or self.store.own_key or new_key()
        self.app = Front(
            self._api,
            Remote(Faults(book), requests, key=self.api_key, reset=self.reset),
            Page(
                self.store,
                _about(settings),
                partial(LogStream, store=self.store, host=self.host, clock=self.clock, streams=self.streams),
            ),
            keys=self.store.keys,
            recorder=Recorder(requests),
            book=book,
            streams=self.streams,
            local_hosts_only=settings.execute,
        )
        try:
            self.supervisor.lose_all()
            self.team = self._populate()
        except BaseException:
            self.store.close()
            raise

    def new_id(self) -> UUID:
        """Return a fresh id; the same ones in the same order for the same seed."""
        while True:
            made = UUID(int=self._random.getrandbits(128), version=4)
            # A state file may hold those that the same seed made in another run.
            if not self.store.has(str(made)):
                return made

    def add_team(self, limits: TeamLimits | None) -> Team:
        """Add a team without keys."""
        team = Team(str(self.new_id()), limits)
        self.store.save_team(team)
        return team

    async def run(self) -> None:
        """Move builds along until cancelled."""
        await self.supervisor.run()

    async def reset(self) -> None:
        """Go back to the state at the start."""
        self._book.clear(restart=True)
        self.streams.end_all()
        self.host.forget_all()
        self.supervisor.dispatching = True
        self.supervisor.frozen = False
        self.supervisor.overdue.clear()
        self.store.clear()
        self._api.reset()
        self._requests.clear()
        self._random.seed(self._settings.seed)
        self.team = self._populate()

    async def aclose(self) -> None:
        """Stop every build and close the state file."""
        await self.host.aclose()
        self.store.close()

    def _populate(self) -> Team:
        """Add what every server has, unless the state file had it, and return the server's own team."""
        teams = list(self.store.teams.values())
        limits = self._settings.limits.team if self._settings.limits else None
        system = next((team for team in teams if team.is_system), None)
        if self._settings.system_templates:
            self._add_catalogue(Team(system.id if system else str(self.new_id()), limits, is_system=True))
        elif system is not None:
            for row in self.store.visible_templates(system):
                self.store.save_template(attrs.evolve(row, deleted_at=self.clock.now()))
        own = next((team for team in teams if not team.is_system), None)
        team = Team(own.id if own else str(self.new_id()), limits)
        self.store.save_team(team)
        if self.store.own_key is not None and self.store.own_key != self.api_key:
            self.store.remove_key(self.store.own_key)
        self.store.save_key(self.api_key, team.id, own=True)
        return team

    def _add_catalogue(self, system: Team) -> None:
        self.store.save_team(system)
        for name, image, vcpu, memory_mib, disk_mib in _CATALOGUE:
            now = self.clock.now()
            is_unknown = self._settings.newer and name == _CATALOGUE[-1][0]
            row = self.store.template_named(system, SYSTEM_PREFIX + name) or Template(
                id=str(self.new_id()),
                team_id=system.id,
                name=SYSTEM_PREFIX + name,
                status="ready",
                vcpu=vcpu,
                memory_mib=memory_mib,
                disk_mib=disk_mib,
                created_at=now,
                built_at=now,
                size_bytes=disk_mib * MIB,
                spec=BuildSpec(image),
            )
            status = UNKNOWN_TEMPLATE_STATUS if is_unknown else "ready"
            self.store.save_template(attrs.evolve(row, status=status, error_message=None))


def _store(settings: Settings) -> Store:
    if settings.state is None:
        return Store()
    from superserve.local._store.database import SavedStore

    return SavedStore(settings.state)


def _about(settings: Settings) -> str:
    builds = "builds run on this machine" if settings.execute else "builds are made up"
    limits = "real limits" if settings.limits else "no limits"
    speed = f", {settings.speed:g} times faster" if settings.speed != 1 else ""
    return f"{builds}, {limits}{speed}"


def _runner(settings: Settings, clock: Clock) -> Runner:
    if settings.execute:
        from superserve.local._machines.processes import ExecuteRunner

        return ExecuteRunner(speed=settings.speed)
    from superserve.local._machines.pretend import PretendRunner

    return PretendRunner(clock)
