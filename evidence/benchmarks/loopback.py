"""A server that costs next to nothing: prepared bytes over raw sockets, in a process of its own.

Every scenario is a path that a client takes for its base URL:

- `/calls`: a template that is ready, a build of it, and the answer to creating one.
- `/list-N`: N templates.
- `/log-N-events` and `/log-N-blocks`: builds with a log of N events, in one HTTP chunk each (as the real server sends
  them) or in chunks of 64 KiB (as a proxy may). A build's row is building when it is first asked for, then ready.
  `/log-N-events-M` and `/log-N-blocks-M`: the same, but the first connection of each log breaks after M events, and the
  second one begins at the start again.
- `/waits`: each template created is built for a few seconds, and its row follows the log's end up to a second later.
- `/endless`: a build that goes on for ever, and says nothing after its first log event.
- `/sandbox`: a sandbox. A command without a stream ends at once; one with a stream prints 20,000 lines in pieces of about 1 KiB,
  each an event and a chunk; on a WebSocket it sends back what it is sent. A file has as many MiB
  as its name says, and takes any number.
- `/together`: the same with 2,000 lines, but streams begin when 100 are open.
"""

import asyncio
import itertools
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import attrs
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

HOST = "127.0.0.1"
TEMPLATE_ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
BUILD_ID = "5d1f8a52-73c4-4f0e-9d2b-2f8f6b9f3c11"
SANDBOX_ID = "9f6a2b1c-3d4e-4f50-8a6b-7c8d9e0f1a2b"
TEAM_ID = "7b2c1f0e-64f9-4e0a-8f0d-0a4f5c3b2e10"

BUILD_S = 2.5
LOG_EVERY_S = 0.2
# How far rows lag behind the end of their logs, one template after the other: the real server looks every second.
LAGS_S = (0.1, 0.9, 0.5, 0.3, 0.7)
BLOCK = 64 * 1024
TOGETHER = 100
OUTPUT_EVENTS = 1_250
TOGETHER_EVENTS = 125
OUTPUT_TEXT = "".join(
    f"collecting package {number:05}, it is not here yet: download it\n" for number in range(16)
)
OUTPUT_BYTES = OUTPUT_EVENTS * len(OUTPUT_TEXT)
TOGETHER_BYTES = TOGETHER_EVENTS * len(OUTPUT_TEXT)


class Loopback:
    """The server's process, as the benchmarks see it."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self._port = port

    def url(self, scenario: str) -> str:
        """Return the base URL of a scenario."""
        return f"http://{HOST}:{self._port}/{scenario}"

    def connections(self) -> int:
        """Return how many connections have been made to the server."""
        return self._ask("connections")

    def requests(self) -> int:
        """Return how many requests have come to the server."""
        return self._ask("requests")

    def _ask(self, question: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(question, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@contextmanager
def running() -> Iterator[Loopback]:
    """Run the server as long as the context lasts; it also ends when this process does."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Loopback(process, int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(10)


@attrs.define
class _Build:
    """A build of the scenario `/waits`."""

    template_id: str
    id: str
    started: float
    lag_s: float

    @property
    def ready_at(self) -> float:
        return self.started + BUILD_S + self.lag_s

    @property
    def status(self) -> str:
        return "ready" if _now() >= self.ready_at else "building"


class _Broken(bytes):
    """What is sent before the connection breaks."""


