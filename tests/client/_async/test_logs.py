"""Build logs: every event once and in order, whatever happens to the connections, and whatever the bytes look like."""

import gzip
import json
import time
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from superserve import (
    AsyncTemplate,
    AuthenticationError,
    BuildLogEvent,
    BuildLogStream,
    NotFoundError,
    SandboxError,
    ServerError,
    ValidationError,
    _polling,
)
from superserve._http import policy, retry
from superserve._streams import sse as log_stream
from superserve._streams.resume import LogFeed
from tests.script import BUILD_ID, Script, template_row
from tests.wire import STREAM_HEAD, chunk, cut, envelope, head, log, reply, reset, sse, stall

HELLO = {
    "timestamp": "2026-05-01T10:00:01.5Z",
    "stream": "stdout",
    "text": "hello",
    "finished": False,
    "status": "",
}
WORLD = {
    "timestamp": "2026-05-01T10:00:02.5Z",
    "stream": "stderr",
    "text": "wörld",
    "finished": False,
    "status": "",
}
READY = {
    "timestamp": "2026-05-01T10:00:03.5Z",
    "stream": "system",
    "text": "ready",
    "finished": True,
    "status": "ready",
}
WHOLE = log(HELLO, WORLD, READY)
TEXTS = ["hello", "wörld", "ready"]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch, no_backoff):
    """Wait for the tail of a log for a moment only."""
    monkeypatch.setattr(_polling, "TAIL_QUIET_S", (0.2, 0.2))
    monkeypatch.setattr(_polling, "TAIL_LONG_QUIET_S", 0.2)
    monkeypatch.setattr(_polling, "TAIL_REFUSED_S", 0.3)
    monkeypatch.setattr(_polling, "TAIL_UNANSWERED_S", 0.6)
    monkeypatch.setattr(_polling, "LOG_POLL_INTERVAL_S", 0.05)


def texts(events):
    return ["(gap)" if event.gap else event.text for event in events]


async def read(template, **options):
    """Return all that the iterator yields."""
    return [event async for event in template.iter_build_logs(**options)]


async def followed(template, **options):
    """Return all that a wait hands to its callback."""
    events = []
    await template.wait_until_ready(on_log=events.append, poll_interval_s=0.05, **options)
    return events


# Three ways to the same events


async def test_the_iterator_yields_the_events_and_ends_with_the_last(scripted):
    template = await scripted(Script(build=["building"], logs=[WHOLE]))
    events = await read(template)
    assert events[1] == BuildLogEvent(
        stream=BuildLogStream.STDERR, text="wörld", timestamp=events[1].timestamp, finished=False, status=None
    )
    assert texts(events) == TEXTS
    assert (events[2].finished, events[2].status) == (True, "ready")


async def test_the_callback_gets_the_same_events(scripted):
    template = await scripted(Script(build=["building"], logs=[WHOLE]))
    events = []
    await template.stream_build_logs(on_event=events.append)
    assert events == await read(template)


async def test_a_wait_hands_on_the_same_events(scripted):
    template = await scripted(Script(build=["building", "ready"], logs=[WHOLE]))
    assert texts(await followed(template)) == TEXTS


async def test_a_real_build_comes_the_same_in_all_three_ways(client):
    template = await AsyncTemplate.create(
        name="my-env",
        from_="python:3.11",
        steps=[{"run": "echo hello"}, {"run": "echo oh >&2"}],
        client=client,
    )
    waited = [event for event in await followed(template) if "queued" not in event.text]
    streamed = []
    await template.stream_build_logs(on_event=streamed.append)
    assert waited == streamed == await read(template)
    assert [event.text for event in waited if event.stream == "stderr"] == ["oh"]
    assert waited[-1].status == "ready"


async def test_stopping_early_stops_reading(scripted, belongings):
    template = await scripted(Script(build=["building"], logs=[stall(STREAM_HEAD + chunk(sse(HELLO)))]))
    async with aclosing(template.iter_build_logs()) as events:
        async for event in events:
            assert event.text == "hello"
            break
    assert not [left for left in belongings.left(patience_s=0) if left.startswith("thread superserve")]


