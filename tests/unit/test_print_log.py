"""How a build's log is printed: on a terminal, in a pipe, on GitHub Actions."""

import io
import re

import pytest

from superserve import BuildLogEvent, BuildLogStream, TemplateSpec, ValidationError, print_log
from superserve._log_lines import duration_s, final_text

CHUNK = 32 * 1024


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch):
    for name in ("NO_COLOR", "GITHUB_ACTIONS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(*events, file=None, **options):
    """Return what is printed of events, given as (stream, text)."""
    file = file or io.StringIO()
    on_log = print_log(file, **options)
    for event in events:
        on_log(
            event if isinstance(event, BuildLogEvent) else BuildLogEvent(BuildLogStream(event[0]), event[1])
        )
    return file.getvalue()


def test_steps_are_headings_with_their_commands_and_durations():
    assert printed(
        ("system", "Step 1/2"),
        ("system", "$ make all"),
        ("stdout", "made"),
        ("system", "Step 1/2 completed (1m2.5s)"),
    ) == ("== Step 1/2  $ make all\nmade\n== Step 1/2 took 1m2.5s\n")


def test_a_step_without_a_command_has_a_heading_too():
    assert printed(("system", "Step 1/1"), ("stdout", "made")) == "== Step 1/1\nmade\n"
    done = BuildLogEvent(BuildLogStream.SYSTEM, "failed", finished=True, status="failed")
    assert printed(("system", "Step 1/1"), done) == "== Step 1/1  failed\n"


def test_a_line_that_was_cut_is_printed_whole():
    assert printed(("stdout", "a" * CHUNK), ("stdout", "b\nc")) == "a" * CHUNK + "b\nc\n"


def test_a_cut_line_ends_where_another_stream_begins():
    assert printed(("stdout", "a" * CHUNK), ("stderr", "b")) == "a" * CHUNK + "\nb\n"
    assert printed(("stdout", "a" * CHUNK), ("system", "b")) == "a" * CHUNK + "\nb\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("10%\r20%\r100%", "100%"),
        ("100%\r5%", "5%0%"),
        ("a\r", "a"),
        ("\rb", "b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x07b", "ab"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would(line, shown):
    assert final_text(line) == shown
    assert printed(("stdout", line)) == f"{shown}\n"


def test_on_a_terminal_a_progress_bar_stays_on_its_line():
    assert printed(("stderr", "10%"), ("stderr", "\r20%"), file=Terminal()) == "10%\n\x1b[1A\x1b[2K20%\n"
    assert printed(("stderr", "10%"), ("stdout", "\r20%"), file=Terminal()) == "10%\n20%\n"
    assert printed(("stderr", "10%"), ("stderr", "\r20%")) == "10%\n20%\n"


def test_colours_are_for_terminals_and_those_who_want_them(monkeypatch):
    event = ("system", "image ready")
    assert printed(event, file=Terminal()) == "\x1b[2mimage ready\x1b[0m\n"
    assert printed(event) == "image ready\n"
    assert printed(event, color=True) == "\x1b[2mimage ready\x1b[0m\n"
    assert printed(event, file=Terminal(), color=False) == "image ready\n"
    monkeypatch.setenv("TERM", "dumb")
    assert printed(event, file=Terminal()) == "image ready\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(event, file=Terminal()) == "image ready\n"


def test_what_the_queue_says_again_and_again_is_printed_once():
    waiting = ("system", "build queued, waiting for dispatch")
    assert printed(waiting, waiting, waiting, ("system", "Image ready")) == f"{waiting[1]}\nImage ready\n"


def test_a_gap_is_told():
    event = BuildLogEvent(BuildLogStream.STDOUT, "later", after_gap=True)
    assert printed(event) == "(a part of the log is missing here)\nlater\n"


def test_what_cannot_be_encoded_is_replaced():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_log(file)(BuildLogEvent(BuildLogStream.STDOUT, "é"))
    assert raw.getvalue() == b"?\n"


def test_by_default_it_prints_to_stdout(capsys):
    print_log()(BuildLogEvent(BuildLogStream.STDOUT, "hi"))
    assert capsys.readouterr() == ("hi\n", "")


def test_forgotten_parentheses_are_noticed():
    with pytest.raises(
        ValidationError,
        match=r"^print_log returns the function that prints: pass on_log=print_log\(\), with parentheses$",
    ):
        print_log(BuildLogEvent(BuildLogStream.STDOUT, "hi"))
    with pytest.raises(ValidationError, match="file: expected a text file that can be written, got int"):
        print_log(5)


@pytest.fixture
def on_github(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


@pytest.mark.usefixtures("on_github")
def test_on_github_a_step_is_a_group_in_which_nothing_is_a_command():
    text = printed(
        ("system", "Step 1/1"),
        ("system", "$ make %"),
        ("stdout", "::add-path::/evil\n##[group]x"),
        ("system", "Step 1/1 completed (3s)"),
    )
    token = re.search(r"::stop-commands::(\w{32})", text)[1]
    assert text == (
        "::group::Step 1/1  $ make %25\n"
        f"::stop-commands::{token}\n"
        "::add-path::/evil\n##[group]x\n"
        "== Step 1/1 took 3s\n"
        f"::{token}::\n::endgroup::\n"
    )


@pytest.mark.usefixtures("on_github")
def test_on_github_nothing_outside_of_a_step_is_a_command_either():
    assert (
        printed(("stdout", "a\n ::add-path::/evil"), ("system", "##[x]"))
        == "a\n>  ::add-path::/evil\n> ##[x]\n"
    )


@pytest.mark.usefixtures("on_github")
def test_on_github_a_failure_is_an_annotation_where_the_step_was_written():
    spec = TemplateSpec(name="web", from_="a").run("make").run("exit 3")
    failed = "step_failed: step 2/2 failed after 3s: exited with code 3"
    text = printed(("system", "Step 2/2"), ("system", "$ exit 3"), ("error", failed), spec=spec)
    place = spec.place_of("steps[1]")
    assert "::endgroup::\n::error file=" in text
    assert text.endswith(f"test_print_log.py,line={place.line},title=Build failed::{failed}\n")
    assert printed(("error", "build_failed: x")) == "::error title=Build failed::build_failed: x\n"
    assert printed(("error", "build_failed: x\ny")) == "::error title=Build failed::build_failed: x%0Ay\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3s", 3),
        ("12ms", 0.012),
        ("1m2.5s", 62.5),
        ("1h0m0s", 3600),
        ("0s", 0),
        ("", None),
        ("3", None),
        ("3s!", None),
    ],
)
def test_durations_are_read_as_go_writes_them(text, seconds):
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))
