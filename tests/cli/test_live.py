"""What a terminal shows of a build, drawn at 80 and at 120 columns."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from superserve import BuildLogEvent, BuildLogStream, BuildOutcome, SandboxError, TemplateBuildInfo
from superserve.cli import _live
from superserve.cli._live import JointProgress, Progress, usual_s
from superserve.types import TransferProgress

LONG = "x" * 200
EVENTS = [
    ("system", "build queued, waiting for dispatch", 0),
    ("system", "build queued, waiting for dispatch", 2),
    ("system", "Pulling image python:3.11", 3),
    ("system", "Image ready", 8),
    ("system", "Step 1/2", 8),
    ("system", f"$ make {LONG}", 8),
    ("stdout", "one\n10%\r20%", 9),
    ("system", "Step 1/2 completed (2.5s)", 11),
    ("system", "Step 2/2", 11),
    ("system", "$ exit 3", 11),
    ("stderr", LONG, 12),
]


def shown(display, columns):
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(display)
    return console.export_text().splitlines()


def drawn(events, columns, *, status=None, usual=None):
    now = [0.0]
    display = Progress("web", usual_s=usual, clock=lambda: now[0])
    for stream, text, at in events:
        now[0] = at
        display(BuildLogEvent(BuildLogStream(stream), text))
    if status:
        display(BuildLogEvent(BuildLogStream.SYSTEM, status, finished=True, status=status))
    return shown(display, columns)


@pytest.mark.parametrize("columns", [80, 120])
def test_each_part_has_one_line_within_the_terminal(columns):
    lines = drawn(EVENTS, columns)
    assert [line.split()[:2] for line in lines[:4]] == [
        ["✓", "3.0s"],
        ["✓", "5.0s"],
        ["✓", "0.0s"],
        ["✓", "2.5s"],
    ]
    assert lines[4].startswith("·       1s  Step 2/2  $ exit 3")
    assert lines[5].startswith("    xxx")
    assert lines[6].split() == ["12s", "web"]
    assert max(map(len, lines)) == columns
    assert len(lines) == 7


def test_the_newest_lines_of_a_step_are_shown_as_a_terminal_shows_them():
    assert [line.strip() for line in drawn(EVENTS[:7], 80)[4:6]] == ["one", "20%"]


@pytest.mark.parametrize(("status", "mark"), [("ready", "✓"), ("failed", "✗"), ("cancelled", "✗")])
def test_the_end_marks_what_was_going_on(status, mark):
    assert drawn(EVENTS, 80, status=status)[4].startswith(mark)


@pytest.mark.parametrize(
    ("usual", "text"),
    [(None, "web"), (30.0, "web, about 18s left"), (10.0, "web, longer than the 10s of last time")],
)
def test_what_is_left_is_estimated_from_the_last_build(usual, text):
    assert drawn(EVENTS, 80, usual=usual)[-1].split(maxsplit=1) == ["12s", text]


def test_nothing_is_left_of_what_has_ended():
    assert drawn(EVENTS, 80, status="ready", usual=30.0)[-1].split() == ["12s", "web"]


def test_the_last_build_that_succeeded_tells_how_long_one_takes():
    began = datetime(2026, 1, 1, tzinfo=UTC)

    def build(status, seconds):
        ended = None if seconds is None else began + timedelta(seconds=seconds)
        return TemplateBuildInfo(
            id="b", template_id="t", status=status, build_spec_hash="", created_at=began, finalized_at=ended
        )

    assert usual_s([build("building", None), build("failed", 3), build("ready", 9), build("ready", 99)]) == 9
    assert usual_s([build("building", None)]) is None


@pytest.mark.parametrize("columns", [80, 120])
def test_several_builds_have_a_line_each_and_what_has_ended_one_that_stays(columns):
    now = [0.0]
    long_name = "n" * 40
    joint = JointProgress(["web", "api", long_name, "last"], clock=lambda: now[0])
    assert shown(joint, columns)[0].split(":")[0].strip() == "waiting for a slot"
    joint.begin("web")(BuildLogEvent(BuildLogStream.SYSTEM, "Step 1/2"))
    joint.begin(long_name)
    now[0] = 3.0
    ready = joint.end(BuildOutcome("api", "reuse", seconds=0.25))
    failed = joint.end(
        BuildOutcome(long_name, "create", error=SandboxError("x\n" + LONG, code="odd"), seconds=3)
    )
    assert shown(ready, columns) == [f"✓     0.2s  {'api':<24}  ready (reuse)"]
    assert shown(failed, columns)[0].startswith(f"✗     3.0s  {'n' * 23}…  odd: x xxx")
    lines = shown(joint, columns)
    assert lines[0] == f"·       3s  {'web':<24}  Step 1/2"
    assert [line.split() for line in lines[1:]] == [
        ["waiting", "for", "a", "slot:", "last"], ["3s", "2", "of", "4", "have", "ended"],
    ]  # fmt: skip
    assert max(map(len, [*lines, *shown(failed, columns)])) <= columns


@pytest.mark.parametrize(
    ("usual", "line", "total"),
    [
        ((10.0, 30.0), ["Step 1/2, about 7s left", "waiting for the log, about 27s left"], ", about 27s left"),
        ((2.0, 30.0), ["Step 1/2, longer than the 2s of last time", "waiting for the log, about 27s left"], ", about 27s left"),
        ((2.0, 1.0), ["Step 1/2, longer than the 2s of last time", "waiting for the log, longer than the 1s of last time"], ""),
        ((10.0, None), ["Step 1/2, about 7s left", "waiting for the log"], ""),
    ],
)  # fmt: skip
def test_what_is_left_of_several_is_estimated_if_it_is_known_of_each(usual, line, total):
    now = [0.0]
    joint = JointProgress(["web", "api"], clock=lambda: now[0])
    joint.begin("web")(BuildLogEvent(BuildLogStream.SYSTEM, "Step 1/2"))
    joint.begin("api")
    for name, seconds in zip(("web", "api"), usual, strict=True):
        joint._running[name].usual_s = seconds
    now[0] = 3.0
    lines = shown(joint, 80)
    assert [text.split("  ")[-1] for text in lines[:2]] == line
    assert lines[2].split("  ")[-1] == f"0 of 2 have ended{total}"


def test_nothing_is_said_of_all_while_some_wait():
    joint = JointProgress(["web", "api"], clock=lambda: 0.0)
    joint.begin("web").usual_s = 10.0
    assert shown(joint, 80)[-1].endswith("0 of 2 have ended")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_transfer_has_one_line_within_the_terminal(columns, monkeypatch):
    console = Console(width=columns, record=True, file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(_live, "Console", lambda **_: console)
    with _live.transfer("/tmp/" + "x" * 200) as draw:
        draw(TransferProgress("/tmp/a\x1b[2J" + "y" * 200, 500, 1000))
    text = console.export_text().rstrip("\n")
    # One is drawn over the other.
    first, last = text[: text.rindex("/tmp/a")], text[text.rindex("/tmp/a") :]
    assert first.startswith("/tmp/xxx")
    assert max(len(first.rstrip()), len(last)) <= columns
    assert last.startswith("/tmp/ayyy")
    assert "0.5/1.0 kB" in last
