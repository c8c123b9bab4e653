"""Printing a build log: a ready-made `on_log` callback."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from superserve import _log_lines
from superserve._redact import strip_controls
from superserve.errors import BuildError, ValidationError
from superserve.types import BuildLogEvent, BuildLogStream

if TYPE_CHECKING:
    from superserve.specs import TemplateSpec

_BOLD: Final = "1"
_DIM: Final = "2"
_RED: Final = "31"
_GAP: Final = "(a part of the log is missing here)"


def print_log(
    file: TextIO | None = None, *, color: bool | None = None, spec: "TemplateSpec | None" = None
) -> Callable[[BuildLogEvent], None]:
    """Return a function that prints the events of a build log. Pass it as `on_log=print_log()`.

    Each step gets a heading with its duration. Lines are printed whole, a progress bar as its final state, and escape
    sequences in the output are removed. On GitHub Actions each step is a group, and a failure is an annotation.

    Args:
        file: Where to print. Default stdout.
        color: Whether to use colours. Default: on a terminal, unless NO_COLOR is set.
        spec: The template's spec. With it, the annotation of a failure points to the line of the failed step.

    Raises:
        ValidationError: `file` cannot be written to, or `print_log` was passed as `on_log` without parentheses.

    Example:
        >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
        >>> print("The log:"); info = await template.wait_until_ready(on_log=print_log())
        The log:
        ...
        Image ready
        Starting build environment
        == Step 1/1  $ echo hi
        hi
        == Step 1/1 took 10ms
        Saving template
        ready
    """
    if isinstance(file, BuildLogEvent):
        raise ValidationError(
            "print_log returns the function that prints: pass on_log=print_log(), with parentheses"
        )
    if file is not None and not hasattr(file, "write"):
        raise ValidationError(f"file: expected a text file that can be written, got {type(file).__name__}")
    return LogPrinter(file or sys.stdout, color, spec)


class LogPrinter:
    """Prints the log of one build."""

    def __init__(self, file: TextIO, color: bool | None, spec: "TemplateSpec | None") -> None:
        self._file = file
        self._spec = spec
        self._is_terminal = _is_terminal(file)
        self._has_color = color if color is not None else self._is_terminal and not os.environ.get("NO_COLOR")
        self._is_github = os.environ.get("GITHUB_ACTIONS") == "true"
        # GitHub's runner must not obey commands in a build's output.
        self._token = secrets.token_hex(16) if self._is_github else None
        self._is_muted = False
        # The stream whose line is not complete.
        self._unended: str | None = None
        # The stream that printed the line above, if that is its only line: a carriage return overwrites it.
        self._above: str | None = None
        self._heading: str | None = None
        self._last_system: str | None = None

    def __call__(self, event: BuildLogEvent) -> None:
        """Print an event."""
        if event.after_gap:
            self._show_heading()
            self._line(_GAP, _DIM)
        if event.stream == BuildLogStream.SYSTEM:
            self._system(event)
        elif event.stream == BuildLogStream.ERROR:
            self._show_heading()
            self._error(event.text)
        else:
            self._show_heading()
            self._last_system = None
            self._output(event.stream, event.text)
        if event.finished:
            self._show_heading()
            self._end_group()
        self._file.flush()

    def _system(self, event: BuildLogEvent) -> None:
        text = event.text
        step = _log_lines.STEP.fullmatch(text)
        if step and step["duration"] is None:
            self._show_heading()
            self._heading = text
        elif step:
            self._show_heading()
            self._line(f"== Step {step['number']}/{step['count']} took {step['duration']}", _DIM)
            self._end_group()
        elif self._heading is not None:
            self._show_heading(text)
        elif text != self._last_system:
            # This line comes every 2 s while a build is queued.
            self._line(text, _DIM if not event.finished or event.status == "ready" else _RED)
        self._last_system = text

    def _show_heading(self, what: str = "") -> None:
        if self._heading is None:
            return
        heading = f"{self._heading}  {what.partition(chr(10))[0]}".rstrip()
        self._heading = None
        self._end_group()
        if self._token is not None:
            self._command("group", heading)
            self._is_muted = True
            self._write(f"::stop-commands::{self._token}\n")
        else:
            self._line(f"== {heading}", _BOLD)

    def _end_group(self) -> None:
        if self._is_muted:
            self._end_line()
            self._is_muted = False
            self._write(f"::{self._token}::\n::endgroup::\n")

    def _error(self, text: str) -> None:
        self._end_group()
        if self._token is None:
            self._line(text, _RED)
            return
        failure = BuildError.parse(text, build_id="", template_id="")
        place = self._spec.place_of(f"steps[{failure.step - 1}]") if self._spec and failure.step else None
        where = ""
        if place is not None:
            position = {"file": str(place).partition(":")[0], "line": place.line, "col": place.column}
            where = (
                ",".join(f"{key}={_property(str(value))}" for key, value in position.items() if value) + ","
            )
        self._end_line()
        self._command(f"error {where}title=Build failed", text)

    def _command(self, name: str, text: str) -> None:
        self._write(f"::{name}::{_data(strip_controls(text))}\n")

    def _output(self, stream: str, text: str) -> None:
        is_rewritten = text.startswith("\r") and self._above == stream and self._is_terminal
        if is_rewritten:
            # Go up one line, and erase it.
            self._write("\x1b[1A\x1b[2K")
        if self._unended not in (None, stream):
            self._end_line()
        lines = [_log_lines.final_text(line) for line in text.rstrip("\n").split("\n")]
        self._unended = stream if _log_lines.ends_within_line(text) else None
        self._write("\n".join(map(self._safe, lines)) + ("" if self._unended else "\n"))
        is_short = len(lines) == 1 and len(lines[0]) < shutil.get_terminal_size().columns
        self._above = stream if is_short and not self._unended else None

    def _line(self, text: str, style: str) -> None:
        self._end_line()
        self._above = None
        for line in text.split("\n"):
            shown = self._safe(_log_lines.final_text(line))
            self._write(f"\x1b[{style}m{shown}\x1b[0m\n" if self._has_color else f"{shown}\n")

    def _end_line(self) -> None:
        if self._unended:
            self._write("\n")
            self._unended = None

    def _safe(self, line: str) -> str:
        # Outside a step nothing is muted, and the lines are the server's own.
        if self._token is not None and not self._is_muted and line.lstrip().startswith(("::", "##[")):
            return f"> {line}"
        return line

    def _write(self, text: str) -> None:
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        self._file.write(text.encode(encoding, "replace").decode(encoding))


def _is_terminal(file: TextIO) -> bool:
    try:
        return file.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