async def test_what_the_callback_raises_ends_the_reading_and_comes_out(scripted):
    template = await scripted(Script(build=["building"], logs=[stall(STREAM_HEAD + chunk(sse(HELLO)))]))

    def refuse(event):
        raise LookupError(event.text)

    with pytest.raises(LookupError, match="hello"):
        await template.stream_build_logs(on_event=refuse)


async def test_a_wrong_argument_is_refused_before_anything_is_sent(scripted):
    script = Script()
    template = await scripted(script)
    with pytest.raises(ValidationError, match="on_event"):
        await template.stream_build_logs(on_event="print")
    with pytest.raises(ValidationError, match="build_id"):
        await template.stream_build_logs(on_event=print, build_id="../x")
    with pytest.raises(ValidationError, match="build_id"):
        template.iter_build_logs(build_id="")
    assert script.seen == ["template"]


async def test_where_no_build_is_known_the_error_says_how_to_name_one(scripted):
    template = await scripted(Script(template=[reply(json=template_row())]))
    with pytest.raises(SandboxError, match="list_builds"):
        await template.stream_build_logs(on_event=print)


async def test_the_log_is_that_of_the_build_named_or_else_of_the_one_started_last(scripted):
    script = Script(
        template=[reply(json=template_row(latest_build_id="latest"))], build=["building"], logs=[WHOLE]
    )
    template = await scripted(script)
    await read(template)
    await template.rebuild()
    await read(template)
    await read(template, build_id="named")
    builds = [path.split("/")[4] for path in script.paths if path.endswith("/logs")]
    assert builds == ["latest", BUILD_ID, "named"]


# Connections that break


async def test_a_stream_cut_at_any_byte_yields_the_whole_log(scripted):
    script = Script(build=["building"])
    template = await scripted(script)
    for length in range(len(WHOLE)):
        for broken in (
            (cut(WHOLE[:length]), reset(WHOLE[:length])) if length % 10 == 0 else (cut(WHOLE[:length]),)
        ):
            script.then(logs=[broken, WHOLE])
            assert texts(await read(template)) == TEXTS, length


