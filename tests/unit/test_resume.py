"""What the messages of a log stream say, and how the replay of a log is told from what is new. No I/O."""

import json
import logging
import socket
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import BuildLogEvent, BuildLogStream
from superserve._streams import sse
from superserve._streams.resume import Replay


def line(text, second=1, /, **fields):
    """Return a line of output; a field that is None is left out."""
    event = {
        "timestamp": f"2026-05-01T10:00:{second:02}Z",
        "stream": "stdout",
        "text": text,
        "finished": False,
        "status": "",
        **fields,
    }
    return json.dumps({name: value for name, value in event.items() if value is not None})


def end(status="ready", **fields):
    return line(status, 59, **{"stream": "system", "finished": True, "status": status, **fields})


def heartbeat(second=0, **fields):
    return line("queued", second, **{"stream": "system", "status": None, **fields})


def trouble(text="log stream ended with error: rpc error: code = NotFound"):
    return end("failed", text=text, timestamp=None)


def read(replay, *messages):
    """Read one connection, and return what is handed over."""
    replay.begin()
    return [event for message in messages if (event := replay.take(message)) is not None]


def read_texts(replay, *messages):
    """Do the same, and return the texts, with a sign before an event that follows a hole."""
    return [("(gap) " if event.after_gap else "") + event.text for event in read(replay, *messages)]


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "superserve"]


@pytest.fixture(autouse=True)
def _hear(caplog):
    caplog.set_level(logging.WARNING, logger="superserve")


# A replay


def test_the_first_connection_gives_each_event_as_it_comes(caplog):
    messages = [heartbeat(0), heartbeat(1), line("a"), line("a"), trouble(), end()]
    assert read_texts(Replay(), *messages) == [json.loads(message)["text"] for message in messages]
    assert not warnings(caplog)


def test_what_was_handed_over_does_not_come_again():
    replay = Replay()
    read(replay, line("a", 1), line("b", 2))
    assert read_texts(replay, line("a", 1), line("b", 2), line("c", 3)) == ["c"]
    assert read_texts(replay, line("a", 1)) == []
    assert read_texts(replay, line("a", 1), line("b", 2), line("c", 3), line("d", 4)) == ["d"]


def test_identical_lines_are_told_apart_by_their_position():
    replay = Replay()
    assert read_texts(replay, *[line("same")] * 3) == ["same"] * 3
    assert read_texts(replay, *[line("same")] * 5) == ["same"] * 2
    assert read_texts(replay, *[line("same")] * 2) == []
    assert read_texts(replay, *[line("same")] * 6) == ["same"]


@pytest.mark.parametrize(
    "other",
    [line("b"), line("a", 2), line("a", stream="stderr"), line("a", timestamp="2026-05-01T10:00:01.0Z")],
)
def test_events_differ_by_their_time_as_it_was_sent_their_stream_and_their_text(other):
    replay = Replay()
    read(replay, line("a"))
    [event] = read(replay, other)
    assert event.after_gap


def test_events_do_not_differ_by_what_else_they_say():
    replay = Replay()
    read(replay, line("a"))
    assert read(replay, line("a", status=None, level=3)) == []


@pytest.mark.parametrize("seen_more", [True, False])
def test_heartbeats_may_be_missing_from_a_replay(seen_more, caplog):
    replay = Replay()
    read(replay, heartbeat(0), heartbeat(1), line("a", 2), line("b", 3))
    if seen_more:
        read(replay, line("a", 2))
    assert read_texts(replay, line("a", 2), line("b", 3), line("c", 4)) == ["c"]
    assert not warnings(caplog)


def test_heartbeats_at_the_end_may_be_missing_too(caplog):
    replay = Replay()
    read(replay, heartbeat(0))
    assert read_texts(replay, line("a", 2)) == ["a"]
    assert not warnings(caplog)


def test_a_heartbeat_that_comes_again_is_not_handed_over_again():
    replay = Replay()
    read(replay, heartbeat(0), line("a"))
    assert read_texts(replay, heartbeat(0), line("a"), line("b")) == ["b"]


def test_a_new_heartbeat_does_not_end_the_comparison(caplog):
    replay = Replay()
    read(replay, line("a", 1), line("b", 2))
    assert read_texts(replay, heartbeat(5), line("a", 1), heartbeat(6), line("b", 2), line("c", 3)) == [
        "queued",
        "queued",
        "c",
    ]
    assert read_texts(replay, line("a", 1), line("b", 2), line("c", 3), line("d", 4)) == ["d"]
    assert not warnings(caplog)


def test_trouble_may_be_missing_from_a_replay(caplog):
    replay = Replay()
    read(replay, line("a", 1), trouble())
    assert read_texts(replay, line("a", 1), line("b", 2)) == ["b"]
    assert not warnings(caplog)


