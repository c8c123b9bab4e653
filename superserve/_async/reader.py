"""Reading beside the caller: what has been read is kept for the caller, up to a bound."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from superserve._http.tasks_async import Done, Queue, Worker, sleep
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

READ_AHEAD: Final = 64 * 1024 * 1024
"""Bytes of text that are held for a caller who takes them slowly; then the server has to wait."""

# More events than a reader can find in one turn (64 KiB of chunks, 125 bytes each): a caller who took fewer of them in a
# turn would fall behind for as long as the log comes quickly.
_BATCH: Final = 1024

Read = Callable[["AsyncReader"], Done]


class AsyncReader:
    """Reads in a worker of its own; leaving the context ends it.

    Args:
        read: What reads: it is called with this object.

    Attributes:
        failure: What has ended the reading, if that is an error.
        has_ended: Whether there is nothing more to read.
        is_stopped: Whether nothing more is wanted.
    """

    def __init__(self, read: Read) -> None:
        self.failure: SandboxError | None = None
        self.has_ended = False
        self.is_stopped = False
        self._read = read
        self._worker: Worker | None = None
        self._batches: Queue[tuple[list[BuildLogEvent], int]] = Queue()
        self._room: Queue[None] = Queue()
        self._pokes: Queue[None] = Queue()
        # Each is counted by one side alone.
        self._read_bytes = self._taken_bytes = 0
        self._is_full = False

    async def __aenter__(self) -> Self:
        self.has_ended = self.is_stopped = False
        self._worker = Worker()
        try:
            self._worker.start(self._run)
        except BaseException as error:
            # Interrupted, it may have begun all the same.
            await self.stop()
            if isinstance(error, RuntimeError):
                raise SandboxError(f"the log cannot be read beside: {error}") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def get(self, timeout_s: float) -> list[BuildLogEvent]:
        """Return the next events: none if the time runs out first, or something else has changed."""
        # Everybody's turn, the reader's too: events may be taken faster than they come.
        await sleep(0)
        events: list[BuildLogEvent] = []
        batch = await self._batches.get(timeout_s)
        while batch is not None:
            events += batch[0]
            self._taken_bytes += batch[1]
            batch = await self._batches.get(0) if len(events) < _BATCH else None
        if self._is_full:
            self._room.put(None)
        return events

    async def put(self, events: list[BuildLogEvent], size: int) -> None:
        """Hand over what was read; wait while too much is held. Without events it says that something has changed."""
        self._read_bytes += size
        self._batches.put((events, size))
        # Set before the bytes are compared: the taker counts first, and looks at this then.
        self._is_full = True
        while self._read_bytes - self._taken_bytes > READ_AHEAD and not self.is_stopped:
            await self._room.get(60)
        self._is_full = False

    async def pause(self, seconds: float) -> None:
        """Wait, at most until poked."""
        await self._pokes.get(seconds)

    def poke(self) -> None:
        """End a pause of the one who reads."""
        self._pokes.put(None)

    async def stop(self) -> None:
        """End the reading at once; what has been read can still be taken."""
        self.is_stopped = True
        self.poke()
        self._room.put(None)
        if self._worker is not None:
            await self._worker.stop()

    async def restart(self) -> None:
        """Give up what is being read, and begin again; not while a connection is still being made."""
        await self.stop()
        if self.has_ended:
            await self.__aenter__()

    async def _run(self) -> None:
        try:
            await self._read(self)
        except SandboxError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self.failure = SandboxError(f"reading the log broke down: {type(error).__name__}: {error}")
        finally:
            self.has_ended = True
            self._batches.put(([], 0))
