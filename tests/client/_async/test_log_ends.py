"""How the reading of a log ends: with its last event, with its close, with a refusal, or after three breaks."""

import errno
import logging
import socket
import threading
import time

import pytest

from superserve import (
    AsyncTemplate,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)
from superserve._async import build_wait
from superserve._async.reader import AsyncReader
from superserve._http import retry
from superserve._streams.resume import Replay
from tests.patience import given_time
from tests.script import Script, build_row
from tests.wire import STREAM_HEAD, chunk, cut, envelope, head, log, reply, reset, sse, stall

HELLO = {
    "timestamp": "2026-05-01T10:00:01.5Z",
    "stream": "stdout",
    "text": "hello",
    "finished": False,
    "status": "",
}
WORLD = {**HELLO, "timestamp": "2026-05-01T10:00:02.5Z", "stream": "stderr", "text": "wörld"}
READY = {
    "timestamp": "2026-05-01T10:00:03.5Z",
    "stream": "system",
    "text": "ready",
    "finished": True,
    "status": "ready",
}
TROUBLE = {
    "stream": "system",
    "text": "log stream ended with error: rpc error: code = NotFound desc = no such build",
    "finished": True,
    "status": "failed",
}
WHOLE = log(HELLO, WORLD, READY)
TEXTS = ["hello", "wörld", "ready"]

OUT_OF_ORDER = reply(503, json=envelope("unavailable", "later"), headers={"Retry-After": "0"})


@pytest.fixture(autouse=True)
def _impatient(no_backoff):
    """Open a log again at once."""


@pytest.fixture
async def read(scripted):
    """Read a log over connections as scripted; return its events, the error that came out, and how often it was asked for."""

    async def read(*logs, **options):
        script = Script(logs=logs)
        template = await scripted(script)
        events, error = [], None
        try:
            await template.stream_build_logs(on_event=events.append, **options)
        except SandboxError as caught:
            error = caught
        # Whatever happens, the log is all that is asked for.
        assert script.seen == ["template", *["logs"] * script.count("logs")]
        return events, error, script.count("logs")

    return read


def texts(events):
    return [("(gap) " if event.after_gap else "") + event.text for event in events]


# The end


@pytest.mark.parametrize("verdict", ["ready", "failed", "cancelled", "exploded"])
async def test_the_event_that_says_so_is_the_end_whatever_the_verdict_and_the_close_is_not_waited_for(
    read, verdict
):
    last = {**READY, "text": verdict, "status": verdict}
    events, error, count = await read(stall(STREAM_HEAD + chunk(sse(HELLO)) + chunk(sse(last))))
    assert (texts(events), error, count) == (["hello", verdict], None, 1)
    assert events[-1].status == verdict


@pytest.mark.parametrize(
    "after",
    [
        sse(WORLD),
        b"data: nonsense\n\n",
        sse(READY, TROUBLE),
    ],
)
@pytest.mark.parametrize("is_apart", [True, False])
async def test_what_comes_after_the_end_is_not_read(read, caplog, after, is_apart):
    caplog.set_level(logging.WARNING, logger="superserve")
    end = chunk(sse(HELLO, READY)) + chunk(after) if is_apart else chunk(sse(HELLO, READY) + after)
    events, error, count = await read(stall(STREAM_HEAD + end))
    assert (texts(events), error, count) == (["hello", "ready"], None, 1)
    assert not [record for record in caplog.records if record.name == "superserve"]


async def test_a_connection_that_breaks_after_the_end_has_told_all(read):
    events, error, count = await read(cut(STREAM_HEAD + chunk(sse(HELLO)) + chunk(sse(READY))))
    assert (texts(events), error, count) == (["hello", "ready"], None, 1)


@pytest.mark.parametrize("events", [[], [HELLO], [HELLO, WORLD]])
async def test_a_close_in_good_order_is_the_end_too(read, events):
    found, error, count = await read(log(*events), OUT_OF_ORDER)
    assert (texts(found), error, count) == ([event["text"] for event in events], None, 1)


async def test_so_is_the_end_of_a_body_with_a_length(read):
    answer = reply(200, sse(HELLO), content_type="text/event-stream")
    assert (await read(answer))[1:] == (None, 1)


