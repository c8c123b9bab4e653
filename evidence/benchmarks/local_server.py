"""What the local server bears: requests, builds, log streams, templates, and how fast it is there.

The load comes from a process of its own (this file as a program), over raw sockets: a client that costs more than the
server would measure itself.
"""

import asyncio
import functools
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from figures import Figure
from loopback import Loopback

from superserve.local import LocalServer

START_S = 0.3
STREAMS = 500
TEMPLATES = 1_000
CONNECTIONS = 16
SPEED = 100
MARK = "benchmark-mark"


def measure(_loopback: Loopback, *, quick: bool) -> list[Figure]:
    """Measure start-up, requests per second, builds per second, log streams and memory."""
    return [
        *_start(3 if quick else 9),
        _requests(1.0 if quick else 5.0),
        _builds(50 if quick else 500),
        *_streams(50 if quick else STREAMS),
        *_memory(),
    ]


def _start(rounds: int) -> list[Figure]:
    def thread() -> float:
        start = time.perf_counter()
        with LocalServer() as server:
            _ask_health(server.base_url)
            return time.perf_counter() - start

    def command() -> float:
        start = time.perf_counter()
        command = [sys.executable, "-m", "superserve.local"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline(), process.stdout.readline()]
            [base_url] = [line.rstrip().partition("=")[2] for line in lines if "BASE_URL" in line]
            _ask_health(base_url)
            seconds = time.perf_counter() - start
            process.terminate()
            return seconds

    figures = []
    for name, measured in (("LocalServer()", thread), ("python -m superserve.local", command)):
        measured()
        times = [measured() for _ in range(rounds)]
        note = f"to the first answer; least {min(times) * 1e3:.0f}, most {max(times) * 1e3:.0f}"
        figures.append(
            Figure(f"start of {name}", statistics.median(times) * 1e3, "ms", at_most=START_S * 1e3, note=note)
        )
    return figures


def _ask_health(base_url: str) -> None:
    with urllib.request.urlopen(f"{base_url}/health") as answer:
        answer.read()


def _requests(seconds: float) -> Figure:
    with LocalServer(limits=False) as server:
        template_id = server.templates.add()
        answer = _load(server, "requests", f"/templates/{template_id}", str(seconds))
    note = f"{CONNECTIONS} connections, client in another process"
    return Figure("GET /templates/{template_id}", answer["per_second"], "a second", note=note)


def _builds(count: int) -> Figure:
    with LocalServer(limits=False, speed=SPEED) as server:
        answer = _load(server, "builds", str(count))
    note = f"{count} templates created and built, one step each, at speed {SPEED}"
    return Figure("builds, pretend mode", answer["per_second"], "a second", note=note)


def _streams(count: int) -> list[Figure]:
    with LocalServer(limits=False) as server:
        server.builds.hold()
        template_id = server.templates.add()
        build_id = server.builds.add(template_id, status="pending")
        server.builds.write(build_id, "the first line")
        path = f"/templates/{template_id}/builds/{build_id}/logs"
        with _process(server, "streams", path, str(count)) as process:
            assert process.stdout is not None
            # Once each has read the first line they are all open.
            held = int(process.stdout.readline())
            for _ in range(10):
                server.builds.write(build_id, f"{MARK} {time.time()}")
            server.builds.finish(build_id)
            delays = json.loads(process.stdout.readline())
    note = f"median {statistics.median(delays) * 1e3:.0f} ms of {len(delays):,} events, 10 on each stream in a row"
    return [
        Figure("log streams held at once", held, "", at_least=count),
        Figure("event to the last of them", max(delays) * 1e3, "ms, worst", note=note),
    ]


def _memory() -> list[Figure]:
    before, after = json.loads(_output([sys.executable, __file__, "memory"]))
    return [
        Figure(f"memory with {TEMPLATES:,} templates", after / 2**20, "MiB", note="whole process, resident"),
        Figure("memory of each template", (after - before) / TEMPLATES / 1024, "KiB"),
    ]


def _load(server: LocalServer, role: str, *arguments: str) -> dict[str, float]:
    with _process(server, role, *arguments) as process:
        output, _ = process.communicate(timeout=60)
    answer: dict[str, float] = json.loads(output)
    return answer


