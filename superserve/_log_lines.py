"""The meaning of lines in a build log."""

import re
from typing import Final

from superserve._redact import strip_controls

READ_BYTES: Final = 32 * 1024
"""The most bytes of one event. An event of this size was cut, and may end within a line; others end where a line ends."""

STEP: Final = re.compile(
    r"Step (?P<number>\d{1,9})/(?P<count>\d{1,9})(?: completed \((?P<duration>[^)]*)\))?"
)

_PART: Final = re.compile(r"(?P<value>\d{1,9}(?:\.\d{1,9})?)(?P<unit>h|ms|m|s|µs|us|ns)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}


def duration_s(text: str) -> float | None:
    """Return the seconds of a duration in Go's form, such as `1m2.5s`; None if it has another form."""
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return sum(float(part["value"]) * _SECONDS[part["unit"]] for part in parts)


def final_text(line: str) -> str:
    """Return a line as a terminal finally shows it: text after a carriage return overwrites what was there."""
    if "\r" not in line:
        return strip_controls(line)
    shown = ""
    for part in map(strip_controls, line.split("\r")):
        shown = part + shown[len(part) :]
    return shown


def ends_within_line(text: str) -> bool:
    """Whether an event's text may continue in the next event of its stream."""
    return len(text) * 4 >= READ_BYTES and len(text.encode("utf-8", "replace")) >= READ_BYTES
