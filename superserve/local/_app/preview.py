"""Previews: requests to a server in a sandbox, by the host `<port>-<id>.…` or by two headers."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

import h11
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from superserve.local._app.connection import BEGIN
from superserve.local._app.data_plane import ID_HEADER, text_answer
from superserve.local._app.sandbox_ids import drop_region
from superserve.local._app.targets import read_headers

PORT_HEADER = b"x-superserve-preview-port"
FIRST_PORT, LAST_PORT, AGENT_PORT = 1024, 65_535, 49_983

_LABEL = rb"(?P<port>\d{1,5})-(?P<id>[A-Za-z0-9][A-Za-z0-9-]{0,63})"
_READ_BYTES = 64 * 1024
# Headers that the server in the sandbox does not get: those of one connection, of proxies, and secrets.
_DROPPED = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"te", b"x-access-token", b"x-api-key"),
    *(ID_HEADER.encode(), PORT_HEADER),
}
_OF_SOCKETS = b"sec-websocket-"


Counting: TypeAlias = Callable[[str, Scope], AbstractContextManager[Response | None]]
"""Counts a request to a sandbox while it is served, and yields the refusal if there are too many."""


class Dialler(Protocol):
    """Connects to ports inside sandboxes."""

    def check_preview(self, sandbox_id: str) -> Response | None:
        """Return the refusal for a sandbox without previews, or None."""
        ...

    async def dial(self, sandbox_id: str, port: int) -> socket.socket:
        """Return a connection to a port inside; raises OSError."""
        ...


class Preview:
    """The ASGI application that passes requests on to servers in sandboxes."""

    def __init__(self, dialler: Dialler, counting: Counting) -> None:
        self._dialler = dialler
        self._counting = counting

    def takes(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request with these headers is for a server in a sandbox."""
        return _find_target(headers) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back."""
        port, sandbox_id = _find_target(read_headers(scope)) or (0, "")
        if refusal := _check_port(port):
            await refusal(scope, receive, send)
            return
        with self._counting(sandbox_id, scope) as too_many:
            if refusal := too_many or self._dialler.check_preview(sandbox_id):
                await refusal(scope, receive, send)
            else:
                await self._pass_on(port, sandbox_id, scope, receive, send)

    async def _pass_on(self, port: int, sandbox_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            sock = await self._dialler.dial(sandbox_id, port)
        except OSError:
            await text_answer(502, "sandbox unreachable", **{"retry-after": "2"})(scope, receive, send)
            return
        with sock:
            if scope["type"] == "websocket":
                from superserve.local._app.websockets import pass_frames

                await pass_frames(sock, scope, receive, send)
            else:
                await _pass_request(sock, scope, receive, send)


def _find_target(headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
    label = headers.get(b"host", b"").partition(b".")[0]
    # Asked for every request, and hardly any label has a dash.
    if b"-" in label and (match := re.fullmatch(_LABEL, label)):
        port, sandbox_id = match["port"].decode(), match["id"].decode()
    elif PORT_HEADER in headers:
        port, sandbox_id = (
            headers.get(name, b"").decode("latin-1") for name in (PORT_HEADER, ID_HEADER.encode())
        )
    else:
        return None
    if not port.isascii() or not port.isdecimal() or not sandbox_id:
        return None
    return int(port), drop_region(sandbox_id).lower()


def _check_port(port: int) -> Response | None:
    if port < FIRST_PORT:
        return text_answer(403, "port not allowed")
    if port > LAST_PORT or port == AGENT_PORT:
        return text_answer(400, "invalid sandbox URL")
    return None


def kept_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (name, value)
        for name, value in headers
        if name not in _DROPPED and not name.startswith((_OF_SOCKETS, b"x-forwarded-"))
    ]


async def _pass_request(sock: socket.socket, scope: Scope, receive: Receive, send: Send) -> None:
    reader, writer = await asyncio.open_connection(sock=sock.dup())
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    connection = h11.Connection(h11.CLIENT)
    head = h11.Request(
        method=scope["method"],
        target=scope["raw_path"] + query,
        headers=[*kept_headers(scope["headers"]), (b"connection", b"close")],
    )
    sending = asyncio.create_task(_send_body(connection, head, writer, receive))
    try:
        await _receive_answer(connection, reader, send)
    except (OSError, h11.RemoteProtocolError):
        # The server has answered in part, or not at all. Breaking the connection shows that best.
        raise ClientDisconnect from None
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _send_body(
    connection: h11.Connection, head: h11.Request, writer: asyncio.StreamWriter, receive: Receive
) -> None:
    with contextlib.suppress(OSError):
        writer.write(connection.send(head) or b"")
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                writer.close()
                return
            if message.get("body"):
                writer.write(connection.send(h11.Data(data=message["body"])) or b"")
            await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        while (await receive())["type"] != "http.disconnect":
            pass
        # The client has left: close this side too.
        writer.close()


async def _receive_answer(connection: h11.Connection, reader: asyncio.StreamReader, send: Send) -> None:
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            headers = [(name, value) for name, value in event.headers if name not in _DROPPED]
            headers = [each for each in headers if each[0] != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": event.status_code, "headers": headers})
            # The body may come much later.
            await send(BEGIN)
        elif isinstance(event, h11.Data):
            await send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        elif isinstance(event, h11.EndOfMessage):
            await send({"type": "http.response.body", "body": b""})
            return
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("closed before it answered")
