"""LocalServer: the local server on a loopback port, in a thread of its own."""

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
from superserve.local._machines.interpreter import Interpreter
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
# At this speed a build may wait for 12 ms instead of two minutes. At any higher speed most machines miss time limits.
MAX_SPEED = 10_000


class LocalServer:
    """A local server in place of the Superserve service, on a free loopback port.

    Use it as a context manager, or call `start()` and `stop()`. Any number of servers can run at once, each with its own
    rows. A stopped server can be started again, with new rows and, unless `port` is given, on another port.

    Args:
        port: The port to listen on; 0 takes a free one.
        api_key: The key that clients must send. Default: a random one.
        execute: Whether to run build steps as processes of this machine. Default: builds are simulated.
        speed: How many times shorter waits are than on the real server: at 100, the build queue moves every 10 ms
            instead of every second. At most 10,000. Rate limits always count real seconds.
        limits: True for the real server's rate limits, quotas and caps, False for none, or a `Limits` of your own.
        system_templates: Whether there are the curated `superserve/...` templates.
        newer: Whether to answer like a later version of the server: more fields, unknown statuses, paging.
        isolation: How commands of sandboxes are isolated from this machine. `auto` uses bwrap or `unshare`, and refuses
            commands if neither works. `none` runs them as plain processes, whose absolute paths are this machine's.
        python: The path of a Python interpreter. Build steps (`execute`) and commands of sandboxes find it as `python` and
            `python3`, with the packages of its venv if it has one. They can read it, but not change it. Default: the
            programs that this machine has in the usual folders.
        seed: Makes the ids of teams, templates and builds, and random faults, the same on every run.
        state: A file that keeps templates, builds, teams and keys between runs. It is created if it does not exist.
            Default: nothing is kept.

    Invalid arguments raise ValueError or TypeError. Methods that need a running server raise RuntimeError before
    `start()`, after `stop()`, and in a process that was forked while it runs.

    Attributes:
        templates: `Templates`: adds and changes templates without the API.
        builds: `Builds`: adds, holds, writes and decides builds without the API.
        sandboxes: `Sandboxes`: adds and changes sandboxes without the API, and sets their behaviour.
        faults: `Faults`: makes requests, log streams and builds fail.
        requests: `Requests`: the requests that arrived.
        commands: `Commands`: scripted results for commands of sandboxes.

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
        python: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        # repr() must also work on a server that has refused its arguments.
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
            python=None if python is None else Interpreter.find(python),
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
        """The server's address, such as `http://127.0.0.1:40123`. It stays known after `stop()`."""
        if self._base_url is None:
            raise RuntimeError("the server has no address yet: call start(), or use it in a with statement")
        return self._base_url

    @property
    def api_key(self) -> str:
        """The key of the server's own team. With a state file it is known after `start()`."""
        if self._api_key is None:
            raise RuntimeError(
                "the key is in the state file: call start(), or use the server in a with statement"
            )
        return self._api_key

    def start(self) -> Self:
        """Start serving. Returns when requests are answered.

        Raises OSError if the port is not available, and StateError if the state file cannot be used.
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
        # If nobody stops the server, its builds' processes must still be killed.
        atexit.register(self.stop)
        return self

    def stop(self, *, drain_s: float = 0.0) -> None:
        """Stop serving: end log streams, builds and connections. Does nothing if the server does not run.

        Args:
            drain_s: How long open requests may go on, in seconds of the server's clock (see `speed`). New connections
                are refused meanwhile. The real server gives them 15 s; by default they end at once. A `stop()` from
                another thread ends the wait.

        """
        drain_s = arguments.check_seconds("drain_s", drain_s)
        thread = self._thread
        # A forked process does not stop it: the server belongs to the parent.
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
        """Show the address, but never the key."""
        state = f"at {self._base_url}" if self._thread is not None else "not running"
        return f"<LocalServer {state}>"

    def reset(self) -> None:
        """Go back to the initial state, without waiting.

        The server then has its own team, key and system templates, full rate limits, and no builds, faults or recorded
        requests. Log streams, and requests that a fault holds, are ended.
        """
        thread = self._running()
        thread.call(thread.backend.reset())

    def official_environment(self, *, tunnel: bool = False) -> dict[str, str]:
        """Also answer for the real service's addresses, and return the variables that lead a program here.

        A program with an official SDK calls `https://api.superserve.ai` and similar addresses. With these variables in its
        environment it uses this server as its HTTPS proxy, which answers instead; the program's code does not change. The
        variables must be set when it starts: SDKs read them once. The server does this until it stops, with a certificate
        authority that is made at this call and that nobody else trusts.

        Needs the extra `official`; raises ImportError without it.

        Args:
            tunnel: Whether a program may also reach all other hosts through this server. Default: they are refused.

        """
        self._running()
        self._official.open(tunnels=arguments.check_flag("tunnel", tunnel))
        return self._official.environment(self.base_url, self.api_key)

    @property
    def commands(self) -> Commands:
        """Scripted results for commands of sandboxes; see `Commands`."""
        return self._running().services.commands

    def add_team(self, *, limits: TeamLimits | bool = False) -> Team:
        """Add a team with its own key. By default it has no limits.

        Args:
            limits: True for the real server's values, False for none, or a `TeamLimits` of your own.

        """
        checked = _read_limits(limits, TeamLimits)

        def add(teams: Teams) -> Team:
            team = teams.add(checked)
            return Team(team.id, teams.add_key(team.id))

        return self._call(add)

    def add_key(self, team_id: str | None = None) -> str:
        """Add a key, and return it; KeyError if there is no such team.

        Args:
            team_id: The team of the key: any team, including the system team, which owns the `superserve/...` templates.
            Default: the server's own team.

        """
        return self._call(lambda teams: teams.add_key(team_id))

    def revoke_key(self, key: str) -> None:
        """Refuse a key from now on; KeyError if there is no such key."""
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
    # With the protocol named, asyncio turns off Nagle's algorithm, which would delay small answers by 40 ms.
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
