"""LocalServer: the stand-in on a loopback port, in a thread of its own."""

import atexit
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from superserve.local._app import arguments
from superserve.local._app.auth import Team, Teams, new_key
from superserve.local._app.limits import Limits, TeamLimits
from superserve.local._app.process import Process
from superserve.local._app.recorder import Record, Requests
from superserve.local._app.server_thread import BACKLOG, ServerThread
from superserve.local._app.settings import Settings
from superserve.local._faults.faults import Faults
from superserve.local._faults.registry import Registry
from superserve.local._machines.sandboxes.scripts import Commands
from superserve.local._official.addresses import OfficialAddresses
from superserve.local._resources import OPERATIONS
from superserve.local._resources.build_steering import Builds
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.sandbox_steering import Sandboxes
from superserve.local._resources.sandboxes import SandboxResource
from superserve.local._resources.template_steering import Templates
from superserve.local._resources.templates import TemplateResource

T = TypeVar("T")
AnyLimits = TypeVar("AnyLimits", Limits, TeamLimits)

HOST = "127.0.0.1"
MAX_PORT = 65535
# A build that may wait for two minutes has 12 ms then: any faster, and this machine is too slow for its time limits.
MAX_SPEED = 10_000


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
        isolation: What keeps commands of sandboxes apart from this machine: `auto` is bwrap or else `unshare`, and where
            neither works commands are refused. `none` runs them as plain processes: absolute paths in them are this machine's.
        seed: Makes the ids of teams, templates and builds, and what faults leave to chance, the same on every run.
        state: A file that keeps templates, builds, teams and keys from one run to the next; made if there is none.
            By default nothing is kept.

    Arguments that make no sense raise ValueError or TypeError. What needs a running server raises RuntimeError before
    `start()` and after `stop()`, and in a process that was forked while it runs.

    Attributes:
        templates: `Templates`: adds and changes templates past the API.
        builds: `Builds`: adds, holds, writes and decides builds past the API.
        sandboxes: `Sandboxes`: adds and changes sandboxes past the API, and says how they behave.
        faults: `Faults`: makes requests, log streams and builds go wrong.
        requests: `Requests`: what arrived.
        commands: `Commands`: commands of sandboxes that don't run, but do as told.

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
        isolation: str = "auto",
        seed: int | None = None,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        # What is shown of a server must also be there for one that refuses its arguments.
        self._base_url: str | None = None
        self._thread: ServerThread | None = None
        self._port = arguments.check_whole("port", port, 0, MAX_PORT)
        given_key = None if api_key is None else arguments.check_key("api_key", api_key)
        self._api_key = given_key or (new_key() if state is None else None)
        self._settings = Settings(
            api_key=self._api_key,
            limits=_read_limits(limits, Limits),
            speed=arguments.check_positive("speed", speed, MAX_SPEED),
            execute=arguments.check_flag("execute", execute),
            system_templates=arguments.check_flag("system_templates", system_templates),
            newer=arguments.check_flag("newer", newer),
            isolation=arguments.check_choice("isolation", isolation, "auto", "none"),
            seed=seed,
            state=_read_path(state),
        )
        self.templates = Templates(TemplateResource, self._running)
        self.builds = Builds(BuildResource, self._running)
        self.sandboxes = Sandboxes(SandboxResource, self._running)
        self._process = Process()
        self._faults = Registry(seed, self._process)
        self._record = Record(OPERATIONS, self._process)
        self._official = OfficialAddresses()
        self.faults = Faults(self._faults, OPERATIONS, self._running)
        self.requests = Requests(self._record)

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
        self._faults.reset()
        self.requests.clear()
        thread = ServerThread(self._settings, listener, self._faults, self._record, self._official)
        thread.start()
        self._thread = thread
        self._process.begin()
        self._base_url = f"http://{HOST}:{thread.port}"
        self._api_key = thread.services.teams.api_key
        # A server that nobody stops must still kill its builds' processes.
        atexit.register(self.stop)
        return self

    def stop(self, *, drain_s: float = 0.0) -> None:
        """Stop serving: ends log streams, builds and connections. Does nothing if the server doesn't run.

        Args:
            drain_s: How long requests that are being answered may go on, in seconds of the server's clock (see `speed`),
                while new connections are refused. The real server gives them 15; by default they end at once. A `stop()`
                in another thread ends it early.

        """
        drain_s = arguments.check_seconds("drain_s", drain_s)
        # A forked process has no part in it: it ends, as it began, with its parent's.
        thread = self._thread
        if thread is None or self._process.is_forked:
            return
        if drain_s:
            thread.drain(drain_s)
        if self._thread is not thread:
            # Stopped meanwhile by somebody else.
            thread.stop()
            return
        self._thread = None
        self._process.end()
        atexit.unregister(self.stop)
        thread.stop()
        self._official.close()

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

    def official_environment(self, *, tunnel: bool = False) -> dict[str, str]:
        """Answer for the real service's addresses too, and return the variables that lead a program here.

        A program with an official SDK asks for `https://api.superserve.ai` and the like. With these variables in its
        environment it takes this server for its HTTPS proxy, which answers in their place; its code stays as it is. It
        has to start with them: SDKs read them once. The server does so until it stops, with a certificate authority
        that is made now and trusted by nobody else.

        Needs the extra `official`; raises ImportError without it.

        Args:
            tunnel: Whether a program may reach all other hosts through this server as well; by default they are refused.

        """
        self._running()
        self._official.open(tunnels=arguments.check_flag("tunnel", tunnel))
        return self._official.environment(self.base_url, self.api_key)

    @property
    def commands(self) -> Commands:
        """Commands of sandboxes that don't run, but do as told; see `Commands`."""
        return self._running().services.commands

    def add_team(self, *, limits: TeamLimits | bool = False) -> Team:
        """Add a team with a key of its own; by default it has no limits.

        Args:
            limits: True for the real server's figures, False for none, or a `TeamLimits` of your own.

        """
        checked = _read_limits(limits, TeamLimits)

        def add(teams: Teams) -> Team:
            team = teams.add(checked)
            return Team(team.id, teams.add_key(team.id))

        return self._call(add)

    def add_key(self, team_id: str | None = None) -> str:
        """Add a key and return it; KeyError if there is no such team.

        Args:
            team_id: Whose key it is: any team's, also the system team's, which owns the `superserve/...` templates.
                By default the server's own team.

        """
        return self._call(lambda teams: teams.add_key(team_id))

    def revoke_key(self, key: str) -> None:
        """Refuse a key from now on; KeyError if there is no such one."""
        self._call(lambda teams: teams.revoke_key(key))

    def _call(self, work: Callable[[Teams], T]) -> T:
        thread = self._running()

        async def call() -> T:
            return work(thread.services.teams)

        return thread.call(call())

    def _running(self) -> ServerThread:
        if self._thread is None:
            raise RuntimeError("the server does not run: call start(), or use it in a with statement")
        self._process.check()
        return self._thread


def _read_limits(limits: bool | AnyLimits, kind: type[AnyLimits]) -> AnyLimits | None:
    if isinstance(limits, bool):
        return kind() if limits else None
    if not isinstance(limits, kind):
        raise TypeError(f"limits must be True, False or {kind.__name__}(...), not {limits!r}")
    return limits


def _read_path(state: str | os.PathLike[str] | None) -> Path | None:
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