async def test_a_stream_cut_at_any_byte_yields_the_whole_log_to_a_wait(scripted):
    script = Script()
    template = await scripted(script)
    for length in range(0, len(WHOLE), 7):
        script.then(logs=[cut(WHOLE[:length]), cut(WHOLE[: length // 2]), WHOLE], build=["building", "ready"])
        assert texts(await followed(template)) == TEXTS, length


async def test_a_stream_without_a_length_cut_at_any_byte_yields_the_whole_log_of_an_ended_build(scripted):
    # Where the end of the connection is the end of the body, a cut looks like an end.
    whole = head(200, {"Content-Type": "text/event-stream", "Connection": "close"}) + sse(HELLO, WORLD, READY)
    script = Script(build=["ready"])
    template = await scripted(script)
    for length in range(0, len(whole), 5):
        script.then(logs=[cut(whole[:length]), cut(whole)])
        assert texts(await read(template)) == TEXTS, length


@pytest.mark.parametrize(
    "refusal",
    [
        reply(502, "<html>Bad Gateway</html>", content_type="text/html"),
        reply(503, json=envelope("unavailable", "later"), headers={"Retry-After": "0"}),
        reply(504),
        reply(500, json=envelope("internal_error", "oops")),
        reply(429, json=envelope("rate_limited", "slow down"), headers={"Retry-After": "0"}),
        reset(),
        cut(),
        cut(b"HTTP/1.1 2"),
        b"not http at all\r\n\r\n",
        reply(
            200, b"this is not gzip", headers={"Content-Encoding": "gzip"}, content_type="text/event-stream"
        ),
    ],
)
async def test_a_stream_that_is_refused_for_a_while_is_asked_for_again(scripted, monkeypatch, refusal):
    monkeypatch.setattr(log_stream, "_REOPENED_EVERY_S", 0.01)
    script = Script(build=["building"], logs=[refusal, cut(WHOLE[:-20]), refusal, refusal, WHOLE])
    template = await scripted(script)
    assert texts(await read(template)) == TEXTS
    assert script.count("logs") == 5


async def test_a_stream_may_be_refused_for_long_after_the_builds_end_and_is_still_read(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "TAIL_QUIET_S", (5.0, 5.0))
    refusals = [reply(503)] * 40
    template = await scripted(Script(build=["ready"], logs=[*refusals, WHOLE]))
    assert texts(await read(template)) == TEXTS


async def test_a_stream_that_ends_in_order_but_too_early_is_opened_again(scripted):
    script = Script(build=["building"], logs=[log(HELLO), log(HELLO), log(HELLO, WORLD), WHOLE])
    assert texts(await read(await scripted(script))) == TEXTS


@pytest.mark.parametrize("length", [0, 30, len(STREAM_HEAD), len(WHOLE) - 120])
async def test_a_stream_that_stalls_is_opened_again_when_the_build_has_ended(scripted, length):
    script = Script(build=["building", "ready"], logs=[stall(WHOLE[:length]), WHOLE])
    assert texts(await followed(await scripted(script))) == TEXTS


async def test_a_stream_that_stalls_early_is_opened_again_while_the_build_goes_on(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "SILENCE_S", 0.05)
    script = Script(build=["building"], logs=[stall(), stall(STREAM_HEAD + chunk(sse(HELLO))), WHOLE])
    events = []
    template = await scripted(script)
    with pytest.raises(LookupError):
        await template.wait_until_ready(
            on_log=lambda event: events.append(event) or stop_at(event, "ready"), poll_interval_s=0.02
        )
    assert texts(events) == TEXTS


def stop_at(event, text):
    if event.text == text:
        raise LookupError(text)


async def test_a_stream_that_stalls_late_is_left_open_as_its_events_could_not_be_had_again(
    scripted, monkeypatch
):
    lines = [{**HELLO, "timestamp": f"2026-05-01T10:00:00.{number:03}Z"} for number in range(256)]
    script = Script(build=["building"], logs=[stall(STREAM_HEAD + chunk(sse(*lines))), log(*lines)])
    events = []

    def run_out_of_patience(event):
        events.append(event)
        if len(events) == len(lines):
            monkeypatch.setattr(_polling, "SILENCE_S", 0.0)
            script.then(build=[*["building"] * 5, "ready"])

    # The second connection is answered at once, but a busy machine may take its time to read it.
    monkeypatch.setattr(_polling, "TAIL_QUIET_S", (0.5, 10.0, 10.0, 10.0))
    template = await scripted(script)
    await template.wait_until_ready(on_log=run_out_of_patience, poll_interval_s=0.05)
    assert texts(events) == ["hello"] * 256 + ["(gap)"]
    assert script.count("logs") == 2


async def test_a_stream_that_stays_open_after_the_builds_end_holds_nobody_up(scripted):
    script = Script(build=["building", "ready"], logs=[stall(STREAM_HEAD + chunk(sse(HELLO, WORLD)))])
    events = await followed(await scripted(script))
    assert texts(events) == ["hello", "wörld", "(gap)"]
    assert script.count("logs") == 2


async def test_a_log_that_never_falls_silent_is_read_for_a_while_after_the_builds_end(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "TAIL_S", 0.2)

    def endless(peer, _request):
        peer.send(STREAM_HEAD)
        peer.drip(chunk(sse(HELLO)) * 1000, 0.0002)

    events = await followed(await scripted(Script(build=["building", "ready"], logs=[endless])))
    assert texts(events[-2:]) == ["hello", "(gap)"]


async def test_what_has_been_read_is_delivered_however_long_the_caller_takes_for_it(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "TAIL_S", 0.1)
    lines = [{**HELLO, "timestamp": f"2026-05-01T10:00:01.{number:03}Z"} for number in range(600)]
    template = await scripted(Script(build=["ready"], logs=[log(*lines, READY)]))
    events = []

    def dawdle(event):
        events.append(event)
        if len(events) in (10, 300):
            time.sleep(0.15)

    await template.wait_until_ready(on_log=dawdle)
    # Too much for a replay of the server: where its hole would be there is a notice.
    assert texts(event for event in events if not event.gap) == ["hello"] * 600 + ["ready"]


async def test_a_breakdown_of_the_reading_is_told_and_ends_no_wait(scripted, monkeypatch):
    def break_down(feed, data):
        raise ZeroDivisionError("of course")

    monkeypatch.setattr(LogFeed, "take", break_down)
    script = Script(build=["building"], logs=[WHOLE])
    template = await scripted(script)
    with pytest.raises(SandboxError, match="ZeroDivisionError: of course"):
        await read(template)
    script.then(build=["building", "ready"])
    [notice] = await followed(template)
    assert notice.gap
    assert "broke down" in notice.text


async def test_a_stream_on_which_nothing_ever_comes_ends_with_the_build(scripted):
    script = Script(build=["ready"], logs=[stall()])
    assert texts(await read(await scripted(script))) == ["(gap)"]


async def test_a_stream_that_breaks_for_good_is_given_up_when_the_build_has_ended(scripted):
    script = Script(build=["building", "ready"], logs=[WHOLE[:-100], reset()])
    assert texts(await followed(await scripted(script))) == ["hello", "wörld", "(gap)"]


# What the stream says is for reading; the row decides


@pytest.mark.parametrize("verdict", ["failed", "cancelled", "ready", "exploded"])
async def test_the_streams_verdict_does_not_decide(scripted, verdict):
    end = {**READY, "text": verdict, "status": verdict}
    template = await scripted(Script(build=["building", "building", "ready"], logs=[log(HELLO, end)]))
    assert texts(await followed(template)) == ["hello", verdict]


TROUBLE = {
    "stream": "system",
    "text": "log stream ended with error: rpc error: code = NotFound desc = no such build",
    "finished": True,
    "status": "failed",
}


async def test_a_log_that_the_host_has_lost_tells_so_and_the_build_is_what_its_row_says(scripted):
    script = Script(build=["building", "ready"], logs=[cut(log(HELLO)[:-5]), log(TROUBLE)])
    events = await followed(await scripted(script))
    assert texts(events) == ["hello", "(gap)", TROUBLE["text"]]


async def test_trouble_right_after_the_start_passes(scripted):
    script = Script(build=["building"], logs=[log(TROUBLE), log(TROUBLE), WHOLE])
    assert texts(await read(await scripted(script))) == TEXTS


async def test_the_reason_of_a_failure_is_on_a_stream_of_its_own(scripted):
    reason = {
        **HELLO,
        "stream": "error",
        "text": "step_failed: step 1/1 failed after 3s: exited with code 100",
    }
    template = await scripted(Script(build=["building"], logs=[log(reason, {**READY, "status": "failed"})]))
    events = await read(template)
    assert events[0].stream is BuildLogStream.ERROR
    assert events[0].text.startswith("step_failed")


async def test_a_log_without_a_last_event_ends_with_the_build_and_says_that_it_may_lack_something(scripted):
    script = Script(build=["building", "ready"], logs=[log(HELLO, WORLD)])
    assert texts(await followed(await scripted(script))) == ["hello", "wörld", "(gap)"]


async def test_what_is_put_in_cannot_be_taken_for_output(scripted):
    template = await scripted(Script(build=["building", "ready"], logs=[log(HELLO, "nonsense")]))
    assert [(event.stream, event.gap, event.finished) for event in await followed(template)] == [
        ("stdout", False, False),
        ("system", True, False),
        ("system", True, False),
    ]


async def test_a_log_too_long_for_the_servers_replay_says_where_lines_are_missing(server, client):
    server.builds.hold()
    template = await AsyncTemplate.create(name="long", from_="debian:12", client=client)
    build = template.latest_build_id
    server.builds.write(build, *[f"early {number}" for number in range(300)])
    seen = []

    def react(event):
        seen.append(event)
        if event.text == "early 200":
            server.builds.write(build, "late", wait=False)
            server.builds.finish(build)

    await template.wait_until_ready(on_log=react, poll_interval_s=0.05)
    shown = texts(seen)
    place = shown.index("(gap)")
    assert shown[place - 1].startswith("early 2")
    assert shown[place + 1 :] == ["late", "ready"]


@pytest.mark.parametrize("api_ahead", [0, -0.5, 20])
@pytest.mark.parametrize("host_ahead", [0, -0.3, 0.3, -1.5, 1.5, 20, -20])
async def test_a_hole_is_told_in_its_place_whatever_the_servers_clocks_say(scripted, host_ahead, api_ahead):
    def printed(number, at):
        when = datetime.fromtimestamp(at + host_ahead, UTC).isoformat()
        return {**HELLO, "text": f"line {number}", "timestamp": when}

    def hole(peer, _request):
        now = time.time()
        fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        date = formatdate(now + api_ahead, usegmt=True)
        replay = [printed(number, now - 40 + number / 10) for number in range(256)]
        peer.send(head(200, fields | {"Date": date}) + chunk(sse(*replay)))
        for number in range(400, 403):
            time.sleep(0.01)
            peer.send(chunk(sse(printed(number, time.time()))))
        peer.send(chunk(sse(READY)) + chunk(b""))

    events = await read(await scripted(Script(build=["building"], logs=[hole])))
    assert texts(events)[255:] == ["line 255", "(gap)", "line 400", "line 401", "line 402", "ready"]


# A log that cannot be read


@pytest.mark.parametrize(
    ("refusal", "error", "times"),
    [
        (reply(404, json=envelope("not_found", "Build not found")), NotFoundError, 1),
        (reply(403, json=envelope("forbidden", "no")), AuthenticationError, 1),
        (reply(204), SandboxError, 1),
        (reply(302, headers={"Location": "/elsewhere"}), SandboxError, 1),
        # These may have been somebody in between, or an outage.
        (reply(200, "<html>Sign in</html>", content_type="text/html"), SandboxError, 3),
        (reply(401, json=envelope("auth_failed", "API key is not known")), AuthenticationError, 3),
        (reply(408), SandboxError, 3),
        (reply(425), SandboxError, 3),
    ],
)
async def test_a_log_that_cannot_be_read_is_an_error_for_readers_and_a_notice_in_a_wait(
    scripted, refusal, error, times
):
    script = Script(build=["building"], logs=[refusal])
    template = await scripted(script)
    with pytest.raises(error):
        await read(template)
    with pytest.raises(error):
        await template.stream_build_logs(on_event=print)
    script.then(build=["building", "building", "ready"])
    [notice] = await followed(template)
    assert notice.gap
    assert "cannot be read" in notice.text
    assert script.count("logs") == 3 * times


@pytest.mark.parametrize(
    "odd",
    [
        reply(200, "<html>Back soon</html>", content_type="text/html"),
        reply(200, "<html>Back soon</html>", content_type="application/xhtml+xml; was=text/event-stream"),
        reply(401, json=envelope("auth_failed", "API key is not known")),
        reply(408),
        reply(425),
    ],
)
async def test_an_odd_answer_or_two_in_a_logs_place_lose_nothing_of_it(scripted, odd):
    logs = [odd, odd, cut(WHOLE[:-120]), odd, odd, WHOLE]
    assert texts(await read(await scripted(Script(build=["building"], logs=logs)))) == TEXTS


async def test_a_log_is_known_by_its_type_however_that_is_written(scripted):
    whole = WHOLE.replace(b"text/event-stream", b"Text/Event-Stream ; charset=utf-8")
    assert texts(await read(await scripted(Script(build=["building"], logs=[whole])))) == TEXTS


async def test_a_log_that_is_answered_slowly_after_the_builds_end_is_read(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "TAIL_UNANSWERED_S", 10.0)

    def slow(peer, _request):
        # Its headers take longer than the log may be silent.
        peer.drip(WHOLE[:60], 0.008)
        peer.send(WHOLE[60:])

    events = await followed(await scripted(Script(build=["ready"], logs=[slow])))
    assert texts(events) == TEXTS


async def test_a_log_that_is_refused_while_the_build_ends_is_asked_for_at_once(scripted, monkeypatch):
    # The next try would be made long after the wait has given up.
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 1e9)
    script = Script(build=["building", "building", "ready"], logs=[reply(503), WHOLE])
    assert texts(await followed(await scripted(script))) == TEXTS


async def test_a_log_that_unpacks_to_too_much_is_not_read(scripted, monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 2**20)
    bomb = gzip.compress(sse({**HELLO, "text": "x" * 2**21}))
    packed = head(200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
    script = Script(build=["building", "ready"], logs=[cut(packed + bomb)])
    assert texts(await followed(await scripted(script))) == ["(gap)"]


async def test_a_log_may_be_packed(scripted):
    packed = head(200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
    body = gzip.compress(sse(HELLO, WORLD, READY))
    script = Script(build=["building", "ready"], logs=[cut(packed + body)])
    assert texts(await followed(await scripted(script))) == TEXTS


async def test_output_without_a_status_comes_once_all_the_same(scripted):
    # Today's server leaves the status out of its heartbeats only.
    lines = [
        {"timestamp": f"2026-05-01T10:00:0{number}Z", "stream": "system", "text": f"line {number}"}
        for number in range(5)
    ]
    whole = log(*lines, READY)
    logs = [cut(log(*lines[:3])), cut(log(*lines[:4])), whole]
    events = await read(await scripted(Script(build=["building"], logs=logs)))
    assert texts(events) == [*(f"line {number}" for number in range(5)), "ready"]


@pytest.mark.parametrize("field", ["9" * 5000, "-" + "9" * 5000])
async def test_a_number_that_is_too_long_in_a_field_that_nobody_reads_loses_no_event(scripted, field):
    event = json.dumps(HELLO)[:-1] + f', "added": {field}}}'
    body = STREAM_HEAD + chunk(f"data: {event}\n\n".encode()) + chunk(sse(WORLD, READY)) + chunk(b"")
    events = await read(await scripted(Script(build=["building"], logs=[body])))
    assert texts(events) == TEXTS


async def test_a_log_of_a_build_that_is_not_there_is_not_found(client):
    template = await AsyncTemplate.create(name="my-env", from_="debian:12", client=client)
    with pytest.raises(NotFoundError):
        await read(template, build_id="0c1f9e77-5678-4e21-9999-1b2c3d4e5f60")


async def test_a_log_is_not_read_for_ever_while_nothing_tells_of_the_build(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "OUTAGE_S", 0.1)
    monkeypatch.setattr(_polling, "_LONGEST_RETRY_S", 0.02)
    template = await scripted(Script(build=[reply(500)], logs=[reset()]))
    with pytest.raises(ServerError) as caught:
        await read(template)
    assert "no good answer" in caught.value.__notes__[0]


# Bytes


def framed(*pieces, headers=None):
    """Return a log stream whose body goes out in these pieces."""
    fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **(headers or {})}
    return head(200, fields) + b"".join(chunk(piece) for piece in pieces) + chunk(b"")


def data(event):
    return b"data: " + json.dumps(event, ensure_ascii=False).encode()


LINES = [data(HELLO), data(WORLD), data(READY)]


@pytest.mark.parametrize(
    "stream",
    [
        framed(b"\n\n".join(LINES) + b"\n\n"),
        framed(b"\r\n\r\n".join(LINES) + b"\r\n\r\n"),
        framed(b"\r\r".join(LINES) + b"\r\r"),
        framed(b"\xef\xbb\xbf" + b"\n\n".join(LINES) + b"\n\n"),
        framed(*(bytes([byte]) for byte in b"\r\n\r\n".join(LINES) + b"\r\n\r\n")),
        framed(b": hi\n\n", b"".join(b": keep-alive\n\n" + line + b"\n\n: bye\n\n" for line in LINES)),
        framed(b"".join(b"id: %d\nretry: 5\nevent: log\n%s\n\n\n\n" % pair for pair in enumerate(LINES))),
        framed(b"".join(b"nonsense\nother: x\n" + line.replace(b": ", b":", 1) + b"\n\n" for line in LINES)),
        framed(b"".join(line.replace(b", ", b",\ndata: ") + b"\n\n" for line in LINES)),
        framed(b"data\n\ndata:\n\n", b"".join(line + b"\n\n" for line in LINES), b"data: cut off"),
        framed(
            gzip.compress(b"".join(line + b"\n\n" for line in LINES)), headers={"Content-Encoding": "gzip"}
        ),
        head(200, {"Content-Type": "text/event-stream; charset=iso-8859-1", "Connection": "close"})
        + b"".join(line + b"\n\n" for line in LINES),
    ],
    ids=[
        *["LF", "CRLF", "CR", "BOM", "byte by byte", "comments", "ids", "unknown fields", "many data lines"],
        *["empty and unfinished", "gzip", "wrong charset"],
    ],
)
async def test_events_are_read_however_they_are_framed(scripted, stream):
    template = await scripted(Script(build=["building"], logs=[stream]))
    events = await read(template)
    assert [(event.stream, event.text) for event in events] == [
        ("stdout", "hello"),
        ("stderr", "wörld"),
        ("system", "ready"),
    ]


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1e"])
async def test_only_line_ends_of_the_standard_end_a_line(scripted, separator):
    line = {**HELLO, "text": f"one{separator}two"}
    template = await scripted(
        Script(build=["building"], logs=[framed(data(line) + b"\n\n" + LINES[2] + b"\n\n")])
    )
    assert texts(await read(template)) == [f"one{separator}two", "ready"]


async def test_a_character_may_be_split_between_pieces_and_half_of_one_is_replaced(scripted):
    line = data({**HELLO, "text": "a\N{GRINNING FACE}b"})
    middle = line.index(b"\x9f") + 1
    broken = data({**WORLD, "text": "c"}).replace(b'"c"', b'"\xf0\x9f"')
    stream = framed(line[:middle], line[middle:] + b"\n\n", broken + b"\n\n" + LINES[2] + b"\n\n")
    template = await scripted(Script(build=["building"], logs=[stream]))
    assert texts(await read(template)) == ["a\N{GRINNING FACE}b", "\ufffd", "ready"]


async def test_a_line_may_be_very_long(scripted):
    line = {**HELLO, "text": "x" * (16 * 1024 * 1024)}
    template = await scripted(Script(build=["building"], logs=[log(line, READY)]))
    first, last = await read(template)
    assert first.text == line["text"]
    assert last.finished


async def test_a_line_that_never_ends_does_not_fill_the_memory(scripted, monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 100_000)
    endless = STREAM_HEAD + b"".join(chunk(b"data: " + b"x" * 50_000) for _ in range(10))
    script = Script(build=["building"], logs=[stall(endless), WHOLE])
    assert texts(await read(await scripted(script))) == TEXTS


async def test_a_log_may_be_longer_than_any_single_answer(scripted, monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 100_000)
    lines = [{**HELLO, "text": "x" * 1_000} for _ in range(200)]
    template = await scripted(Script(build=["building"], logs=[log(*lines, READY)]))
    assert len(await read(template)) == 201
