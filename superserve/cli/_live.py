"""Builds and transfers as a terminal shows them while they go on: steps, times, the last line, and what is left."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from superserve import BuildLogEvent, BuildLogStream, BuildOutcome, TemplateBuildInfo, _log_lines
from superserve._redact import strip_controls
from superserve.types import TransferProgress

_PER_SECOND: Final = 8
_LINES: Final = 5
_LONGEST_NAME: Final = 24

Clock = Callable[[], float]


class Progress:
    """What is known of one build, and how it is drawn."""

    def __init__(self, name: str, *, usual_s: float | None = None, clock: Clock = time.monotonic) -> None:
        self._name = name
        self.usual_s = usual_s
        self._clock = clock
        self._began_at = self._part_at = clock()
        self._done: list[tuple[str, str, str]] = []
        self._is_step = self._is_named = False
        self._latest: list[str] = []
        self.part = "waiting for the log"

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
            self.part += f"  {text}"
            self._is_named = True
        elif text != self.part:
            if (not self._is_step and self._done) or self.part != "waiting for the log":
                self._end("✓", None)
            self.part, self._is_step, self._is_named = text, step is not None, False
            self._latest = []

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return self._clock() - self._began_at

    def _end(self, mark: str, duration: str | None) -> None:
        if self.part:
            self._done.append((mark, self.part, duration or f"{self._clock() - self._part_at:.1f}s"))
        self.part, self._is_step, self._part_at = "", False, self._clock()

    def __rich__(self) -> Group:
        """Return the lines to draw. Each is cut at the terminal's width."""
        rows = [_row(mark, text, took, "green" if mark == "✓" else "red") for mark, text, took in self._done]
        if self.part:
            rows.append(_row("·", self.part, f"{self._clock() - self._part_at:.0f}s", "bold"))
        rows += [Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._latest]
        is_over = not self.part and bool(self._done)
        rows.append(_row(" ", self._name + ("" if is_over else self.left()), f"{self.seconds:.0f}s", "dim"))
        return Group(*rows)

    @property
    def left_s(self) -> float | None:
        """How much is left, if it takes as long as it did the last time; None if that is not known."""
        return None if self.usual_s is None else self.usual_s - self.seconds

    def left(self) -> str:
        """Say how much is left, if it takes as long as it did the last time."""
        left = self.left_s
        if left is None or self.usual_s is None:
            return ""
        return (
            f", about {left:.0f}s left" if left > 0 else f", longer than the {self.usual_s:.0f}s of last time"
        )


class JointProgress:
    """What is known of several builds: those that go on, a line each, and those that wait."""

    def __init__(self, names: Sequence[str], clock: Clock = time.monotonic) -> None:
        self._waiting = list(names)
        self._clock = clock
        self._began_at = clock()
        self._running: dict[str, Progress] = {}
        self._ended = 0
        self._width = min(max(map(len, names), default=0), _LONGEST_NAME)

    def begin(self, name: str) -> Progress:
        """Take note of a build that goes on, and return what takes its log's events."""
        self._waiting.remove(name)
        self._running[name] = Progress(name, clock=self._clock)
        return self._running[name]

    def end(self, outcome: BuildOutcome) -> Group:
        """Take note of what became of a template, and return the line that says so."""
        if self._running.pop(outcome.name, None) is None:
            self._waiting.remove(outcome.name)
        self._ended += 1
        error = outcome.error
        text = f"ready ({outcome.action})" if error is None else f"{error.code or 'failed'}: {error.message}"
        # A text of its own would be wrapped: what it says of that is lost when it is printed.
        return Group(self._line("✓" if error is None else "✗", outcome.name, text, outcome.seconds))

    def _line(self, mark: str, name: str, text: str, seconds: float) -> Text:
        style = {"✓": "green", "✗": "red"}.get(mark, "bold")
        took = f"{seconds:.0f}s" if mark == "·" else f"{seconds:.1f}s"
        shown = " ".join(_log_lines.final_text(text).split())
        if len(name) > self._width:
            name = f"{name[: self._width - 1]}…"
        return _row(mark, f"{name:<{self._width}}  {shown}", took, style)

    def __rich__(self) -> Group:
        """Return the lines to draw. Each is cut at the terminal's width."""
        rows = [
            self._line("·", name, (build.part or "ending") + build.left(), build.seconds)
            for name, build in self._running.items()
        ]
        if self._waiting:
            rows.append(_row(" ", f"waiting for a slot: {', '.join(self._waiting)}", "", "dim"))
        count = self._ended + len(self._running) + len(self._waiting)
        total = f"{self._ended} of {count} have ended{self._left()}"
        rows.append(_row(" ", total, f"{self._clock() - self._began_at:.0f}s", "dim"))
        return Group(*rows)

    def _left(self) -> str:
        """Say how much is left of all, if that is known of each and none waits."""
        left = [build.left_s for build in self._running.values()]
        known = [one for one in left if one is not None]
        if self._waiting or not left or len(known) < len(left) or max(known) <= 0:
            return ""
        return f", about {max(known):.0f}s left"


def _row(mark: str, text: str, took: str, style: str) -> Text:
    return Text.assemble(
        (f"{mark} ", style), (f"{took:>8}  ", "dim"), text, no_wrap=True, overflow="ellipsis"
    )


def usual_s(builds: Sequence[TemplateBuildInfo]) -> float | None:
    """Return the seconds that the newest of a template's builds that succeeded took; None if none did."""
    for build in builds:
        if build.status == "ready" and build.finalized_at is not None:
            return (build.finalized_at - build.created_at).total_seconds()
    return None


@contextmanager
def display(name: str, usual_s: float | None) -> Iterator[Callable[[BuildLogEvent], None]]:
    """Yield a function that draws a build's events on the terminal of stderr."""
    shown = Progress(name, usual_s=usual_s)
    with Live(shown, console=Console(stderr=True), refresh_per_second=_PER_SECOND, transient=False):
        yield shown


class JointDisplay:
    """Draws several builds on the terminal of stderr; what has ended stays above what goes on."""

    def __init__(self, names: Sequence[str]) -> None:
        self._progress = JointProgress(names)
        self._live = Live(
            self._progress, console=Console(stderr=True), refresh_per_second=_PER_SECOND, transient=True
        )
        self.begin = self._progress.begin

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def end(self, outcome: BuildOutcome) -> None:
        """Draw what became of a template."""
        self._live.console.print(self._progress.end(outcome))


@contextmanager
def transfer(path: str) -> Iterator[Callable[[TransferProgress], None]]:
    """Yield a function that draws how far a transfer is on the terminal of stderr. Nothing of it stays."""
    name = TextColumn(
        "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
    )
    numbers = (BarColumn(20), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True))
    with Bar(name, *numbers, console=Console(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(strip_controls(path), total=None)

        def draw(progress: TransferProgress) -> None:
            bar.update(
                task,
                description=strip_controls(progress.path),
                completed=progress.transferred_bytes,
                total=progress.total_bytes,
            )

        yield draw