def _process(server: LocalServer, role: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, role, server.base_url, server.api_key, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


# --- the other process ------------------------------------------------------------------------------------------------


class _Caller(asyncio.Protocol):
    """Makes requests one after the other on one connection, each taken from `next_request`, until that gives None."""

    def __init__(self, next_request: Callable[[], bytes | None], done: asyncio.Future[None]) -> None:
        self._next_request = next_request
        self._done = done
        self._received = b""
        self._transport: asyncio.Transport
        self.answers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = re.search(rb"\r\ncontent-length: *(\d+)", self._received[:end].lower())
        # Long answers come in chunks, as the real server sends them.
        is_whole = (
            len(self._received) == end + 4 + int(length[1])
            if length is not None
            else self._received.endswith(b"\r\n0\r\n\r\n")
        )
        if is_whole:
            assert self._received.startswith(b"HTTP/1.1 2"), self._received
            body = self._received[end + 4 :]
            self.answers.append(body if length is not None else _unchunked(body))
            self._received = b""
            self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionResetError("the server closed the connection"))

    def _go_on(self) -> None:
        request = self._next_request()
        if request is None:
            self._done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(request)


def _unchunked(body: bytes) -> bytes:
    """Return a body that came in chunks."""
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        whole += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return whole


class _Client:
    """Where the server is, and how it is asked."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.host, _, port = base_url.removeprefix("http://").partition(":")
        self.port = int(port)
        self._headers = f"Host: {self.host}:{port}\r\nX-API-Key: {api_key}\r\n"

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """Return a request as it goes over the wire."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(content)}\r\n\r\n"
        return head.encode() + content

    async def call(self, connections: int, next_request: Callable[[], bytes | None]) -> list[bytes]:
        """Make requests on so many connections at once and return the answers' bodies."""
        loop = asyncio.get_running_loop()
        callers, all_done = [], []
        for _ in range(connections):
            done: asyncio.Future[None] = loop.create_future()
            make = functools.partial(_Caller, next_request, done)
            _, caller = await loop.create_connection(make, self.host, self.port)
            callers.append(caller)
            all_done.append(done)
        await asyncio.gather(*all_done)
        return [answer for caller in callers for answer in caller.answers]


async def _make_requests(client: _Client, path: str, seconds: str) -> None:
    request = client.request("GET", path)
    start = time.perf_counter()
    until = start + float(seconds)
    answers = await client.call(CONNECTIONS, lambda: request if time.perf_counter() < until else None)
    print(json.dumps({"per_second": len(answers) / (time.perf_counter() - start)}))


async def _make_builds(client: _Client, count: str) -> None:
    spec = {"from": "python:3.11", "steps": [{"run": "echo done"}]}
    bodies = [{"name": f"benchmark-{number}", "build_spec": spec} for number in range(int(count))]
    requests = [client.request("POST", "/templates", body) for body in bodies]
    poll = client.request("GET", "/templates?name_prefix=benchmark-")
    start = time.perf_counter()
    await client.call(CONNECTIONS, lambda: requests.pop() if requests else None)
    while True:
        polls = iter([poll])
        [answer] = await client.call(1, functools.partial(next, polls, None))
        if all(row["status"] == "ready" for row in json.loads(answer)):
            break
        await asyncio.sleep(0.05)
    print(json.dumps({"per_second": len(bodies) / (time.perf_counter() - start)}))


async def _hold_streams(client: _Client, path: str, count: str) -> None:
    request = client.request("GET", path)
    open_streams = 0
    all_open = asyncio.Event()
    delays: list[float] = []

    async def follow() -> None:
        nonlocal open_streams
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(request)
        async for line in reader:
            now = time.time()
            if b"the first line" in line:
                open_streams += 1
                if open_streams == int(count):
                    all_open.set()
            elif match := re.search(rb"%s ([\d.]+)" % MARK.encode(), line):
                delays.append(now - float(match[1]))
            elif b'"finished":true' in line:
                break
        writer.close()
        await writer.wait_closed()

    streams = [asyncio.create_task(follow()) for _ in range(int(count))]
    async with asyncio.timeout(30):
        await all_open.wait()
        print(open_streams, flush=True)
        await asyncio.gather(*streams)
    print(json.dumps(delays))


def _print_memory() -> None:
    with LocalServer(limits=False) as server:
        before = _resident_bytes()
        server.templates.add_many(TEMPLATES)
        print(json.dumps([before, _resident_bytes()]))


def _resident_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except FileNotFoundError:
        # Not Linux: the most that it has been, in bytes on macOS.
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


ROLES: dict[str, Callable[..., Coroutine[None, None, None]]] = {
    "requests": _make_requests,
    "builds": _make_builds,
    "streams": _hold_streams,
}

if __name__ == "__main__":
    if sys.argv[1] == "memory":
        _print_memory()
    else:
        role, base_url, api_key, *arguments = sys.argv[1:]
        asyncio.run(ROLES[role](_Client(base_url, api_key), *arguments))
