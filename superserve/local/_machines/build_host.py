"""The build host: it runs builds with a runner, and keeps their logs and results until it is restarted.

The rows in the store follow later, when the queue polls: see `_resources.build_queue`.
"""

import asyncio
import logging
import time
from collections import deque
from types import TracebackType
from typing import Self

from superserve.local._app import go_json
from superserve.local._app.clock import Clock, format_nanoseconds
from superserve.local._machines.jobs import BUILD_LIMIT_S, READ_SIZE, BuildFailed, BuildJob, Runner

BUFFERED_EVENTS = 10_000
QUEUED_EVENTS = 256
# The builder gets the spec as one argument of its command line. Linux refuses longer ones.
SPEC_BYTES = 131_071
# The log does not say how a builder died: nothing was left to write it.
_EXITED = "template-builder exited: "
# A stream of newer servers that is in no description.
_UNKNOWN_STREAM = "metric"

_logger = logging.getLogger("superserve.local")


class BuildLog:
    """The log of one build: a buffer of the newest events, each already framed, and its subscribers."""

    def __init__(self) -> None:
        self.closed = False
        self.broken = False
        """Whether it was closed because the host went away."""
        self._frames: deque[bytes] = deque(maxlen=BUFFERED_EVENTS)
        self._subscriptions: set[Subscription] = set()
        self._last_ns = 0

    def write(self, stream: str, text: str) -> None:
        """Append the result of one read of the builder's output."""
        for chunk in _cut_into_reads(text):
            self._append(stream, chunk)

    def finish(self, status: str) -> None:
        """Append the last event and close the log."""
        self._append("system", status, status=status, finished=True)
        self.close()

    def close(self, *, broken: bool = False) -> None:
        """End the log for its readers, with or without a last event."""
        self.closed = True
        self.broken = broken
        for subscription in self._subscriptions:
            subscription.wake()

    def subscribe(self, queue: int = QUEUED_EVENTS) -> "Subscription":
        """Return a reader that starts with a replay: as much of the buffer as its queue can hold."""
        return Subscription(self, self._frames, queue)

    @property
    def has_room(self) -> bool:
        """Whether no reader is about to lose events."""
        return all(subscription.room >= QUEUED_EVENTS // 2 for subscription in self._subscriptions)

    def attach(self, subscription: "Subscription") -> None:
        """Send further events to a subscription."""
        self._subscriptions.add(subscription)

    def detach(self, subscription: "Subscription") -> None:
        """Stop sending events to a subscription."""
        self._subscriptions.discard(subscription)

    def _append(self, stream: str, text: str, *, status: str = "", finished: bool = False) -> None:
        if self.closed or not text:
            return
        # Readers distinguish events by their times, so no two times are equal.
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        frame = format_event(
            finished=finished,
            status=status,
            stream=stream,
            text=text,
            timestamp=format_nanoseconds(self._last_ns),
        )
        self._frames.append(frame)
        for subscription in self._subscriptions:
            subscription.offer(frame)


class Subscription:
    """The queue of one reader. Events that do not fit are dropped silently, as on the server."""

    def __init__(self, log: BuildLog, replay: deque[bytes], size: int) -> None:
        self._log = log
        self._size = size
        self._queue: deque[bytes] = deque()
        self._ready = asyncio.Event()
        for frame in replay:
            self.offer(frame)

    def __enter__(self) -> Self:
        self._log.attach(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.detach(self)

    @property
    def room(self) -> int:
        """The number of events that still fit into the queue."""
        return self._size - len(self._queue)

    def offer(self, frame: bytes) -> None:
        """Queue an event if there is room."""
        if self.room > 0:
            self._queue.append(frame)
            self._ready.set()

    def wake(self) -> None:
        """Let the reader see that the log was closed."""
        self._ready.set()

    async def next(self) -> bytes | None:
        """Wait for the next event; None at the end of the log."""
        while not self._queue:
            if self._log.closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()


class BuildRecord:
    """What the host knows about one build."""

    def __init__(self, job: BuildJob) -> None:
        self.job = job
        self.log = BuildLog()
        self.status = "building"
        self.error_message: str | None = None
        self.released = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def end(self, status: str, error_message: str | None = None) -> None:
        """Decide the build, once, and close its log with the result."""
        if self.status != "building":
            return
        self.status = status
        self.error_message = error_message
        if error_message is not None and status == "failed" and not error_message.startswith(_EXITED):
            self.log.write("error", error_message)
        self.log.finish(status)


class BuildHost:
    """Runs builds, and remembers them."""

    def __init__(self, runner: Runner, clock: Clock, *, newer: bool) -> None:
        self._runner = runner
        self._clock = clock
        self._newer = newer
        self._tasks: set[asyncio.Task[None]] = set()
        self.records: dict[str, BuildRecord] = {}
        self.holding = False
        """Whether new builds wait for `release()` before they start."""

    @property
    def kills_on_cancel(self) -> bool:
        """Whether a client's cancel reaches the host. It does not on the real service."""
        return self._runner.kills_on_cancel

    def start(self, job: BuildJob, spec_size: int) -> None:
        """Start a build."""
        record = BuildRecord(job)
        self.records[job.build_id] = record
        if spec_size > SPEC_BYTES:
            record.end(
                "failed",
                f"{_EXITED}fork/exec /usr/local/bin/template-builder: argument list too long",
            )
            return
        if not self.holding:
            record.released.set()
        record.task = asyncio.create_task(self._run(record))
        self._tasks.add(record.task)
        record.task.add_done_callback(self._tasks.discard)

    def add_ended(self, job: BuildJob) -> BuildRecord:
        """Add a build that ran before. The caller writes its log and ends it."""
        record = self.records[job.build_id] = BuildRecord(job)
        return record

    def release(self, build_id: str | None = None) -> None:
        """Release one held build; without an id, all of them, and hold no further builds."""
        if build_id is not None:
            self.records[build_id].released.set()
            return
        self.holding = False
        for record in self.records.values():
            record.released.set()

    def finish(self, build_id: str, error_message: str | None) -> None:
        """Decide a build from outside: ready, or failed with a message."""
        self._stop(build_id, "ready" if error_message is None else "failed", error_message)

    def cancel(self, build_id: str) -> None:
        """Stop a build, if it still runs; its log ends with `cancelled`."""
        if build_id in self.records:
            self._stop(build_id, "cancelled", "cancelled by caller")

    def forget(self, build_id: str) -> None:
        """Lose a build, as a restarted host does."""
        record = self.records.pop(build_id)
        if record.task is not None:
            record.task.cancel()
        if not record.log.closed:
            record.log.close(broken=True)

    def forget_all(self) -> None:
        """Forget every build. Running builds are told to stop, which may take a moment."""
        for build_id in list(self.records):
            self.forget(build_id)
        self.holding = False

    async def aclose(self) -> None:
        """Stop every build, and release the runner's resources. Returns when nothing of them runs."""
        self.forget_all()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        await self._runner.aclose()

    def _stop(self, build_id: str, status: str, error_message: str | None) -> None:
        record = self.records[build_id]
        record.end(status, error_message)
        if record.task is not None:
            record.task.cancel()

    async def _run(self, record: BuildRecord) -> None:
        try:
            await record.released.wait()
            if self._newer:
                record.log.write(_UNKNOWN_STREAM, "cpu 3% memory 120 MiB")
            async with asyncio.timeout(self._clock.limit(BUILD_LIMIT_S)):
                await self._runner.run(record.job, record.log)
        except BuildFailed as error:
            record.end("failed", error.message)
        except TimeoutError:
            record.end("failed", "step_failed: context deadline exceeded")
        except Exception as error:
            _logger.exception("build %s: the runner failed", record.job.build_id)
            record.end("failed", f"{_EXITED}{error}")
        else:
            record.end("ready")


def format_event(**event: object) -> bytes:
    """Return one server-sent event: keys in alphabetical order, on one line."""
    return b"data: " + go_json.write(event, sort_keys=True) + b"\n\n"


def _cut_into_reads(text: str) -> list[str]:
    """Cut a text into reads of a pipe, each without its last newlines. A cut may fall within a character."""
    if len(text) * 4 <= READ_SIZE:
        return [text.rstrip("\n")]
    data = text.encode("utf-8", "replace")
    pieces = (data[start : start + READ_SIZE] for start in range(0, len(data), READ_SIZE))
    return [piece.decode("utf-8", "replace").rstrip("\n") for piece in pieces]
