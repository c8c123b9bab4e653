"""The thread of a server: an event loop with uvicorn and all objects of the server."""

import asyncio
import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar, cast

import uvicorn
from starlette.types import ASGIApp

from superserve.local._app.backend import Backend
from superserve.local._app.clock import UnfrozenLoop
from superserve.local._app.recorder import Record
from superserve.local._app.services import Services
from superserve.local._app.settings import Settings
from superserve.local._faults.registry import Registry
from superserve.local._official.addresses import OfficialAddresses
from superserve.local._official.connection import ProxyConnection

T = TypeVar("T")

_listeners: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_listeners() -> None:
    """Close the inherited sockets in a forked process: it would keep the port of a stopped server."""
    for listener in tuple(_listeners):
        listener.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_listeners)

KEEP_ALIVE_S = 60
FRAME_BYTES = 4 << 20
# How long a stopping server waits for requests to finish, in seconds.
GRACE_S = 0.2
# A call into the server's thread changes some rows, or waits for a state that its caller expects.
CALL_LIMIT_S = 30.0
BACKLOG = 2048
_TOLD_SPEED = 2

_STOPPED = "the server was stopped during the call"


class ServerThread:
    """The thread that owns a server's event loop and everything in it."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        faults: Registry,
        record: Record,
        official: OfficialAddresses,
    ) -> None:
        self.port: int = listener.getsockname()[1]
        self._settings = settings
        self._listener = listener
        _listeners.add(listener)
        self._faults = faults
        self._record = record
        self._official = official
        self._thread = threading.Thread(target=self._run, name="superserve-local", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._calling = threading.Lock()
        self._calls: set[Future[Any]] = set()
        self._has_ended = False
        self._loop: asyncio.AbstractEventLoop
        self._server: _Uvicorn
        self.backend: Backend

    @property
    def services(self) -> Services:
        """The objects that the server's resources share."""
        return self.backend.services

    def start(self) -> None:
        """Start the thread. Returns when the server answers; raises the error if it cannot start."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def drain(self, seconds: float) -> None:
        """Refuse new connections. Returns when all requests are answered, after the time, or when the thread is stopped."""
        with contextlib.suppress(RuntimeError):
            self.call(self._server.drain(self.services.clock.real(seconds)), limit_s=None)

    def stop(self) -> None:
        """Stop the thread. Returns when nothing of the server is left."""
        # The loop closes by itself only if serving has failed, and then there is nothing to stop.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join()

    def call(self, work: Coroutine[object, object, T], limit_s: float | None = CALL_LIMIT_S) -> T:
        """Run a coroutine in the server's event loop, and return its result; TimeoutError after `limit_s` seconds.

        RuntimeError if the server is stopped during the call.
        """
        with self._calling:
            if self._has_ended:
                work.close()
                raise RuntimeError(_STOPPED)
            call = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, limit_s), self._loop)
            self._calls.add(call)
        try:
            return call.result()
        except CancelledError:
            raise RuntimeError(_STOPPED) from None
        finally:
            self._calls.discard(call)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=UnfrozenLoop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again by start(), in the caller's thread
            self._failure = error
        finally:
            self._listener.close()
            self._started.set()
            with self._calling:
                self._has_ended = True
                # Calls that came after the last turn of the loop.
                for call in tuple(self._calls):
                    call.cancel()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.backend = Backend(self._settings, self._faults, self._record)
        self._server = _Uvicorn(self.backend, self._started, self._settings.speed, self._official)
        supervising = asyncio.create_task(self.backend.run())
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            supervising.cancel()
            await asyncio.wait({supervising})
            await self.backend.aclose()


def _open_websocket(**given: Any) -> asyncio.Protocol:
    """Return what serves a connection that a client upgrades."""
    from superserve.local._app.websockets import WebSocket

    return WebSocket(**given)


class _Config(uvicorn.Config):
    def configure_logging(self) -> None:
        """Leave the process's logging unchanged."""


class _Uvicorn(uvicorn.Server):
    """A uvicorn that reports when it is ready, and stops at once, whatever its clients do."""

    def __init__(
        self, backend: Backend, started: threading.Event, speed: float, official: OfficialAddresses
    ) -> None:
        app: ASGIApp = backend.app
        # With this header, the SDK divides its poll interval by the speed.
        headers = [("superserve-local-speed", str(int(speed)))] if speed >= _TOLD_SPEED else []

        class ServersConnection(ProxyConnection):
            addresses = official

        super().__init__(
            _Config(
                app,
                http=ServersConnection,
                ws=cast("type[asyncio.Protocol]", _open_websocket),
                ws_max_size=FRAME_BYTES,
                ws_ping_interval=30,
                ws_ping_timeout=10,
                ws_per_message_deflate=False,
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                # Without these arguments, uvicorn would read the environment, which is meant for another server.
                workers=1,
                forwarded_allow_ips="",
                server_header=False,
                headers=headers,
                timeout_keep_alive=KEEP_ALIVE_S,
                backlog=BACKLOG,
            )
        )
        self._backend = backend
        self._ready = started
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start to stop. Call it in the event loop."""
        self._stopping.set()

    async def drain(self, seconds: float) -> None:
        """Let open requests go on for a while, and refuse everything else."""
        await self._refuse_connections()
        for connection in list(self.server_state.connections):
            # An idle connection is closed now, a busy one after its answer. WebSockets go on.
            if isinstance(connection, ProxyConnection):
                connection.shutdown()
        stopping = asyncio.create_task(self._stopping.wait())
        answering = asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        ends: set[asyncio.Future[Any]] = {stopping, answering}
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        # Each tick sets the Date header, which is valid for a second.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()
                    return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - as inherited
        await self._refuse_connections()
        self._backend.services.streams.reset()
        await self._wait_for_requests()
        for connection in list(self.server_state.connections):
            transport = connection.transport
            # A transport with unsent data would wait for a client that does not read.
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()
            elif transport is not None:
                transport.close()
                if transport.get_extra_info("ssl_object") is not None:
                    # The end has been sent. With TLS, closing would wait for the client's reply.
                    transport.abort()
        await self._wait_for_requests()
        for server in self.servers:
            await server.wait_closed()

    async def _refuse_connections(self) -> None:
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listener in server.sockets:
                # Windows' event loop has no readers.
                with contextlib.suppress(NotImplementedError):
                    loop.remove_reader(listener.fileno())
        # A newly accepted connection reaches its protocol, and our list, within three turns of the loop. asyncio would
        # forget it, open, if its server were closed before that.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()

    async def _wait_for_requests(self) -> None:
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=GRACE_S)
