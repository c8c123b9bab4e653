"""Reading a log beside all else, the sync half. `_pump_async` has the same names."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import httpx
from httpx_sse import EventSource

from superserve._config import Config
from superserve._http import policy, transport_sync
from superserve._http.connections_sync import HTTPClient, read_whole
from superserve._http.policy import Repeatable
from superserve._polling import Pace
from superserve._streams import sse
from superserve._streams.resume import LogFeed
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

_BATCH: Final = 256
# Not every system lets a connection that is being opened be cut short: there its thread is left to end by itself.
_JOIN_S: Final = 0.5


class _Bounded(httpx.SyncByteStream):
    """The body of a log stream, of which only so much is taken in until an event comes out."""

    def __init__(self, response: httpx.Response) -> None:
        self.pending = 0
        self._request = response.request
        self._pieces = response.iter_bytes()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.pending += len(piece)
            policy.refuse_length(self._request, self.pending)
            yield piece


class LogPump:
    """Reads a log stream in a thread of its own, over a connection of its own, and opens it again when it breaks.

    A context manager: leaving it ends the thread at once, whatever it is doing. Reading never waits for the one who
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
        # Not threading.Event: an interrupt in it may leave it locked for ever, and this is where interrupts strike.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_woken = False
        self._hurries: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._build_ended = False
        self._stopped = False
        self._has_ended = False
        self._cutter = transport_sync.Cutter()
        self._thread = threading.Thread(target=self._run, name="superserve-log", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError as error:
            raise SandboxError(f"no thread to read the log with: {error}") from error
        except BaseException:
            # An interrupt, which may have come when the thread ran already.
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_done(self) -> bool:
        """Whether all that can be read has been read and handed out."""
        # There is no thread in a process that was forked meanwhile.
        return (self._has_ended or not self._thread.is_alive()) and not self._events

    def get(self, timeout_s: float) -> list[BuildLogEvent]:
        """Return the next events: at least one, unless the time runs out or something else has changed."""
        with contextlib.suppress(queue.Empty):
            self._wakes.get(timeout=0.0 if self._events else timeout_s)
        self._is_woken = False
        return [self._events.popleft() for _ in range(min(_BATCH, len(self._events)))]

    def build_has_ended(self) -> None:
        """Say that a connection opened from now on holds the whole log."""
        self._build_ended = True

    def reopen(self) -> None:
        """Give up the present connection, or the wait for the next one, and open another."""
        self._hurries.put(None)
        self._cutter.cut()

    def stop(self) -> None:
        """End the reading at once; events that have been read can still be taken."""
        self._stopped = True
        self._hurries.put(None)
        self._cutter.cut(for_good=True)
        # An interrupt may have come before the thread had begun.
        with contextlib.suppress(RuntimeError):
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        reopening = sse.Reopening(self._pace)
        try:
            with contextlib.closing(self._cutter), HTTPClient(self._config, cutter=self._cutter) as http:
                while self._wants_more:
                    failed = self._read_once(http, reopening)
                    self._wake()
                    if self._wants_more:
                        with contextlib.suppress(queue.Empty):
                            self._hurries.get(timeout=reopening.delay(failed))
                            reopening.anew()
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self.refusal = SandboxError(f"reading the log broke down: {type(error).__name__}: {error}")
        finally:
            self._has_ended = True
            self._wake()

    @property
    def _wants_more(self) -> bool:
        return not (self._stopped or self._feed.complete or self.refusal)

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            self._wakes.put(None)

    def _read_once(self, http: HTTPClient, reopening: sse.Reopening) -> Repeatable:
        # Looked up once: a log is a flood of events.
        feed, take, unread = self._feed, self._feed.take, self._events
        after_end = self._build_ended
        asked_at = time.monotonic()
        in_order = False
        self.is_failing = False
        self.is_open = False
        try:
            with http.stream(**self._request) as response:
                if not sse.is_log(response):
                    answer = read_whole(response)
                    self.is_failing = True
                    if not reopening.bears_with(answer):
                        self.refusal = self._refuse(answer)
                    return Repeatable(answer)
                self.is_open = True
                reopening.opened()
                feed.opened(answered_within_s=time.monotonic() - asked_at, after_end=after_end)
                policy.refuse_by_headers(response)
                body = _Bounded(response)
                for message in EventSource(sse.opened(response, body)).iter_sse():
                    body.pending = 0
                    if (data := message.data) and (events := take(data)):
                        unread.extend(events)
                        if not self._is_woken:
                            self._wake()
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
