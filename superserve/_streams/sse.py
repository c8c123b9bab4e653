"""What the messages of an event stream say of a build, and which answers are event streams. No I/O."""

import contextlib
import json
import socket
from collections.abc import AsyncIterable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from superserve._redact import replace_surrogates, strip_controls
from superserve.types import BuildLogEvent, BuildLogStream

KIND: Final = "text/event-stream"

_OK: Final = 200
# A mock may leave the type out, or have text/plain from the library that makes its answers.
_KINDS: Final = frozenset({KIND, "text/plain", ""})
# A step may be silent for ten minutes, after which many a router has forgotten the connection.
_KEEP_ALIVE_S: Final = 30

_LINES: Final = 20
_LONGEST_LINE: Final = 500

_decode: Final = json.JSONDecoder().raw_decode
_from_iso: Final = datetime.fromisoformat
_STREAMS: Final = {stream.value: stream for stream in BuildLogStream}


def is_event_stream(response: httpx.Response) -> bool:
    """Whether an answer is an event stream."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status_code == _OK and kind in _KINDS


def wrap(response: httpx.Response, body: Iterable[bytes] | AsyncIterable[bytes]) -> httpx.Response:
    """Return an event stream with this body: unpacked, in UTF-8, with or without a BOM."""
    # The reader of events insists on the type.
    wrapped = httpx.Response(200, headers={"content-type": KIND}, content=body, request=response.request)
    wrapped.encoding = "utf-8-sig"
    return wrapped


def keep_alive(response: httpx.Response) -> None:
    """Have the system look now and then whether the other end of a silent connection is there."""
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None:
        # A mock has none.
        return
    # A connection that the server has reset already takes no options.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # TCP_KEEPALIVE is what macOS calls it.
        after = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        if after is not None:
            sock.setsockopt(socket.IPPROTO_TCP, after, _KEEP_ALIVE_S)


def read_message(data: str) -> dict[str, Any] | None:
    """Return the object that a message is; None if it is no log event."""
    data = data.strip()
    try:
        # Twice as fast as json.loads.
        payload, end = _decode(data)
    except (ValueError, RecursionError):
        # Among them integers of more digits than Python takes.
        payload = end = None
    if (
        end == len(data)
        and type(payload) is dict
        and type(payload.get("stream")) is str
        and type(payload.get("text")) is str
    ):
        return payload
    return None


def read_event(payload: dict[str, Any]) -> BuildLogEvent:
    """Return the event that such an object is."""
    get = payload.get
    stream, text, timestamp, status = payload["stream"], payload["text"], get("timestamp"), get("status")
    return BuildLogEvent(
        _STREAMS.get(stream) or BuildLogStream(replace_surrogates(stream)),
        text if text.isascii() else replace_surrogates(text),
        None if timestamp is None else _time(timestamp),
        get("finished") is True,
        replace_surrogates(status) if status and type(status) is str else None,
    )


def is_trouble(event: BuildLogEvent) -> bool:
    """Whether an event tells of the server's own trouble with the log: the build may even be ready."""
    return event.finished and event.timestamp is None and event.status == "failed" and event.text != "failed"


def last_lines(events: Iterable[BuildLogEvent]) -> tuple[str, ...]:
    """Return the last lines of output among events, as a terminal can show them."""
    output = (BuildLogStream.STDOUT, BuildLogStream.STDERR)
    lines = "\n".join(event.text for event in events if event.stream in output).split("\n")
    # Of a line that was written over, as progress bars are, what stands there at the end.
    shown = (strip_controls(line.rstrip().rpartition("\r")[2]) for line in lines)
    return tuple(
        line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…" for line in shown if line
    )[-_LINES:]


def _time(value: object) -> datetime | None:
    try:
        moment = _from_iso(value)  # type: ignore[arg-type]  # refused if it is no string
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
