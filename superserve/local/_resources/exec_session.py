"""One WebSocket with its command."""

import asyncio
import contextlib
import json
from collections.abc import Mapping

from starlette.types import Message

from superserve.local._app import go_json
from superserve.local._app.data_plane import DataRequest
from superserve.local._machines.sandboxes.guest import Command
from superserve.local._machines.sandboxes.scripts import Playing
from superserve.local._resources.exec_spec import ExecRequest, Malformed, read_exec

FIRST_FRAME_S = 10.0
# A frame that the client does not accept within this time ends the session.
SLOW_READER_S = 10.0
_SIGNALS = {"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGTERM": 15}
_STDIN, _STDOUT, _STDERR = b"\0", b"\x01", b"\x02"


class GoneError(Exception):
    """The client of a WebSocket is gone."""


class Session:
    """One WebSocket."""

    def __init__(self, request: DataRequest) -> None:
        self.request = request

    async def read_first(self) -> ExecRequest | None:
        """Return the command to run; None if the socket was closed because there was none."""
        try:
            async with asyncio.timeout(FIRST_FRAME_S):
                message = await self._receive()
        except TimeoutError:
            message = {}
        if message.get("bytes") is not None:
            await self.close(1003, "expected start message")
            return None
        try:
            return read_exec((message.get("text") or "").encode(), default_s=None)
        except Malformed:
            await self.close(1008, "expected start message")
            return None

    async def listen(self, command: Command | Playing) -> None:
        """Do what the client says until it hangs up. One thing at a time: input that is stuck blocks all that follows it."""
        with contextlib.suppress(GoneError):
            while True:
                message = await self._receive()
                data, text = message.get("bytes"), message.get("text")
                if data is not None:
                    if data[:1] == _STDIN:
                        await command.write(data[1:])
                    continue
                try:
                    said = json.loads(text or "")
                except ValueError:
                    continue
                match said:
                    case {"type": "stdin_close"}:
                        command.close_stdin()
                    case {"type": "signal", "name": str(name)} if name in _SIGNALS:
                        command.signal(_SIGNALS[name])
                    case _:
                        pass

    async def output(self, stream: str, data: bytes) -> None:
        """Send a piece of output."""
        await self._send({"bytes": (_STDOUT if stream == "stdout" else _STDERR) + data})

    async def send_text(self, value: Mapping[str, object]) -> None:
        """Send a frame of JSON."""
        await self._send({"text": go_json.write(dict(value)).decode()})

    async def close(self, code: int, reason: str) -> None:
        """Close the WebSocket."""
        with contextlib.suppress(Exception):
            await self.request.send({"type": "websocket.close", "code": code, "reason": reason})

    async def _send(self, frame: Mapping[str, object]) -> None:
        try:
            async with asyncio.timeout(SLOW_READER_S):
                await self.request.send({"type": "websocket.send", **frame})
        except Exception as error:  # uvicorn's own classes, which differ between its versions
            raise GoneError from error

    async def _receive(self) -> Message:
        message = await self.request.receive()
        if message["type"] == "websocket.disconnect":
            raise GoneError
        return message
