"""What differs in structure between sync and async, the sync half: connection pool, log pump, sleep, callbacks.

`_io_async` has the same names. Nothing here knows what a template is.
"""

import contextlib
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import httpx
from httpx_sse import EventSource

from superserve import _arguments, _http, _log_stream, _net_sync
from superserve._config import Config
from superserve._http import Repeatable
from superserve._logs import LogFeed
from superserve._raw import RawClient
from superserve._wait import Pace, Wait
from superserve.errors import SandboxError, ValidationError
from superserve.types import BuildLogEvent

LogCallback = Callable[[BuildLogEvent], object]

check_callback = _arguments.plain_function
sleep = time.sleep
shielded = contextlib.nullcontext

_BATCH: Final = 256
# Not every system lets a connection that is being opened be cut short: there its thread is left to end by itself.
_JOIN_S: Final = 0.5


def deliver(callback: LogCallback, events: list[BuildLogEvent], wait: Wait) -> None:
    """Hand events to the caller until the wait's time is over; what the callback raises is the caller's."""
    wait.in_callback = True
    for event in events:
        result = callback(event)
        if result is not None and hasattr(result, "__await__"):
            # A coroutine that nobody closes warns that nobody awaited it.
            getattr(result, "close", lambda: None)()
            raise ValidationError(
                "the log callback returned something to await; use AsyncTemplate, or pass a plain function"
            )
        if wait.is_over:
            break
    wait.in_callback = False


class HTTPClient(httpx.Client):
    """A connection pool whose `send` bounds a whole call, repeats what may be repeated, and bounds the answer.

    Attributes:
        is_spoilt: Whether an interrupt has struck it. httpcore may then wait for ever for a lock, or count a connection
            as busy that nobody uses: such a pool is to be retired.
    """

    def __init__(
        self,
        config: Config,
        *,
        cutter: _net_sync.Cutter | None = None,
        limits: httpx.Limits = _http.LIMITS,
    ) -> None:
        with _http.setting_up():
            super().__init__(
                base_url=config.base_url,
                headers=_http.headers(config),
                timeout=config.timeout_s,
                limits=limits,
                verify=_http.ssl_context(),
                mounts=_http.unproxied(config),
            )
        self._cookies = _http.NoCookies()
        self._config = config
        self.is_spoilt = False
        self._successor: HTTPClient | None = None
        # The threads that are amid a call.
        self._users: set[int] = set()
        self._lends = False
        self._closes = False
        # Not a semaphore: an interrupt in it may leave it locked for ever.
        self._slots: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_http.CALLS_AT_ONCE):
            self._slots.put(None)
        _net_sync.install(self, cutter)

    def build_request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        """Build a request as httpx does, its address looked up instead of parsed."""
        if isinstance(url, str) and url.startswith("/"):
            url = _http.absolute_url(self._config.base_url, url)
        return super().build_request(method, url, **arguments)

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:  # noqa: ARG002
        # Redirects are not followed, but httpx reads where they lead to, and not everything can be read.
        return request

    def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """Send a request as httpx does, within the time it may take."""
        if self._successor is not None:
            # Retired since the caller got it.
            return self._successor.send(request, stream=stream, **arguments)
        user = threading.get_ident()
        if user in self._users:
            # A signal handler or an object's finalizer, amid a call of the same thread: that may hold httpcore's lock.
            return HTTPClient(self._config, limits=_http.NOTHING_KEPT).send(
                request, stream=stream, **arguments
            )
        self._users.add(user)
        # A stream is read after this call.
        self._lends = self._lends or stream
        try:
            return self._send(request, stream=stream, **arguments)
        except httpx.HTTPError:
            raise
        except BaseException:
            self.is_spoilt = True
            raise
        finally:
            self._users.discard(user)
            if self._closes:
                self.close()
            elif self._successor is not None:
                self.retire(self._successor)

    def retire(self, successor: "HTTPClient") -> None:
        """Close this pool, when those who use it are done; who comes later is served by its successor."""
        self._successor = successor
        if not self._users and not self._lends:
            self.close()

    def close(self) -> None:
        """Close all connections: at once, or after the call of this thread that a signal handler interrupts."""
        self._closes = True
        if threading.get_ident() not in self._users:
            super().close()

    def _send(self, request: httpx.Request, *, stream: bool, **arguments: Any) -> httpx.Response:
        options = _http.options_of(request, self._config)
        deadline = time.monotonic() + options.timeout_s
        if options.attempts == 1:
            return self._send_once(request, deadline, stream=stream, **arguments)

        def attempt() -> httpx.Response:
            try:
                response = self._send_once(request, deadline, stream=stream, **arguments)
                if stream and response.status_code in _http.REPEATED_STATUSES:
                    response = _read(response)
            except _http.REPEATED_ERRORS as error:
                if _http.is_untrusted(error):
                    raise
                raise Repeatable(error) from error
            if _http.is_worth_repeating(response):
                raise Repeatable(response)
            return response

        try:
            return attempt()
        except Repeatable as failed:
            from superserve import _retry

            try:
                return _retry.repeat(attempt, failed, attempts=options.attempts, deadline=deadline)
            except Repeatable as last:
                return last.outcome()

    def _send_once(
        self, request: httpx.Request, deadline: float, *, stream: bool, **arguments: Any
    ) -> httpx.Response:
        if stream:
            # How long a stream may take is for its reader to say.
            return super().send(request, stream=True, **arguments)
        try:
            self._slots.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise httpx.PoolTimeout("the call's time is over", request=request) from None
        try:
            with _net_sync.ending_at(deadline):
                _http.set_timeouts(request, deadline - time.monotonic())
                return _read(super().send(request, stream=True, **arguments))
        finally:
            self._slots.put(None)


