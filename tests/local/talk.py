"""A connection to a local server with requests written by hand, to see what is really sent and how it ends."""

import socket
from typing import Self

import httpx

from superserve.local import LocalServer


class Talk:
    """One connection to a server, with requests written by hand."""

    def __init__(self, server: LocalServer) -> None:
        self._key = server.api_key
        self._socket = socket.create_connection(("127.0.0.1", httpx.URL(server.base_url).port), timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: str, body: bytes = b"") -> Self:
        head = f"{request} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {self._key}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        return self

    def send_raw(self, request: str, header: str, body: bytes = b"") -> Self:
        """Send a request whose framing is given."""
        head = f"{request} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {self._key}\r\n{header}\r\n\r\n"
        return self.send_body(head.encode() + body)

    def send_body(self, data: bytes) -> Self:
        self._socket.sendall(data)
        return self

    def read(self, count: int) -> bytes:
        """Read so many bytes, which must come."""
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            assert piece, f"the connection ended after {data!r}"
            data += piece
        return data

    def receive(self) -> bytes:
        """Return what has come, once something has."""
        return self._socket.recv(65536)

    def head(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.read(1)
        return data

    def event(self) -> str:
        """Read one chunk of a log."""
        size = b""
        while not size.endswith(b"\r\n"):
            size += self.read(1)
        return self.read(int(size, 16) + 2)[:-2].decode()

    def rest(self) -> tuple[bytes, str]:
        """Read to the end; gives what came and how it ended."""
        data = b""
        while True:
            try:
                piece = self._socket.recv(65536)
            except ConnectionResetError:
                return data, "reset"
            if not piece:
                return data, "closed"
            data += piece

    def is_silent(self) -> bool:
        """Whether nothing has come: to be asked when what could come would be there."""
        self._socket.setblocking(False)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) is None
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(10)
