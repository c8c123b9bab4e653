"""What all tests share: a clean environment, a local server, and the check that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from superserve._http import retry
from tests.wire import PATIENCE_S, Answer, Deaf, Sipping, Wire

if TYPE_CHECKING:
    from superserve.local import LocalServer

KEY = "ss_live_0123456789abcdef0123456789abcdef"
# No machine has a family of addresses with this number.
NO_FAMILY = 9999
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(scope="session", autouse=True)
def _signals() -> None:
    """Heed Ctrl-C and hang-ups: what runs under nohup or in the background ignores them, and so would its children."""
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Forget what the environment says of servers, keys and proxies."""
    for name in os.environ:
        if name.startswith("SUPERSERVE_") or name.upper() in PROXY_VARIABLES:
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def key() -> str:
    """A key that is good for any server that doesn't look at it."""
    return KEY


@pytest.fixture(scope="session")
def _server() -> Iterator[LocalServer]:
    # Here, as some tests run where the extra is not installed: nox -s wheel.
    from superserve.local import LocalServer

    with LocalServer(speed=100, limits=False, system_templates=False) as server:
        yield server


@pytest.fixture
def server(_server: LocalServer) -> LocalServer:
    """The local server, as it is at its start, a hundred times faster than the real one and without limits."""
    _server.reset()
    return _server


@pytest.fixture
def lift_limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let nothing end builds of local servers but the limits not named: a machine that stops may exceed several at once."""
    from superserve.local._machines import build_host
    from superserve.local._resources import build_queue

    def lift_limits(*names: str) -> None:
        for name in names:
            monkeypatch.setattr(build_host if name == "BUILD_LIMIT_S" else build_queue, name, 1e9)

    return lift_limits


@pytest.fixture
def serve() -> Iterator[Callable[..., Wire]]:
    """Start servers that answer as scripted; see `wire`."""
    wires: list[Wire] = []

    def serve(*answers: Answer) -> Wire:
        wires.append(Wire(*answers))
        return wires[-1].__enter__()

    yield serve
    for wire in wires:
        wire.__exit__()


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat requests at once; a Retry-After header is obeyed for a hundredth of a second."""
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.0)
    monkeypatch.setattr(retry, "LONGEST_DELAY_S", 0.01)


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    """A server that never accepts a connection."""
    with Deaf() as deaf:
        yield deaf


@pytest.fixture
def sipping() -> Iterator[Sipping]:
    """A server that reads very slowly and never answers."""
    with Sipping() as sipping:
        yield sipping


class Named:
    """A host that is known by its name only."""

    def __init__(self, port: int) -> None:
        self.url = f"http://named.test:{port}"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Named]]:
    """Make hosts with several addresses, of which some are deaf, some refuse, and one is of a kind that is lacking."""
    with contextlib.ExitStack() as listeners:

        def named(
            port: int,
            *,
            deaf: Iterable[str] = (),
            refusing: Iterable[str] = (),
            heard: str | None = None,
            lacking: bool = False,
        ) -> Named:
            for host in deaf:
                port = listeners.enter_context(Deaf(host, port)).port
            if not port:
                with socket.socket() as unused:
                    unused.bind(("127.0.0.1", 0))
                    port = unused.getsockname()[1]
            hosts = [*deaf, *refusing, *([heard] if heard else [])]
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]
            if lacking:
                # As IPv6 where it is switched off: its addresses are known all the same.
                found.insert(0, (NO_FAMILY, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)))

            def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
                if not found:
                    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
                return found

            monkeypatch.setattr(socket, "getaddrinfo", look_up)
            return Named(port)

        yield named


@pytest.fixture
def unresolved(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Named]]:
    """Have names looked up, from a call of this on, for as long as the test lasts."""
    release = threading.Event()

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        release.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def unresolved() -> Named:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return Named(80)

    yield unresolved
    release.set()


class Belongings:
    """The threads and sockets of this process; `left()` tells those that weren't there before."""

    def __init__(self) -> None:
        self._before = self._now()

    def readers(self) -> set[str]:
        """Return what reads logs at this moment: threads, and tasks of the running event loop."""
        names = [thread.name for thread in threading.enumerate()]
        with contextlib.suppress(RuntimeError):
            names += [task.get_name() for task in asyncio.all_tasks()]
        return {name for name in names if name.startswith("superserve-log")}

    def wait_for_readers(self) -> None:
        """Wait until nothing reads logs: what is interrupted while its thread starts does not wait for that."""
        until = time.monotonic() + PATIENCE_S
        while readers := self.readers():
            assert time.monotonic() < until, readers
            time.sleep(0.005)

    def left(self) -> set[str]:
        until = time.monotonic() + PATIENCE_S
        while (left := self._now() - self._before) and time.monotonic() < until:
            time.sleep(0.005)
        return left

    def _now(self) -> set[str]:
        # Those of an event loop's own pool live as long as it; here it is the local server's.
        threads = {
            f"thread {thread.name} {thread.ident}"
            for thread in threading.enumerate()
            if not thread.name.startswith("asyncio_")
        }
        return threads | sockets()


def sockets() -> set[str]:
    """Return the network sockets of this process, where the system tells them."""
    found = set()
    folder = Path("/proc/self/fd")
    for file in folder.iterdir() if folder.is_dir() else ():
        # Files may be closed meanwhile; the folder itself is one of them.
        with contextlib.suppress(OSError):
            target = str(file.readlink())
            if target.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as sock:
                    # The pairs of unnamed sockets by which event loops wake themselves up are pytest-asyncio's.
                    if sock.family != socket.AF_UNIX:
                        found.add(target)
    return found


@pytest.fixture
def belongings(server: LocalServer) -> Belongings:
    """What this process has before the test, so that the test can ask what is left behind."""
    return Belongings()


# Tests of the tools, of the generator among them, and of made-up requests by the hundred.
SLOW = {"evidence", "fuzz", "test_regenerate.py", "test_unasync.py", "test_conformance_elsewhere.py"}


def pytest_collection_modifyitems(items):
    """Mark what `nox -s tests` leaves to `nox -s tests_slow`."""
    for item in items:
        if SLOW & set(item.path.relative_to(Path(__file__).parent).parts):
            item.add_marker(pytest.mark.slow)
