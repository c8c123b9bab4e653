"""Reading from a build log how long each part of the build took."""

import re
from collections.abc import Iterable
from typing import Final

import attrs

from superserve import _log_lines
from superserve._redact import strip_controls
from superserve.types import BuildLogEvent, BuildLogStream, BuildTimeline, TemplateBuildInfo, TimelinePart

# The first words of system lines, with the part that each begins. The service and the local server differ in case.
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
    """Return how long each part of a build took."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    if reader.parts and reader.parts[0].kind != "queue" and build.started_at is not None:
        queued_s = (build.started_at - build.created_at).total_seconds()
        reader.parts.insert(0, TimelinePart("queue", "in the queue", max(0.0, queued_s)))
    total_s = None if build.finalized_at is None else (build.finalized_at - build.created_at).total_seconds()
    return BuildTimeline(build.id, build.status, total_s, tuple(reader.parts), is_complete=reader.has_ended)


class _Reader:
    """Turns the events of a log into the parts of the build."""

    def __init__(self) -> None:
        self.parts: list[TimelinePart] = []
        self.has_ended = False
        self._began: BuildLogEvent | None = None
        self._is_named = True

    def take(self, event: BuildLogEvent) -> None:
        """Read one event."""
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
            # The line after `Step 2/3` says what the step does.
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
