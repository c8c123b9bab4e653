"""LogFeed: whatever the connections of a log stream bring, each event comes once and in order, and holes are told."""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superserve import BuildLogEvent, BuildLogStream
from superserve._streams import resume
from superserve._streams.resume import LogFeed

# The server's figures are 256 and 10,000; holes and trims show as well with smaller ones.
REPLAYED = 4
KEPT = 12
REMEMBERED = 16

START = datetime(2026, 5, 1, 12, tzinfo=UTC)

# How many seconds the host's clock is ahead of ours.
AHEAD = [0, 0.3, -0.3, 1, -1, 20, -20, 1e6, -1e6]


class Clock:
    """Our clock: it says when events arrive."""

    now = 0.0


@pytest.fixture(scope="module", autouse=True)
def _our_clock():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "monotonic", lambda: Clock.now)
        yield


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def line(number: int, text: str = "line", *, timestamp: str | None = "", **fields: object) -> str:
    """Return the event that the server emits in second `number`."""
    payload = {"finished": False, "status": "", "stream": "stdout", "text": text, **fields}
    if timestamp is not None:
        payload["timestamp"] = timestamp or at(number)
    return json.dumps(payload)


def end(number: int, status: str = "ready") -> str:
    return line(number, status, stream="system", status=status, finished=True)


def heartbeat(number: float) -> str:
    return json.dumps({"finished": False, "stream": "system", "text": "queued", "timestamp": at(number)})


def trouble() -> str:
    text = "log stream ended with error: rpc error: code = NotFound"
    return json.dumps({"finished": True, "status": "failed", "stream": "system", "text": text})


def opened(feed: LogFeed, answered_at: float, *, after_end: bool = False) -> None:
    Clock.now = answered_at
    feed.opened(answered_within_s=0.45, after_end=after_end)


def take(feed: LogFeed, *events: str, ahead: float = 0) -> list[BuildLogEvent]:
    """Read events, none before it was written."""
    shown = []
    for event in events:
        Clock.now = max(Clock.now, written(event) - ahead)
        shown += feed.take(event)
    return shown


def written(event: str) -> float:
    """Return the second in which an event was written, by the clock of its host."""
    found = re.search('"timestamp": "(.+?)"', event)
    try:
        return (datetime.fromisoformat(found[1]) - START).total_seconds() if found else -math.inf
    except ValueError:
        return -math.inf


def texts(events: list[BuildLogEvent]) -> list[str]:
    return ["(gap)" if event.gap else event.text for event in events]


# Any log over any connections


@attrs.frozen
class Connection:
    """What one connection brings: the log as it was when the server began to replay it, and live events after that."""

    attached: int
    """How many events there were."""
    heartbeats: int
    read: int
    """How much of it arrives before the connection breaks."""


def replay(log: list[str], attached: int, *, limit: int | None, kept: int | None) -> list[int]:
    first = 0 if kept is None else max(0, attached - kept)
    return list(range(first, attached))[:limit]


def connections(
    draw: st.DrawFn, log: list[str], *, limit: int | None, kept: int | None
) -> Iterator[Connection]:
    attached = 0
    for _ in range(draw(st.integers(0, 5))):
        attached = draw(st.integers(attached, len(log)))
        replayed = replay(log, attached, limit=limit, kept=kept)
        read = draw(st.integers(0, len(replayed) + len(log) - attached))
        yield Connection(attached, draw(st.integers(0, 2)) if attached == 0 else 0, read)
        attached += max(0, read - len(replayed))


def run(
    log: list[str], history: list[Connection], *, limit: int | None, kept: int | None
) -> tuple[list[BuildLogEvent], set[int]]:
    """Read a log over these connections, then, after the build's end, as often as the feed wants.

    Tells what came, and what had to come: all that was sent, but for what turned up after something later.
    """
    feed = LogFeed()
    due: set[int] = set()
    shown: list[BuildLogEvent] = []
    for connection in history:
        if feed.complete:
            break
        opened(feed, connection.attached + 0.5)
        beats = [heartbeat(connection.attached + beat / 10) for beat in range(connection.heartbeats)]
        shown += take(feed, *beats)
        indices = replay(log, connection.attached, limit=limit, kept=kept) + list(
            range(connection.attached, len(log))
        )
        for index in indices[: connection.read]:
            due |= {index} if index > max(due, default=-1) else set()
            shown += take(feed, log[index])
        feed.closed(in_order=False)
    for _ in range(3):
        if feed.complete:
            break
        opened(feed, len(log) + 0.5, after_end=True)
        for index in replay(log, len(log), limit=limit, kept=kept):
            due |= {index} if index > max(due, default=-1) else set()
            shown += take(feed, log[index])
            if feed.finished:
                break
        feed.closed(in_order=True)
    assert feed.complete, "after the end of the build a few connections are enough"
    shown += feed.leftovers()
    return [event for event in shown if event.text != "queued"], due