async def test_where_a_body_ends_with_its_connection_a_cut_looks_like_an_end(read):
    body = head(200, {"Content-Type": "text/event-stream", "Connection": "close"}) + sse(HELLO, WORLD)
    events, error, count = await read(cut(body[:-10]))
    assert (texts(events), error, count) == (["hello"], None, 1)


@pytest.mark.parametrize("ends", [cut, stall])
async def test_the_servers_own_trouble_is_handed_over_as_it_is_and_is_the_end(read, ends):
    events, error, count = await read(ends(STREAM_HEAD + chunk(sse(HELLO)) + chunk(sse(TROUBLE, WORLD))))
    assert (texts(events), error, count) == (["hello", TROUBLE["text"]], None, 1)
    assert (events[1].timestamp, events[1].finished, events[1].status) == (None, True, "failed")


async def test_a_log_that_the_host_has_lost_meanwhile_ends_with_the_servers_words(read):
    events, error, count = await read(cut(log(HELLO)[:-5]), log(TROUBLE))
    assert (texts(events), error, count) == (["hello", TROUBLE["text"]], None, 2)


# Refusals


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (reply(500, json=envelope("internal_error", "oops")), ServerError),
        (reply(501), ServerError),
        (reply(404, json=envelope("not_found", "Build not found")), NotFoundError),
        (reply(404, "<html>nginx</html>", content_type="text/html"), NotFoundError),
        (reply(401, json=envelope("auth_failed", "API key is not known")), AuthenticationError),
        (reply(403, json=envelope("forbidden", "no")), AuthenticationError),
        (reply(400, json=envelope("bad_request", "no")), ValidationError),
        (reply(409, json=envelope("conflict", "no")), ConflictError),
        (reply(408), SandboxError),
        (reply(425), SandboxError),
        (reply(302, headers={"Location": "/elsewhere"}), SandboxError),
        (reply(429, json=envelope("too_many_builds", "used up")), RateLimitError),
    ],
)
async def test_a_refusal_is_the_error_of_its_status_at_once(read, refusal, kind):
    events, error, count = await read(refusal, WHOLE)
    assert (type(error), events, count) == (kind, [], 1)
    assert "could not read the log of build" in str(error)
    assert f"[{error.status_code}" in str(error)


async def test_a_refusal_tells_what_the_server_says(read):
    _, error, _ = await read(reply(404, json=envelope("not_found", "Build not found")))
    assert (error.status_code, error.code) == (404, "not_found")
    assert "Build not found" in str(error)


@pytest.mark.parametrize("refusal", [reply(500, json=envelope("internal_error", "oops")), reply(404)])
async def test_a_refusal_when_the_log_is_opened_again_is_an_error_at_once_too(read, refusal):
    events, error, count = await read(cut(log(HELLO)[:-5]), refusal, WHOLE)
    assert (texts(events), type(error), count) == (
        ["hello"],
        ServerError if b" 500 " in refusal else NotFoundError,
        2,
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(200, "<html>Sign in</html>", content_type="text/html"), "text/html"),
        (reply(200, json={"message": "hello"}), "application/json"),
        (reply(204), "an answer without a content type"),
        (reply(201, sse(READY), content_type="text/event-stream"), "text/event-stream"),
    ],
)
async def test_an_answer_that_is_no_event_stream_is_an_error_at_once(read, answer, words):
    events, error, count = await read(answer, WHOLE)
    assert (type(error), events, count) == (SandboxError, [], 1)
    assert f"not an event stream but {words}" in str(error)


@pytest.mark.parametrize("status", [200, 302, 404, 500, 503])
async def test_a_refusal_that_never_comes_to_its_end_holds_nobody_up(scripted, status):
    unfinished = stall(head(status, {"Content-Type": "text/html", "Content-Length": "100"}) + b"<html>")
    template = await scripted(Script(logs=[unfinished]), timeout_s=0.2)
    # Whether an answer is a log is known without its body.
    why = (
        "not an event stream but text/html"
        if status == 200
        else r"no complete answer within the timeout of 0\.2 s$"
    )
    with pytest.raises(SandboxError, match=why):
        await template.stream_build_logs(on_event=print)