def _read(response: httpx.Response) -> httpx.Response:
    chunks: list[bytes] = []
    length = 0
    try:
        _http.refuse_by_headers(response)
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            length += len(chunk)
            _http.refuse_length(response.request, length)
    finally:
        response.close()
    return _http.read_response(response, b"".join(chunks))


class Pool:
    """The connections of one client: one pool a process, made when it is first needed, made anew after a fork."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._closed = False
        # One that a thread may take again: a signal handler may make a call while it is held.
        self._lock = threading.RLock()
        self._http: HTTPClient | None = None
        self._at_exit: weakref.finalize[[], Pool] | None = None
        _pools.add(self)

    def get(self) -> HTTPClient:
        """Return the pool to use here and now."""
        http = self._http
        return self._renewed() if http is None or http.is_spoilt or http.is_closed else http

    def _renewed(self) -> HTTPClient:
        with self._lock:
            if self._closed:
                raise SandboxError("this client is closed; make another")
            old = self._http
            if old is not None and not old.is_spoilt and not old.is_closed:
                return old
            if old is not None and old.is_closed:
                # At the end of the process: who cleans up then is served all the same.
                self._http = new = HTTPClient(self._config, limits=_http.NOTHING_KEPT)
                return new
            new = HTTPClient(self._config)
            if self._http is not old:
                # That of a signal handler, which has come in between.
                new.close()
                return self.get()
            if self._at_exit is not None:
                self._at_exit.detach()
            self._http = new
            if old is not None:
                old.retire(new)
            # For who doesn't close: at the latest when the process ends.
            self._at_exit = weakref.finalize(self, new.close)
            return new

    def close(self) -> None:
        """Close all connections; further calls are refused."""
        with self._lock:
            self._closed = True
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def forget(self) -> None:
        """Start anew in a forked process: the connections are the parent's, and its threads may hold their locks."""
        self._lock = threading.RLock()
        self._http = None
        if self._at_exit is not None:
            # Closing them would wait for those locks.
            _inherited.append(self._at_exit.detach())


def raw_client(config: Config, pool: Pool) -> RawClient:
    """Return the generated client on these connections."""
    return RawClient(config, pool=pool.get)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_inherited: list[object] = []


def _after_fork() -> None:
    for pool in _pools:
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Bounded(httpx.SyncByteStream):
    """The body of a log stream, of which only so much is taken in until an event comes out."""

    def __init__(self, response: httpx.Response) -> None:
        self.pending = 0
        self._request = response.request
        self._pieces = response.iter_bytes()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.pending += len(piece)
            _http.refuse_length(self._request, self.pending)
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
        self._request = _log_stream.request(operation)
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
        self._cutter = _net_sync.Cutter()
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
        reopening = _log_stream.Reopening(self._pace)
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

    def _read_once(self, http: HTTPClient, reopening: _log_stream.Reopening) -> Repeatable:
        # Looked up once: a log is a flood of events.
        feed, take, unread = self._feed, self._feed.take, self._events
        after_end = self._build_ended
        asked_at = time.monotonic()
        in_order = False
        self.is_failing = False
        self.is_open = False
        try:
            with http.stream(**self._request) as response:
                if not _log_stream.is_log(response):
                    answer = _read(response)
                    self.is_failing = True
                    if not reopening.bears_with(answer):
                        self.refusal = self._refuse(answer)
                    return Repeatable(answer)
                self.is_open = True
                reopening.opened()
                feed.opened(answered_within_s=time.monotonic() - asked_at, after_end=after_end)
                _http.refuse_by_headers(response)
                body = _Bounded(response)
                for sse in EventSource(_log_stream.opened(response, body)).iter_sse():
                    body.pending = 0
                    if (data := sse.data) and (events := take(data)):
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