@st.composite
def repetitive_logs(draw: st.DrawFn) -> tuple[list[str], list[Connection]]:
    """A log of few different texts, at times that are exact, coarse or missing, and connections that replay it all."""
    clock = draw(st.sampled_from([lambda number: "", lambda number: at(number // 7), lambda number: None]))
    words = draw(st.lists(st.sampled_from(["a", "b"]), max_size=24))
    log = [line(number, word, timestamp=clock(number)) for number, word in enumerate(words, 1)]
    if draw(st.booleans()):
        log.append(end(len(log) + 1))
    return log, list(connections(draw, log, limit=None, kept=None))


@given(repetitive_logs())
def test_a_log_that_is_always_replayed_whole_comes_whole_although_lines_repeat(case):
    log, history = case
    shown, _ = run(log, history, limit=None, kept=None)
    assert [event.text for event in shown if not event.gap] == [json.loads(event)["text"] for event in log]
    if log and json.loads(log[-1])["finished"]:
        assert not any(event.gap for event in shown)


@st.composite
def long_logs(draw: st.DrawFn) -> tuple[list[str], list[Connection]]:
    """A log too long to be replayed, and connections with the server's holes."""
    count = draw(st.integers(0, 40))
    log = [line(number) for number in range(1, count + 1)]
    if draw(st.booleans()):
        log.append(end(count + 1))
    return log, list(connections(draw, log, limit=REPLAYED, kept=KEPT))


@settings(max_examples=400)
@given(long_logs())
def test_what_the_server_sends_comes_once_and_in_order_and_what_it_leaves_out_is_told_in_its_place(case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "REPLAYED", REPLAYED)
        patch.setattr(resume, "_REMEMBERED", REMEMBERED)
        log, history = case
        shown, due = run(log, history, limit=REPLAYED, kept=KEPT)
    second = {event: index for index, event in enumerate(at(number + 1) for number in range(len(log)))}
    places = [None if event.gap else second[event.timestamp.isoformat()] for event in shown]
    came = [place for place in places if place is not None]
    assert came == sorted(due)
    # Nobody can tell whether something was before the first event.
    told: set[tuple[int, int]] = set()
    before = came[0] if came else len(log)
    for index, place in enumerate(places):
        if place is None:
            after = next((other for other in places[index:] if other is not None), len(log))
            told.add((before, after))
        else:
            before = place
    missing = {(first, second) for first, second in pairwise([*came, len(log)]) if second > first + 1}
    assert missing <= told


@given(st.integers(0, REPLAYED), st.data())
def test_a_log_short_enough_to_be_replayed_comes_without_any_notice(count, data):
    log = [*(line(number) for number in range(1, count)), end(count)] if count else []
    history = list(connections(data.draw, log, limit=REPLAYED, kept=KEPT)) if log else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "REPLAYED", REPLAYED)
        shown, _ = run(log, history, limit=REPLAYED, kept=KEPT)
    assert texts(shown) == [json.loads(event)["text"] for event in log] if log else ["(gap)"]


# Holes, with the server's own figures


def read(feed: LogFeed, answered_at: float, *events: str, ahead: float = 0) -> list[BuildLogEvent]:
    """Read one connection that then breaks."""
    opened(feed, answered_at)
    shown = take(feed, *events, ahead=ahead)
    feed.closed(in_order=False)
    return shown


def lines(first: int, last: int) -> list[str]:
    return [line(number, f"line {number}") for number in range(first, last + 1)]


def test_a_first_connection_that_comes_late_tells_where_the_replay_has_its_hole():
    shown = read(LogFeed(), 300.5, *lines(1, 256), *lines(301, 303))
    assert texts(shown)[254:] == ["line 255", "line 256", "(gap)", "line 301", "line 302", "line 303"]
    assert "hole" in shown[256].text


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_hole_is_told_whatever_the_hosts_clock_says(ahead):
    shown = read(LogFeed(), 300.5 - ahead, *lines(1, 256), *lines(301, 303), ahead=ahead)
    assert texts(shown)[255:] == ["line 256", "(gap)", "line 301", "line 302", "line 303"]


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_single_event_that_is_lost_is_told_whatever_the_hosts_clock_says(ahead):
    shown = read(LogFeed(), 257.5 - ahead, *lines(1, 256), line(258), ahead=ahead)
    assert texts(shown)[255:] == ["line 256", "(gap)", "line"]


@pytest.mark.parametrize("ahead", AHEAD)
def test_who_was_there_from_the_start_is_told_of_no_hole_whatever_the_hosts_clock_says(ahead):
    assert not any(event.gap for event in read(LogFeed(), -ahead, *lines(1, 600), ahead=ahead))


@pytest.mark.parametrize("ahead", AHEAD)
def test_who_came_before_the_log_was_too_long_is_told_of_no_hole_whatever_the_hosts_clock_says(ahead):
    assert not any(event.gap for event in read(LogFeed(), 254.9 - ahead, *lines(1, 600), ahead=ahead))


def fast(count: int) -> list[str]:
    """Return events a millisecond apart, from second 0 on."""
    return [line(0, f"line {number}", timestamp=at(number / 1000)) for number in range(count)]


def test_a_fast_log_read_from_its_start_is_told_to_have_no_hole():
    # Its host has something to say of each build before a step can flood the log.
    assert not any(event.gap for event in read(LogFeed(), -1, line(-1), *fast(600)))


def test_a_hole_in_a_fast_log_is_told_although_what_is_live_waits_behind_the_replay():
    feed = LogFeed()
    log = fast(400)
    opened(feed, 0.3)
    take(feed, *log[:256])
    Clock.now = 0.7
    assert texts(take(feed, *log[310:])) == ["(gap)", *(f"line {number}" for number in range(310, 400))]


def test_a_log_that_becomes_too_long_at_the_moment_of_its_replay_may_have_a_hole():
    # Nothing is missing, but nobody can know: the next event may have been written before the replay or after it.
    assert texts(read(LogFeed(), 256.01, *lines(1, 258)))[255:] == [
        "line 256",
        "(gap)",
        "line 257",
        "line 258",
    ]


def test_what_an_earlier_connection_has_shown_of_the_clocks_counts_when_a_later_one_is_slow():
    feed = LogFeed()
    read(feed, 20, *lines(1, 2), ahead=-20)
    opened(feed, 300)
    take(feed, line(1, "line 1"))
    Clock.now = 310
    take(feed, *lines(2, 255), line(256, "line 256", timestamp=at(279.9)))
    assert texts(take(feed, line(400, "live", timestamp=at(280.6)))) == ["(gap)", "live"]


@pytest.mark.parametrize("ahead", AHEAD)
def test_the_clock_that_heartbeats_go_by_means_nothing(ahead):
    # They are the API's, the log is the host's.
    feed = LogFeed()
    opened(feed, 0)
    feed.take(heartbeat(ahead))
    assert not any(event.gap for event in take(feed, *lines(1, 300)))


def test_who_was_there_while_the_build_was_queued_may_have_missed_the_end_of_a_flood():
    # The server looks every 2 s whether the build is still queued; until then its output waits for the replay.
    feed = LogFeed()
    read(feed, -0.5, heartbeat(-0.5))
    Clock.now = 1.5
    shown = take(feed, *fast(256), line(3, "live"))
    assert texts(shown)[255:] == ["line 255", "(gap)", "live"]


def test_what_a_build_says_while_a_connection_is_made_belongs_to_its_replay():
    feed = LogFeed()
    opened(feed, 100)
    Clock.now = 300.5
    assert "(gap)" in texts(take(feed, *lines(1, 256), line(301)))


def test_a_log_without_times_may_have_a_hole():
    log = [line(number, timestamp=None) for number in range(257)]
    assert texts(read(LogFeed(), 0, *log)) == ["line"] * 256 + ["(gap)", "line"]


@attrs.frozen
class Reading:
    """A log, read by a client whose clock is not the host's, over a connection that takes its time."""

    written: list[float]
    attached_at: float
    ahead: float
    first_delay: float
    delay: float

    @property
    def received(self) -> list[int]:
        """The events that the server sends: 256 of those that are there, and all that come after."""
        replayable = [index for index, second in enumerate(self.written) if second <= self.attached_at]
        return replayable[:256] + list(range(len(replayable), len(self.written)))

    def shown(self) -> list[BuildLogEvent]:
        feed = LogFeed()
        shown = []
        Clock.now = self.attached_at + self.first_delay
        feed.opened(answered_within_s=0.45, after_end=False)
        for index in self.received:
            second = self.written[index]
            if second > self.attached_at:
                Clock.now = max(Clock.now, second + self.delay)
            shown += feed.take(line(index, str(index), timestamp=at(second + self.ahead)))
        return shown


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    paces = draw(
        st.lists(st.tuples(st.integers(1, 256), st.sampled_from([0.0005, 0.01, 0.1, 2])), min_size=2)
    )
    pauses = [pause for count, pause in paces for _ in range(count)][:320]
    pauses += [draw(st.sampled_from([0.0005, 0.01, 2]))] * (320 - len(pauses))
    written = list(accumulate(pauses))
    attached_at = written[draw(st.integers(0, 319))] + draw(st.floats(-1, 1))
    ahead = draw(st.sampled_from(AHEAD) | st.floats(-1e6, 1e6))
    return Reading(written, attached_at, ahead, draw(st.floats(0, 0.4)), draw(st.floats(0, 0.4)))


@given(readings())
def test_holes_are_told_whatever_the_clocks_say_and_none_is_where_the_log_came_late_enough(reading):
    shown = reading.shown()
    assert [event.text for event in shown if not event.gap] == [str(index) for index in reading.received]
    is_told = any(event.gap for event in shown)
    if len(reading.received) < 320 and reading.received[-1] != 255:
        assert is_told
        assert texts(shown)[256] == "(gap)"
    elif reading.written[255] > max(reading.attached_at, reading.written[0]) + 1:
        assert not is_told


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_at_the_end_of_time_are_no_obstacle(timestamp):
    beat = json.dumps({"stream": "system", "text": "queued", "timestamp": timestamp})
    shown = read(LogFeed(), 0, beat, *(line(0, timestamp=timestamp) for _ in range(300)))
    assert len([event for event in shown if not event.gap]) == 301


def test_a_server_that_replays_everything_is_taken_for_one_whose_clock_is_behind():
    # The 257th event may as well be live. Who has read it before is told nothing.
    feed = LogFeed()
    assert texts(read(feed, 1000, *lines(1, 600)))[255:258] == ["line 256", "(gap)", "line 257"]
    assert texts(read(feed, 1000.5, *lines(1, 600), line(1001))) == ["line"]


def test_a_second_connection_that_comes_late_tells_of_the_hole_after_what_it_brought():
    feed = LogFeed()
    read(feed, 0, *lines(1, 100))
    shown = read(feed, 400.5, *lines(1, 256), *lines(401, 402))
    assert texts(shown) == [
        *(f"line {number}" for number in range(101, 257)),
        "(gap)",
        "line 401",
        "line 402",
    ]


def test_a_second_connection_may_find_the_first_exactly_as_long_as_a_replay():
    feed = LogFeed()
    read(feed, 0, *lines(1, 256))
    assert texts(read(feed, 300.5, *lines(1, 256), line(301))) == ["(gap)", "line"]


def test_text_lost_between_two_connections_of_a_long_log_is_told_before_what_follows():
    feed = LogFeed()
    read(feed, 0, *lines(1, 300))
    shown = read(feed, 400.5, *lines(1, 256), *lines(401, 402))
    assert texts(shown) == ["(gap)", "line 401", "line 402"]


def test_a_log_that_the_server_has_trimmed_meanwhile_tells_what_is_lost_in_its_place():
    feed = LogFeed()
    read(feed, 0, *lines(1, 300))
    shown = read(feed, 11_000.5, *lines(1_001, 1_256), line(11_001, "now"))
    assert texts(shown) == ["(gap)", *(f"line {number}" for number in range(1_001, 1_257)), "(gap)", "now"]


def test_a_replay_of_all_that_the_server_keeps_repeats_nothing():
    feed = LogFeed()
    read(feed, 0, *lines(1, 60_000))
    assert read(feed, 60_000.5, *lines(50_001, 60_000)) == []
    assert texts(read(feed, 60_000.5, *lines(50_001, 60_001))) == ["line 60001"]


def test_what_is_remembered_of_a_log_has_a_bound():
    feed = LogFeed()
    opened(feed, 0)
    for number in range(100_000):
        feed.take(line(1, timestamp=str(number)))
    assert len(feed._seen) < 40_000


def test_heartbeats_are_not_missed_in_a_replay():
    feed = LogFeed()
    read(feed, 0, heartbeat(1), line(2, "a"), line(3, "b"))
    read(feed, 3.1, line(2, "a"))
    assert texts(read(feed, 3.5, line(2, "a"), line(3, "b"), line(4, "c"))) == ["c"]


def test_heartbeats_without_a_time_of_their_own_are_repeated_rather_than_lost():
    feed = LogFeed()
    beat = json.dumps({"stream": "system", "text": "queued", "finished": False})
    assert texts(read(feed, 0, beat, beat)) == ["queued", "queued"]
    assert texts(read(feed, 1, beat, beat, line(2, "a"))) == ["queued", "queued", "a"]


# What an event says


def only(data: str) -> BuildLogEvent:
    feed = LogFeed()
    opened(feed, 0)
    [event] = feed.take(data)
    return event


def test_an_event_says_when_where_and_what():
    event = only(
        '{"timestamp":"2026-05-01T10:00:00.123456789+02:00","stream":"stderr","text":"oh","status":"","finished":false}'
    )
    assert event == BuildLogEvent(
        stream=BuildLogStream.STDERR, text="oh", timestamp=datetime(2026, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)
    )


def test_the_last_event_says_so_and_gives_its_verdict():
    event = only(end(1, "failed"))
    assert (event.finished, event.status, event.text) == (True, "failed", "failed")


@pytest.mark.parametrize("timestamp", ["", "yesterday", 5, None, True, [], "2026-13-01T00:00:00Z"])
def test_an_event_without_a_usable_time_has_none(timestamp):
    event = only(json.dumps({"timestamp": timestamp, "stream": "stdout", "text": "x", "status": ""}))
    assert (event.timestamp, event.text) == (None, "x")


@pytest.mark.parametrize("digits", range(1, 10))
def test_a_time_may_have_any_number_of_digits(digits):
    event = only(json.dumps({"timestamp": f"2026-05-01T10:00:00.{'5' * digits}Z", "text": "x"}))
    assert event.timestamp.microsecond == int(("5" * digits + "000000")[:6])


def test_a_stream_and_fields_that_nobody_knows_are_no_obstacle():
    event = only('{"stream":"telemetry","text":"cpu","level":3,"more":{"a":[null]},"status":null}')
    assert event.stream == "telemetry"
    assert event.text == "cpu"


def test_nulls_count_as_absent():
    event = only('{"stream":null,"text":null,"timestamp":null,"status":null,"finished":null}')
    assert event == BuildLogEvent(stream=BuildLogStream.SYSTEM, text="")


@pytest.mark.parametrize("finished", ["true", 1, "yes", {}])
def test_only_true_means_finished(finished):
    assert not only(json.dumps({"text": "x", "finished": finished})).finished


def test_half_of_a_surrogate_pair_is_replaced_because_it_cannot_be_printed():
    event = only('{"stream":"std\\ud800out","text":"a\\ud83d b\\ude00 \\ud83d\\ude00","status":""}')
    assert event.text == "a\ufffd b\ufffd \N{GRINNING FACE}"
    assert event.stream == "std\ufffdout"
    event.text.encode()


def test_white_space_around_an_event_is_none_of_it():
    assert only(' \t{"text":"x"} \n').text == "x"


@pytest.mark.parametrize(
    "data",
    [
        "not json",
        "[1]",
        "null",
        '"text"',
        "5",
        '{"text":"cut',
        '{"text":"x"} {"text":"y"}',
        '{"text":5}',
        '{"stream":["stdout"],"text":"x"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5_000,
    ],
)
def test_an_event_that_cannot_be_read_is_told_once_and_what_follows_is_read(data):
    feed = LogFeed()
    shown = read(feed, 0, line(1, "a"), data, line(2, "b"))
    assert texts(shown) == ["a", "(gap)", "b"]
    assert shown[1].stream == "system"
    assert data[:30] in shown[1].text
    assert len(shown[1].text) < 300
    assert texts(read(feed, 2.5, line(1, "a"), data, line(2, "b"), line(3, "c"))) == ["c"]


# The end


def test_the_last_event_completes_the_log_whatever_it_says():
    feed = LogFeed()
    read(feed, 0, line(1), end(2, "failed"))
    assert feed.finished
    assert feed.complete
    assert feed.leftovers() == []


def test_a_last_event_without_a_time_is_one_if_its_text_is_its_verdict():
    feed = LogFeed()
    shown = read(
        feed, 0, json.dumps({"stream": "system", "text": "failed", "status": "failed", "finished": True})
    )
    assert texts(shown) == ["failed"]
    assert feed.finished


def test_trouble_of_the_server_with_the_log_is_not_its_end():
    feed = LogFeed()
    assert read(feed, 0, line(1, "a"), trouble()) == take(LogFeed(), line(1, "a"))
    assert not feed.complete
    assert texts(read(feed, 1.5, line(1, "a"), line(2, "b"), end(3))) == ["b", "ready"]
    assert feed.leftovers() == []


def test_a_log_that_the_server_cannot_read_at_its_end_tells_so_in_the_servers_words():
    feed = LogFeed()
    read(feed, 0, line(1, "a"))
    opened(feed, 2, after_end=True)
    assert feed.take(trouble()) == []
    feed.closed(in_order=True)
    assert feed.complete
    notice, event = feed.leftovers()
    assert notice.gap
    assert (event.text, event.status, event.gap) == (json.loads(trouble())["text"], "failed", False)


def test_trouble_that_has_passed_is_not_told():
    feed = LogFeed()
    read(feed, 0, trouble())
    read(feed, 0, line(1))
    [notice] = feed.leftovers()
    assert notice.gap


def test_the_log_of_a_cancelled_build_tells_that_its_host_may_go_on():
    [notice] = LogFeed().leftovers(cancelled=True)
    assert notice.gap
    assert "cancelled" in notice.text


def closed_after_end(feed: LogFeed, *events: str) -> bool:
    opened(feed, 1000, after_end=True)
    take(feed, *events)
    feed.closed(in_order=True)
    return feed.complete


def test_a_connection_after_the_end_that_brings_something_new_may_not_have_brought_all():
    feed = LogFeed()
    assert not closed_after_end(feed, *lines(1, 3))
    assert closed_after_end(feed, *lines(1, 3))


def test_a_connection_after_the_end_that_broke_off_has_not_brought_all():
    feed = LogFeed()
    opened(feed, 1000, after_end=True)
    take(feed, *lines(1, 3))
    feed.closed(in_order=False)
    opened(feed, 1000, after_end=True)
    take(feed, *lines(1, 3))
    feed.closed(in_order=False)
    assert not feed.complete


def test_a_connection_after_the_end_that_replays_less_than_before_has_not_brought_all():
    feed = LogFeed()
    read(feed, 0, *lines(1, 3))
    assert not closed_after_end(feed, *lines(1, 2))


def test_a_connection_after_the_end_with_a_full_replay_has_brought_all_that_can_be_had():
    assert closed_after_end(LogFeed(), *lines(1, 256))


def test_a_connection_from_before_the_end_may_miss_what_came_after_it():
    feed = LogFeed()
    opened(feed, 0)
    feed.closed(in_order=True)
    assert not feed.complete


def test_a_short_log_can_be_had_again_and_a_long_one_cannot():
    feed = LogFeed()
    read(feed, 0, *lines(1, 200))
    assert feed.is_replayable
    read(feed, 0, *lines(201, 256))
    assert not feed.is_replayable


@pytest.mark.parametrize(
    ("data", "shown"),
    [("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…"), ("\ud800", "\ufffd"), ("[1]", "[1]")],
)
def test_what_cannot_be_read_is_shown_as_far_as_it_is_short(data, shown):
    [notice] = LogFeed().take(data)
    assert notice.gap
    assert notice.text == f"an event of the build log could not be read: {shown}"
