"""What differs in structure between sync and async, the async half: connection pool, log pump, sleep, callbacks.

`_io_sync` has the same names. Nothing here knows what a template is.
"""

import asyncio
import contextlib
import inspect
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import httpx
from httpx_sse import EventSource

from superserve import _arguments, _http, _log_stream, _net_async
from superserve._config import Config
from superserve._http import Repeatable
from superserve._logs import LogFeed
from superserve._raw import RawClient
from superserve._wait import Pace, Wait
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

LogCallback = Callable[[BuildLogEvent], object]
"""A plain function or a coroutine function."""

check_callback = _arguments.function
sleep = asyncio.sleep

_BATCH: Final = 256
# How long plain callbacks may keep the event loop from everybody else's turn.
_TURN_S: Final = 0.01


def shielded() -> contextlib.AbstractContextManager[object]:
    """Keep anyio's cancellation out, which would come again at every await. asyncio's own comes once."""
    import anyio

    return anyio.CancelScope(shield=True)


async def deliver(callback: LogCallback, events: list[BuildLogEvent], wait: Wait) -> None:
    """Hand events to the caller until the wait's time is over; what the callback raises is the caller's."""
    wait.in_callback = True
    for event in events:
        result = callback(event)
        if result is not None and inspect.isawaitable(result):
            await _within_time(result, wait)
        elif time.monotonic() - wait.turn_at > _TURN_S:
            await asyncio.sleep(0)
            wait.turn_at = time.monotonic()
        if wait.is_over:
            break
    wait.in_callback = False


async def _within_time(result: Awaitable[object], wait: Wait) -> None:
    left = wait.at_most(math.inf)
    if left == math.inf:
        await result
        return
    timeout = asyncio.timeout(left)
    try:
        async with timeout:
            await result
    except TimeoutError:
        if not timeout.expired():
            raise
        raise wait.timed_out() from None


class HTTPClient(httpx.AsyncClient):
    """A connection pool whose `send` bounds a whole call, repeats what may be repeated, and bounds the answer.

    Attributes:
        is_retired: Whether it is to be closed when the calls are done that it is amid.
    """

    def __init__(self, config: Config, *, limits: httpx.Limits = _http.LIMITS) -> None:
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
        self.is_retired = False
        self._slots = asyncio.Semaphore(_http.CALLS_AT_ONCE)
        self._turn = asyncio.Lock()
        _net_async.install(self)

    def build_request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        """Build a request as httpx does, its address looked up instead of parsed."""
        if isinstance(url, str) and url.startswith("/"):
            url = _http.absolute_url(self._config.base_url, url)
        return super().build_request(method, url, **arguments)

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:  # noqa: ARG002
        # Redirects are not followed, but httpx reads where they lead to, and not everything can be read.
        return request

    async def retire(self) -> None:
        """Close this pool when the calls are done that it is amid."""
        self.is_retired = True
        if not self.is_closed:
            for _ in range(_http.CALLS_AT_ONCE):
                await self._slots.acquire()
            await self.aclose()

    async def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """Send a request as httpx does, within the time it may take."""
        options = _http.options_of(request, self._config)
        deadline = time.monotonic() + options.timeout_s
        if options.attempts == 1:
            return await self._send_once(request, deadline, stream=stream, **arguments)

        async def attempt() -> httpx.Response:
            try:
                response = await self._send_once(request, deadline, stream=stream, **arguments)
                if stream and response.status_code in _http.REPEATED_STATUSES:
                    response = await _read(response)
            except _http.REPEATED_ERRORS as error:
                if _http.is_untrusted(error):
                    raise
                raise Repeatable(error) from error
            if _http.is_worth_repeating(response):
                raise Repeatable(response)
            return response

        try:
            return await attempt()
        except Repeatable as failed:
            from superserve import _retry

            try:
                return await _retry.repeat_async(
                    attempt, failed, attempts=options.attempts, deadline=deadline
                )
            except Repeatable as last:
                return last.outcome()

    async def _send_once(
        self, request: httpx.Request, deadline: float, *, stream: bool, **arguments: Any
    ) -> httpx.Response:
        if stream:
            # How long a stream may take is for its reader to say.
            return await super().send(request, stream=True, **arguments)
        call = _net_async.Call(self._turn)
        try:
            async with asyncio.timeout(deadline - time.monotonic()), self._slots:
                _http.set_timeouts(request, deadline - time.monotonic())
                return await call.run(lambda: self._exchange(request, **arguments))
        except TimeoutError as error:
            kind = httpx.ReadTimeout if call.is_sent else httpx.ConnectTimeout
            raise kind("the call's time is over", request=request) from error

    async def _exchange(self, request: httpx.Request, **arguments: Any) -> httpx.Response:
        return await _read(await super().send(request, stream=True, **arguments))


