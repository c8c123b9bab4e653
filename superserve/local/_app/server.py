"""LocalServer: the stand-in on a loopback port, in a thread of its own."""

import asyncio
import atexit
import contextlib
import os
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import uvicorn
from starlette.types import ASGIApp

from superserve.local._app import arguments
from superserve.local._app.backend import Backend, Settings
from superserve.local._app.connection import Connection
from superserve.local._app.limits import Limits, TeamLimits
from superserve.local._app.recorder import Requests
from superserve.local._faults.faults import Faults
from superserve.local._faults.registry import Book
from superserve.local._resources.controls import Builds, Team, Templates
from superserve.local._store.store import new_key

T = TypeVar("T")
AnyLimits = TypeVar("AnyLimits", Limits, TeamLimits)

HOST = "127.0.0.1"
MAX_PORT = 65535
# A build that may wait for two minutes has 12 ms then: any faster, and this machine is too slow for its time limits.
MAX_SPEED = 10_000
KEEP_ALIVE_S = 60
HEADER_BYTES = 1 << 20
BACKLOG = 2048
# How long a stopping server lets requests finish by themselves.
GRACE_S = 0.2
# A call into the server's thread changes some rows, or waits for a state that its caller expects.
CALL_LIMIT_S = 30.0


class LocalServer:
    """A stand-in of the Superserve server on a free loopback port.

    Use it as a context manager, or call `start()` and `stop()`. Any number of servers can run at once; each has its
    own rows. A server that was stopped can be started again, with fresh rows and, unless `port` is given, on another
    port.

    Args:
        port: The port to listen on; 0 takes a free one.
        api_key: The key that clients have to send; a random one by default.
        execute: Run build steps as processes of this machine instead of making builds up.
        speed: How much faster than the real server its waits go: at 100, a build's queue moves every 10 ms instead
            of every second. At most 10,000. Rate limits count real seconds whatever the speed.
        limits: True for the real server's rate limits, quotas and caps, False for none, or a `Limits` of your own.
        system_templates: Whether the curated `superserve/...` templates are there.
        newer: Answer as later versions of the server do: more fields, statuses that nobody knows yet, paging.
        seed: Makes the ids of teams, templates and builds, and what faults leave to chance, the same on every run.
        state: A file that keeps templates, builds, teams and keys from one run to the next; made if there is none.
            By default nothing is kept.

    Attributes:
        templates: `Templates`: adds and changes templates past the API.
        builds: `Builds`: adds, holds, writes and decides builds past the API.
        faults: `Faults`: makes requests, log streams and builds go wrong.
        requests: `Requests`: what arrived.

    Example:
        >>> from superserve import Superserve, Template
        >>> from superserve.local import LocalServer
        >>> with LocalServer(speed=100) as server:
        ...     with Superserve(api_key=server.api_key, base_url=server.base_url) as client:
        ...         print(Template.create(name="my-env", from_="python:3.11", client=client).status)
        building

    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        execute: bool = False,
        speed: float = 1.0,
        limits: bool | Limits = True,
        system_templates: bool = True,
        newer: bool = False,
        seed: int | None = None,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        # What is shown of a server must also be there for one that refuses its arguments.
        self._base_url: str | None = None
        self._thread: _ServerThread | None = None
        self._port = arguments.whole("port", port, 0, MAX_PORT)
        given_key = None if api_key is None else arguments.key("api_key", api_key)
        self._api_key = given_key or (new_key() if state is None else None)
        self._settings = Settings(
            api_key=self._api_key,
            limits=_limits(limits, Limits),
            speed=arguments.positive("speed", speed, MAX_SPEED),
            execute=arguments.flag("execute", execute),
            system_templates=arguments.flag("system_templates", system_templates),
            newer=arguments.flag("newer", newer),
            seed=seed,
            state=_state(state),
        )
        self.templates = Templates(self._running)
        self.builds = Builds(self._running)
        self._book = Book(seed)
        self.faults = Faults(self._book, self._running)
        self.requests = Requests()

    @property
    def base_url(self) -> str:
        """The server's address, such as `http://127.0.0.1:40123`; it stays known after `stop()`."""
        if self._base_url is None:
            raise RuntimeError("the server has no address yet: call start(), or use it in a with statement")
        return self._base_url

    @property
    def api_key(self) -> str:
        """The key of the server's own team; one that a state file keeps is known after `start()`."""
        if self._api_key is None:
            raise RuntimeError(
                "the state file has the key: call start(), or use the server in a with statement"
            )
        return self._api_key

    def start(self) -> Self:
        """Start serving; returns when requests are answered.

        Raises OSError if the port can't be had, and StateError if the state file can't be used.
        """
        if self._thread is not None:
            raise RuntimeError(f"the server already runs at {self.base_url}")
        listener = _listen(self._port)
        self._book.clear(restart=True)
        self.requests.clear()
        thread = _ServerThread(self._settings, listener, self._book, self.requests)
        thread.start()
        self._thread = thread
        self._base_url = f"http://{HOST}:{thread.port}"
        self._api_key = thread.backend.api_key
        # A server that nobody stops must still kill its builds' processes.
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop serving: ends log streams, builds and connections. Does nothing if the server doesn't run."""
        thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self.stop)
            thread.stop()

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def __repr__(self) -> str:
        """Show the address, and never the key."""
        state = f"at {self._base_url}" if self._thread is not None else "not running"
        return f"<LocalServer {state}>"

    def reset(self) -> None:
        """Go back to the state at the start, without waiting for anything.

        Own team, key and system templates, no builds, no faults, no recorded requests, full rate limits. Log streams
        and requests that a fault holds are ended.
        """
        thread = self._running()
        thread.call(thread.backend.reset())

    def add_team(self, *, limits: TeamLimits | bool = False) -> Team:
        """Add a team with a key of its own; by default it has no limits.

        Args:
            limits: True for the real server's figures, False for none, or a `TeamLimits` of your own.

        """
        thread = self._running()
        return thread.call(_add_team(thread.backend, _limits(limits, TeamLimits)))

    def add_key(self, team_id: str | None = None) -> str:
        """Add a key and return it; KeyError if there is no such team.

        Args:
            team_id: Whose key it is: any team's, also the system team's, which owns the `superserve/...` templates.
                By default the server's own team.

        """
        thread = self._running()
        return thread.call(_add_key(thread.backend, team_id))

    def revoke_key(self, key: str) -> None:
        """Refuse a key from now on; KeyError if there is no such one."""
        thread = self._running()
        thread.call(_revoke_key(thread.backend, key))

    def _running(self) -> "_ServerThread":
        if self._thread is None:
            raise RuntimeError("the server does not run: call start(), or use it in a with statement")
        return self._thread


