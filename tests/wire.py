"""A scripted server on a loopback socket: it sends exactly the bytes that a test wants, and keeps what it received.

    with Wire(reply(503), cut(b"HTTP/1.1 200"), reply(json=[])) as wire:
        ...  # a client of wire.url
    assert [request.method for request in wire.requests] == ["GET", "GET", "GET"]

Each request takes the next answer, on whatever connection it arrives; the last answer is repeated for ever. An answer
is bytes to send, or a function of the peer and the request, which sends what it likes with the methods of `Peer`.
"""

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

PATIENCE_S = 60.0
"""How long a condition is waited for before the test fails: only a failing test takes so long."""

_NO_JSON = object()


@attrs.frozen
class Request:
    """What a client sent."""

    method: str
    target: str
    headers: dict[str, str]
    """With lower-case names."""
    body: bytes
    connection: int
    """The number of its connection, counted from 1 in the order of their arrival."""
    at: float
    """When it was complete, on the clock of time.monotonic."""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """One connection, seen from the server."""

    def __init__(self, wire: "Wire", sock: socket.socket, number: int) -> None:
        self.number = number
        self._wire = wire
        self._socket = sock
        self._received = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def drip(self, data: bytes, every_s: float) -> None:
        """Send a byte now and then, until all are sent or the client hangs up."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            if self._wire.closing.wait(every_s):
                return

    def wait(self, event: threading.Event) -> None:
        """Wait until a test sets the event."""
        while not event.wait(0.01) and not self._wire.closing.is_set():
            pass

    def stall(self) -> None:
        """Send nothing more until the client hangs up."""
        while self._socket.recv(65536):
            pass

    def close(self) -> None:
        """End the connection in order."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the connection with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def receive(self) -> Request | None:
        """Return the next request, or None once the client has hung up."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive_more():
                return None
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _version = line.split(" ")
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = self._receive_chunks()
        else:
            body = self._receive_exactly(int(headers.get("content-length", "0")))
        return None if body is None else Request(method, target, headers, body, self.number, time.monotonic())

    def receive_some(self) -> bytes:
        """Return what comes next, of whatever protocol; nothing once the client has hung up."""
        if not self._received:
            self._receive_more()
        data, self._received = self._received, b""
        return data

    def _receive_chunks(self) -> bytes | None:
        body = b""
        while True:
            while b"\r\n" not in self._received:
                if not self._receive_more():
                    return None
            size, self._received = self._received.split(b"\r\n", 1)
            piece = self._receive_exactly(int(size, 16) + 2)
            if piece is None:
                return None
            if piece == b"\r\n":
                return body
            body += piece[:-2]

    def _receive_exactly(self, length: int) -> bytes | None:
        while len(self._received) < length:
            if not self._receive_more():
                return None
        data, self._received = self._received[:length], self._received[length:]
        return data

    def _receive_more(self) -> bool:
        data = self._socket.recv(65536)
        self._received += data
        return bool(data)


Answer = bytes | Callable[[Peer, Request], None]


def _fill(listener: socket.socket, queued: list[socket.socket]) -> None:
    """Connect until nobody gets in any more: the kernel's idea of a full queue is its own."""
    is_in = True
    while is_in and len(queued) < 200:
        queued.append(socket.socket())
        queued[-1].setblocking(False)
        queued[-1].connect_ex(listener.getsockname())
        # A time of the socket's own would also be over because this machine has stopped.
        is_in = bool(select.select([], queued[-1:], [], 0.1)[1])


class Deaf:
    """A listener that never accepts, and whose queue is full: who connects hears nothing at all. A context manager."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._listener = socket.create_server((host, port), backlog=0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self._queued: list[socket.socket] = []

    def __enter__(self) -> Self:
        _fill(self._listener, self._queued)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (*self._queued, self._listener):
            sock.close()


class Sipping:
    """A server that takes in what it is sent a bit at a time, and never answers. A context manager."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._sip, name="sipping", daemon=True)
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def _sip(self) -> None:
        sock, _ = self._listener.accept()
        with contextlib.suppress(OSError), sock:
            while not self._closing.wait(0.02) and sock.recv(1024):
                pass


