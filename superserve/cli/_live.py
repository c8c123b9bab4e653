"""The live view of a build on a terminal: steps, times, the last line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from superserve import BuildLogEvent, BuildLogStream, _log_lines

_PER_SECOND: Final = 8
_LINES: Final = 5


class Display:
    """The state of the build, and how it is drawn."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._began_at = self._part_at = clock()
        self._done: list[tuple[str, str, str]] = []
        self._part = "waiting for the log"
        self._is_step = self._is_named = False
        self._latest: list[str] = []

    def __call__(self, event: BuildLogEvent) -> None:
        """Read an event."""
        lines = [shown for line in event.text.split("\n") if (shown := _log_lines.final_text(line).rstrip())]
        if event.stream != BuildLogStream.SYSTEM:
            self._latest = [*self._latest, *lines][-_LINES:]
            return
        text = lines[0] if lines else ""
        step = _log_lines.STEP.fullmatch(text)
        if step and step["duration"] is not None:
            self._end("✓", step["duration"])
        elif event.finished:
            self._end("✓" if event.status == "ready" else "✗", None)
        elif self._is_step and not self._is_named:
            self._part += f"  {text}"
            self._is_named = True
        elif text != self._part:
            if (not self._is_step and self._done) or self._part != "waiting for the log":
                self._end("✓", None)
            self._part, self._is_step, self._is_named = text, step is not None, False
            self._latest = []

    def _end(self, mark: str, duration: str | None) -> None:
        if self._part:
            seconds = f"{self._clock() - self._part_at:.1f}s"
            self._done.append((mark, self._part, duration or seconds))
        self._part, self._is_step, self._part_at = "", False, self._clock()

    def __rich__(self) -> Group:
        """Return the lines to draw. Each is cut at the terminal's width."""
        rows = [_row(mark, text, took, "green" if mark == "✓" else "red") for mark, text, took in self._done]
        if self._part:
            rows.append(_row("·", self._part, f"{self._clock() - self._part_at:.0f}s", "bold"))
        rows += [Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._latest]
        rows.append(_row(" ", self._name, f"{self._clock() - self._began_at:.0f}s", "dim"))
        return Group(*rows)


def _row(mark: str, text: str, took: str, style: str) -> Text:
    return Text.assemble(
        (f"{mark} ", style), (f"{took:>8}  ", "dim"), text, no_wrap=True, overflow="ellipsis"
    )


@contextmanager
def display(name: str) -> Iterator[Callable[[BuildLogEvent], None]]:
    """Yield a function that draws a build's events on the terminal of stderr."""
    shown = Display(name)
    with Live(shown, console=Console(stderr=True), refresh_per_second=_PER_SECOND, transient=False):
        yield shown
