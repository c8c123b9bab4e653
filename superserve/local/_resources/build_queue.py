"""The build queue: it advances build rows, and their templates' rows, at one tick a second."""

import asyncio
import logging
from datetime import datetime
from typing import ClassVar, Final

import attrs

from superserve.local._app.answers import drop_none
from superserve.local._app.clock import format_time, monotonic
from superserve.local._app.services import Services
from superserve.local._machines.build_host import BuildHost
from superserve.local._machines.jobs import BuildJob
from superserve.local._resources.templates import MIB, TemplateRow
from superserve.local._store.rows import Row, column
from superserve.local._store.store import Table

TICK_S = 1.0
ACTIVE_BUILDS = 10
DISPATCHED_PER_TICK = 20
PENDING_LIMIT_S = 120.0
BUILDING_LIMIT_S = 30 * 60.0
NO_RECORD = "vmd has no record of this build (likely vmd restarted)"

# The states of a ready build on newer servers, one tick each. The second one is in no description.
_NEXT_STATUS = {"building": "snapshotting", "snapshotting": "verifying"}
_IN_FLIGHT: Final = frozenset({"pending", "building", "snapshotting", "verifying"})

_logger = logging.getLogger("superserve.local")


@attrs.frozen
class BuildRow(Row):
    """A build."""

    TABLE: ClassVar[str] = "builds"

    id: str
    template_id: str = attrs.field(metadata=column(references="templates"))
    team_id: str
    status: str
    spec_hash: str
    created_at: datetime
    error_message: str | None = None
    started_at: datetime | None = None
    finalized_at: datetime | None = None

    @property
    def in_flight(self) -> bool:
        """Whether it can still end: pending, building or snapshotting."""
        return self.status in _IN_FLIGHT

    @property
    def dispatched(self) -> bool:
        """Whether it was ever passed to the host, which keeps its log."""
        return self.started_at is not None

    def answer(self) -> dict[str, object]:
        """Return the build in the form of the API: fields that are not set are left out."""
        return drop_none(
            id=self.id,
            template_id=self.template_id,
            status=self.status,
            build_spec_hash=self.spec_hash,
            error_message=self.error_message,
            started_at=format_time(self.started_at),
            finalized_at=format_time(self.finalized_at),
            created_at=format_time(self.created_at),
        )


