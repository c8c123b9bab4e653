"""Changing builds without the API: `server.builds`."""

import asyncio
from collections.abc import Iterable
from typing import Literal, get_args

import attrs

from superserve.local._app import arguments
from superserve.local._app.steering import Steering, wait_until
from superserve.local._machines.build_host import BuildLog, BuildRecord
from superserve.local._resources.build_queue import BuildRow
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.template_steering import find_template

BuildState = Literal["pending", "building", "snapshotting", "ready", "failed", "cancelled"]
AddedState = Literal["pending", "ready", "failed", "cancelled"]
HeldState = Literal["pending", "building"]


class Builds(Steering[BuildResource]):
    """Changes builds without the API: `server.builds`.

    An unknown id of a build or template raises KeyError. A build that the host does not know raises ValueError. Waiting for
    more than 30 s raises TimeoutError.
    """

    def __repr__(self) -> str:
        """Show the number of builds, and the newest."""
        return self._describe(
            "builds", lambda builds: [f"{row.id} {row.status}" for row in list(builds.rows)]
        )

    def add(
        self,
        template_id: str,
        *,
        status: AddedState = "ready",
        error_message: str | None = None,
        log: Iterable[str] | None = None,
    ) -> str:
        """Add a build to a template, and return its id. The template's row does not change.

        Args:
            template_id: The template.
            status: The status of an ended build, or pending for a build that the queue takes over.
            error_message: The error message of a failed or cancelled build.
            log: The stdout of an ended build, one event for each text. Without it the host has lost the build, and
                its log stream says so.

        """
        arguments.check_one_of("status", status, get_args(AddedState))

        async def work(builds: BuildResource) -> str:
            build = builds.queue.add(find_template(builds.templates, template_id))
            if status == "pending":
                return build.id
            record = builds.host.add_ended(builds.queue.job(build)) if log is not None else None
            if record is not None:
                for text in log or ():
                    record.log.write("stdout", text)
                record.end(status, error_message)
            now = builds.services.clock.now()
            build = attrs.evolve(
                build, status=status, error_message=error_message, started_at=now, finalized_at=now
            )
            builds.rows.save(build)
            return build.id

        return self._do(work)

    def hold(self, state: HeldState = "building") -> None:
        """Hold new builds in a state until `release()`. A build that is held as building writes no log."""
        arguments.check_one_of("state", state, get_args(HeldState))

        async def work(builds: BuildResource) -> None:
            builds.queue.dispatching = state == "building"
            builds.host.holding = True

        return self._do(work)

    def freeze(self) -> None:
        """Stop all changes of rows until `release()`: the log of a build ends, and its row stays behind."""

        async def work(builds: BuildResource) -> None:
            builds.queue.frozen = True

        return self._do(work)

    def release(self, build_id: str | None = None) -> None:
        """Release one build that is held as building; without an id, everything that is held or frozen."""

        async def work(builds: BuildResource) -> None:
            if build_id is not None:
                await _wait_for_record(builds, build_id)
            else:
                builds.queue.dispatching = True
                builds.queue.frozen = False
            builds.host.release(build_id)

        return self._do(work)

    def write(self, build_id: str, *texts: str, stream: str = "stdout", wait: bool = True) -> None:
        """Append events to the log of a running or held build, one for each text. Waits for the build's dispatch.

        Args:
            build_id: The build.
            texts: The texts.
            stream: Their stream.
            wait: Whether to wait for readers of the log that fall behind. If not, they lose events that do not fit into
                their queues, which happens with more than 256 texts.

        """

        async def work(builds: BuildResource) -> None:
            log = (await _wait_for_record(builds, build_id)).log
            for text in texts:
                if wait:
                    await _wait_for_room(log)
                log.write(stream, text)

        return self._do(work)

    def finish(self, build_id: str, error_message: str | None = None) -> None:
        """Decide a running or held build: ready, or failed with a message. The row follows at the next tick."""

        async def work(builds: BuildResource) -> None:
            await _wait_for_record(builds, build_id)
            builds.host.finish(build_id, error_message)

        return self._do(work)

    def close_log(self, build_id: str) -> None:
        """End the log stream of a build without a last event. The build goes on."""

        async def work(builds: BuildResource) -> None:
            (await _wait_for_record(builds, build_id)).log.close()

        return self._do(work)

    def lose(self, build_id: str) -> None:
        """Make the host forget a build, as after a restart. A row in flight fails at the next tick."""

        async def work(builds: BuildResource) -> None:
            await _wait_for_record(builds, build_id)
            builds.host.forget(build_id)

        return self._do(work)

    def set(self, build_id: str, status: BuildState, error_message: str | None = None) -> None:
        """Set only a build's row, not its template, its log, or what the host does."""
        arguments.check_one_of("status", status, get_args(BuildState))

        async def work(builds: BuildResource) -> None:
            build = attrs.evolve(_find(builds, build_id), status=status, error_message=error_message)
            now = builds.services.clock.now()
            if build.status in {"building", "snapshotting"} and build.started_at is None:
                build = attrs.evolve(build, started_at=now)
            if not build.in_flight:
                build = attrs.evolve(build, finalized_at=now)
            builds.rows.save(build)

        return self._do(work)

    def wait_for(self, build_id: str, *statuses: BuildState) -> str:
        """Wait until a build's row has one of the statuses, and return the status; TimeoutError after 30 s."""

        async def work(builds: BuildResource) -> str:
            await wait_until(lambda: _find(builds, build_id).status in statuses)
            return _find(builds, build_id).status

        return self._do(work)


def _find(builds: BuildResource, build_id: str) -> BuildRow:
    row = builds.rows.get(build_id)
    if row is None:
        raise KeyError(f"no build {build_id!r} on this server")
    return row


async def _wait_for_record(builds: BuildResource, build_id: str) -> BuildRecord:
    """Wait until the host has a build. It gets the build at the next tick."""
    records = builds.host.records
    await wait_until(lambda: build_id in records or not _find(builds, build_id).in_flight)
    if build_id not in records:
        raise ValueError(f"the host has no build {build_id}")
    return records[build_id]


async def _wait_for_room(log: BuildLog) -> None:
    if not log.has_room:
        # A reader that keeps up only needs one turn of the loop.
        await asyncio.sleep(0)
        await wait_until(lambda: log.has_room)
