"""A connection that may start with CONNECT: then it leads to one of the service's own addresses."""

import asyncio
import logging
import re
import ssl
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from superserve.local._app.connection import Connection
from superserve.local._official.addresses import TLS_PORT, OfficialAddresses

_METHOD = b"CONNECT "
_END = b"\r\n\r\n"
_TARGET = rb"CONNECT (?P<host>[A-Za-z0-9.-]+):(?P<port>\d{1,5}) HTTP/1\.[01]\r\n"
_LONGEST_HEAD = 64 * 1024
_HANDSHAKE_S = 10.0
_log = logging.getLogger("superserve.local")


class ProxyConnection(Connection):
    """Serves a connection like `Connection`. After a CONNECT it terminates TLS and serves what is inside."""

    addresses: OfficialAddresses
    """Set in a subclass for each server, because uvicorn makes connections from a class."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head = b""
        self._has_begun = self.addresses.context is None
        # The task that answers CONNECT. asyncio keeps no reference to it.
        self._opening: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes of the connection, and leave the rest to uvicorn."""
        if self._has_begun:
            super().data_received(data)
            return
        self._head += data
        if self._opening is not None:
            # Data from the other end of the tunnel, before the tunnel is ready.
            return
        if not self._head.startswith(_METHOD[: len(self._head)]):
            self._has_begun = True
            super().data_received(self._head)
        elif _END in self._head or len(self._head) > _LONGEST_HEAD:
            # Until the other protocol is in place.
            self.transport.pause_reading()
            self._opening = self.loop.create_task(self._connect())
            self._opening.add_done_callback(self.tasks.discard)
            # A stopping server waits for these tasks.
            self.tasks.add(self._opening)

    async def _connect(self) -> None:
        head, self._head = self._head, b""
        target = re.match(_TARGET, head)
        if target is None or not head.endswith(_END):
            self._refuse("400 Bad Request", "expected CONNECT host:port, and nothing after its headers yet")
            return
        host, port = target["host"].decode().lower(), int(target["port"])
        context = self.addresses.context
        if context is not None and port == TLS_PORT and self.addresses.covers(host):
            await self._end_tls(context, host)
        elif self.addresses.tunnels:
            await self._tunnel(host, port)
        else:
            self._refuse(
                "403 Forbidden",
                f"{host}:{port} is not an address of Superserve, and this server connects to no other host; "
                "--tunnel, or official_environment(tunnel=True), allows all hosts",
            )

    async def _end_tls(self, context: ssl.SSLContext, host: str) -> None:
        self._accept()
        try:
            transport = await self.loop.start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=_HANDSHAKE_S
            )
        except (OSError, ssl.SSLError) as error:
            _log.warning(
                "a client that asked for %s broke off: %s; does SSL_CERT_FILE or NODE_EXTRA_CA_CERTS name this "
                "server's authority?",
                host,
                error,
            )
            self.transport.abort()
            return
        if transport is None:
            # The connection was lost in the meantime.
            return
        self.connection_made(transport)
        self._has_begun = True
        if self._head:
            super().data_received(self._head)

    async def _tunnel(self, host: str, port: int) -> None:
        inner = _Relay(self.transport)
        try:
            there, _ = await self.loop.create_connection(lambda: inner, host, port)
        except OSError as error:
            self._refuse("502 Bad Gateway", f"cannot connect to {host}:{port}: {error}")
            return
        self.transport.set_protocol(_Relay(there, self))
        self._accept()
        self.transport.resume_reading()

    def _accept(self) -> None:
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def _refuse(self, status: str, reason: str) -> None:
        text = f"{reason}\n".encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + text)
        self.transport.close()


class _Relay(asyncio.Protocol):
    """One direction of a tunnel."""

    def __init__(self, there: asyncio.Transport, connection: Connection | None = None) -> None:
        self._there = there
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._there.write(data)

    def eof_received(self) -> bool:
        if self._there.can_write_eof():
            self._there.write_eof()
        # The other direction may still be open.
        return True

    def pause_writing(self) -> None:
        self._there.pause_reading()

    def resume_writing(self) -> None:
        self._there.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._there.close()
        if self._connection is not None:
            self._connection.connection_lost(exc)
