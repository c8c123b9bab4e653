"""Commands and files of a sandbox, against httpx and websockets doing the same work; memory, each in a fresh process.

As a program it is such a process: it uploads or downloads one file, and prints the most MiB that it has held before that,
and at all.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
from calls import API_KEY
from figures import Comparison, Figure, Stopwatch, Taken, compared
from httpx_sse import EventSource
from loopback import OUTPUT_BYTES, SANDBOX_ID, TOGETHER, TOGETHER_BYTES, Loopback
from memory import peak
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from superserve import AsyncSandbox, AsyncSuperserve, Sandbox, Superserve

TOKEN = "a1" * 32
HEADERS = {"X-Access-Token": TOKEN, "X-Superserve-Sandbox-Id": SANDBOX_ID}
# Of a call: the deadline, the retries, the checks and the values.
RUN_RATIO = 1.15
# Of the plain reader's bytes a second. The rest is for a value of each event, and for keeping the output.
STREAM_RATE = 0.7
FILE_RATE = 0.8
ECHO_RATE = 0.8
# More than the process had before: what is in memory of a file at a time.
MORE_MIB = 16.0
_ECHOED = b"x" * 1024
_MIB = 1 << 20

Work = Callable[[], object]
AsyncWork = Callable[[], Awaitable[object]]


@attrs.frozen
class Both:
    """A plain client and ours of each colour, for one scenario of the server."""

    http: httpx.Client
    sandbox: Sandbox
    async_http: httpx.AsyncClient
    async_sandbox: AsyncSandbox
    runner: asyncio.Runner

    def compare(
        self,
        sync: tuple[Work, Work],
        coroutines: tuple[AsyncWork, AsyncWork],
        *,
        rounds: int,
        times: int = 1,
        before: Callable[[], object] = lambda: None,
    ) -> Iterator[tuple[str, Comparison]]:
        """Yield each colour and how ours compares to the plain program; `before` is not counted."""

        def take(work: Work) -> Callable[[], Taken]:
            return lambda: (before(), _take(work, times))[1]

        def run(work: AsyncWork) -> Callable[[], Taken]:
            return lambda: (before(), self.runner.run(_take_async(work, times)))[1]

        yield "sync", compared(*map(take, sync), rounds=rounds)
        yield "async", compared(*map(run, coroutines), rounds=rounds)


def measure(server: Loopback, *, quick: bool) -> list[Figure]:
    """Measure commands over their three transports, files, and many streams at once, sync and async."""
    with _both(server) as both:
        figures = _commands(both, server.url("sandbox"), quick=quick)
        with tempfile.TemporaryDirectory() as folder:
            mib = 16 if quick else 256
            source = Path(folder, str(mib))
            with source.open("wb") as file:
                file.truncate(mib * _MIB)
            figures += _files(both, source, quick=quick)
            figures += [
                _memory(server, what, colour, source, rounds=1 if quick else 3)
                for what in ("upload", "download")
                for colour in ("sync", "async")
            ]
    figures += [
        _together(server, rounds=1 if quick else 5),
        _together_async(server, rounds=1 if quick else 5),
    ]
    return figures


def _commands(both: Both, base_url: str, *, quick: bool) -> list[Figure]:
    http, sandbox = both.http, both.sandbox
    async_http, async_sandbox = both.async_http, both.async_sandbox
    rounds, calls, echoes = (3, 20, 50) if quick else (31, 100, 500)
    runs = both.compare(
        (lambda: _plain_run(http), lambda: sandbox.commands.run("true")),
        (lambda: _plain_run_async(async_http), lambda: async_sandbox.commands.run("true")),
        rounds=rounds,
        times=calls,
    )
    figures = [
        Figure(
            f'run("true"), {colour}', found.ratio, "x plain CPU", at_most=RUN_RATIO, note=_note(found, calls)
        )
        for colour, found in runs
    ]
    streams = both.compare(
        (lambda: _plain_stream(http), lambda: sandbox.commands.run("cat", on_stdout=_ignore)),
        (
            lambda: _plain_stream_async(async_http),
            lambda: async_sandbox.commands.run("cat", on_stdout=_ignore),
        ),
        rounds=rounds,
    )
    figures += [
        _rate(f"run(on_stdout=), {colour}", found, OUTPUT_BYTES, STREAM_RATE) for colour, found in streams
    ]
    url = base_url.replace("http", "ws", 1) + "/exec/connect"
    echo = both.compare(
        (lambda: _plain_echo(url, echoes), lambda: _echo(sandbox, echoes)),
        (lambda: _plain_echo_async(url, echoes), lambda: _echo_async(async_sandbox, echoes)),
        rounds=rounds,
    )
    figures += [
        _rate(f"echo of {len(_ECHOED)} bytes, {colour}", found, echoes * len(_ECHOED), ECHO_RATE)
        for colour, found in echo
    ]
    return figures


def _files(both: Both, source: Path, *, quick: bool) -> list[Figure]:
    http, sandbox = both.http, both.sandbox
    async_http, async_sandbox = both.async_http, both.async_sandbox
    rounds = 1 if quick else 7
    target, remote, size = source.with_name("target"), f"/tmp/{source.name}", source.stat().st_size
    uploads = both.compare(
        (lambda: _plain_upload(http, source, remote), lambda: sandbox.files.upload(source, remote)),
        (
            lambda: _plain_upload_async(async_http, source, remote),
            lambda: async_sandbox.files.upload(source, remote),
        ),
        rounds=rounds,
    )
    figures = [_rate(f"upload, {colour}", found, size, FILE_RATE) for colour, found in uploads]
    downloads = both.compare(
        (lambda: _plain_download(http, remote, target), lambda: sandbox.files.download(remote, target)),
        (
            lambda: _plain_download_async(async_http, remote, target),
            lambda: async_sandbox.files.download(remote, target),
        ),
        rounds=rounds,
        # To remove the one before takes as long as to write another.
        before=lambda: target.unlink(missing_ok=True),
    )
    return figures + [_rate(f"download, {colour}", found, size, FILE_RATE) for colour, found in downloads]


# -- The same work, in plain httpx and websockets


def _plain_run(http: httpx.Client) -> None:
    answer = http.post("/exec", json={"command": "true", "timeout_s": 30})
    json.loads(answer.raise_for_status().content)


async def _plain_run_async(http: httpx.AsyncClient) -> None:
    answer = await http.post("/exec", json={"command": "true", "timeout_s": 30})
    json.loads(answer.raise_for_status().content)


def _plain_stream(http: httpx.Client) -> None:
    pieces = []
    with http.stream("POST", "/exec/stream", json={"command": "cat", "timeout_s": 30}) as response:
        for sse in EventSource(response).iter_sse():
            event = json.loads(sse.data)
            if "stdout" in event:
                pieces.append(event["stdout"])
                _ignore(event["stdout"])
    "".join(pieces)


async def _plain_stream_async(http: httpx.AsyncClient) -> None:
    pieces = []
    async with http.stream("POST", "/exec/stream", json={"command": "cat", "timeout_s": 30}) as response:
        async for sse in EventSource(response).aiter_sse():
            event = json.loads(sse.data)
            if "stdout" in event:
                pieces.append(event["stdout"])
                _ignore(event["stdout"])
    "".join(pieces)


def _plain_echo(url: str, count: int) -> None:
    protocols = [Subprotocol("superserve.exec.v1"), Subprotocol(f"token.{TOKEN}")]
    with connect(url, additional_headers=HEADERS, subprotocols=protocols, compression=None) as socket:
        socket.send('{"command":"cat"}')
        for _ in range(count):
            socket.send(b"\0" + _ECHOED)
            if socket.recv() != b"\1" + _ECHOED:
                raise RuntimeError("something else came back")
        socket.send('{"type":"stdin_close"}')
        socket.recv()


async def _plain_echo_async(url: str, count: int) -> None:
    protocols = [Subprotocol("superserve.exec.v1"), Subprotocol(f"token.{TOKEN}")]
    async with connect_async(
        url, additional_headers=HEADERS, subprotocols=protocols, compression=None
    ) as socket:
        await socket.send('{"command":"cat"}')
        for _ in range(count):
            await socket.send(b"\0" + _ECHOED)
            if await socket.recv() != b"\1" + _ECHOED:
                raise RuntimeError("something else came back")
        await socket.send('{"type":"stdin_close"}')
        await socket.recv()


def _echo(sandbox: Sandbox, count: int) -> None:
    with sandbox.commands.spawn("cat") as session:
        outputs = iter(session)
        for _ in range(count):
            session.stdin.write(_ECHOED)
            if next(outputs).data != _ECHOED:
                raise RuntimeError("something else came back")
        session.stdin.close()
        session.wait()


async def _echo_async(sandbox: AsyncSandbox, count: int) -> None:
    async with await sandbox.commands.spawn("cat") as session:
        outputs = aiter(session)
        for _ in range(count):
            await session.stdin.write(_ECHOED)
            if (await anext(outputs)).data != _ECHOED:
                raise RuntimeError("something else came back")
        await session.stdin.close()
        await session.wait()


def _plain_upload(http: httpx.Client, source: Path, remote: str) -> None:
    with source.open("rb") as file:
        http.post("/files", params={"path": remote}, content=file).raise_for_status()


async def _plain_upload_async(http: httpx.AsyncClient, source: Path, remote: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        with source.open("rb") as file:
            while piece := file.read(64 * 1024):
                yield piece

    (await http.post("/files", params={"path": remote}, content=pieces())).raise_for_status()


def _plain_download(http: httpx.Client, remote: str, target: Path) -> None:
    with http.stream("GET", "/files", params={"path": remote}) as response, target.open("wb") as file:
        for piece in response.iter_bytes():
            file.write(piece)


async def _plain_download_async(http: httpx.AsyncClient, remote: str, target: Path) -> None:
    async with http.stream("GET", "/files", params={"path": remote}) as response:
        with target.open("wb") as file:
            async for piece in response.aiter_bytes():
                file.write(piece)


# -- Many at once


def _together_async(server: Loopback, *, rounds: int) -> Figure:
    url = server.url("together")

    async def plain() -> Taken:
        limits = httpx.Limits(max_connections=TOGETHER)
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, limits=limits) as http:
            watch = Stopwatch()
            await asyncio.gather(*(_plain_stream_async(http) for _ in range(TOGETHER)))
            return watch.taken()

    async def ours() -> Taken:
        async with AsyncSuperserve(api_key=API_KEY, base_url=url) as client:
            sandbox = await AsyncSandbox.connect(SANDBOX_ID, client=client)
            watch = Stopwatch()
            await asyncio.gather(*(sandbox.commands.run("cat", on_stdout=_ignore) for _ in range(TOGETHER)))
            return watch.taken()

    found = compared(lambda: asyncio.run(plain()), lambda: asyncio.run(ours()), rounds=rounds)
    return _rate(f"{TOGETHER} streams at once, async", found, TOGETHER * TOGETHER_BYTES, STREAM_RATE)


def _together(server: Loopback, *, rounds: int) -> Figure:
    url = server.url("together")

    def in_threads(work: Work) -> Taken:
        threads = [threading.Thread(target=work) for _ in range(TOGETHER)]
        watch = Stopwatch()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return watch.taken()

    def plain() -> Taken:
        limits = httpx.Limits(max_connections=TOGETHER)
        with httpx.Client(base_url=url, headers=HEADERS, limits=limits) as http:
            return in_threads(lambda: _plain_stream(http))

    def ours() -> Taken:
        with Superserve(api_key=API_KEY, base_url=url) as client:
            sandbox = Sandbox.connect(SANDBOX_ID, client=client)
            return in_threads(lambda: sandbox.commands.run("cat", on_stdout=_ignore))

    found = compared(plain, ours, rounds=rounds)
    return _rate(f"{TOGETHER} streams at once, sync", found, TOGETHER * TOGETHER_BYTES, STREAM_RATE)


# -- Around it


@contextmanager
def _both(server: Loopback) -> Iterator[Both]:
    url = server.url("sandbox")
    with (
        httpx.Client(base_url=url, headers=HEADERS) as http,
        Superserve(api_key=API_KEY, base_url=url) as client,
        asyncio.Runner() as runner,
    ):
        async_http = httpx.AsyncClient(base_url=url, headers=HEADERS)
        async_client = AsyncSuperserve(api_key=API_KEY, base_url=url)
        try:
            yield Both(
                http,
                Sandbox.connect(SANDBOX_ID, client=client),
                async_http,
                runner.run(AsyncSandbox.connect(SANDBOX_ID, client=async_client)),
                runner,
            )
        finally:
            runner.run(async_http.aclose())
            runner.run(async_client.aclose())


def _take(work: Work, times: int) -> Taken:
    watch = Stopwatch()
    for _ in range(times):
        work()
    return watch.taken()


async def _take_async(work: AsyncWork, times: int) -> Taken:
    watch = Stopwatch()
    for _ in range(times):
        await work()
    return watch.taken()


def _note(found: Comparison, calls: int) -> str:
    plain, ours = found.plain, found.ours
    cpu = f"{plain.cpu / calls * 1e6:.0f} -> {ours.cpu / calls * 1e6:.0f} µs CPU a call"
    return f"{cpu}; {plain.wall / calls * 1e6:.0f} -> {ours.wall / calls * 1e6:.0f} µs on the clock"


def _rate(name: str, found: Comparison, size: int, target: float) -> Figure:
    rates = f"{size / found.plain.wall / _MIB:,.1f} -> {size / found.ours.wall / _MIB:,.1f} MiB a second"
    return Figure(name, 1 / found.ratio, "x plain rate, CPU", at_least=target, note=f"{rates} on the clock")


def _ignore(_text: str) -> None:
    pass


def _memory(server: Loopback, what: str, colour: str, source: Path, *, rounds: int) -> Figure:
    taken, peaks = [], []
    for _ in range(rounds):
        command = [sys.executable, __file__, what, colour, server.url("sandbox"), str(source)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        before, most = map(float, printed.split())
        taken.append(most - before)
        peaks.append(most)
    note = (
        f"{source.name} MiB; {min(taken):.1f} to {max(taken):.1f}; {statistics.median(peaks):.1f} MiB in all"
    )
    # As little as 0 is possible, where all of it fits into what importing has left.
    more = max(statistics.median(taken), 0.01)
    return Figure(
        f"memory for an {what}, {colour}".replace("an d", "a d"), more, "MiB", at_most=MORE_MIB, note=note
    )


def _copy(what: str, url: str, file: Path) -> None:
    with Superserve(api_key=API_KEY, base_url=url) as client:
        sandbox = Sandbox.connect(SANDBOX_ID, client=client)
        sandbox.commands.run("true")
        before = peak()
        if what == "upload":
            sandbox.files.upload(file, f"/tmp/{file.name}")
        else:
            sandbox.files.download(f"/tmp/{file.name}", file.with_suffix(".copy"))
        print(before, peak())


async def _copy_async(what: str, url: str, file: Path) -> None:
    async with AsyncSuperserve(api_key=API_KEY, base_url=url) as client:
        sandbox = await AsyncSandbox.connect(SANDBOX_ID, client=client)
        await sandbox.commands.run("true")
        before = peak()
        if what == "upload":
            await sandbox.files.upload(file, f"/tmp/{file.name}")
        else:
            await sandbox.files.download(f"/tmp/{file.name}", file.with_suffix(".copy"))
        print(before, peak())


if __name__ == "__main__":
    _, what, colour, url, path = sys.argv
    if colour == "sync":
        _copy(what, url, Path(path))
    else:
        asyncio.run(_copy_async(what, url, Path(path)))
