"""The build queue: moves build rows along, one tick a second, and their templates' rows with them."""

import asyncio
import logging
import uuid
from collections.abc import Callable

import attrs

from superserve.local._app.clock import Clock
from superserve.local._machines.build_host import Host
from superserve.local._machines.jobs import BuildJob
from superserve.local._resources.newer import NEXT_STATUS
from superserve.local._store.store import Build, Store, Template

TICK_S = 1.0
ACTIVE_BUILDS = 10
DISPATCHED_PER_TICK = 20
PENDING_LIMIT_S = 120.0
BUILDING_LIMIT_S = 30 * 60.0
MIB = 1_048_576
NO_RECORD = "vmd has no record of this build (likely vmd restarted)"

_logger = logging.getLogger("superserve.local")


class Supervisor:
    """Owns every transition of a build row. Ended builds never change again."""

    def __init__(
        self, store: Store, host: Host, clock: Clock, new_id: Callable[[], uuid.UUID], *, newer: bool
    ) -> None:
        self._store = store
        self._host = host
        self._clock = clock
        self._new_id = new_id
        self._newer = newer
        self._work = asyncio.Event()
        self.dispatching = True
        """Whether builds that wait are started."""
        self.frozen = False
        """Whether no row changes by itself."""
        self.overdue: set[str] = set()
        """Builds whose time counts as over."""

    async def run(self) -> None:
        """Tick for ever; sleeps while there is nothing in flight."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        period = self._clock.real(TICK_S)
        while True:
            await self._work.wait()
            await asyncio.sleep(period - (loop.time() - started) % period)
            try:
                self.tick()
            except Exception:
                _logger.exception("supervisor tick failed")
            if not any(True for _ in self._store.in_flight()):
                self._work.clear()

    def queue(self, template: Template) -> Build:
        """Queue a build of a template."""
        build = Build(
            id=str(self._new_id()),
            template_id=template.id,
            team_id=template.team_id,
            status="pending",
            spec_hash=template.spec.hash,
            created_at=self._clock.now(),
        )
        self._store.save_build(build)
        self._work.set()
        return build

    def lose_all(self) -> None:
        """Fail every build in flight, as after a restart of the host: it knows none of them."""
        for build in self._store.in_flight():
            self.end(build, "failed", NO_RECORD)

    def cancel(self, build: Build) -> None:
        """Cancel a build on a client's request. The real host is not told: the build goes on there."""
        if not build.in_flight:
            return
        self._end(build, "cancelled", "cancelled by user")
        template = self._store.templates[build.template_id]
        if template.status in {"pending", "building"}:
            self._store.save_template(
                attrs.evolve(template, status="failed", error_message="build cancelled by user")
            )
        if self._host.kills_on_cancel:
            self._host.cancel(build.id)

    def tick(self) -> None:
        """Do one round: start what waits, give up what takes too long, take over what the host decided."""
        if self.frozen:
            return
        # In this order, as rounds may come late: at high speeds a moment's delay is minutes for a build that waits.
        self._dispatch()
        for build in self._store.in_flight():
            self._reap(build)
        for build in self._store.in_flight():
            if build.dispatched:
                self._poll(build)

    def end(self, build: Build, status: str, error_message: str | None) -> None:
        """End a build and give its template the same verdict, even if it had been ready."""
        self._end(build, status, error_message)
        template = self._store.templates[build.template_id]
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
        self._store.save_template(template)

    def job(self, build: Build) -> BuildJob:
        """Return what the host has to know of a build."""
        template = self._store.templates[build.template_id]
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

    def _reap(self, build: Build) -> None:
        if build.started_at is None:
            if self._clock.age(build.created_at) > PENDING_LIMIT_S:
                self._end(build, "failed", "build timed out")
        elif build.id in self.overdue or self._clock.age(build.started_at) > BUILDING_LIMIT_S:
            self.overdue.discard(build.id)
            self._end(build, "failed", "build timed out")
            self._host.cancel(build.id)

    def _dispatch(self) -> None:
        builds = list(self._store.in_flight())
        active = sum(build.dispatched for build in builds)
        pending = [build for build in builds if not build.dispatched]
        if not self.dispatching:
            return
        for build in pending[: min(DISPATCHED_PER_TICK, max(0, ACTIVE_BUILDS - active))]:
            template = self._store.templates[build.template_id]
            if template.deleted_at is not None:
                self.end(build, "failed", "template_gone: the template was deleted")
                continue
            self._store.save_build(attrs.evolve(build, status="building", started_at=self._clock.now()))
            self._host.start(self.job(build), len(template.spec.canonical))

    def _poll(self, build: Build) -> None:
        record = self._host.records.get(build.id)
        if record is None:
            self.end(build, "failed", NO_RECORD)
        elif record.status == "ready":
            if self._newer and build.status in NEXT_STATUS:
                self._store.save_build(attrs.evolve(build, status=NEXT_STATUS[build.status]))
            else:
                self.end(build, "ready", None)
        elif record.status != "building":
            self.end(build, "failed", record.error_message)

    def _end(self, build: Build, status: str, error_message: str | None) -> None:
        self._store.save_build(
            attrs.evolve(build, status=status, error_message=error_message, finalized_at=self._clock.now())
        )