async def test_what_is_packed_in_a_way_not_asked_for_is_an_error_at_once(read):
    odd = reply(200, b"x", headers={"Content-Encoding": "br"}, content_type="text/event-stream")
    broken = reply(
        200, b"this is not gzip", headers={"Content-Encoding": "gzip"}, content_type="text/event-stream"
    )
    for answer in (odd, broken):
        events, error, count = await read(answer, WHOLE)
        assert (type(error), events, count) == (SandboxError, [], 1)
        assert "cannot read the" in str(error)


# Refusals and breaks that may pass

PASSING = [
    reply(502, "<html>Bad Gateway</html>", content_type="text/html"),
    OUT_OF_ORDER,
    reply(504),
    reply(429, json=envelope("rate_limited", "slow down"), headers={"Retry-After": "0"}),
    reset(),
    cut(),
    cut(b"HTTP/1.1 2"),
    b"not http at all\r\n\r\n",
    cut(STREAM_HEAD),
    reset(STREAM_HEAD),
    cut(STREAM_HEAD + chunk(sse(HELLO))[:-20]),
    cut(STREAM_HEAD + b"not the length of a chunk\r\n"),
]


@pytest.mark.parametrize("trouble", PASSING)
async def test_what_may_pass_is_tried_three_times(read, trouble):
    events, error, count = await read(trouble, trouble, WHOLE)
    assert (texts(events), error, count) == (TEXTS, None, 3)
    events, error, count = await read(trouble)
    assert (events, count) == ([], 3)
    assert isinstance(error, ServerError | RateLimitError | SandboxConnectionError)


async def test_after_a_503_and_a_reset_the_third_attempt_is_read_and_it_ends_with_that(read):
    for stream in (WHOLE, log(HELLO)):
        events, error, count = await read(OUT_OF_ORDER, reset(), stream, reply(500))
        assert (error, count) == (None, 3)
        assert texts(events) == TEXTS[: len(events)] != []


async def test_the_last_failure_is_what_is_raised(read):
    _, error, _ = await read(reset(), reply(502), reply(503, json=envelope("unavailable", "the third")))
    assert isinstance(error, ServerError)
    assert "the third" in str(error)
    _, error, _ = await read(reply(502), reply(503), reset())
    assert isinstance(error, SandboxConnectionError)
    assert "broke" in str(error)


async def test_a_new_event_sets_the_count_back(read):
    breaks = [OUT_OF_ORDER, reset()]
    events, error, count = await read(
        *breaks, cut(log(HELLO)[:-5]), *breaks, cut(log(HELLO, WORLD)[:-5]), *breaks, WHOLE
    )
    assert (texts(events), error, count) == (TEXTS, None, 9)


async def test_an_event_that_was_handed_over_before_does_not(read):
    events, error, count = await read(cut(log(HELLO)[:-5]))
    assert (texts(events), type(error), count) == (["hello"], SandboxConnectionError, 4)


async def test_after_a_new_event_three_more_are_tried(read):
    events, error, count = await read(reset(), reset(), cut(log(HELLO)[:-5]), reset(), reply(502), reply(504))
    assert (texts(events), error.status_code, count) == (["hello"], 504, 6)


async def test_a_log_that_is_opened_again_ends_with_a_close_in_good_order(read):
    events, error, count = await read(cut(log(HELLO, WORLD)[:-5]), log(HELLO))
    assert (texts(events), error, count) == (["hello", "wörld"], None, 2)


async def test_the_server_is_obeyed_when_it_asks_to_wait(read, monkeypatch):
    asked = []
    monkeypatch.setattr(retry, "delay_s", lambda *arguments: asked.append(arguments) or 0.0)
    await read(reply(503, headers={"Retry-After": "7"}), reset(), WHOLE)
    assert asked == [(1, 7.0), (2, None)]


async def test_who_stops_during_the_pause_before_another_attempt_waits_no_longer(scripted, monkeypatch):
    monkeypatch.setattr(retry, "delay_s", lambda *_: 60.0)
    template = await scripted(Script(logs=[OUT_OF_ORDER]))
    with pytest.raises(SandboxTimeoutError):
        await template.stream_build_logs(on_event=print, idle_timeout_s=0.1)