class _Server:
    """What is served, and what has been seen."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self._answers: dict[str, bytes] = {
            f"GET /calls/templates/{TEMPLATE_ID}": _json_answer(template()),
            f"GET /calls/templates/{TEMPLATE_ID}/builds/{BUILD_ID}": _json_answer(_build_row("building")),
            "POST /calls/templates": _json_answer(_created(TEMPLATE_ID, BUILD_ID), "202 Accepted"),
            f"GET /endless/templates/{TEMPLATE_ID}": _json_answer(
                {**template(status="building"), "latest_build_id": BUILD_ID}
            ),
            f"GET /endless/templates/{TEMPLATE_ID}/builds/{BUILD_ID}": _json_answer(_build_row("building")),
            f"GET /endless/templates/{TEMPLATE_ID}/builds/{BUILD_ID}/logs": (
                _STREAM_HEAD + _chunk(_event(0, "the only line"))
            ),
        }
        for scenario in ("sandbox", "together"):
            self._answers[f"POST /{scenario}/sandboxes/{SANDBOX_ID}/activate"] = _json_answer(_sandbox())
        self._answers["POST /sandbox/exec"] = _json_answer({"stdout": "", "stderr": "", "exit_code": 0})
        self._answers["POST /sandbox/exec/stream"] = _output(OUTPUT_EVENTS)
        self._answers["POST /together/exec/stream"] = _output(TOGETHER_EVENTS)
        self.together: list[_Connection] = []
        self._polled: set[str] = set()
        self._broken: set[str] = set()
        self._builds: dict[str, _Build] = {}
        self._lags = itertools.cycle(LAGS_S)
        log, waited = r"GET /log-\d+-[\w-]+/templates/[^/]+", "GET /waits/templates/([^/]+)"
        self._routes: list[tuple[re.Pattern[str], Callable[..., bytes | _Build]]] = [
            (re.compile(pattern), make)
            for pattern, make in (
                (r"GET /list-(\d+)/templates", self._list),
                (log, self._log_template),
                (f"{log}/builds/([^/]+)", self._log_build),
                (r"GET /log-(\d+)-(\w+)/templates/[^/]+/builds/[^/]+/logs", self._log),
                (r"GET /log-(\d+)-(\w+)-(\d+)/templates/[^/]+/builds/([^/]+)/logs", self._broken_log),
                ("POST /waits/templates", self._create),
                (waited, self._waited_template),
                (f"{waited}/builds/[^/]+", self._waited_build),
                (f"{waited}/builds/[^/]+/logs", self._waited_log),
            )
        ]

    def answer(self, request: str) -> "bytes | _Build":
        """Return what answers a request: bytes, or the build whose log is to be sent as it comes."""
        self.requests += 1
        if request in self._answers:
            return self._answers[request]
        for pattern, make in self._routes:
            if match := pattern.fullmatch(request):
                return make(*match.groups())
        return _json_answer({"error": {"code": "not_found", "message": request}}, "404 Not Found")

    def gather(self, connection: "_Connection") -> None:
        """Answer a stream when enough of them are open."""
        self.together.append(connection)
        if len(self.together) == TOGETHER:
            for each in self.together:
                each.write(self._answers["POST /together/exec/stream"])
            self.together.clear()

    def _list(self, count: str) -> bytes:
        return self._kept(
            f"list {count}", lambda: _json_answer([template(number) for number in range(int(count))])
        )

    def _log_template(self) -> bytes:
        return _json_answer(template())

    def _log_build(self, build_id: str) -> bytes:
        status = "ready" if build_id in self._polled else "building"
        self._polled.add(build_id)
        return _json_answer(_build_row(status))

    def _log(self, count: str, framing: str) -> bytes:
        return self._kept(
            f"log {count} {framing}", lambda: _whole_log(int(count), in_blocks=framing == "blocks")
        )

    def _broken_log(self, count: str, framing: str, most: str, build_id: str) -> bytes:
        if build_id in self._broken:
            return self._log(count, framing)
        self._broken.add(build_id)
        return self._kept(
            f"log {most} of {count} {framing}",
            lambda: _Broken(_whole_log(int(count), in_blocks=framing == "blocks", most=int(most))),
        )

    def _create(self) -> bytes:
        number = len(self._builds)
        build = _Build(_uuid(2 * number), _uuid(2 * number + 1), _now(), next(self._lags))
        self._builds[build.template_id] = build
        return _json_answer(_created(build.template_id, build.id), "202 Accepted")

    def _waited_template(self, template_id: str) -> bytes:
        build = self._builds[template_id]
        built_at = datetime.fromtimestamp(build.ready_at, UTC).isoformat()
        return _json_answer({**template(status=build.status), "id": template_id, "built_at": built_at})

    def _waited_build(self, template_id: str) -> bytes:
        build = self._builds[template_id]
        return _json_answer(_build_row(build.status, template_id, build.id))

    def _waited_log(self, template_id: str) -> _Build:
        return self._builds[template_id]

    def _kept(self, key: str, make: Callable[[], bytes]) -> bytes:
        if key not in self._answers:
            self._answers[key] = make()
        return self._answers[key]


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered at once."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._received = b""
        self._transport: asyncio.Transport
        self._stream: asyncio.Task[None] | None = None
        self._upload: _Upload | None = None
        self._socket: ServerProtocol | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections += 1

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - as inherited
        if self._stream is not None:
            self._stream.cancel()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            self._converse(self._socket, data)
        elif self._upload is not None:
            self._take_upload(self._upload, data)
        else:
            self._received += data
            self._take_requests()

    def _take_upload(self, upload: "_Upload", data: bytes) -> None:
        self._upload = upload
        if (size := upload.take(data)) is not None:
            self._upload = None
            self.write(_json_answer({"path": "/tmp/file", "size": size}))

    def _take_requests(self) -> None:
        if self._received.startswith(b"POST /sandbox/files"):
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if end:
                self._received = b""
                self._take_upload(_Upload(head.lower()), rest)
            return
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            if b"\r\nupgrade:" in head:
                self._socket = ServerProtocol(subprotocols=[Subprotocol("superserve.exec.v1")])
                self._converse(self._socket, self._received)
                return
            if head.startswith(b"get /sandbox/files"):
                found = re.search(rb"(\d+) http/", head)
                mib = int(found[1]) if found else 0
                self._received = b""
                self._stream = asyncio.create_task(self._send_file(mib << 20))
                return
            length = re.search(rb"\r\ncontent-length: *(\d+)", head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < size:
                return
            method, target, _ = self._received[:end].split(b" ", 2)
            self._received = self._received[size:]
            path = target.partition(b"?")[0]
            if path == b"/together/exec/stream":
                self._server.gather(self)
                continue
            answer = self._server.answer(f"{method.decode()} {path.decode()}")
            if isinstance(answer, bytes):
                self._transport.write(answer)
                if isinstance(answer, _Broken):
                    self._transport.close()
            else:
                self._stream = asyncio.create_task(self._send_log(answer))

    def _converse(self, socket: ServerProtocol, data: bytes) -> None:
        socket.receive_data(data)
        for event in socket.events_received():
            if isinstance(event, Request):
                socket.send_response(socket.accept(event))
            elif event.opcode is Opcode.BINARY:
                socket.send_binary(b"\1" + event.data[1:])
            elif event.opcode is Opcode.TEXT and b"stdin_close" in event.data:
                socket.send_text(b'{"exit_code":0,"finished":true}')
                socket.send_close(1000, "command exited")
        for piece in socket.data_to_send():
            if piece:
                self.write(piece)
            else:
                self._transport.close()

    async def _send_file(self, size: int) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
        self.write(head.encode())
        block = bytes(BLOCK)
        for _ in range(size // BLOCK):
            await self._may_write.wait()
            self.write(block)

    async def _send_log(self, build: _Build) -> None:
        self._transport.write(_STREAM_HEAD)
        count = int(BUILD_S / LOG_EVERY_S)
        for number in range(count):
            await asyncio.sleep(build.started + number * LOG_EVERY_S - _now())
            self._transport.write(_chunk(_event(number, f"line {number}")))
        await asyncio.sleep(build.started + BUILD_S - _now())
        self._transport.write(_chunk(_event(count, "ready", finished=True)) + _chunk(b""))


class _Upload:
    """Counts the body of a request, and keeps nothing of it."""

    def __init__(self, head: bytes) -> None:
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        self._is_chunked = length is None
        self._left = int(length[1]) if length else 0
        self._size = self._left
        self._line = b""
        self._is_over = False

    def take(self, data: bytes) -> int | None:
        """Take what has come; return the size of the body when that was all."""
        start = 0
        while True:
            taken = min(self._left, len(data) - start)
            self._left -= taken
            start += taken
            if self._left or not self._is_chunked:
                return None if self._left else self._size
            end = data.find(b"\n", start)
            if end < 0:
                self._line += data[start:]
                return None
            line = (self._line + data[start:end]).strip()
            self._line, start = b"", end + 1
            if not line:
                # After a chunk, or after the last one.
                if self._is_over:
                    return self._size
                continue
            self._left = int(line, 16)
            self._size += self._left
            self._is_over = not self._left


def template(number: int | None = None, *, status: str = "ready") -> dict[str, object]:
    """Return a template row."""
    return {
        "id": TEMPLATE_ID if number is None else _uuid(number),
        "team_id": TEAM_ID,
        "name": "benchmark" if number is None else f"benchmark-{number}",
        "status": status,
        "vcpu": 1,
        "memory_mib": 1024,
        "disk_mib": 4096,
        "size_bytes": 4294967296,
        "created_at": "2026-11-07T05:31:56Z",
        "built_at": "2026-11-07T05:33:12Z",
    }


def _created(template_id: str, build_id: str) -> dict[str, object]:
    row = {**template(status="building"), "id": template_id, "build_id": build_id}
    del row["size_bytes"], row["built_at"]
    return row


def _build_row(status: str, template_id: str = TEMPLATE_ID, build_id: str = BUILD_ID) -> dict[str, object]:
    row: dict[str, object] = {
        "id": build_id,
        "template_id": template_id,
        "status": status,
        "build_spec_hash": "b0" * 32,
        "created_at": "2026-11-07T05:31:56Z",
        "started_at": "2026-11-07T05:31:57Z",
    }
    if status == "ready":
        row["finalized_at"] = "2026-11-07T05:33:12Z"
    return row


def _sandbox() -> dict[str, object]:
    return {
        "id": SANDBOX_ID,
        "name": "benchmark",
        "status": "active",
        "vcpu_count": 1,
        "memory_mib": 1024,
        "created_at": "2026-11-07T05:31:56Z",
        "metadata": {},
        "preview_access": "legacy_public",
        "access_token": "a1" * 32,
    }


def _output(count: int) -> bytes:
    """Return the stream of a command's output, an event for each piece."""
    events = [
        {"stdout": OUTPUT_TEXT, "timestamp": f"2026-11-07T05:31:56.{number:06}Z"} for number in range(count)
    ]
    last = {"exit_code": 0, "finished": True, "timestamp": "2026-11-07T05:31:58Z"}
    frames = (
        b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n" for event in [*events, last]
    )
    return _STREAM_HEAD + b"".join(map(_chunk, frames)) + _chunk(b"")


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Date: Sat, 07 Nov 2026 05:31:57 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _json_answer(value: object, status: str = "200 OK") -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Date: Sat, 07 Nov 2026 05:31:57 GMT\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _event(number: int, text: str, *, finished: bool = False) -> bytes:
    payload = {
        "timestamp": f"2026-11-07T05:{31 + number // 60_000:02}:{number // 1000 % 60:02}.{number % 1000:03}456789Z",
        "stream": "system" if finished else "stdout",
        "text": text,
        "finished": finished,
        "status": text if finished else "",
    }
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


def _whole_log(count: int, *, in_blocks: bool, most: int | None = None) -> bytes:
    """Return a log, or so many of its events and no end."""
    events = [
        _event(number, f"Collecting package-{number} (from -r requirements.txt, line {number})\n")
        for number in range(count - 1)
    ]
    events.append(_event(count - 1, "ready", finished=True))
    events = events[:most]
    if in_blocks:
        text = b"".join(events)
        events = [text[start : start + BLOCK] for start in range(0, len(text), BLOCK)]
    return _STREAM_HEAD + b"".join(map(_chunk, events)) + (_chunk(b"") if most is None else b"")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _uuid(number: int) -> str:
    return str(UUID(int=number, version=4))


def _now() -> float:
    return datetime.now(UTC).timestamp()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    served = _Server()
    stopped = asyncio.Event()

    def listen_to_parent() -> None:
        for question in sys.stdin:
            print(getattr(served, question.strip()), flush=True)
        loop.call_soon_threadsafe(stopped.set)

    server = await loop.create_server(lambda: _Connection(served), HOST, 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=listen_to_parent, daemon=True).start()
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
