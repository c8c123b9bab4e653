"""What needs the library `websockets`. It is imported at the first WebSocket, because it takes long to import."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from superserve.local._app.connection import KEY
from superserve.local._app.data_plane import text_answer
from superserve.local._app.preview import kept_headers


@contextlib.contextmanager
def _hidden(prefix: str) -> Iterator[None]:
    """Hide variables of the environment that are meant for another server."""
    hidden = {name: os.environ.pop(name) for name in tuple(os.environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        os.environ.update(hidden)


# The library reads its limits from the environment when it is imported.
with _hidden("WEBSOCKETS_"):
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
    from websockets.typing import Subprotocol


class WebSocket(WebSocketsSansIOProtocol):
    """Serves a connection after its upgrade to a WebSocket. `Connection.of` still finds the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.app_state[KEY].lost.set()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # Otherwise uvicorn would report a refused upgrade as a handshake that the application forgot.
            self.handshake_complete = True


async def pass_frames(sock: socket.socket, scope: Scope, receive: Receive, send: Send) -> None:
    """Forward the frames of a WebSocket to a server behind a socket, and back."""
    await receive()
    headers = Headers(scope=scope)
    path = scope["raw_path"].decode("ascii") + ("?" + scope["query_string"].decode("ascii")) * bool(
        scope["query_string"]
    )
    given = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in kept_headers(scope["headers"])
        if name != b"host"
    ]
    try:
        inner = await connect(
            f"ws://{headers.get('host', 'localhost')}{path}",
            sock=sock.dup(),
            additional_headers=given,
            subprotocols=[Subprotocol(each) for each in scope["subprotocols"]] or None,
            user_agent_header=None,
            max_size=None,
            proxy=None,
        )
    except (OSError, InvalidHandshake, ConnectionClosed):
        await text_answer(502, "sandbox unreachable", **{"retry-after": "2"})(scope, receive, send)
        return
    await send({"type": "websocket.accept", "subprotocol": inner.subprotocol})
    outward = asyncio.create_task(_pass_outward(inner, send))
    inward = asyncio.create_task(_pass_inward(inner, receive))
    try:
        await asyncio.wait([outward, inward], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (outward, inward):
            task.cancel()
        await asyncio.wait([outward, inward])
        await inner.close()


async def _pass_outward(inner: ClientConnection, send: Send) -> None:
    async for frame in inner:
        key = "text" if isinstance(frame, str) else "bytes"
        await send({"type": "websocket.send", key: frame})
    code = inner.close_code if inner.close_code not in {None, 1005, 1006} else 1000
    await send({"type": "websocket.close", "code": code, "reason": inner.close_reason or ""})


async def _pass_inward(inner: ClientConnection, receive: Receive) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        frame = message.get("bytes")
        await inner.send(message["text"] if frame is None else frame)