async def test_a_connection_that_the_system_gives_up_is_a_break(read, monkeypatch):
    receive = socket.socket.recv
    is_given_up = threading.Event()

    def give_up(sock, *arguments):
        if is_given_up.is_set() and threading.current_thread().name != "wire":
            is_given_up.clear()
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        return receive(sock, *arguments)

    def silent(peer, _request):
        peer.send(STREAM_HEAD + chunk(sse(HELLO)))
        time.sleep(0.05)
        is_given_up.set()
        # In the sync half the read has begun already, so one more event wakes it.
        peer.send(chunk(sse(WORLD)))
        peer.stall()

    monkeypatch.setattr(socket.socket, "recv", give_up)
    events, error, count = await read(silent, WHOLE)
    assert (error, count) == (None, 2)
    assert texts(events) == TEXTS


# What is replayed


@pytest.mark.slow
async def test_a_log_cut_or_reset_at_any_byte_comes_whole_and_once(scripted):
    script = Script()
    template = await scripted(script)
    whole = log({"stream": "stdout", "text": "ö"}, {**HELLO, "text": "\n"}, {**TROUBLE, "text": "failed"})
    for length in range(len(whole)):
        broken = reset(whole[:length]) if length % 10 == 5 else cut(whole[:length])
        script.then(logs=[broken, whole])
        events = [event async for event in template.iter_build_logs()]
        assert texts(events) == ["ö", "\n", "failed"], length


async def test_a_log_that_is_cut_comes_whole_and_once_to_a_wait_too(scripted, monkeypatch):
    for name in ("FLOWING_S", "SILENT_S", "NOT_OPEN_S"):
        monkeypatch.setattr(build_wait, name, 60.0)
    script = Script()
    template = await scripted(script)
    for length in range(0, len(WHOLE), 67):
        asked_for = script.count("logs")

        def answer(peer, _request, asked_for=asked_for):
            # A log that was never asked for before its build's end is asked for only once after it.
            peer.send(reply(json=build_row("ready" if script.count("logs") > asked_for else "building")))

        script.then(logs=[cut(WHOLE[:length]), WHOLE], build=[answer])
        events = []
        await template.wait_until_ready(on_log=events.append, poll_interval_s=0.02)
        assert texts(events) == TEXTS, length


async def test_identical_lines_come_as_often_as_they_were_sent(read):
    logs = [cut(log(*[HELLO] * count)[:-5]) for count in (2, 3, 1, 5)]
    events, error, _ = await read(*logs, log(*[HELLO] * 6, READY))
    assert (texts(events), error) == (["hello"] * 6 + ["ready"], None)


async def test_heartbeats_that_are_not_replayed_are_not_missed(read):
    beats = [
        {
            "timestamp": f"2026-05-01T10:00:00.{number}Z",
            "stream": "system",
            "text": "queued",
            "finished": False,
        }
        for number in range(3)
    ]
    events, error, _ = await read(cut(log(*beats, HELLO)[:-5]), WHOLE)
    assert (texts(events), error) == (["queued"] * 3 + TEXTS, None)


async def test_an_event_after_a_hole_says_so_and_nothing_is_made_up(read, caplog):
    caplog.set_level(logging.WARNING, logger="superserve")
    lines = [{**HELLO, "text": str(number)} for number in range(5)]
    late = [{**HELLO, "text": str(number)} for number in (7, 8)]
    events, error, _ = await read(cut(log(*lines)[:-5]), log(*lines[:3], *late, READY))
    assert (texts(events), error) == (["0", "1", "2", "3", "4", "(gap) 7", "8", "ready"], None)
    [warning] = [record for record in caplog.records if record.name == "superserve"]
    assert "missing" in warning.getMessage()


async def test_a_hole_that_only_clocks_could_show_is_not_made_up(read):
    # The server's queue takes 256 events: what it drops of a flood cannot be told.
    lines = [{**HELLO, "text": str(number)} for number in (*range(256), *range(400, 410))]
    events, _, _ = await read(log(*lines, READY))
    assert not any(event.after_gap for event in events)
    assert len(events) == 267


# Silence


