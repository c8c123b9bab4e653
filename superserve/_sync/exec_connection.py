# Written by scripts/unasync.py from superserve/_async/exec_connection.py. Do not edit: change that, then run `nox -s generate`.
"""The WebSocket of one command: what it says is read beside the caller, what it is told is sent at once."""

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
from superserve._http.tasks_sync import Lock, Queue, Worker, shielded, wait_for_release
from superserve._streams.exec import Event, Exit, Failure, NoEventError, read_frame
from superserve.types import CommandOutput

READ_AHEAD: Final = 64 * 1024 * 1024
"""Bytes of output that are held for a caller who takes them slowly; then the server waits, for 10 s at most."""

SILENCE_S: Final = 90.0
"""Seconds without a sign of life, of which the server gives one every 30, after which the connection is dead."""

_LARGEST_MESSAGE: Final = 16 * 1024 * 1024
_READ_AT_ONCE: Final = 64 * 1024
_WAIT_S: Final = 60.0
# The same for reading and writing: of a socket that two threads use, each would change the other's timeout. Silence is
# noticed by who waits.
_ENDLESS_S: Final = 86_400.0
# Not one of the program's: the library writes all that passes into it.
_SILENT: Final = logging.Logger("superserve.websocket", logging.CRITICAL + 1)  # noqa: LOG001 - nobody is to find it
_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class ExecConnection:
    """The WebSocket, once the server has agreed to it.

    Args:
        response: The server's agreement.

    Attributes:
        is_over: Whether nothing more will come.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.is_over = False
        self._response = response
        self._stream = response.extensions["network_stream"]
        self._protocol = Protocol(Side.CLIENT, max_size=_LARGEST_MESSAGE, logger=_SILENT)
        # Held for the protocol's book-keeping and never while something is waited for, so that it suits both colours.
        self._mutex = threading.Lock()
        self._sending = Lock()
        self._unsent: deque[bytes] = deque()
        self._message: list[bytes] = []
        self._is_text = False
        self._has_ended = False
        self._events: Queue[list[Event]] = Queue()
        self._room: Queue[None] = Queue()
        # Each is counted by one side alone.
        self._read_bytes = self._taken_bytes = 0
        self._heard_at = time.monotonic()
        self._is_full = False
        self._worker = Worker()
        self._worker.start(self._read)

    def get(self, timeout_s: float) -> list[Event]:
        """Return what has come: nothing if the time runs out first, or nothing more will come."""
        if self.is_over:
            return []
        silent_s = SILENCE_S - (time.monotonic() - self._heard_at)
        events = self._events.get(max(0.0, min(timeout_s, silent_s)))
        if events is None:
            if time.monotonic() - self._heard_at < SILENCE_S or self._is_full:
                return []
            self.is_over = True
            return [Failure(f"nothing has come for {SILENCE_S:g} s", None, has_started=True)]
        # Counted first: the one who reads looks at it once it has said that it may have to wait.
        self._taken_bytes += _size(events)
        if self._is_full:
            self._room.put(None)
        self.is_over = not events or isinstance(events[-1], Exit | Failure)
        return events

    def send(self, frame: str | bytes) -> None:
        """Send a frame. It waits while the server does not take it.

        Raises:
            httpcore.NetworkError: The connection is closed, or broke.
        """
        self._put(frame)
        with self._sending:
            self._flush()
        self._flush_if_free()

    def send_soon(self, frame: str | bytes) -> None:
        """Send a frame behind those that are being sent, without waiting for them.

        Raises:
            httpcore.NetworkError: The connection is closed, or broke.
        """
        self._put(frame)
        self._flush_if_free()

    def close(self) -> None:
        """Hang up. Whatever still runs is killed by the server."""
        with self._mutex:
            self._protocol.receive_eof()
        self._room.put(None)
        # In this order: a thread that waits for a socket, and is woken only after that was closed and its number given to
        # another one, waits for the other one.
        with shielded():
            self._worker.stop()
            wait_for_release(self._sending)
            self._response.close()

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

    def _read(self) -> None:
        try:
            while self._protocol.state is OPEN:
                data = self._stream.read(_READ_AT_ONCE, _ENDLESS_S)
                self._heard_at = time.monotonic()
                events = self._receive(data)
                if events:
                    self._has_ended = isinstance(events[-1], Exit | Failure)
                    self._read_bytes += _size(events)
                    self._events.put(events)
                    if self._has_ended:
                        return
                # The server may be gone by now, and what it said before that is still to be read.
                with contextlib.suppress(httpcore.NetworkError):
                    self._flush_if_free()
                self._is_full = True
                while self._read_bytes - self._taken_bytes > READ_AHEAD and self._protocol.state is OPEN:
                    self._room.get(_WAIT_S)
                self._heard_at = time.monotonic()
                self._is_full = False
            self._events.put([Failure(self._reason(), None, has_started=True)])
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self._events.put([Failure(f"the connection broke: {reason(error)}", None, has_started=True)])
        finally:
            # Who takes what there was finds the end, however this has ended.
            self._events.put([])

    def _receive(self, data: bytes) -> list[Event]:
        with self._mutex:
            if not data:
                self._protocol.receive_eof()
            elif self._protocol.state is OPEN:
                self._protocol.receive_data(data)
            frames = self._protocol.events_received()
            # Answers to pings, for example.
            self._unsent += self._protocol.data_to_send()
        events: list[Event] = []
        for frame in frames:
            if isinstance(frame, Frame) and frame.opcode in _DATA:
                try:
                    events += self._take(frame)
                except NoEventError as error:
                    events.append(
                        Failure(f"what it says cannot be understood: {error}", None, has_started=True)
                    )
                if events and isinstance(events[-1], Exit | Failure):
                    # Nothing that comes after the end says anything.
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

    def _flush_if_free(self) -> None:
        """Send what is left over, unless somebody is sending, who looks at it afterwards: reading must not wait."""
        while self._unsent and not self._sending.locked():
            with self._sending:
                self._flush()

    def _flush(self) -> None:
        while self._unsent:
            with self._mutex:
                data = self._unsent.popleft() if self._unsent else b""
            # Without data it stands for the end of what this side sends, which closing the connection says as well.
            if data:
                self._stream.write(data, _ENDLESS_S)

    def _reason(self) -> str:
        if (error := self._protocol.parser_exc) is not None and not isinstance(error, EOFError):
            return f"what it says cannot be understood: {error}"
        close = self._protocol.close_rcvd
        if close is None:
            return "the connection was closed"
        return f"the connection was closed ({close.code}{close.reason and ' '}{close.reason})"


def _size(events: list[Event]) -> int:
    return sum(len(event.data) for event in events if isinstance(event, CommandOutput))
