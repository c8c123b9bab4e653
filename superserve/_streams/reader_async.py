"""Reading a log beside all else, the async half. `_pump_sync` has the same names."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Self

import httpx
from httpx_sse import EventSource

from superserve._config import Config
from superserve._http import policy
from superserve._http.connections_async import HTTPClient, read_whole, shielded
from superserve._http.policy import Repeatable
from superserve._polling import Pace
from superserve._streams import sse
from superserve._streams.resume import LogFeed
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

_BATCH: Final = 256


class _Bounded(httpx.AsyncByteStream):
    """The body of a log stream, of which only so much is taken in until an event comes out."""

    def __init__(self, response: httpx.Response) -> None:
        self.pending = 0
        self._request = response.request
        self._pieces = response.aiter_bytes()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self.pending += len(piece)
            policy.refuse_length(self._request, self.pending)
            yield piece


class LogPump:
    """Reads a log stream in a task of its own, over a connection of its own, and opens it again when it breaks.

    A context manager: leaving it ends the task at once, whatever it is doing. Reading never waits for the one who
    takes the events.

    Attributes:
        hints: How often the stream came to its end by the server's will: each may mean that the build has ended.
        refusal: Why the stream cannot be read at all, or None.
        is_failing: Whether the last attempt to read has failed, and the next one has not begun.
        is_open: Whether the last attempt to read has come to a log.
    """

    def __init__(
        self,
        config: Config,
        operation: dict[str, Any],
        feed: LogFeed,
        pace: Pace,
        refuse: Callable[[httpx.Response], SandboxError],
    ) -> None:
        self.hints = 0
        self.refusal: SandboxError | None = None
        self.is_failing = False
        self.is_open = False
        self._config = config
        self._request = sse.request(operation)
        self._feed = feed
        self._pace = pace
        self._refuse = refuse
        self._events: deque[BuildLogEvent] = deque()
        self._changed = asyncio.Event()
        self._build_ended = False
        self._stopped = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def is_done(self) -> bool:
        """Whether all that can be read has been read and handed out."""
        return not self._wants_more and not self._events

    async def get(self, timeout_s: float) -> list[BuildLogEvent]:
        """Return the next events: at least one, unless the time runs out or something else has changed."""
        if self._changed.is_set():
            # Everybody's turn, the reader's too: events may be taken faster than they come.
            await asyncio.sleep(0)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
        if self._task is not None and self._task.done() and not self._task.cancelled():
            # What a signal handler has raised there.
            self._task.result()
        events = [self._events.popleft() for _ in range(min(_BATCH, len(self._events)))]
        if not self._events:
            self._changed.clear()
        return events

    def build_has_ended(self) -> None:
        """Say that a connection opened from now on holds the whole log."""
        self._build_ended = True

    async def reopen(self) -> None:
        """Give up the present connection, or the wait for the next one, and open another."""
        await self.stop()
        self._start()

    async def stop(self) -> None:
        """End the reading at once; events that have been read can still be taken."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            with shielded():
                await asyncio.wait([self._task])

    def _start(self) -> None:
        self._stopped = False
        self._task = asyncio.create_task(self._run(), name="superserve-log")

    async def _run(self) -> None:
        reopening = sse.Reopening(self._pace)
        try:
            async with HTTPClient(self._config) as http:
                while self._wants_more:
                    failed = await self._read_once(http, reopening)
                    self._changed.set()
                    if self._wants_more:
                        await asyncio.sleep(reopening.delay(failed))
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self.refusal = SandboxError(f"reading the log broke down: {type(error).__name__}: {error}")
        finally:
            self._changed.set()

    @property
    def _wants_more(self) -> bool:
        return not (self._stopped or self._feed.complete or self.refusal)

    async def _read_once(self, http: HTTPClient, reopening: sse.Reopening) -> Repeatable:
        # Looked up once: a log is a flood of events.
        feed, take, unread = self._feed, self._feed.take, self._events
        after_end = self._build_ended
        asked_at = time.monotonic()
        in_order = False
        self.is_failing = False
        self.is_open = False
        try:
            async with http.stream(**self._request) as response:
                if not sse.is_log(response):
                    answer = await read_whole(response)
                    self.is_failing = True
                    if not reopening.bears_with(answer):
                        self.refusal = self._refuse(answer)
                    return Repeatable(answer)
                self.is_open = True
                reopening.opened()
                feed.opened(answered_within_s=time.monotonic() - asked_at, after_end=after_end)
                policy.refuse_by_headers(response)
                body = _Bounded(response)
                source = EventSource(sse.opened(response, body))
                async with contextlib.aclosing(source.aiter_sse()) as stream:
                    async for message in stream:
                        body.pending = 0
                        if (data := message.data) and (events := take(data)):
                            unread.extend(events)
                            self._changed.set()
                            reopening.has_news = True
                            if feed.finished:
                                break
                in_order = True
                return Repeatable(response)
        except (httpx.TransportError, httpx.DecodingError) as error:
            self.is_failing = True
            return Repeatable(error)
        finally:
            feed.closed(in_order=in_order)
            self.hints += in_order
