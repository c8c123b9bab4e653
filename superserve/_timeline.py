"""Reading where a build's time went out of its log."""

import re
from collections.abc import Iterable
from typing import Final

import attrs

from superserve import _log_lines
from superserve._redact import strip_controls
from superserve.types import BuildLogEvent, BuildLogStream, BuildTimeline, TemplateBuildInfo, TimelinePart

# Words that system lines begin with, and the part that they begin. The service's and the local server's differ in case.
_BEGINNINGS: Final = (
    (re.compile(r"(?i)build queued"), "queue"),
    (re.compile(r"(?i)pulling"), "image"),
    (re.compile(r"(?i)starting (?:build )?environment"), "environment"),
    (re.compile(r"(?i)step \d+/\d+$"), "step"),
    (re.compile(r"(?i)running start"), "start"),
    (re.compile(r"(?i)waiting for (?:template to be ready|ready_cmd)"), "ready"),
    (re.compile(r"(?i)saving template"), "save"),
)
_LONGEST_LABEL: Final = 72


def timeline(build: TemplateBuildInfo, events: Iterable[BuildLogEvent]) -> BuildTimeline:
    """Return where the time of a build went."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    if reader.parts and reader.parts[0].kind != "queue" and build.started_at is not None:
        queued_s = (build.started_at - build.created_at).total_seconds()
        reader.parts.insert(0, TimelinePart("queue", "in the queue", max(0.0, queued_s)))
    total_s = None if build.finalized_at is None else (build.finalized_at - build.created_at).total_seconds()
    return BuildTimeline(build.id, build.status, total_s, tuple(reader.parts), is_complete=reader.has_ended)


class _Reader:
    """Reads a log's events into the parts of the build."""

    def __init__(self) -> None:
        self.parts: list[TimelinePart] = []
        self.has_ended = False
        self._began: BuildLogEvent | None = None
        self._is_named = True

    def take(self, event: BuildLogEvent) -> None:
        """Read an event."""
        if event.stream != BuildLogStream.SYSTEM:
            return
        text = strip_controls(event.text)
        if event.finished:
            self._close(event)
            self.has_ended = event.timestamp is not None
            return
        step = _log_lines.STEP.fullmatch(text)
        if step and step["duration"] is not None:
            self._close(event, _log_lines.duration_s(step["duration"]))
            return
        kind = next((kind for begins, kind in _BEGINNINGS if begins.match(text)), None)
        if kind is not None and not (kind == "queue" and self.parts):
            self._close(event)
            self.parts.append(TimelinePart(kind, _short(text), None))  # type: ignore[arg-type]  # of the table above
            self._began, self._is_named = event, kind != "step"
        elif not self._is_named:
            # The line behind `Step 2/3` says what it does.
            last = self.parts[-1]
            self.parts[-1] = attrs.evolve(last, label=_short(f"{last.label}  {text}"))
            self._is_named = True

    def _close(self, event: BuildLogEvent, seconds: float | None = None) -> None:
        began, self._began = self._began, None
        if began is None:
            return
        if seconds is None and began.timestamp and event.timestamp:
            seconds = max(0.0, (event.timestamp - began.timestamp).total_seconds())
        self.parts[-1] = attrs.evolve(self.parts[-1], seconds=seconds)


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= _LONGEST_LABEL else f"{line[: _LONGEST_LABEL - 1]}…"
