"""What a test may do to a running server past its API: set rows, hold builds, write their logs, decide them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Literal, Protocol, TypeVar, get_args

import attrs

from superserve.local._app import arguments
from superserve.local._app.backend import Backend
from superserve.local._machines.build_host import BuildLog, Record
from superserve.local._resources.build_spec import BuildSpec
from superserve.local._resources.builds import MIB
from superserve.local._store.store import Build, Store, Template

T = TypeVar("T")

TemplateState = Literal["pending", "building", "ready", "failed"]
BuildState = Literal["pending", "building", "snapshotting", "ready", "failed", "cancelled"]
AddedState = Literal["pending", "ready", "failed", "cancelled"]
HeldState = Literal["pending", "building"]

# How often a condition of a wait is looked at, in real seconds.
LOOK_EVERY_S = 0.002
SHOWN_ROWS = 10


@attrs.frozen
class Team:
    """A team of the server, and its key."""

    id: str
    api_key: str = attrs.field(repr=False)


class Running(Protocol):
    """A server that runs, seen from other threads."""

    backend: Backend

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the server's event loop and return its result."""
        ...


class Templates:
    """Template rows, set past the API: without its checks, quotas and builds. Obtained as `server.templates`."""

    def __init__(self, running: Callable[[], Running]) -> None:
        self._running = running

    def __repr__(self) -> str:
        """Show how many there are without the system's and those that were deleted, and the newest."""

        def lines(store: Store) -> list[str]:
            return [
                f"{row.id} {row.name!r} {row.status}"
                for row in list(store.templates.values())
                if row.deleted_at is None and not store.teams[row.team_id].is_system
            ]

        return _summary(self._running, "templates", lines)

    def add(
        self,
        name: str | None = None,
        *,
        status: TemplateState = "ready",
        error_message: str | None = None,
        from_: str = "debian:12",
        vcpu: int = 1,
        memory_mib: int = 1024,
        disk_mib: int = 4096,
        sandboxes: int = 0,
        team: Team | None = None,
    ) -> str:
        """Add a template and return its id.

        Args:
            name: Any text; by default a name that no other template has.
            status: A ready template also gets the time of its build and its size.
            error_message: As a failed build would leave it.
            from_: The base image that a rebuild uses.
            vcpu: Virtual CPUs.
            memory_mib: Memory in MiB.
            disk_mib: Disk in MiB.
            sandboxes: How many sandboxes use it; they forbid its deletion.
            team: Whose it is; the server's own team by default.

        """
        arguments.one_of("status", status, get_args(TemplateState))

        async def work(backend: Backend) -> str:
            row = _template(backend, name, status, team)
            row = attrs.evolve(
                row,
                error_message=error_message,
                spec=BuildSpec(from_),
                vcpu=vcpu,
                memory_mib=memory_mib,
                disk_mib=disk_mib,
                size_bytes=disk_mib * MIB if status == "ready" else None,
                sandboxes=sandboxes,
            )
            backend.store.save_template(row)
            return row.id

        return _call(self._running(), work)

    def add_many(
        self, count: int, *, prefix: str = "template-", status: TemplateState = "ready"
    ) -> list[str]:
        """Add templates named `<prefix>0`, `<prefix>1` and so on; return their ids, oldest first."""
        arguments.one_of("status", status, get_args(TemplateState))

        async def work(backend: Backend) -> list[str]:
            rows = [_template(backend, f"{prefix}{number}", status, None) for number in range(count)]
            for row in rows:
                backend.store.save_template(row)
            return [row.id for row in rows]

        return _call(self._running(), work)

    def set(
        self,
        template_id: str,
        *,
        status: TemplateState | None = None,
        error_message: str | None = None,
        sandboxes: int | None = None,
    ) -> None:
        """Change a template's row; with a new status, the error message is the one given or none."""
        if status is not None:
            arguments.one_of("status", status, get_args(TemplateState))

        async def work(backend: Backend) -> None:
            row = _template_row(backend, template_id)
            if status is not None:
                row = attrs.evolve(row, status=status, error_message=error_message)
            if sandboxes is not None:
                row = attrs.evolve(row, sandboxes=sandboxes)
            backend.store.save_template(row)

        return _call(self._running(), work)