class BuildQueue:
    """Makes every transition of a build row. An ended build never changes again."""

    def __init__(
        self, templates: Table[TemplateRow], builds: Table[BuildRow], host: BuildHost, services: Services
    ) -> None:
        self._templates = templates
        self._builds = builds
        self._in_flight = builds.index(lambda row: row.in_flight or None)
        self._host = host
        self._clock = services.clock
        self._new_id = services.new_id
        self._newer = services.settings.newer
        self._work = asyncio.Event()
        self._began: dict[str, float] = {}
        self.overdue: set[str] = set()
        """Builds whose time is set to be over."""
        self.reset()

    def reset(self) -> None:
        """Go back to the initial state."""
        self.dispatching = True
        """Whether waiting builds are started."""
        self.frozen = False
        """Whether no row changes by itself."""
        self.overdue.clear()
        self._began.clear()

    def in_flight(self) -> list[BuildRow]:
        """Return the builds that have not ended, oldest first."""
        return self._in_flight.of(True)

    def in_flight_of(self, template_id: str) -> list[BuildRow]:
        """Return the builds of a template that have not ended."""
        return [build for build in self.in_flight() if build.template_id == template_id]

    async def run(self) -> None:
        """Tick until cancelled. Sleeps while no build is in flight."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        period = self._clock.real(TICK_S)
        while True:
            await self._work.wait()
            await asyncio.sleep(period - (loop.time() - started) % period)
            try:
                self.tick()
            except Exception:
                _logger.exception("the build queue failed")
            if not self.in_flight():
                self._work.clear()

    def add(self, template: TemplateRow) -> BuildRow:
        """Queue a build of a template."""
        build = BuildRow(
            id=self._new_id(),
            template_id=template.id,
            team_id=template.team_id,
            status="pending",
            spec_hash=template.spec.hash,
            created_at=self._clock.now(),
        )
        self._builds.save(build)
        self._began[build.id] = monotonic()
        self._work.set()
        return build

    def fail_all(self) -> None:
        """Fail every build in flight, as after a restart of the host, which then knows none of them."""
        for build in self.in_flight():
            self.end(build, "failed", NO_RECORD)

    def cancel(self, build: BuildRow) -> None:
        """Cancel a build for a client. The real host is not told: the build goes on there."""
        if not build.in_flight:
            return
        self._set_ended(build, "cancelled", "cancelled by user")
        template = self._templates[build.template_id]
        if template.status in {"pending", "building"}:
            self._templates.save(
                attrs.evolve(template, status="failed", error_message="build cancelled by user")
            )
        if self._host.kills_on_cancel:
            self._host.cancel(build.id)

    def tick(self) -> None:
        """Do one round: start waiting builds, time out old ones, and take over the host's results."""
        if self.frozen:
            return
        # In this order, because rounds may come late: at high speeds a short delay is minutes for a waiting build.
        self._dispatch()
        for build in self.in_flight():
            self._reap(build)
        for build in self.in_flight():
            if build.dispatched:
                self._poll(build)

    def end(self, build: BuildRow, status: str, error_message: str | None) -> None:
        """End a build, and give its template the same status, even if the template was ready."""
        self._set_ended(build, status, error_message)
        template = self._templates[build.template_id]
        if status == "ready":
            template = attrs.evolve(
                template,
                status="ready",
                error_message=None,
                built_at=self._clock.now(),
                size_bytes=template.disk_mib * MIB,
            )
        else:
            template = attrs.evolve(template, status="failed", error_message=error_message)
        self._templates.save(template)

    def job(self, build: BuildRow) -> BuildJob:
        """Return the job for the host."""
        template = self._templates[build.template_id]
        return BuildJob(
            build_id=build.id,
            template_id=template.id,
            from_=template.spec.from_,
            steps=template.spec.steps,
            start_cmd=template.spec.start_cmd or None,
            ready_cmd=template.spec.ready_cmd or None,
            vcpu=template.vcpu,
            memory_mib=template.memory_mib,
            disk_mib=template.disk_mib,
        )

    def _reap(self, build: BuildRow) -> None:
        # Not by the times in the row: a test may change the time of day.
        age = self._clock.age(self._began.setdefault(build.id, monotonic()))
        if build.started_at is None:
            if age > PENDING_LIMIT_S:
                self._set_ended(build, "failed", "build timed out")
        elif build.id in self.overdue or age > BUILDING_LIMIT_S:
            self.overdue.discard(build.id)
            self._set_ended(build, "failed", "build timed out")
            self._host.cancel(build.id)

    def _dispatch(self) -> None:
        builds = self.in_flight()
        active = sum(build.dispatched for build in builds)
        pending = [build for build in builds if not build.dispatched]
        if not self.dispatching:
            return
        for build in pending[: min(DISPATCHED_PER_TICK, max(0, ACTIVE_BUILDS - active))]:
            template = self._templates[build.template_id]
            if template.deleted_at is not None:
                self.end(build, "failed", "template_gone: the template was deleted")
                continue
            self._builds.save(attrs.evolve(build, status="building", started_at=self._clock.now()))
            self._began[build.id] = monotonic()
            self._host.start(self.job(build), len(template.spec.canonical))

    def _poll(self, build: BuildRow) -> None:
        record = self._host.records.get(build.id)
        if record is None:
            self.end(build, "failed", NO_RECORD)
        elif record.status == "ready":
            if self._newer and build.status in _NEXT_STATUS:
                self._builds.save(attrs.evolve(build, status=_NEXT_STATUS[build.status]))
            else:
                self.end(build, "ready", None)
        elif record.status != "building":
            self.end(build, "failed", record.error_message)

    def _set_ended(self, build: BuildRow, status: str, error_message: str | None) -> None:
        self._began.pop(build.id, None)
        self._builds.save(
            attrs.evolve(build, status=status, error_message=error_message, finalized_at=self._clock.now())
        )
