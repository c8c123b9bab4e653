"""The two forms of output in answers: collected into one body, or as a stream of events."""

import asyncio
import codecs
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.types import Message

from superserve.local._app import go_json
from superserve.local._app.clock import format_nanoseconds

_CUT = "\n[superserve] output is longer than 8 MiB; the rest was dropped\n"
_GO = "superserve-go"

Send: TypeAlias = Callable[[Message], Awaitable[None]]


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    # As in Go. Python's own handler replaces a whole invalid sequence once.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_GO, _replace_each_byte)


class Collected:
    """The output of a command that is answered with one body."""

    def __init__(self, most: int) -> None:
        self._texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._left = most
        self._is_cut = False

    async def add(self, stream: str, data: bytes) -> None:
        """Keep a piece, or the part of it that fits."""
        if self._is_cut:
            return
        text = data.decode("utf-8", _GO)
        size = len(go_json.write(text)) - 2
        if size > self._left:
            self._is_cut = True
            kept = 0
            while kept < len(text) and (size := len(go_json.write(text[kept])) - 2) <= self._left:
                self._left -= size
                kept += 1
            text = text[:kept]
        else:
            self._left -= size
        self._texts[stream].append(text)

    def answer(self, code: int) -> dict[str, object]:
        """Return the body."""
        stderr = "".join(self._texts["stderr"]) + (_CUT if self._is_cut else "")
        answer: dict[str, object] = {
            "stdout": "".join(self._texts["stdout"]), "stderr": stderr, "exit_code": code,
        }  # fmt: skip
        return {**answer, "truncated": True} if self._is_cut else answer


class Events:
    """An event stream. Its headers are sent with the first event."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self._lock = asyncio.Lock()

    async def output(self, stream: str, data: bytes) -> None:
        """Send a piece of output."""
        await self.write({stream: data.decode("utf-8", _GO), "timestamp": now()})

    async def write(self, event: Mapping[str, object]) -> None:
        """Send an event."""
        await self._write(b"data: " + go_json.write(dict(event), sort_keys=True) + b"\n\n")

    async def keep_alive(self) -> None:
        """Send a comment."""
        await self._write(b": keepalive\n\n")

    async def end(self) -> None:
        """End the stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            if not self._has_begun:
                self._has_begun = True
                headers = {
                    b"content-type": b"text/event-stream",
                    b"cache-control": b"no-cache",
                    b"x-accel-buffering": b"no",
                    b"referrer-policy": b"no-referrer",
                }
                await self._send(
                    {"type": "http.response.start", "status": 200, "headers": list(headers.items())}
                )
            await self._send({"type": "http.response.body", "body": data, "more_body": True})


def decode(data: bytes) -> str:
    """Return output as text. Each invalid byte becomes U+FFFD."""
    return data.decode("utf-8", _GO)


def now() -> str:
    """Return the time in the form of events."""
    return format_nanoseconds(time.time_ns())