def test_trouble_is_returned_each_time_as_it_ends_its_connection():
    replay = Replay()
    [first] = read(replay, trouble())
    [second] = read(replay, trouble())
    assert first == second
    assert not replay.is_repeated(first)
    assert replay.is_repeated(second)


def test_trouble_of_another_kind_has_not_been_told():
    replay = Replay()
    [first, other] = read(replay, trouble(), trouble("another"))
    assert [replay.is_repeated(event) for event in (first, other, first, other)] == [
        False,
        False,
        True,
        True,
    ]


def test_only_trouble_is_ever_told_again():
    replay = Replay()
    events = read(replay, line("a"), heartbeat(), end("failed"))
    assert not any(replay.is_repeated(event) for event in events * 2)


def test_output_without_a_status_that_is_not_the_systems_is_no_heartbeat():
    replay = Replay()
    read(replay, line("a", 1, status=None), line("b", 2, status=None))
    assert read_texts(replay, line("b", 2, status=None)) == ["(gap) b"]


def test_a_system_event_with_a_status_is_no_heartbeat():
    replay = Replay()
    read(replay, line("step 1/2", 1, stream="system"), line("step 2/2", 2, stream="system"))
    assert read_texts(replay, line("step 2/2", 2, stream="system")) == ["(gap) step 2/2"]


def test_the_first_event_that_does_not_match_ends_the_comparison_and_tells_of_the_hole(caplog):
    replay = Replay()
    read(replay, line("a", 1), line("b", 2), line("c", 3))
    assert read_texts(replay, line("a", 1), line("d", 4), line("b", 2), line("e", 5)) == ["(gap) d", "b", "e"]
    [warning] = warnings(caplog)
    assert "missing" in warning


def test_a_hole_is_told_on_the_events_own_fields():
    replay = Replay()
    read(replay, line("a", 1))
    [event] = read(replay, end("failed"))
    assert event == BuildLogEvent(
        stream=BuildLogStream.SYSTEM,
        text="failed",
        timestamp=datetime(2026, 5, 1, 10, 0, 59, tzinfo=UTC),
        finished=True,
        status="failed",
        after_gap=True,
    )


def test_a_replay_that_has_all_has_no_hole_however_much_follows(caplog):
    replay = Replay()
    read(replay, *(line(str(number), number % 60) for number in range(300)))
    found = read(replay, *(line(str(number), number % 60) for number in range(900)))
    assert [event.text for event in found] == [str(number) for number in range(300, 900)]
    assert not any(event.after_gap for event in found)
    assert not warnings(caplog)


def test_each_connection_can_tell_of_a_hole_of_its_own(caplog):
    replay = Replay()
    read(replay, line("a", 1), line("b", 2))
    assert read_texts(replay, line("c", 3)) == ["(gap) c"]
    assert read_texts(replay, line("a", 1), line("d", 4), line("e", 5)) == ["(gap) d", "e"]
    assert len(warnings(caplog)) == 2


def test_a_message_that_is_no_event_has_no_part_in_the_comparison():
    replay = Replay()
    read(replay, line("a", 1), "nonsense", line("b", 2))
    assert read_texts(replay, line("a", 1), line("b", 2), "nonsense", line("c", 3)) == ["c"]


def test_events_without_a_time_are_compared_by_stream_and_text():
    replay = Replay()
    read(replay, line("a", timestamp=None), line("a", timestamp=None))
    assert read_texts(replay, *[line("a", timestamp=None)] * 3) == ["a"]


def test_it_is_counted_how_many_events_were_handed_over_and_how_many_of_them_last():
    replay = Replay()
    read(replay, heartbeat(), line("a", 1), line("b", 2), trouble())
    read(replay, line("a", 1), "nonsense", line("b", 2), end())
    assert (replay.count, replay.lasting) == (5, 3)


