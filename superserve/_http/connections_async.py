"""What differs in structure between sync and async, the async half: connection pool, sleep, callbacks.

`_io_sync` has the same names. Nothing here knows what a template is.
"""

import asyncio
import contextlib
import inspect
import math
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import httpx

from superserve import _arguments
from superserve._config import Config
from superserve._http import policy, transport_async
from superserve._http.policy import Repeatable
from superserve._http.raw import RawClient
from superserve._polling import Wait
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

LogCallback = Callable[[BuildLogEvent], object]
"""A plain function or a coroutine function."""

check_callback = _arguments.function
sleep = asyncio.sleep

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

    def __init__(self, config: Config, *, limits: httpx.Limits = policy.LIMITS) -> None:
        with policy.setting_up():
            super().__init__(
                base_url=config.base_url,
                headers=policy.headers(config),
                timeout=config.timeout_s,
                limits=limits,
                verify=policy.ssl_context(),
                mounts=policy.unproxied(config),
            )
        self._cookies = policy.NoCookies()
        self._config = config
        self.is_retired = False
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._slots = asyncio.Semaphore(policy.CALLS_AT_ONCE)
        self._turn = asyncio.Lock()
        transport_async.install(self)

    def build_request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        """Build a request as httpx does, its address looked up instead of parsed."""
        if isinstance(url, str) and url.startswith("/"):
            url = policy.absolute_url(self._config.base_url, url)
        return super().build_request(method, url, **arguments)

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:  # noqa: ARG002
        # Redirects are not followed, but httpx reads where they lead to, and not everything can be read.
        return request

    async def retire(self) -> None:
        """Close this pool when the calls are done that it is amid."""
        self.is_retired = True
        if not self.is_closed:
            await self._unused.wait()
            await self.aclose()

    async def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """Send a request as httpx does, within the time it may take."""
        # The key goes to one host.
        arguments.pop("follow_redirects", None)
        self._users += 1
        self._unused.clear()
        try:
            return await self._send(request, stream=stream, **arguments)
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def _send(self, request: httpx.Request, *, stream: bool, **arguments: Any) -> httpx.Response:
        options = policy.options_of(request, self._config)
        deadline = time.monotonic() + options.timeout_s
        if options.attempts == 1:
            return await self._send_once(request, deadline, stream=stream, **arguments)

        async def attempt() -> httpx.Response:
            try:
                response = await self._send_once(request, deadline, stream=stream, **arguments)
                if stream and response.status_code in policy.REPEATED_STATUSES:
                    response = await read_whole(response)
            except policy.REPEATED_ERRORS as error:
                if policy.is_untrusted(error):
                    raise
                raise Repeatable(error) from error
            if policy.is_worth_repeating(response):
                raise Repeatable(response)
            return response

        try:
            return await attempt()
        except Repeatable as failed:
            from superserve._http import retry

            try:
                return await retry.repeat_async(attempt, failed, attempts=options.attempts, deadline=deadline)
            except Repeatable as last:
                return last.outcome()

    async def _send_once(
        self, request: httpx.Request, deadline: float, *, stream: bool, **arguments: Any
    ) -> httpx.Response:
        if stream:
            # How long a stream may take is for its reader to say.
            return await super().send(request, stream=True, **arguments)
        call = transport_async.Call(self._turn)
        try:
            async with asyncio.timeout(deadline - time.monotonic()), self._slots:
                policy.set_timeouts(request, deadline - time.monotonic())
                return await call.run(lambda: self._exchange(request, **arguments))
        except TimeoutError as error:
            kind = httpx.ReadTimeout if call.is_sent else httpx.ConnectTimeout
            raise kind("the call's time is over", request=request) from error

    async def _exchange(self, request: httpx.Request, **arguments: Any) -> httpx.Response:
        return await read_whole(await super().send(request, stream=True, **arguments))


async def read_whole(response: httpx.Response) -> httpx.Response:
    """Read an answer to its end, unless it is too long."""
    chunks: list[bytes] = []
    length = 0
    try:
        policy.refuse_by_headers(response)
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            length += len(chunk)
            policy.refuse_length(response.request, length)
    finally:
        await response.aclose()
    return policy.read_response(response, b"".join(chunks))


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
            found = (HTTPClient(self._config, limits=policy.NOTHING_KEPT), found[1])
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
            if not http.is_retired:
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