class Builds:
    """Builds, steered past the API. Obtained as `server.builds`."""

    def __init__(self, running: Callable[[], Running]) -> None:
        self._running = running

    def __repr__(self) -> str:
        """Show how many there are, and the newest."""

        def lines(store: Store) -> list[str]:
            return [f"{row.id} {row.status}" for row in list(store.builds.values())]

        return _summary(self._running, "builds", lines)

    def add(
        self,
        template_id: str,
        *,
        status: AddedState = "ready",
        error_message: str | None = None,
        log: Iterable[str] | None = None,
    ) -> str:
        """Add a build to a template and return its id; the template's row stays as it is.

        Args:
            template_id: The template.
            status: An ended status, or pending for a build that the queue takes over.
            error_message: As a failed or cancelled build has it.
            log: What an ended build wrote to stdout, one event each. Without it the host has lost the build, and its
                log stream says so.

        """
        arguments.one_of("status", status, get_args(AddedState))

        async def work(backend: Backend) -> str:
            build = backend.supervisor.queue(_template_row(backend, template_id))
            if status == "pending":
                return build.id
            record = backend.host.add_ended(backend.supervisor.job(build)) if log is not None else None
            if record is not None:
                for text in log or ():
                    record.log.write("stdout", text)
                record.end(status, error_message)
            now = backend.clock.now()
            build = attrs.evolve(
                build, status=status, error_message=error_message, started_at=now, finalized_at=now
            )
            backend.store.save_build(build)
            return build.id

        return _call(self._running(), work)

    def hold(self, state: HeldState = "building") -> None:
        """Keep builds that start from now on in a state until `release()`; a build held as building writes no log."""
        arguments.one_of("state", state, get_args(HeldState))

        async def work(backend: Backend) -> None:
            backend.supervisor.dispatching = state == "building"
            backend.host.holding = True

        return _call(self._running(), work)

    def freeze(self) -> None:
        """Let no build's row change by itself until `release()`: the log of a build ends, and its row stays behind."""

        async def work(backend: Backend) -> None:
            backend.supervisor.frozen = True

        return _call(self._running(), work)

    def release(self, build_id: str | None = None) -> None:
        """Let one build go on that is held as building; or, without an id, everything that is held or frozen."""

        async def work(backend: Backend) -> None:
            if build_id is not None:
                await _record(backend, build_id)
            else:
                backend.supervisor.dispatching = True
                backend.supervisor.frozen = False
            backend.host.release(build_id)

        return _call(self._running(), work)

    def write(self, build_id: str, *texts: str, stream: str = "stdout", wait: bool = True) -> None:
        """Append events to the log of a build that runs or is held, each text one; waits for the build's dispatch.

        Args:
            build_id: The build.
            texts: The texts.
            stream: Where they come from.
            wait: Wait for readers of the log that fall behind. Without it they lose what their queues don't take,
                which happens with more than 256 texts.

        """

        async def work(backend: Backend) -> None:
            log = (await _record(backend, build_id)).log
            for text in texts:
                if wait:
                    await _room(log)
                log.write(stream, text)

        return _call(self._running(), work)

    def finish(self, build_id: str, error_message: str | None = None) -> None:
        """Decide a build that runs or is held: ready, or failed with a message; the row follows with the next tick."""

        async def work(backend: Backend) -> None:
            await _record(backend, build_id)
            backend.host.finish(build_id, error_message)

        return _call(self._running(), work)

    def close_log(self, build_id: str) -> None:
        """End the log stream of a build without a last event; the build goes on unheard."""

        async def work(backend: Backend) -> None:
            (await _record(backend, build_id)).log.close()

        return _call(self._running(), work)

    def lose(self, build_id: str) -> None:
        """Make the host forget a build, as when it restarts: the row fails with the next tick if it was in flight."""

        async def work(backend: Backend) -> None:
            await _record(backend, build_id)
            backend.host.forget(build_id)

        return _call(self._running(), work)

    def set(self, build_id: str, status: BuildState, error_message: str | None = None) -> None:
        """Set a build's row and nothing else: not its template, not its log, not what the host does."""
        arguments.one_of("status", status, get_args(BuildState))

        async def work(backend: Backend) -> None:
            build = attrs.evolve(_build_row(backend, build_id), status=status, error_message=error_message)
            now = backend.clock.now()
            if build.status in {"building", "snapshotting"} and build.started_at is None:
                build = attrs.evolve(build, started_at=now)
            if not build.in_flight:
                build = attrs.evolve(build, finalized_at=now)
            backend.store.save_build(build)

        return _call(self._running(), work)

    def wait_for(self, build_id: str, *statuses: BuildState) -> str:
        """Wait until a build's row has one of the statuses, and return it; TimeoutError after 30 s."""

        async def work(backend: Backend) -> str:
            await _until(lambda: _build_row(backend, build_id).status in statuses)
            return _build_row(backend, build_id).status

        return _call(self._running(), work)


def _call(running: Running, work: Callable[[Backend], Coroutine[object, object, T]]) -> T:
    return running.call(work(running.backend))


def _summary(running: Callable[[], Running], noun: str, lines: Callable[[Store], list[str]]) -> str:
    try:
        store = running().backend.store
    except RuntimeError:
        return f"<{noun} of a server that does not run>"
    # Read from the caller's thread: whoever looks at this in a debugger may have stopped the server's.
    found = lines(store)
    return f"<{len(found)} {noun}>" + "".join(f"\n  {line}" for line in found[-SHOWN_ROWS:])


def _template_row(backend: Backend, template_id: str) -> Template:
    row = backend.store.templates.get(template_id)
    if row is None:
        raise KeyError(f"no template {template_id!r} on this server")
    return row


def _build_row(backend: Backend, build_id: str) -> Build:
    row = backend.store.builds.get(build_id)
    if row is None:
        raise KeyError(f"no build {build_id!r} on this server")
    return row


def _template(backend: Backend, name: str | None, status: str, team: Team | None) -> Template:
    if team is not None and team.id not in backend.store.teams:
        raise KeyError(f"no team {team.id!r} on this server")
    template_id = str(backend.new_id())
    now = backend.clock.now()
    ready = status == "ready"
    return Template(
        id=template_id,
        team_id=team.id if team else backend.team.id,
        name=name if name is not None else f"template-{template_id[:8]}",
        status=status,
        vcpu=1,
        memory_mib=1024,
        disk_mib=4096,
        created_at=now,
        built_at=now if ready else None,
        size_bytes=4096 * MIB if ready else None,
        spec=BuildSpec("debian:12"),
    )


async def _record(backend: Backend, build_id: str) -> Record:
    """Wait until the host has a build, which it gets with the next tick."""
    records = backend.host.records
    await _until(lambda: build_id in records or not _build_row(backend, build_id).in_flight)
    if build_id not in records:
        raise ValueError(f"the host has no build {build_id}")
    return records[build_id]


async def _room(log: BuildLog) -> None:
    if not log.has_room:
        # Readers that keep up need no more than a turn of the loop.
        await asyncio.sleep(0)
        await _until(lambda: log.has_room)


async def _until(condition: Callable[[], bool]) -> None:
    # Rows have no events of their own. Whoever calls from another thread sets an end to the wait.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_EVERY_S)