class _ServerThread:
    """The thread that owns a server's event loop and everything in it."""

    def __init__(self, settings: Settings, listener: socket.socket, book: Book, requests: Requests) -> None:
        self.port: int = listener.getsockname()[1]
        self._settings = settings
        self._listener = listener
        self._book = book
        self._requests = requests
        self._thread = threading.Thread(target=self._run, name="superserve-local", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._server: _Uvicorn
        self.backend: Backend

    def start(self) -> None:
        """Start the thread; returns when the server answers, or raises why it doesn't."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """End the thread; returns when nothing of the server is left."""
        # The loop closes by itself only if serving broke down, which leaves nothing to stop.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join()

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the server's event loop and return its result; TimeoutError after 30 s."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, CALL_LIMIT_S), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again by start(), in the caller's thread
            self._failure = error
        finally:
            self._listener.close()
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.backend = Backend(self._settings, self._book, self._requests)
        self._server = _Uvicorn(self.backend, self._started)
        supervising = asyncio.create_task(self.backend.run())
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            supervising.cancel()
            await asyncio.wait({supervising})
            await self.backend.aclose()


class _Config(uvicorn.Config):
    def configure_logging(self) -> None:
        """Leave the process's logging as it is."""


class _Uvicorn(uvicorn.Server):
    """A uvicorn that tells when it is ready, and that stops at once, whatever its clients do."""

    def __init__(self, backend: Backend, started: threading.Event) -> None:
        app: ASGIApp = backend.app
        super().__init__(
            _Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                h11_max_incomplete_event_size=HEADER_BYTES,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                backlog=BACKLOG,
            )
        )
        self._backend = backend
        self._ready = started
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin to stop; to be called in the event loop."""
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        # Every tick sets the Date header, which is good for a second.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()
                    return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - as inherited
        for server in self.servers:
            server.close()
        # Connections that were just accepted reach their protocol, and so our list, within three turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)
        self._backend.streams.end_all()
        await self._wait_for_requests()
        for connection in list(self.server_state.connections):
            transport = connection.transport
            # A transport that still has to write waits for a client that doesn't read.
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()
            elif transport is not None:
                transport.close()
        await self._wait_for_requests()
        for server in self.servers:
            await server.wait_closed()

    async def _wait_for_requests(self) -> None:
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=GRACE_S)


async def _add_team(backend: Backend, limits: TeamLimits | None) -> Team:
    row = backend.add_team(limits)
    return Team(id=row.id, api_key=await _add_key(backend, row.id))


async def _add_key(backend: Backend, team_id: str | None) -> str:
    if team_id is None:
        team_id = backend.team.id
    elif team_id not in backend.store.teams:
        raise KeyError(f"no team {team_id!r} on this server")
    key = new_key()
    backend.store.save_key(key, team_id)
    return key


async def _revoke_key(backend: Backend, key: str) -> None:
    if key not in backend.store.keys:
        # It may be a key of another server, and errors are read by many.
        raise KeyError("no such key on this server")
    backend.store.remove_key(key)


def _limits(limits: bool | AnyLimits, kind: type[AnyLimits]) -> AnyLimits | None:
    if isinstance(limits, bool):
        return kind() if limits else None
    if not isinstance(limits, kind):
        raise TypeError(f"limits must be True, False or {kind.__name__}(...), not {limits!r}")
    return limits


def _state(state: str | os.PathLike[str] | None) -> Path | None:
    if state is None:
        return None
    # An empty path would mean the working directory.
    if not os.fspath(state):
        raise ValueError("state must name a file; None keeps nothing")
    return Path(state)


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio turns off Nagle's algorithm, which would hold back small answers for 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {HOST}:{port}: {error.strerror}; choose another port"
        ) from None
    return listener
