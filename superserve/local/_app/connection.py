"""One connection of a client, with the effects that faults need."""

import asyncio
import os
import re
import socket
import struct
import sys
from typing import Any

import h11
from starlette.types import Message, Scope
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from superserve.local._app.targets import HEADER_BYTES

KEY = "superserve_connection"
"""The key of the connection in the state of a request."""

BEGIN: Message = {"type": "http.response.body", "body": b"", "more_body": True}
"""Sends the head of an answer at once, if it comes after it."""

# With a linger time of zero, closing a connection resets it.
_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


class _Wire(h11.Connection):
    """Sends the head of an answer together with the first piece of its body, as Go does. The piece may be empty."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEADER_BYTES)
        self._head: list[bytes] = []

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Return the bytes of an event: none for a head, which comes with the event after it."""
        data = super().send_with_data_passthrough(event)
        if type(event) is h11.Response:
            self._head = data or []
            return []
        if data is not None and self._head:
            data, self._head = self._head + data, []
        return data


class Connection(H11Protocol):
    """Serves one connection as uvicorn does. A request can get it with `of`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # uvicorn puts the content of this dictionary into the scope of each request.
        super().__init__(config, server_state, {**app_state, KEY: self}, _loop)
        self.conn = _Wire()
        self.lost = asyncio.Event()
        """Set when the connection has ended, from either side."""
        self.has_broken_body = False
        """Whether the body of the current request can't be read to its end."""

    @classmethod
    def of(cls, scope: Scope) -> "Connection":
        """Return the connection of a request."""
        connection: Connection = scope["state"][KEY]
        return connection

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    @property
    def is_whole(self) -> bool:
        """Whether the request has arrived to the end of its body."""
        return not self.cycle.more_body

    @property
    def has_answered(self) -> bool:
        """Whether the answer to the request has begun."""
        return self.cycle.response_started

    def data_received(self, data: bytes) -> None:
        """Read a request. Go accepts any byte in a path or query; h11 accepts only ASCII, so other bytes are escaped."""
        if not data.isascii() and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            line, end, rest = data.partition(b"\r\n")
            method, space, target = line.partition(b" ")
            data = method + space + _NOT_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), target) + end + rest
        super().data_received(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's own does nothing
        """Keep the connection of a client that has sent only a part of a body: it may still read the answer."""
        is_half = self.cycle is not None and self.cycle.more_body and not self.cycle.response_started
        if not is_half or self.transport.get_extra_info("ssl_object") is not None:
            return None
        self._give_body_up()
        # Or the client is gone: that looks the same.
        self.lost.set()
        return True

    def _give_body_up(self) -> None:
        self.has_broken_body = True
        self.cycle.keep_alive = False
        self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as inherited
        """Refuse an invalid request with the status that h11 proposes: 431 and 501 are not 400."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The error is in the body of a request that is being answered.
            self._give_body_up()
            return
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            # The error is in a body that nobody has read, behind the answer.
            self.transport.close()
            return
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        phrase = STATUS_PHRASES.get(hint, b"Bad Request")
        head = (b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")
        response = h11.Response(status_code=hint, headers=list(head), reason=phrase)
        body = b"%d %s" % (hint, phrase)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def frame(self, message: Message) -> tuple[bytes, int]:
        """Return the bytes in which a message of a response would be sent, and the index at which its body starts in them.

        Afterwards the connection cannot be used for another response.
        """
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [*self.server_state.default_headers, *message["headers"]]
            response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            self.conn.send(response)
            return self.conn.send(h11.Data(data=b"")) or b"", 0
        body = b"" if self.scope["method"] == "HEAD" else message.get("body", b"")
        data = self.conn.send(h11.Data(data=body)) or b""
        # A chunk starts with its size, on a line of its own.
        return data, 0 if len(data) == len(body) else data.index(b"\r\n") + 2

    async def write(self, data: bytes) -> None:
        """Send bytes unchanged. Returns when the system has them, or the connection is lost."""
        self.transport.set_write_buffer_limits(0)
        self.transport.write(data)
        if self.flow.write_paused:
            await self.flow.drain()

    def close(self) -> None:
        """End the connection properly, even within an answer."""
        self.transport.close()

    def reset(self) -> None:
        """End the connection with a RST, like a machine that does not know it."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.transport.abort()

    def abort(self) -> None:
        """End the connection at once, and drop unsent data."""
        self.transport.abort()