async def _read(response: httpx.Response) -> httpx.Response:
    chunks: list[bytes] = []
    length = 0
    try:
        _http.refuse_by_headers(response)
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            length += len(chunk)
            _http.refuse_length(response.request, length)
    finally:
        await response.aclose()
    return _http.read_response(response, b"".join(chunks))


class Pool:
    """The connections of one client: one pool an event loop, made when it is first needed, closed with the loop."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._closed = False
        # Event loops in other threads come and go meanwhile.
        self._lock = threading.Lock()
        self._of_loop: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[HTTPClient, AsyncGenerator[None]]
        ] = weakref.WeakKeyDictionary()

    def get(self) -> HTTPClient:
        """Return the pool to use here and now."""
        if self._closed:
            raise SandboxError("this client is closed; make another")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise SandboxError(
                "an asynchronous client needs a running event loop, such as asyncio.run() gives"
            ) from error
        found = self._of_loop.get(loop)
        if found is None:
            http = HTTPClient(self._config)
            keeper = _closed_with_the_loop(http)
            # Run it to its yield, where it waits for the loop's end.
            with contextlib.suppress(StopIteration):
                keeper.__anext__().send(None)
            found = (http, keeper)
            with self._lock:
                # Connections keep the loop alive that they were made in: those of a loop that was closed without
                # being shut down are let go here.
                for closed in [other for other in self._of_loop if other.is_closed()]:
                    del self._of_loop[closed]
                self._of_loop[loop] = found
        elif found[0].is_retired:
            # The loop is being shut down: who cleans up then is served all the same.
            found = (HTTPClient(self._config, limits=_http.NOTHING_KEPT), found[1])
            with self._lock:
                self._of_loop[loop] = found
        return found[0]

    async def aclose(self) -> None:
        """Close the connections of the running event loop; further calls are refused, in every loop."""
        self._closed = True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Another kind of event loop: there are no connections in it.
            return
        with self._lock:
            found = self._of_loop.pop(loop, None)
        if found is not None:
            http, keeper = found
            # At once: the keeper would wait for the calls that are under way.
            await http.aclose()
            await keeper.aclose()


def raw_client(config: Config, pool: Pool) -> RawClient:
    """Return the generated client on these connections."""
    return RawClient(config, async_pool=pool.get)


async def _closed_with_the_loop(http: HTTPClient) -> AsyncGenerator[None]:
    """Wait in a generator that has begun: an event loop that shuts down closes those (shutdown_asyncgens)."""
    try:
        yield
    finally:
        await http.retire()


class _Bounded(httpx.AsyncByteStream):
    """The body of a log stream, of which only so much is taken in until an event comes out."""

    def __init__(self, response: httpx.Response) -> None:
        self.pending = 0
        self._request = response.request
        self._pieces = response.aiter_bytes()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self.pending += len(piece)
            _http.refuse_length(self._request, self.pending)
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
        self._request = _log_stream.request(operation)
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
        reopening = _log_stream.Reopening(self._pace)
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

    async def _read_once(self, http: HTTPClient, reopening: _log_stream.Reopening) -> Repeatable:
        # Looked up once: a log is a flood of events.
        feed, take, unread = self._feed, self._feed.take, self._events
        after_end = self._build_ended
        asked_at = time.monotonic()
        in_order = False
        self.is_failing = False
        self.is_open = False
        try:
            async with http.stream(**self._request) as response:
                if not _log_stream.is_log(response):
                    answer = await _read(response)
                    self.is_failing = True
                    if not reopening.bears_with(answer):
                        self.refusal = self._refuse(answer)
                    return Repeatable(answer)
                self.is_open = True
                reopening.opened()
                feed.opened(answered_within_s=time.monotonic() - asked_at, after_end=after_end)
                _http.refuse_by_headers(response)
                body = _Bounded(response)
                source = EventSource(_log_stream.opened(response, body))
                async with contextlib.aclosing(source.aiter_sse()) as stream:
                    async for sse in stream:
                        body.pending = 0
                        if (data := sse.data) and (events := take(data)):
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
