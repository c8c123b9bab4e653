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

Key = tuple[object, str, str]
"""What tells an event from others: its time as sent, stream and text."""


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


def read_event(data: str) -> tuple[BuildLogEvent, Key, bool] | None:
    """Return the event that a message is, its key, and whether every replay has it; None if it is none."""
    payload = _payload(data)
    get = payload.get
    stream, text = get("stream"), get("text")
    if type(stream) is not str or type(text) is not str:
        return None
    timestamp, status, finished = get("timestamp"), get("status"), get("finished") is True
    event = BuildLogEvent(
        _STREAMS.get(stream) or BuildLogStream(replace_surrogates(stream)),
        text if text.isascii() else replace_surrogates(text),
        None if timestamp is None else _time(timestamp),
        finished,
        replace_surrogates(status) if status and type(status) is str else None,
    )
    # The server tells its own trouble only once, and a heartbeat is one only while the build is queued.
    is_lasting = not is_trouble(event) if finished else stream != "system" or "status" in payload
    return event, (timestamp if type(timestamp) is str else None, stream, text), is_lasting


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


def _payload(data: str) -> dict[str, Any]:
    """Return the object that a message is, or an empty one."""
    data = data.strip()
    try:
        # Twice as fast as json.loads.
        payload, end = _decode(data)
    except (ValueError, RecursionError):
        # Among them integers of more digits than Python takes.
        return {}
    return payload if end == len(data) and type(payload) is dict else {}


def _time(value: object) -> datetime | None:
    try:
        moment = _from_iso(value)  # type: ignore[arg-type]  # refused if it is no string
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
