"""The server's side of the WebSocket of a command, on a scripted server of tests/wire.py.

def script(talk):
    assert talk.start == {"command": "cat"}
    talk.send(b"\x01hello")
    talk.send('{"exit_code":0,"finished":true}')

with Wire(talking(script)) as wire: ...
"""

import json
from collections.abc import Callable
from typing import Any

import attrs
from superserve_api.models import SandboxResponse
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.utils import accept_key

from superserve._http.planes import Access
from superserve._operations.sandboxes import read_sandbox
from tests.wire import Answer, Peer, Request, head

SANDBOX_ID = "7a3f2b8c-0000-4000-8000-00000000000a"
TOKEN = "a" * 64


def sandbox_row(status: str = "active", **fields: object) -> dict[str, object]:
    """What the API says of a sandbox."""
    return {
        "id": SANDBOX_ID,
        "name": "box",
        "status": status,
        "vcpu_count": 1,
        "memory_mib": 1024,
        "created_at": "2026-05-01T10:00:00.123456Z",
        "metadata": {},
        "preview_access": "public",
        "access_token": TOKEN,
        **fields,
    }


def handle(kind: Any, client: Any, refresh: Any = None) -> Any:
    """Make the handle of a running sandbox, which gets further tokens from `refresh`; by default from the API."""
    info = read_sandbox(SandboxResponse.from_dict(sandbox_row())).info
    sandbox = kind(info, client=client, access=Access(TOKEN))
    if refresh is not None:
        sandbox._data.refresh = refresh
    return sandbox


@attrs.frozen
class Close:
    """The client has closed the connection, in order or not."""

    code: int | None


class Talk:
    """The frames of one connection.

    Attributes:
        start: What the client wants to run.
    """

    def __init__(self, peer: Peer, request: Request) -> None:
        self.request = request
        self.peer = peer
        self.pongs: list[bytes] = []
        self.start: dict[str, Any] = {}
        self._protocol = Protocol(Side.SERVER, max_size=2**24)
        self._received: list[str | bytes | Close] = []

    def send(self, message: str | bytes, *, fragments: int = 1) -> None:
        """Send a message, in so many fragments."""
        data = message.encode() if isinstance(message, str) else message
        size = -(-len(data) // fragments)
        for index in range(fragments):
            piece, fin = data[index * size : (index + 1) * size], index == fragments - 1
            if index:
                self._protocol.send_continuation(piece, fin)
            elif isinstance(message, str):
                self._protocol.send_text(piece, fin)
            else:
                self._protocol.send_binary(piece, fin)
        self.flush()

    def exit(self, code: int = 0) -> None:
        """Send the command's end, and close as the server does."""
        self.send(json.dumps({"exit_code": code, "finished": True}))
        self.close(1000, "command exited")

    def close(self, code: int, reason: str = "") -> None:
        self._protocol.send_close(code, reason)
        self.flush()

    def ping(self, data: bytes = b"") -> None:
        self._protocol.send_ping(data)
        self.flush()

    def receive(self) -> str | bytes | Close:
        """Return the client's next message."""
        while not self._received:
            self._receive_more()
        return self._received.pop(0)

    def receive_pong(self) -> bytes:
        """Return the answer to a ping."""
        while not self.pongs:
            self._receive_more()
        return self.pongs.pop(0)

    def _receive_more(self) -> None:
        data = self.peer.receive_some()
        if not data:
            self._received.append(Close(None))
            return
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode is Opcode.CLOSE:
                self._received.append(Close(self._protocol.close_rcvd and self._protocol.close_rcvd.code))
            elif frame.opcode is Opcode.PONG:
                self.pongs.append(bytes(frame.data))
            elif frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                data = bytes(frame.data)
                self._received.append(data.decode() if frame.opcode is Opcode.TEXT else data)

    def receive_input(self) -> bytes:
        """Return all that the client sends to the command, up to its end."""
        data = b""
        while (message := self.receive()) != '{"type":"stdin_close"}':
            assert isinstance(message, bytes), message
            assert message[:1] == b"\x00"
            data += message[1:]
        return data

    def flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.peer.send(data)


def talking(script: Callable[[Talk], None], *, accept: Callable[[str], str] = accept_key) -> Answer:
    """Agree to a WebSocket, do as the script says, and hang up."""

    def answer(peer: Peer, request: Request) -> None:
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept(request.headers["sec-websocket-key"]),
            "Sec-WebSocket-Protocol": "superserve.exec.v1",
        }
        peer.send(head(101, headers))
        talk = Talk(peer, request)
        # What the client wants to run is read first, as the server does.
        first = talk.receive()
        if isinstance(first, str):
            talk.start = json.loads(first)
            script(talk)
        peer.close()

    return answer
