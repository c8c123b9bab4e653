"""The entrance of the server: it records each request, and lets a fault or the API answer it."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from superserve.local._app.access_log import AccessLog
from superserve.local._app.connection import BEGIN, Connection
from superserve.local._app.data_plane import DataPlane
from superserve.local._app.preview import Preview
from superserve.local._app.recorder import Recorder
from superserve.local._app.streams import Streams
from superserve.local._app.targets import read_headers, read_target, refuse
from superserve.local._faults.registry import Registry, Strike
from superserve.local._web.control import PREFIX
from superserve.local._web.page import is_for_page

if TYPE_CHECKING:
    from superserve.local._faults.effects import Effect


class FrontDoor:
    """The ASGI application."""

    def __init__(
        self,
        api: ASGIApp,
        data_plane: DataPlane,
        preview: Preview,
        control: ASGIApp,
        page: ASGIApp,
        *,
        keys: Iterable[str],
        recorder: Recorder,
        faults: Registry,
        streams: Streams,
        local_hosts_only: bool,
    ) -> None:
        self._api = api
        self._data_plane = data_plane
        self._preview = preview
        self._control = control
        self._page = page
        self._log_and_answer = AccessLog(self._answer, keys)
        self._recorder = recorder
        self._faults = faults
        self._streams = streams
        self._local_hosts_only = local_hosts_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            found = read_target(scope)
            if isinstance(found, Response):
                await found(scope, receive, send)
                return
            scope = found
            connection = Connection.of(scope)
            if not connection.is_whole:
                await self._serve_arriving(connection, scope, receive, send)
                return
        await self._serve(scope, receive, send)

    async def _serve_arriving(
        self, connection: Connection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request whose body is still to come, or will never come as a whole."""

        async def receive_if_whole() -> Message:
            message = await receive()
            return {"type": "http.disconnect"} if connection.has_broken_body else message

        await self._serve(scope, receive_if_whole, send)
        if connection.has_broken_body and not connection.has_answered:
            await refuse(400, "Bad Request")(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp
        if scope["type"] == "websocket":
            # The request for an upgrade is a GET. The page and the API have no WebSockets.
            scope = {**scope, "method": "GET"}
            app = self._log_and_answer
        elif is_for_page(scope["method"], scope["path"]) and not self._preview.takes(read_headers(scope)):
            app = self._page if _is_local(scope) else _refuse_host()
        elif scope["path"].startswith(PREFIX) and not self._preview.takes(read_headers(scope)):
            app = self._control if self._is_allowed(scope) else _refuse_host()
        else:
            app = self._log_and_answer
        await app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        # Without execute mode, any name that leads to this machine is accepted, as on the real server. Only the official
        # addresses use TLS, and no browser trusts their authority.
        return not self._local_hosts_only or _is_local(scope) or scope["scheme"] == "https"

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_allowed(scope):
            await _refuse_host()(scope, receive, send)
            return
        receive, send = await self._recorder.record(scope, receive, send, is_file=scope["path"] == "/files")
        strike = self._faults.strike_request(scope["method"], scope["path"])
        app = self._find_plane(scope)
        if strike is None:
            await app(scope, receive, send)
        else:
            await self._answer_wrong(strike, app, scope, receive, send)

    def _find_plane(self, scope: Scope) -> ASGIApp:
        headers = read_headers(scope)
        if self._preview.takes(headers):
            return self._preview
        if scope["type"] == "websocket" or self._data_plane.takes(scope["path"], headers):
            return self._data_plane
        return self._api

    async def _answer_wrong(
        self, strike: "Strike[Effect]", app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        from superserve.local._faults.effects import Exchange  # Whatever strikes has loaded it.

        async def send_head_alone(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                await send(BEGIN)

        connection = Connection.of(scope)
        # The fault may strike between head and body.
        exchange = Exchange(app, scope, receive, send_head_alone, connection, strike.random, strike.land)
        # In a task of its own, so that a stopping server can end it.
        striking = asyncio.create_task(strike.effect.strike(exchange))
        self._streams.add(striking)
        await asyncio.wait({striking})
        if striking.cancelled():
            connection.abort()
            await connection.lost.wait()
        else:
            striking.result()


def _is_local(scope: Scope) -> bool:
    """Whether the Host header names this machine. A foreign page can make a browser send requests, but not this header."""
    name, _, port = Headers(scope=scope).get("host", "").partition(":")
    is_here = name.lower() in {"127.0.0.1", "localhost"} or name.lower().endswith(".localhost")
    return is_here and (not port or port.isdecimal())


def _refuse_host() -> Response:
    text = "421 misdirected request: this server answers only for 127.0.0.1 and localhost"
    return Response(text, 421, {"content-type": "text/plain; charset=utf-8"})
