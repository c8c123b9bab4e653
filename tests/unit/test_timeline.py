"""Timelines out of logs as the service writes them, whole and with parts missing."""

from datetime import UTC, datetime, timedelta

import attrs

from superserve import BuildLogEvent, BuildLogStream, TemplateBuildInfo, TemplateBuildStatus
from superserve._timeline import _LONGEST_LABEL, timeline

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
BUILD = TemplateBuildInfo(
    "b", "t", TemplateBuildStatus.READY, "hash", START,
    started_at=START + timedelta(seconds=2), finalized_at=START + timedelta(seconds=60),
)  # fmt: skip


def log(*entries, finished=True):
    """Return system events of (seconds, text), and a last one."""
    events = [
        BuildLogEvent(BuildLogStream.SYSTEM, text, START + timedelta(seconds=at)) for at, text in entries
    ]
    if finished:
        events.append(
            BuildLogEvent(BuildLogStream.SYSTEM, "ready", START + timedelta(seconds=60), True, "ready")
        )
    return events


def rows(*entries, **options):
    return [(part.kind, part.seconds) for part in timeline(BUILD, log(*entries, **options)).parts]


def test_the_services_own_log_is_read():
    assert rows(
        (0, "build queued, waiting for dispatch"),
        (2, "build queued, waiting for dispatch"),
        (3, "Pulling image python:3.11"),
        (10, "Image ready"),
        (10, "Starting build environment"),
        (12, "Step 1/2"),
        (12, "$ make"),
        (30, "Step 1/2 completed (17.5s)"),
        (30, "Step 2/2"),
        (31, "Step 2/2 completed (1s)"),
        (31, "Running start command: serve"),
        (32, "Waiting for template to be ready: up"),
        (40, "Template is ready"),
        (40, "Saving template"),
    ) == [
        ("queue", 3), ("image", 7), ("environment", 2), ("step", 17.5), ("step", 1), ("start", 1), ("ready", 8), ("save", 20),
    ]  # fmt: skip


def test_the_build_is_named_with_what_it_came_to_and_how_long_it_took():
    made = timeline(BUILD, log())
    assert (made.build_id, made.status, made.total_s, made.is_complete) == (
        "b",
        TemplateBuildStatus.READY,
        60,
        True,
    )
    running = attrs.evolve(BUILD, status=TemplateBuildStatus.BUILDING, finalized_at=None)
    made = timeline(running, log(finished=False))
    assert (made.status, made.total_s, made.is_complete) == (TemplateBuildStatus.BUILDING, None, False)


def test_a_step_is_labelled_with_its_commands_first_line_cut_to_a_bound():
    def label(command):
        return timeline(BUILD, log((12, "Step 1/1"), (12, f"$ {command}"))).parts[-1].label

    assert label("make\nall") == "Step 1/1  $ make"
    whole = "x" * (_LONGEST_LABEL - len("Step 1/1  $ "))
    assert label(whole) == f"Step 1/1  $ {whole}"
    assert label(whole + "x") == f"Step 1/1  $ {whole[:-1]}…"


def test_without_word_of_the_queue_the_builds_row_tells_how_long_it_was():
    assert rows((2, "Pulling image a"))[0] == ("queue", 2)


def test_a_step_that_fails_has_the_time_until_the_end():
    assert rows((12, "Step 1/1"), (12, "$ make"))[-1] == ("step", 48)


def test_a_log_that_was_cut_gives_what_it_has():
    cut = timeline(BUILD, log((12, "Step 1/1"), finished=False))
    assert (cut.parts[-1].seconds, cut.is_complete, cut.total_s) == (None, False, 60)
    assert cut.slowest.kind == "queue"


def test_an_empty_log_gives_the_queue_and_the_whole():
    nothing = timeline(BUILD, [])
    assert nothing.parts == ()
    assert "60.000 s  in all, ready" in str(nothing)


def test_output_is_not_taken_for_words_of_the_service():
    events = [BuildLogEvent(BuildLogStream.STDOUT, "Step 1/1", START)]
    assert timeline(BUILD, events).parts == ()
