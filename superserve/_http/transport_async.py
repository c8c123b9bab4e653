"""Connections on asyncio's transports. httpcore's own backend goes through anyio, which takes a third more of a call's time."""

import asyncio
import contextlib
import ipaddress
import math
import select
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpcore
from anyio.lowlevel import checkpoint_if_cancelled

from superserve._http.event_loop import Bell

# Bytes that are held unread before the other end has to wait.
_READ_AHEAD: Final = 64 * 1024
_DETAILS: Final = {"client_addr": "sockname", "server_addr": "peername"}


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections in the running event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - our pools have none
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - our pools have none
    ) -> httpcore.AsyncNetworkStream:
        """Try the host's addresses in turn, each with a share of the time that is left."""
        # Not asyncio's race of the addresses, which may lose a socket when it is cancelled.
        loop = asyncio.get_running_loop()
        until = math.inf if timeout is None else loop.time() + timeout
        try:
            async with asyncio.timeout(timeout):
                addresses = await _look_up(host, port)
            for untried in range(len(addresses), 0, -1):
                share = (until - loop.time()) / untried
                try:
                    async with asyncio.timeout(share):
                        transport, stream = await loop.create_connection(Stream, addresses[-untried], port)
                except OSError:
                    if untried == 1:
                        raise
                else:
                    # A cancellation has to come out here: later, httpcore would lose the connection.
                    with _closed_if_raised(transport):
                        await checkpoint_if_cancelled()
                    return stream
        except OSError as error:
            raise _failure(error) from error
        raise httpcore.ConnectError(f"{host} has no address")


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection, with or without TLS. One task may read while another one writes."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._received: deque[bytes] = deque()
        self._unread = 0
        self._is_over = self._is_paused = self._is_stuck = False
        self._error: Exception | None = None
        self._may_read = Bell()
        self._may_write = Bell()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes; none at the end."""
        while not self._received:
            if self._error is not None:
                raise httpcore.ReadError(str(self._error)) from self._error
            if self._is_over:
                return b""
            if not await self._may_read.wait(timeout):
                raise httpcore.ReadTimeout
        data = self._received.popleft()
        if len(data) > max_bytes:
            self._received.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        self._unread -= len(data)
        if self._is_paused and self._unread <= _READ_AHEAD:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`."""
        if not self._transport.is_closing():
            self._transport.write(buffer)
            while self._is_stuck:
                if not await self._may_write.wait(timeout):
                    raise httpcore.WriteTimeout
        if self._transport.is_closing():
            raise httpcore.WriteError(str(self._error or "the connection is closed")) from self._error

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Put TLS on top of the connection."""
        start = asyncio.get_running_loop().start_tls
        try:
            with _closed_if_raised(self._transport):
                async with asyncio.timeout(timeout):
                    transport = await start(
                        self._transport, self, ssl_context, server_hostname=server_hostname
                    )
                await checkpoint_if_cancelled()
        except OSError as error:
            raise _failure(error) from error
        assert transport is not None  # noqa: S101 - for the type checker
        self.connection_made(transport)
        return self

    async def aclose(self) -> None:
        """Close the connection at once."""
        self._transport.abort()
        # The event loop closes the socket on its next turn.
        await asyncio.sleep(0)

    def get_extra_info(self, info: str) -> Any:
        """Return a detail of the connection by its name."""
        if info == "is_readable":
            return self._is_over or self._unread > 0 or _is_readable(self._transport)
        return self._transport.get_extra_info(_DETAILS.get(info, info))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        # A write ends when the operating system has taken all of it. With 0, TLS would pause when nothing is left.
        transport.set_write_buffer_limits(1)

    def data_received(self, data: bytes) -> None:
        """Hold data until it is read."""
        self._received.append(data)
        self._unread += len(data)
        if self._unread > _READ_AHEAD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._may_read.ring()

    def eof_received(self) -> bool:
        """Note that nothing more comes. The other end may still read, though not with TLS."""
        self._is_over = True
        self._may_read.ring()
        return self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """Make writers wait."""
        self._is_stuck = True

    def resume_writing(self) -> None:
        """Wake the writer."""
        self._is_stuck = False
        self._may_write.ring()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake all who wait for a connection that has ended."""
        self._is_over = True
        self._is_stuck = False
        self._error = exc
        self._may_read.ring()
        self._may_write.ring()


async def _look_up(host: str, port: int) -> list[str]:
    with contextlib.suppress(ValueError):
        # An address does not need a thread, and there are none any more while Python ends.
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@contextlib.contextmanager
def _closed_if_raised(transport: asyncio.Transport) -> Iterator[None]:
    try:
        yield
    except BaseException:
        transport.abort()
        raise


def _failure(error: OSError) -> Exception:
    kind = httpcore.ConnectTimeout if isinstance(error, TimeoutError) else httpcore.ConnectError
    return kind(str(error))


def _is_readable(transport: asyncio.Transport) -> bool:
    """Whether the end of an idle connection, or more, has arrived. The event loop may have been too busy to notice."""
    sock = transport.get_extra_info("socket")
    if transport.is_closing() or sock is None:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
