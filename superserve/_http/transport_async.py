"""Connections, for the async half, that a cancelled task lets go of whole.

httpcore guards its book-keeping against cancellation by anyio's scopes, and those don't stop asyncio's own
(`Task.cancel()`, `asyncio.timeout`, a failing TaskGroup): it can strike between two steps of giving a connection back,
which is then lost to the pool for ever. So a call runs in a task of its own, and that is cancelled only while it waits
for the network, as httpcore expects it.
"""

# ruff: noqa: ASYNC109 - the signatures are httpcore's

import asyncio
import contextlib
import contextvars
import ssl
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import httpcore
import httpx

from superserve._http.policy import UntrustedError
from superserve._names import Addresses, is_address, look_up

T = TypeVar("T")

# How long one address of a host may take before the next one is tried, too.
_NEXT_AFTER_S: Final = 0.25


def install(client: httpx.AsyncClient) -> None:
    """Make a client's connections such."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see below
        if isinstance(transport, httpx.AsyncHTTPTransport):
            # httpx has no public way to say it; tests/test_interruption.py notices when this no longer works.
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001


class Call:
    """A call that ends, when it is cancelled, where it waits for the network.

    Args:
        turn: Held until it has a connection. httpcore hands the same idle connection to all who ask before the first
            of them uses it, and all but that one start over.

    Attributes:
        is_sent: Whether anything of it can have reached the server.
    """

    def __init__(self, turn: asyncio.Lock) -> None:
        self.is_sent = False
        self._turn = turn
        self._has_turn = False
        self._is_waiting = False
        self._is_cancelled = False

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await `work()`; when cancelled, return when it has ended."""
        await self._turn.acquire()
        self._has_turn = True
        task = asyncio.create_task(self._run(work()))
        task.add_done_callback(_looked_at)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._is_cancelled = True
                if self._is_waiting:
                    task.cancel()
                await asyncio.wait([task])
            raise
        finally:
            self._pass_turn_on()

    async def wait_for(self, operation: Coroutine[Any, Any, T]) -> T:
        """Await an operation on the network."""
        if self._is_cancelled:
            operation.close()
            raise asyncio.CancelledError
        self._is_waiting = True
        self._pass_turn_on()
        try:
            return await operation
        finally:
            self._is_waiting = False

    def _pass_turn_on(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.release()

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        _call.set(self)
        return await work


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Look at how a task ended: of an error that nobody looks at, asyncio logs the text, which may quote the server."""
    if not task.cancelled():
        task.exception()


_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("superserve_call", default=None)


async def _wait_for(operation: Coroutine[Any, Any, T]) -> T:
    call = _call.get()
    return await (operation if call is None else call.wait_for(operation))


class _Backend(httpcore.AsyncNetworkBackend):
    """Marks where a call waits for the network."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        def connect(address: str) -> Coroutine[Any, Any, httpcore.AsyncNetworkStream]:
            return self._backend.connect_tcp(address, port, timeout, local_address, socket_options)

        limit = asyncio.timeout(timeout)
        try:
            if is_address(host):
                return _Stream(await _wait_for(connect(host)))
            async with limit:
                addresses = await _wait_for(_addresses(host, port))
                return _Stream(await _wait_for(_first([partial(connect, address) for address in addresses])))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise httpcore.ConnectTimeout(f"no connection to {host}") from error
        except httpcore.ConnectError as error:
            raise httpcore.ConnectError(_reason(error)) from error


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await _wait_for(self._stream.read(max_bytes, timeout))
        except httpcore.NetworkError as error:
            raise _own(error) from error.__cause__

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        call = _call.get()
        if call is not None:
            call.is_sent = True
        try:
            await _wait_for(self._stream.write(buffer, timeout))
        except httpcore.NetworkError as error:
            raise _own(error) from error.__cause__

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await _wait_for(self._stream.start_tls(ssl_context, server_hostname, timeout)))
        except BaseException as error:
            # httpcore closes it after errors only, not after a cancellation.
            await self._stream.aclose()
            if (own := UntrustedError.instead_of(error)) is not error:
                raise own from error
            if isinstance(error, ssl.SSLError):
                # Older versions of httpcore don't take it for an error of a connection.
                raise httpcore.ConnectError(str(error)) from error
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _addresses(host: str, port: int) -> list[str]:
    """Return a host's addresses, the best one first."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Addresses | Exception] = loop.create_future()

    def take(found: Addresses | Exception) -> None:
        if not answer.done():
            answer.set_result(found)

    def give(found: Addresses | Exception) -> None:
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(take, found)

    look_up(host, port, give)
    found = await answer
    if isinstance(found, Exception):
        raise httpcore.ConnectError(str(found)) from found
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _first(
    connects: list[Callable[[], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]],
) -> httpcore.AsyncNetworkStream:
    """Return the first connection that there is: the next one is tried when one has failed, or takes long (RFC 8305)."""
    attempts: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    made: list[httpcore.AsyncNetworkStream] = []
    failure: BaseException | None = None
    try:
        while not made and (connects or attempts):
            if connects:
                attempts.add(asyncio.create_task(connects.pop(0)()))
            ended, attempts = await asyncio.wait(
                attempts, timeout=_NEXT_AFTER_S if connects else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in ended:
                failure = attempt.exception()
                if failure is None:
                    made.append(attempt.result())
    except BaseException:
        for stream in made + _given_up(attempts):
            await stream.aclose()
        raise
    for late in made[1:] + _given_up(attempts):
        await late.aclose()
    if made:
        return made[0]
    raise failure or AssertionError("a name has addresses")


def _given_up(attempts: set[asyncio.Task[httpcore.AsyncNetworkStream]]) -> list[httpcore.AsyncNetworkStream]:
    """Cancel attempts to connect; return the connections of those that had one in the same moment."""
    for attempt in attempts:
        attempt.add_done_callback(_looked_at)
    ended = [attempt for attempt in attempts if not attempt.cancel()]
    return [attempt.result() for attempt in ended if not (attempt.cancelled() or attempt.exception())]


def _reason(error: BaseException) -> str:
    """Return what the last attempt to connect came to: anyio itself says only that all of them have failed."""
    behind = error.exceptions[-1] if isinstance(error, BaseExceptionGroup) else error.__cause__
    return str(error) if behind is None else _reason(behind)


def _own(error: Exception) -> BaseException:
    """Return what a signal handler raised, if asyncio has taken that for the socket's own error; else `error`."""
    cause: BaseException | None = error
    while cause is not None:
        if not isinstance(cause, Exception):
            return cause
        cause = cause.__cause__
    return error
