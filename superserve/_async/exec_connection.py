"""The WebSocket of one command. Its output is read in the background; its input is sent at once."""

import contextlib
import logging
import threading
from collections import deque
from typing import Final

import httpcore
import httpx
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from superserve import _clock as time
from superserve._http.responses import reason
from superserve._http.tasks_async import Lock, Queue, Worker, shielded, wait_for_release
from superserve._streams.exec import Event, Exit, Failure, NoEventError, read_frame
from superserve.types import CommandOutput

READ_AHEAD: Final = 64 * 1024 * 1024
"""The most bytes of output to hold for a slow caller. Then the server waits, for 10 s at most."""

SILENCE_S: Final = 90.0
"""Seconds without a message after which the connection counts as dead. The server sends one every 30."""

_LARGEST_MESSAGE: Final = 16 * 1024 * 1024
_READ_AT_ONCE: Final = 64 * 1024
_WAIT_S: Final = 60.0
# One timeout for reading and writing: two threads use the socket, and would change each other's timeout. The waiting
# side notices silence.
_ENDLESS_S: Final = 86_400.0
# Hidden from the program's logging: the library logs all messages.
_SILENT: Final = logging.Logger("superserve.websocket", logging.CRITICAL + 1)  # noqa: LOG001 - not to be found by name
_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class AsyncExecConnection:
    """The WebSocket of a command, after the server has accepted it.

    Args:
        response: The server's answer to the upgrade.

    Attributes:
        is_over: Whether nothing more will come.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.is_over = False
        self._response = response
        self._stream = response.extensions["network_stream"]
        self._protocol = Protocol(Side.CLIENT, max_size=_LARGEST_MESSAGE, logger=_SILENT)
        # Held only for the protocol's state, never while waiting, so that it works for threads and tasks.
        self._mutex = threading.Lock()
        self._sending = Lock()
        self._unsent: deque[bytes] = deque()
        self._message: list[bytes] = []
        self._is_text = False
        self._has_ended = False
        self._events: Queue[list[Event]] = Queue()
        self._room: Queue[None] = Queue()
        # Each number is written by one side only.
        self._read_bytes = self._taken_bytes = 0
        self._heard_at = time.monotonic()
        self._is_full = False
        self._worker = Worker()
        self._worker.start(self._read)

    async def get(self, timeout_s: float) -> list[Event]:
        """Return the events that have come; none if the time is over first, or if nothing more will come."""
        if self.is_over:
            return []
        silent_s = SILENCE_S - (time.monotonic() - self._heard_at)
        events = await self._events.get(max(0.0, min(timeout_s, silent_s)))
        if events is None:
            if time.monotonic() - self._heard_at < SILENCE_S or self._is_full:
                return []
            self.is_over = True
            return [Failure(f"no message for {SILENCE_S:g} s", None, has_started=True)]
        # Counted first: the reader checks this number after it has announced that it may wait.
        self._taken_bytes += _size(events)
        if self._is_full:
            self._room.put(None)
        self.is_over = not events or isinstance(events[-1], Exit | Failure)
        return events

    async def send(self, frame: str | bytes) -> None:
        """Send a frame. Waits while the server does not accept it.

        Raises:
            httpcore.NetworkError: The connection is closed, or broke.
        """
        self._put(frame)
        async with self._sending:
            await self._flush()
        await self._flush_if_free()

    async def send_soon(self, frame: str | bytes) -> None:
        """Send a frame after those that are being sent, without waiting for them.

        Raises:
            httpcore.NetworkError: The connection is closed, or broke.
        """
        self._put(frame)
        await self._flush_if_free()

    async def aclose(self) -> None:
        """Close the connection. The server kills whatever still runs."""
        with self._mutex:
            self._protocol.receive_eof()
        self._room.put(None)
        # In this order: a thread that waits for a socket must wake up before the socket is closed and its number is reused,
        # or the thread would wait for the other socket.
        with shielded():
            await self._worker.stop()
            await wait_for_release(self._sending)
            await self._response.aclose()

    def _put(self, frame: str | bytes) -> None:
        with self._mutex:
            if self._has_ended or self._protocol.state is not OPEN:
                raise httpcore.WriteError(
                    "the command has ended" if self._has_ended else "the connection is closed"
                )
            if isinstance(frame, str):
                self._protocol.send_text(frame.encode())
            else:
                self._protocol.send_binary(frame)
            self._unsent += self._protocol.data_to_send()

    async def _read(self) -> None:
        try:
            while self._protocol.state is OPEN:
                data = await self._stream.read(_READ_AT_ONCE, _ENDLESS_S)
                self._heard_at = time.monotonic()
                events = self._receive(data)
                if events:
                    self._has_ended = isinstance(events[-1], Exit | Failure)
                    self._read_bytes += _size(events)
                    self._events.put(events)
                    if self._has_ended:
                        return
                # The server may be gone. What it sent before is still to be read.
                with contextlib.suppress(httpcore.NetworkError):
                    await self._flush_if_free()
                self._is_full = True
                while self._read_bytes - self._taken_bytes > READ_AHEAD and self._protocol.state is OPEN:
                    await self._room.get(_WAIT_S)
                self._heard_at = time.monotonic()
                self._is_full = False
            self._events.put([Failure(self._reason(), None, has_started=True)])
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self._events.put([Failure(f"the connection broke: {reason(error)}", None, has_started=True)])
        finally:
            # An empty batch marks the end, however the reading ended.
            self._events.put([])

    def _receive(self, data: bytes) -> list[Event]:
        with self._mutex:
            if not data:
                self._protocol.receive_eof()
            elif self._protocol.state is OPEN:
                self._protocol.receive_data(data)
            frames = self._protocol.events_received()
            # For example answers to pings.
            self._unsent += self._protocol.data_to_send()
        events: list[Event] = []
        for frame in frames:
            if isinstance(frame, Frame) and frame.opcode in _DATA:
                try:
                    events += self._take(frame)
                except NoEventError as error:
                    events.append(
                        Failure(f"its messages cannot be understood: {error}", None, has_started=True)
                    )
                if events and isinstance(events[-1], Exit | Failure):
                    # Messages after the end mean nothing.
                    break
        return events

    def _take(self, frame: Frame) -> list[Event]:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._message.append(bytes(frame.data))
        if not frame.fin:
            return []
        message = b"".join(self._message)
        self._message.clear()
        return read_frame(message.decode(errors="replace") if self._is_text else message)

    async def _flush_if_free(self) -> None:
        """Send what is left, unless another caller is sending: that one looks at it afterwards. Reading must not wait."""
        while self._unsent and not self._sending.locked():
            async with self._sending:
                await self._flush()

    async def _flush(self) -> None:
        while self._unsent:
            with self._mutex:
                data = self._unsent.popleft() if self._unsent else b""
            # Without data it marks the end of what this side sends. Closing the connection does that too.
            if data:
                await self._stream.write(data, _ENDLESS_S)

    def _reason(self) -> str:
        if (error := self._protocol.parser_exc) is not None and not isinstance(error, EOFError):
            return f"its messages cannot be understood: {error}"
        close = self._protocol.close_rcvd
        if close is None:
            return "the connection was closed"
        return f"the connection was closed ({close.code}{close.reason and ' '}{close.reason})"


def _size(events: list[Event]) -> int:
    return sum(len(event.data) for event in events if isinstance(event, CommandOutput))