@st.composite
def histories(draw):
    """A log of few different texts, at times that are exact, coarse or absent, and connections that replay all of it."""
    time_of = draw(st.sampled_from([lambda number: number, lambda number: number // 7, lambda _: None]))
    words = draw(st.lists(st.sampled_from(["a", "b"]), max_size=20))
    log = [
        line(word, timestamp=None) if time_of(number) is None else line(word, time_of(number))
        for number, word in enumerate(words)
    ]
    beats = iter(range(20, 60))
    connections = []
    for _ in range(draw(st.integers(0, 5))):
        before = [heartbeat(next(beats)) for _ in range(draw(st.integers(0, 2)))]
        after = [trouble()] if draw(st.booleans()) else []
        connections.append([*before, *log[: draw(st.integers(0, len(log)))], *after])
    return words, [*connections, log]


@given(histories())
def test_a_log_that_is_always_replayed_comes_whole_and_once_although_its_lines_repeat(history):
    words, connections = history
    replay = Replay()
    found = [event for connection in connections for event in read(replay, *connection)]
    assert [event.text for event in found if event.stream == "stdout"] == words
    assert not any(event.after_gap for event in found)


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_of_a_log_that_is_replayed_in_any_way_nothing_new_is_lost_and_nothing_is_made_up(first, second):
    replay = Replay()
    read(replay, *(line(str(number)) for number in first))
    found = read(replay, *(line(str(number)) for number in second))
    same = next(
        (n for n, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )
    assert [event.text for event in found] == [str(number) for number in second[same:]]
    assert [event.after_gap for event in found] == [
        number == 0 and same < len(first) for number in range(len(found))
    ]


# An event


def only(message):
    [event] = read(Replay(), message)
    return event


def test_an_event_says_when_where_and_what():
    event = only(
        '{"timestamp":"2026-05-01T10:00:00.123456789+02:00","stream":"stderr","text":"oh","status":"","finished":false}'
    )
    assert event == BuildLogEvent(
        stream=BuildLogStream.STDERR, text="oh", timestamp=datetime(2026, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)
    )
    assert event.status is None


def test_the_last_event_says_so_and_gives_its_verdict():
    event = only(end("failed"))
    assert (event.finished, event.status, event.text) == (True, "failed", "failed")


def test_a_verdict_that_nobody_knows_is_kept():
    assert only(end("exploded")).status == "exploded"


@pytest.mark.parametrize("timestamp", ["", "yesterday", 5, None, True, [], "2026-13-01T00:00:00Z"])
def test_an_event_without_a_usable_time_has_none(timestamp):
    event = only(json.dumps({"timestamp": timestamp, "stream": "stdout", "text": "x", "status": ""}))
    assert (event.timestamp, event.text) == (None, "x")


def test_an_event_may_lack_its_time_altogether():
    assert only('{"stream":"stdout","text":"x"}').timestamp is None


@pytest.mark.parametrize("digits", range(1, 10))
def test_a_time_may_have_any_number_of_digits(digits):
    event = only(line("x", timestamp=f"2026-05-01T10:00:00.{'5' * digits}Z"))
    assert event.timestamp.microsecond == int(("5" * digits + "000000")[:6])


def test_a_time_without_an_offset_is_in_utc():
    assert only(line("x", timestamp="2026-05-01T10:00:00")).timestamp == datetime(2026, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_may_be_at_the_end_of_time(timestamp):
    assert only(line("x", timestamp=timestamp)).timestamp == datetime.fromisoformat(timestamp)


@pytest.mark.parametrize("stream", ["telemetry", "", "STDOUT"])
def test_a_stream_that_nobody_knows_is_kept(stream):
    event = only(line("x", stream=stream))
    assert event.stream == stream
    assert isinstance(event.stream, BuildLogStream)


def test_fields_that_nobody_knows_are_no_obstacle():
    assert only('{"stream":"stdout","text":"cpu","level":3,"more":{"a":[null]},"status":null}').text == "cpu"


@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "9" * 5000])
def test_a_number_too_long_for_python_makes_it_no_event(digits):
    assert read(Replay(), f'{{"stream":"stdout","text":"x","added":{digits}}}') == []


@pytest.mark.parametrize("finished", ["true", 1, "yes", {}])
def test_only_true_means_finished(finished):
    assert not only(line("x", finished=finished)).finished


@pytest.mark.parametrize("status", [5, [], {}, True])
def test_a_status_that_is_no_text_is_none(status):
    assert only(end(status=status, text="ready")).status is None


def test_half_of_a_surrogate_pair_is_replaced_because_no_file_can_hold_it():
    event = only(
        '{"stream":"std\\ud800out","text":"a\\ud83d b\\ude00 \\ud83d\\ude00","finished":true,"status":"\\ud800"}'
    )
    assert event.text == "a\ufffd b\ufffd \N{GRINNING FACE}"
    assert event.stream == "std\ufffdout"
    assert event.status == "\ufffd"


def test_white_space_around_an_event_is_none_of_it():
    assert only(' \t{"stream":"stdout","text":" x "} \n').text == " x "


@pytest.mark.parametrize(
    "message",
    [
        "not json",
        "[1]",
        "null",
        '"text"',
        "5",
        "{}",
        '{"text":"cut',
        '{"stream":"stdout","text":"x"} {"stream":"stdout","text":"y"}',
        '{"text":"x"}',
        '{"stream":"stdout"}',
        '{"stream":null,"text":"x"}',
        '{"stream":"stdout","text":null}',
        '{"stream":"stdout","text":5}',
        '{"stream":["stdout"],"text":"x"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5_000,
        "secret ss_live_0123",
    ],
)
def test_a_message_that_is_no_event_is_skipped_with_one_warning_that_does_not_quote_it(message, caplog):
    assert read_texts(Replay(), line("a"), message, line("b"), message) == ["a", "b"]
    [warning] = warnings(caplog)
    assert "not a log event" in warning
    assert len(warning) < 100
    assert "secret" not in warning


@pytest.mark.parametrize(
    ("event", "is_trouble"),
    [
        (trouble(), True),
        (trouble("failed"), False),
        (end("failed", text="oh"), False),
        (end("ready", text="oh", timestamp=None), False),
        (end("failed", text="oh", timestamp=None, finished=False), False),
    ],
)
def test_trouble_is_a_failure_without_a_time_whose_text_is_more_than_its_status(event, is_trouble):
    assert sse.is_trouble(only(event)) is is_trouble


# An answer


@pytest.mark.parametrize(
    ("kind", "is_stream"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream ; charset=utf-8", True),
        ("text/plain; charset=utf-8", True),
        ("", True),
        (None, True),
        ("text/html", False),
        ("application/json", False),
        ("application/xhtml+xml; was=text/event-stream", False),
    ],
)
def test_an_event_stream_is_known_by_its_type_and_a_mock_may_leave_that_out(kind, is_stream):
    headers = {} if kind is None else {"Content-Type": kind}
    assert sse.is_event_stream(httpx.Response(200, headers=headers)) is is_stream


@pytest.mark.parametrize("status", [201, 204, 206, 301, 404, 503])
def test_only_a_200_is_an_event_stream(status):
    assert not sse.is_event_stream(httpx.Response(status, headers={"Content-Type": "text/event-stream"}))


class Network:
    """What httpcore tells of a connection."""

    def __init__(self, sock):
        self._socket = sock

    def get_extra_info(self, info):
        return self._socket if info == "socket" else None


def test_the_system_looks_whether_the_other_end_of_a_silent_log_is_there():
    with socket.socket() as sock:
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        sse.keep_alive(httpx.Response(200, extensions={"network_stream": Network(sock)}))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    # It is closed now.
    sse.keep_alive(httpx.Response(200, extensions={"network_stream": Network(sock)}))


@pytest.mark.parametrize("extensions", [{}, {"network_stream": Network(None)}])
def test_a_mock_has_no_socket_and_needs_none(extensions):
    sse.keep_alive(httpx.Response(200, extensions=extensions))


# The last lines


def outputs(*texts, stream=BuildLogStream.STDOUT):
    return [BuildLogEvent(stream=stream, text=text) for text in texts]


def test_the_last_lines_are_those_of_output():
    events = [
        *outputs("out\nput"),
        *outputs("oh", stream=BuildLogStream.STDERR),
        *outputs("step 1/1", stream=BuildLogStream.SYSTEM),
        *outputs("step_failed", stream=BuildLogStream.ERROR),
    ]
    assert sse.last_lines(events) == ("out", "put", "oh")


def test_there_are_twenty_of_them_and_none_is_blank():
    assert sse.last_lines(outputs(*(f"{number}\n\n  \n" for number in range(30)))) == tuple(
        str(number) for number in range(10, 30)
    )


def test_none_of_them_is_longer_than_a_page():
    [short, cut] = sse.last_lines(outputs("x" * 500, "y" * 501))
    assert short == "x" * 500
    assert cut == "y" * 499 + "…"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b[38;2;1;2;3mred\x1b[K",
        "\x1b]0;a title\x07red",
        "\x1b]8;;http://example.com\x1b\\red\x1b]8;;\x1b\\",
        "\x1bPdevice control\x1b\\red",
        "\x1b^private\x1b\\red",
        "\x1b_application\x1b\\red",
        "\x1bXstring\x1b\\red",
        "\x9b31mred\x9b0m",
        "\x9d0;a title\x9cred",
        "\x1b(Bred\x1b7\x1b8\x1b=\x1bc",
        "\x1b#8red\x1bM",
        "red\x1b[",
        "red\x1b",
        "red\x1b]0;never ends",
        "r\x08\x08ed\x08\x07\x00\x7f",
        "blue\rgreen\rred",
        "blue\rred\r",
        "blue\r\x1b[2Kred\r\n",
    ],
)
def test_a_last_line_has_nothing_that_a_terminal_obeys(text):
    assert sse.last_lines(outputs(text)) == ("red",)


def test_tabs_and_every_script_stay_in_a_last_line():
    assert sse.last_lines(outputs("a\tß \N{GRINNING FACE} 木")) == ("a\tß \N{GRINNING FACE} 木",)