class Wire:
    """The server; a context manager. Leaving it ends all connections and raises what an answer's function raised.

    Attributes:
        requests: What arrived, in order.
        connections: How many connections were made.
        open_connections: How many the client has not closed yet, as far as the server has noticed.
        closing: Set when the server ends; functions that wait for something else have to watch it.
    """

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.open_connections = 0
        self.closing = threading.Event()
        self._answers = list(answers)
        self._changed = threading.Condition()
        self._peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._deaf = False
        self._queued: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        # Wakes accept() up; closing alone doesn't.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for peer in list(self._peers):
            peer.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), f"{thread.name} does not end"
        for queued in self._queued:
            queued.close()
        self._listener.close()
        if self._failures:
            raise self._failures[0]

    def then(self, *answers: Answer) -> None:
        """Forget the answers left, and give these from now on."""
        with self._changed:
            self._answers = list(answers)

    def until(self, condition: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
        """Wait until something is true of this server, such as `lambda: wire.open_connections == 0`."""
        with self._changed:
            assert self._changed.wait_for(condition, patience_s), "the condition does not come true"

    def deafen(self) -> None:
        """Accept no more connections, and fill the queue: those that are open go on, who connects hears nothing."""
        self._deaf = True
        self._listener.listen(0)
        _fill(self._listener, self._queued)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="wire", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._deaf:
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                self.open_connections += 1
                peer = Peer(self, sock, self.connections)
                self._peers.append(peer)
                self._changed.notify_all()
            if self.closing.is_set():
                peer.close()
            self._start(self._serve, peer, sock)

    def _serve(self, peer: Peer, sock: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), sock:
                while (request := peer.receive()) is not None:
                    with self._changed:
                        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                        self.requests.append(request)
                        self._changed.notify_all()
                    if isinstance(answer, bytes):
                        peer.send(answer)
                    else:
                        answer(peer, request)
        except BaseException as failure:  # noqa: BLE001 - raised when the server ends
            self._failures.append(failure)
        finally:
            with self._changed:
                self.open_connections -= 1
                self._changed.notify_all()


def reply(
    status: int = 200,
    body: bytes | str = b"",
    *,
    json: object = _NO_JSON,
    headers: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> bytes:
    """Return a whole response, with its length."""
    if json is not _NO_JSON:
        body, content_type = _dumped(json), content_type or "application/json; charset=utf-8"
    data = body.encode() if isinstance(body, str) else body
    fields = {"Content-Type": content_type} if content_type else {}
    if status not in (204, 304) and status >= 200:
        fields["Content-Length"] = str(len(data))
    return head(status, {**fields, **(headers or {})}) + data


def head(status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a status line and headers."""
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def envelope(code: str, message: str) -> dict[str, object]:
    """Return the API's error body."""
    return {"error": {"code": code, "message": message}}


def chunk(data: bytes) -> bytes:
    """Return a piece of a body with `Transfer-Encoding: chunked`; an empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
"""What begins a log stream: its body goes out with `chunk(sse(...))` and ends with `chunk(b"")`."""


def sse(*events: object) -> bytes:
    """Return log events as the server frames them."""
    return b"".join(b"data: " + _dumped(event).encode() + b"\n\n" for event in events)


def log(*events: object) -> bytes:
    """Return a whole log stream that ends in order."""
    return STREAM_HEAD + b"".join(chunk(sse(event)) for event in events) + chunk(b"")


def cut(data: bytes = b"") -> Answer:
    """Send this, then end the connection."""

    def answer(peer: Peer, _request: Request) -> None:
        peer.send(data)
        peer.close()

    return answer


def reset(data: bytes = b"") -> Answer:
    """Send this, then reset the connection."""

    def answer(peer: Peer, _request: Request) -> None:
        peer.send(data)
        peer.reset()

    return answer


def stall(data: bytes = b"") -> Answer:
    """Send this, then nothing more until the client hangs up."""

    def answer(peer: Peer, _request: Request) -> None:
        peer.send(data)
        peer.stall()

    return answer


def drip(data: bytes, every_s: float) -> Answer:
    """Send this a byte at a time."""

    def answer(peer: Peer, _request: Request) -> None:
        peer.drip(data, every_s)

    return answer


_dumped = json.dumps
