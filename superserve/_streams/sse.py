"""Reading messages of an event stream as build events, and recognising event streams. No I/O."""

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
# A mock may leave the content type out, or have its library's default, text/plain.
_KINDS: Final = frozenset({KIND, "text/plain", ""})
# A step may be silent for ten minutes. Many routers forget a connection that is silent for so long.
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
    """Return an event stream with another body: decompressed, in UTF-8, with or without a BOM."""
    # The reader of events requires this content type.
    wrapped = httpx.Response(200, headers={"content-type": KIND}, content=body, request=response.request)
    wrapped.encoding = "utf-8-sig"
    return wrapped


def keep_alive(response: httpx.Response) -> None:
    """Turn on TCP keep-alive, so that the system notices when the other end of a silent connection is gone."""
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None:
        # A mock has no socket.
        return
    # A connection that the server has already reset accepts no options.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # The name on macOS is TCP_KEEPALIVE.
        after = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        if after is not None:
            sock.setsockopt(socket.IPPROTO_TCP, after, _KEEP_ALIVE_S)


def read_message(data: str) -> dict[str, Any] | None:
    """Return the JSON object of a message; None if it is not a log event."""
    data = data.strip()
    try:
        # Twice as fast as json.loads.
        payload, end = _decode(data)
    except (ValueError, RecursionError):
        # For example an integer with more digits than Python accepts.
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
    """Return the log event of a message's object."""
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
    """Whether an event reports the server's own trouble with the log. The build may even be ready."""
    return event.finished and event.timestamp is None and event.status == "failed" and event.text != "failed"


def last_lines(events: Iterable[BuildLogEvent]) -> tuple[str, ...]:
    """Return the last lines of output, in a form that is safe for a terminal."""
    output = (BuildLogStream.STDOUT, BuildLogStream.STDERR)
    lines = "\n".join(event.text for event in events if event.stream in output).split("\n")
    # A progress bar overwrites its line: keep what the line shows at the end.
    shown = (strip_controls(line.rstrip().rpartition("\r")[2]) for line in lines)
    return tuple(
        line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…" for line in shown if line
    )[-_LINES:]


def _time(value: object) -> datetime | None:
    try:
        moment = _from_iso(value)  # type: ignore[arg-type]  # raises TypeError if it is not a string
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
