"""What a terminal shows of a build, drawn at 80 and at 120 columns."""

import pytest
from rich.console import Console

from superserve import BuildLogEvent, BuildLogStream
from superserve.cli._live import Display

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


def drawn(events, columns, *, status=None):
    now = [0.0]
    display = Display("web", clock=lambda: now[0])
    for stream, text, at in events:
        now[0] = at
        display(BuildLogEvent(BuildLogStream(stream), text))
    if status:
        display(BuildLogEvent(BuildLogStream.SYSTEM, status, finished=True, status=status))
    console = Console(width=columns, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(display)
    console.file.close()
    return console.export_text().splitlines()


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
