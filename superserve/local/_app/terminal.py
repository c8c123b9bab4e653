"""The output of the command while it serves: a line for each request, readable or as JSON, and errors."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

from superserve.local._app.access_log import Served, logger

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_RED = "\x1b[31m"
_YELLOW = "\x1b[33m"
# By the first digit of the status; 0 means no answer.
_STATUS_COLOURS = {0: "\x1b[35m", 2: "\x1b[32m", 3: "\x1b[36m", 4: _YELLOW, 5: _RED}

# Characters that would move a terminal's cursor or change its state, except line ends and tabs.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def show_log(stream: TextIO, *, as_json: bool) -> None:
    """Write this process's log to a stream from now on: all requests, and warnings and errors of the rest."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter(colours=takes_colours(stream)))
    logging.getLogger().addHandler(handler)
    logger.setLevel(logging.INFO)


def takes_colours(stream: TextIO) -> bool:
    """Whether a stream can show colours, and the user wants them: https://no-color.org."""
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and sys.platform != "win32"
    )


class LineFormatter(logging.Formatter):
    """A line for people: time, method, status, duration, path and query."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = self._in(_DIM, datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S"))
        served = _find_served(record)
        if served is None:
            colour = _RED if record.levelno >= logging.ERROR else _YELLOW
            # The base class adds the traceback.
            text = super().format(record).translate(_CONTROLS)
            return f"{time}  {self._in(colour, record.levelname.lower())}  {text}"
        status = self._in(_STATUS_COLOURS.get((served.status or 0) // 100, ""), str(served.status or "---"))
        duration = self._in(_DIM, f"{_format_duration(served.duration_s):>8}")
        query = f"?{served.query}" if served.query else ""
        return (
            f"{time}  {served.method:<6}  {status}  {duration}  {(served.path + query).translate(_CONTROLS)}"
        )

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours and colour else text


class JsonFormatter(logging.Formatter):
    """A JSON object on a line: a request, or a message with its level."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": moment.replace("+00:00", "Z")}
        served = _find_served(record)
        if served is not None:
            line |= {
                "method": served.method,
                "path": served.path,
                "query": served.query,
                "status": served.status,
                "duration_ms": round(served.duration_s * 1000, 3),
            }
        else:
            line |= {"level": record.levelname.lower(), "message": super().format(record)}
        return json.dumps(line, ensure_ascii=False)


def _find_served(record: logging.LogRecord) -> Served | None:
    served = getattr(record, "served", None)
    return served if isinstance(served, Served) else None


def _format_duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