async def test_silence_never_opens_a_log_again(scripted):
    def answer(peer, _request):
        time.sleep(0.15)
        peer.send(STREAM_HEAD + chunk(sse(HELLO)))
        time.sleep(0.15)
        peer.send(chunk(sse(READY)))
        peer.stall()

    script = Script(logs=[answer])
    template = await scripted(script, timeout_s=0.1)
    events = [event async for event in template.iter_build_logs()]
    assert texts(events) == ["hello", "ready"]
    assert script.count("logs") == 1


@pytest.mark.parametrize(
    ("silent", "before"),
    [
        (stall(), []),
        (stall(STREAM_HEAD), []),
        (stall(STREAM_HEAD + chunk(sse(HELLO))), ["hello"]),
        (stall(STREAM_HEAD + chunk(sse(HELLO) + sse(WORLD)[:40])), ["hello"]),
    ],
)
@given_time
async def test_silence_may_be_bounded(read, silent, before, *, longer):
    began = time.monotonic()
    events, error, count = await read(silent, idle_timeout_s=0.2 * longer)
    assert 0.2 * longer <= time.monotonic() - began < 60
    assert (texts(events), type(error), count) == (before, SandboxTimeoutError, 1)
    assert f"no event for {0.2 * longer:g} s" in str(error)
    assert "pass a larger idle_timeout_s" in error.hint


@given_time
async def test_a_log_in_which_something_happens_is_not_silent_however_long_it_takes(read, *, longer):
    def answer(peer, _request):
        peer.send(STREAM_HEAD)
        for number in range(8):
            time.sleep(0.08 * longer)
            peer.send(chunk(sse({**HELLO, "text": str(number)})))
        peer.send(chunk(sse(READY)))

    events, error, _ = await read(answer, idle_timeout_s=0.5 * longer)
    assert (len(events), error) == (9, None)


@given_time
async def test_the_time_that_the_callback_takes_is_no_silence(scripted, *, longer):
    template = await scripted(Script(logs=[WHOLE]))
    events = []

    def dawdle(event):
        events.append(event)
        time.sleep(0.08 * longer)

    await template.stream_build_logs(on_event=dawdle, idle_timeout_s=0.06 * longer)
    assert texts(events) == TEXTS


# Others


async def test_a_breakdown_of_the_reading_is_an_error_of_ours_and_fails_no_wait(
    scripted, monkeypatch, caplog
):
    def break_down(replay, data):
        raise ZeroDivisionError("of course")

    monkeypatch.setattr(Replay, "take", break_down)
    script = Script(logs=[WHOLE])
    template = await scripted(script)
    with pytest.raises(SandboxError, match="ZeroDivisionError: of course"):
        await template.stream_build_logs(on_event=print)
    script.then(build=["building", "building", "ready"])
    info = await template.wait_until_ready(on_log=print, poll_interval_s=0.05)
    assert info.status == "ready"
    assert "failed: ZeroDivisionError" in caplog.text


async def test_a_wait_whose_log_has_ended_sleeps_until_the_next_poll(scripted, monkeypatch):
    calls = []
    get = AsyncReader.get

    async def counting(self, timeout_s):
        calls.append(timeout_s)
        return await get(self, timeout_s)

    monkeypatch.setattr(AsyncReader, "get", counting)
    template = await scripted(Script(logs=[WHOLE], build=["building", "building", "building", "ready"]))
    await template.wait_until_ready(on_log=print, poll_interval_s=0.1)
    assert len(calls) < 50


async def test_a_wait_ends_with_the_cancelled_build_although_its_host_goes_on(client, monkeypatch):
    monkeypatch.setattr(build_wait, "SILENT_S", 0.2)
    template = await AsyncTemplate.create(
        name="endless", from_="debian:12", steps=[{"run": "echo begun"}, {"run": "sleep 500"}], client=client
    )
    events = []

    async def cancel_once_begun(event):
        events.append(event)
        if event.text == "begun":
            await template.cancel_build(template.latest_build_id)

    with pytest.raises(ConflictError, match="was cancelled"):
        await template.wait_until_ready(on_log=cancel_once_begun, poll_interval_s=0.05)
    assert [event.text for event in events if event.stream == "stdout"] == ["begun"]
