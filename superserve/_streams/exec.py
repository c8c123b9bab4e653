"""Messages of a running command, over an event stream and a WebSocket, and messages to it over the WebSocket. No I/O."""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

import attrs

from superserve._redact import replace_surrogates
from superserve.errors import ValidationError
from superserve.types import CommandOutput, CommandStream

PROTOCOL: Final = "superserve.exec.v1"
"""The subprotocol of the WebSocket."""

LONGEST_START: Final = 4 * 1024 * 1024
"""The largest first frame in bytes: above it the server closes the connection."""

# Older servers accept frames of up to 64 KiB.
_STDIN_AT_ONCE: Final = 32 * 1024
_STDIN: Final = b"\x00"
_CHANNELS: Final = {1: CommandStream.STDOUT, 2: CommandStream.STDERR}
# Looking a stream up in the enum takes longer than reading a message.
_STREAMS: Final = tuple((stream, stream.value) for stream in CommandStream)
_ENDING: Final = frozenset({"finished", "error", "code"})
_START_FAILURES: Final = frozenset({"bad_request", "exec_failed"})
LARGEST_EXIT_CODE: Final = 2**31
"""An exit code above this number is invalid."""


# No slots for classes with thousands of instances: attrs fills them twice as fast without.
@attrs.frozen(slots=False)
class Text:
    """A piece of output that is already text."""

    stream: CommandStream
    text: str


@attrs.frozen
class Exit:
    """The end of a command, with its exit code."""

    code: int


@attrs.frozen
class Failure:
    """The end of a command without an exit code.

    Attributes:
        message: The server's message.
        code: The server's error code, if there is one.
        has_started: Whether the command may have run.
    """

    message: str
    code: str | None
    has_started: bool


Event = Text | CommandOutput | Exit | Failure


class NoEventError(ValueError):
    """A message is not an event of a command. The text says why."""


def read_message(data: str) -> list[Event]:
    """Return the events of a message of the event stream.

    Raises:
        NoEventError: The message is invalid. A piece of output may be lost with it.
    """
    payload = _payload(data)
    events: list[Event] = []
    for stream, name in _STREAMS:
        text = payload.get(name)
        if text and isinstance(text, str):
            events.append(Text(stream, text if text.isascii() else replace_surrogates(text)))
    if _ENDING.isdisjoint(payload):
        return events
    end = _read_end(payload)
    return events if end is None else [*events, end]


def read_frame(frame: str | bytes) -> list[Event]:
    """Return the events of a WebSocket message: a binary message is output, a text message is the end.

    Raises:
        NoEventError: The message is invalid.
    """
    if isinstance(frame, str):
        end = _read_end(_payload(frame))
        return [] if end is None else [end]
    stream = _CHANNELS.get(frame[0]) if frame else None
    # A newer server may have channels that this version does not know.
    return [] if stream is None or len(frame) == 1 else [CommandOutput(stream, frame[1:])]


def start_frame(request: dict[str, Any]) -> str:
    """Return the first frame, which starts the command.

    Raises:
        ValidationError: The frame would be too long for the server.
    """
    frame = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    if (length := len(frame.encode())) > LONGEST_START:
        raise ValidationError(
            f"command: the command with its arguments and environment takes {length} bytes, {LONGEST_START} are allowed; "
            "write a script with files.write and run the script"
        )
    return frame


def stdin_frames(data: bytes | memoryview) -> Iterator[bytes]:
    """Yield the frames of a piece of input."""
    for start in range(0, len(data), _STDIN_AT_ONCE):
        yield _STDIN + data[start : start + _STDIN_AT_ONCE]


def stdin_close_frame() -> str:
    """Return the frame that ends the input."""
    return '{"type":"stdin_close"}'


def signal_frame(name: str) -> str:
    """Return the frame that sends a signal to the command and all its children."""
    return json.dumps({"type": "signal", "name": name}, separators=(",", ":"))


def _payload(data: str) -> dict[str, Any]:
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NoEventError("it is not JSON") from error
    if not isinstance(payload, dict):
        raise NoEventError("it is not a JSON object")
    return payload


def _read_end(payload: dict[str, Any]) -> Exit | Failure | None:
    exit_code, error, code = (payload.get(name) for name in ("exit_code", "error", "code"))
    if error is not None or code is not None:
        # Also without `finished`: a server that has lost the sandbox leaves it out.
        return Failure(
            error if isinstance(error, str) and error else "the server gives no reason",
            code if isinstance(code, str) else None,
            has_started=code not in _START_FAILURES,
        )
    if payload.get("finished") is not True:
        return None
    if isinstance(exit_code, str):
        exit_code = _number(exit_code)
    if isinstance(exit_code, bool) or not isinstance(exit_code, int) or abs(exit_code) > LARGEST_EXIT_CODE:
        return Failure("the command ended without an exit code", None, has_started=True)
    return Exit(exit_code)


def _number(text: str) -> int | None:
    number = float(text) if text.isascii() and text.lstrip("-").isdigit() else math.nan
    return int(number) if abs(number) <= LARGEST_EXIT_CODE else None
