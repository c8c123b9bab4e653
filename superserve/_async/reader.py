"""Reading in the background. Events are held for the caller, up to a limit."""

from collections import deque
from collections.abc import Callable
from typing import Final, Self

from superserve._http.tasks_async import Done, Queue, Worker, sleep
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

# The most characters of text to hold for a slow caller. Then the server has to wait.
READ_AHEAD: Final = 64 * 1024 * 1024

Read = Callable[["AsyncReader"], Done]


class AsyncReader:
    """Reads in a background worker. Leaving the context stops it.

    Args:
        read: The function that reads. It is called with this object.

    Attributes:
        failure: The error that ended the reading, if any.
        has_ended: Whether there is nothing more to read.
        is_stopped: Whether nothing more is wanted.
    """

    def __init__(self, read: Read) -> None:
        self.failure: SandboxError | None = None
        self.has_ended = self.is_stopped = False
        self._read = read
        self._worker: Worker | None = None
        self._events: deque[BuildLogEvent] = deque()
        self._news: Queue[None] = Queue()
        self._room: Queue[None] = Queue()
        self._pokes: Queue[None] = Queue()
        self._is_wanted = self._is_full = False
        # Each number is written by one side only.
        self._read_size = self._taken_size = 0

    async def __aenter__(self) -> Self:
        self.has_ended = self.is_stopped = False
        self._worker = Worker()
        try:
            self._worker.start(self._run)
        except BaseException as error:
            # The worker may have started before the interrupt.
            await self.stop()
            if not isinstance(error, RuntimeError):
                raise
            self.failure = SandboxError(f"cannot read the log in the background: {error}")
            self.has_ended = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def get(self, timeout_s: float) -> list[BuildLogEvent]:
        """Return all events that are there; none if the time is over first, or if something else has changed."""
        # Give the reader a turn: the caller may take events faster than they come.
        await sleep(0)
        if not self._events:
            self._is_wanted = True
            # An event may have come in between.
            if not self._events:
                await self._news.get(timeout_s)
        events = [self._events.popleft() for _ in range(len(self._events))]
        self._taken_size += sum(len(event.text) for event in events)
        if self._is_full:
            self._room.put(None)
        return events

    def put(self, event: BuildLogEvent) -> bool:
        """Add an event, and return whether the limit is reached."""
        self._events.append(event)
        self._read_size += len(event.text)
        if self._is_wanted:
            self.notify()
        return self._read_size - self._taken_size > READ_AHEAD

    def notify(self) -> None:
        """Wake the caller: something has changed."""
        self._is_wanted = False
        self._news.put(None)

    async def wait_for_room(self) -> None:
        """Wait while the limit is exceeded."""
        # Set before the sizes are compared: the caller counts first, and then looks at this flag.
        self._is_full = True
        while self._read_size - self._taken_size > READ_AHEAD and not self.is_stopped:
            await self._room.get(60)
        self._is_full = False

    async def pause(self, seconds: float) -> None:
        """Wait, or until `poke` is called."""
        await self._pokes.get(seconds)

    def poke(self) -> None:
        """End a pause of the reader."""
        self._pokes.put(None)

    async def stop(self) -> None:
        """Stop reading at once. Events that were read can still be taken."""
        self.is_stopped = True
        self.poke()
        self._room.put(None)
        if self._worker is not None:
            await self._worker.stop()

    async def restart(self) -> None:
        """Drop the current connection, and read again. Does nothing while a connection is being made."""
        await self.stop()
        if self.has_ended:
            await self.__aenter__()

    async def _run(self) -> None:
        try:
            await self._read(self)
        except SandboxError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - nobody else would see it
            self.failure = SandboxError(f"reading the log failed: {type(error).__name__}: {error}")
        finally:
            self.has_ended = True
            self.notify()
