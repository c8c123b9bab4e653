"""The log stream: its framing, its events, its replay and its endings."""

import asyncio
import json
import re
import threading
import time
import uuid
from types import SimpleNamespace

import pytest

from superserve.local._app.clock import Clock
from superserve.local._app.streams import Streams
from superserve.local._machines.build_host import BuildLog
from superserve.local._resources.build_logs import LogStream

EVENT = {"timestamp", "stream", "text", "finished", "status"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")


def texts(events, stream=None):
    return [event["text"] for event in events if stream in (None, event["stream"])]


def builds_with(log, build=None, clock=None):
    """What a stream of logs sees of the server's builds, of which there is one: `build`."""
    return SimpleNamespace(
        rows={"build": build or SimpleNamespace(dispatched=True)},
        host=SimpleNamespace(records={"build": SimpleNamespace(log=log)}),
        services=SimpleNamespace(clock=clock or Clock(1), streams=Streams()),
    )


@pytest.fixture
def running(server, create):
    """A build that the host holds: it writes nothing by itself."""
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")
    return template_id, build_id


@pytest.fixture
def open_log(http):
    """Open a log stream, to be read bit by bit."""

    def open_log(template_id, build_id):
        return http.stream("GET", f"/templates/{template_id}/builds/{build_id}/logs")

    return open_log


def test_the_answer_is_an_event_stream(server, running, open_log):
    server.builds.write(running[1], "hello")
    with open_log(*running) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["connection"] == "keep-alive"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["x-frame-options"] == "DENY"


def test_an_event_is_one_data_line_with_sorted_keys_and_html_escaped(server, http, running):
    server.builds.write(running[1], 'a <b> & "ü"\u2028\u0085\x00\r', stream="stderr")
    server.builds.finish(running[1])

    text = http.get(f"/templates/{running[0]}/builds/{running[1]}/logs").content.decode()

    first, last, rest = text.split("\n\n")
    assert rest == ""
    time = json.loads(first.removeprefix("data: "))["timestamp"]
    assert first == (
        r'data: {"finished":false,"status":"","stream":"stderr","text":"a \u003cb\u003e \u0026 \"ü\"\u2028'
        "\u0085"
        rf'\u0000\r","timestamp":"{time}"}}'
    )
    assert last.startswith(
        'data: {"finished":true,"status":"ready","stream":"system","text":"ready","timestamp":"'
    )


def test_events_carry_everything_and_the_last_one_the_verdict(create, log):
    events = log(*create(steps=[{"run": "echo hello"}]))
    relayed = [event for event in events if "status" in event]

    assert all(event.keys() == EVENT for event in relayed)
    assert [event["finished"] for event in relayed] == [False] * (len(relayed) - 1) + [True]
    assert {event["status"] for event in relayed[:-1]} == {""}
    assert relayed[-1]["stream"] == "system"
    assert relayed[-1]["text"] == relayed[-1]["status"] == "ready"


def test_a_failing_build_tells_its_reason_on_a_stream_of_its_own_before_the_verdict(create, log):
    events = log(*create(steps=[{"run": "exit 3"}]))

    assert events[-2]["stream"] == "error"
    assert events[-2]["text"] == "step_failed: step 1/1 failed after 10ms: exited with code 3"
    assert (events[-2]["finished"], events[-2]["status"]) == (False, "")
    assert events[-1]["text"] == events[-1]["status"] == "failed"
    assert events[-1]["finished"]


def test_times_rise_and_are_the_same_for_every_reader(server, running, log):
    server.builds.write(running[1], *map(str, range(100)))
    server.builds.finish(running[1])

    first, second = log(*running), log(*running)

    assert first == second
    times = [event["timestamp"] for event in first]
    assert all(TIME.fullmatch(time) for time in times)
    assert len(set(times)) == len(times)
    assert [event["text"] for event in sorted(first, key=lambda event: padded(event["timestamp"]))] == texts(
        first
    )


def padded(timestamp):
    seconds, _, fraction = timestamp.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")


def test_a_queued_build_gives_heartbeats_until_it_starts(server, create, open_log):
    server.builds.hold("pending")
    ids = create()

    with open_log(*ids) as answer:
        events = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line)
        heartbeats = [next(events) for _ in range(5)]
        server.builds.release()
        rest = list(events)

    assert all(beat.keys() == EVENT - {"status"} for beat in heartbeats)
    assert {(beat["stream"], beat["finished"]) for beat in heartbeats} == {("system", False)}
    assert len({beat["text"] for beat in heartbeats}) == 1
    assert len({beat["timestamp"] for beat in heartbeats}) == len(heartbeats)
    assert rest[-1]["status"] == "ready"


def test_heartbeats_are_two_seconds_apart():
    build, log, sent, waits = SimpleNamespace(dispatched=False, in_flight=True), BuildLog(), [], []
    log.finish("ready")

    async def sleep(seconds):
        waits.append(seconds)
        build.dispatched = len(waits) == 3

    async def send(message):
        sent.append(message.get("body", b""))

    builds = builds_with(log, build, SimpleNamespace(sleep=sleep))
    asyncio.run(LogStream("build", builds)._send_events(send))

    assert waits == [2.0] * 3
    assert sum(b"waiting for dispatch" in frame for frame in sent) == 3


def test_nothing_is_sent_before_the_first_event_not_even_headers(server, running, http, wait_for_readers):
    request = http.build_request("GET", f"/templates/{running[0]}/builds/{running[1]}/logs")
    answers = []
    reader = threading.Thread(target=lambda: answers.append(http.send(request, stream=True)))
    reader.start()
    wait_for_readers(server, running[1])
    assert answers == []

    server.builds.write(running[1], "hello")
    reader.join(60)

    assert answers[0].status_code == 200
    answers[0].close()


def test_a_running_build_is_silent_while_it_writes_nothing(server, running, open_log):
    server.builds.write(running[1], "first")
    with open_log(*running) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines).removeprefix("data: "))["text"] == "first"
        # Ten heartbeats of a queued build would take this long.
        time.sleep(0.2)
        server.builds.write(running[1], "second")
        assert next(lines) == ""
        assert json.loads(next(lines).removeprefix("data: "))["text"] == "second"


def test_every_reader_gets_everything_from_the_start(server, running, open_log, wait_for_readers):
    server.builds.write(running[1], "one", "two")
    with open_log(*running) as first, open_log(*running) as second:
        wait_for_readers(server, running[1], 2)
        server.builds.write(running[1], "three")
        server.builds.finish(running[1])
        assert first.read() == second.read()
        assert first.content.count(b"data: ") == 4


def test_the_last_event_id_is_ignored(server, http, running):
    server.builds.write(running[1], "one", "two")
    server.builds.finish(running[1])
    path = f"/templates/{running[0]}/builds/{running[1]}/logs"

    assert http.get(path).content == http.get(path, headers={"Last-Event-ID": "1"}).content


def test_an_ended_build_with_a_long_log_gives_its_first_256_events_and_no_last_one(server, running, log):
    server.builds.write(running[1], *map(str, range(300)))
    server.builds.finish(running[1])

    events = log(*running)

    assert texts(events) == [str(number) for number in range(256)]
    assert not any(event["finished"] for event in events)


def test_the_buffer_keeps_the_newest_10000_events(server, running, log):
    server.builds.write(running[1], *map(str, range(10_005)))
    server.builds.finish(running[1])

    assert texts(log(*running)) == [str(number) for number in range(6, 262)]


def test_a_reader_that_comes_late_to_a_running_build_misses_the_middle(
    server, running, open_log, wait_for_readers
):
    server.builds.write(running[1], *map(str, range(300)))
    with open_log(*running) as answer:
        wait_for_readers(server, running[1])
        server.builds.write(running[1], "live")
        server.builds.finish(running[1])
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]

    assert texts(events) == [*(str(number) for number in range(256)), "live", "ready"]


def test_a_reader_loses_what_comes_faster_than_it_is_sent(server, running, open_log):
    server.builds.write(running[1], "first")
    with open_log(*running) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.builds.write(running[1], *map(str, range(1000)), wait=False)
        server.builds.finish(running[1])
        events = [json.loads(line.removeprefix("data: ")) for line in lines if line]

    assert texts(events) == [*(str(number) for number in range(256)), "ready"]


def test_of_602_events_a_reader_whose_buffers_take_150_gets_407_and_not_the_last_one():
    log, sent = BuildLog(), []

    async def read_late():
        has_time = asyncio.Event()

        async def send(message):
            if len(sent) >= 150:
                await has_time.wait()
            if body := message.get("body"):
                sent.append(json.loads(body.removeprefix(b"data: "))["text"])

        reading = asyncio.create_task(LogStream("build", builds_with(log))._send_events(send))
        for number in range(601):
            # So many turns of the loop that the reader gets each, as long as it reads.
            for _ in range(4):
                await asyncio.sleep(0)
            log.write("stdout", str(number))
        log.finish("ready")
        has_time.set()
        await reading

    asyncio.run(read_late())

    # 256 were in its queue, and one on its way to it.
    assert sent == [str(number) for number in range(150 + 1 + 256)]


def test_a_reader_that_comes_in_the_middle_of_a_flood_catches_up_before_its_end():
    log, sent = BuildLog(), []
    for number in range(300):
        log.write("stdout", f"before {number}")

    async def send(message):
        sent.append(message.get("body", b""))

    async def flood():
        stream = LogStream("build", builds_with(log))
        reading = asyncio.create_task(stream._send_events(send))
        # As a pretended build writes: a line each turn of the loop, and a few at once at its end.
        for number in range(300):
            await asyncio.sleep(0)
            log.write("stdout", f"after {number}")
        for text in ("Step 1/1 completed (3s)", "Saving template"):
            log.write("system", text)
        log.finish("ready")
        await reading

    asyncio.run(flood())

    last = [json.loads(frame.removeprefix(b"data: "))["text"] for frame in sent if frame][-4:]
    assert last == ["after 299", "Step 1/1 completed (3s)", "Saving template", "ready"]


def test_text_loses_its_last_newlines_keeps_its_returns_and_is_never_empty(server, running, log):
    server.builds.write(running[1], "one\ntwo\n\n", "progress\r", "", "\n")
    server.builds.finish(running[1])

    assert texts(log(*running), "stdout") == ["one\ntwo", "progress\r"]


def test_text_comes_in_pieces_of_32_kib_that_may_cut_a_character(server, running, log):
    server.builds.write(running[1], "x" * 32767 + "ü" + "y" * 10)
    server.builds.finish(running[1])

    first, second = texts(log(*running), "stdout")
    assert first == "x" * 32767 + "\ufffd"
    assert second == "\ufffd" + "y" * 10


def test_a_build_that_ended_before_it_started_gives_one_last_event(server, http, create, log):
    server.builds.hold("pending")
    ids = create()
    http.delete("/templates/{}/builds/{}".format(*ids))

    (event,) = log(*ids)

    assert event.keys() == EVENT
    assert event["finished"]
    assert (event["stream"], event["text"], event["status"]) == ("system", "cancelled by user", "cancelled")


def test_a_build_that_the_host_forgot_gives_a_false_failure_without_a_time(server, log):
    template_id = server.templates.add("demo")
    build_id = server.builds.add(template_id, status="ready")

    (event,) = log(template_id, build_id)

    assert event.keys() == EVENT - {"timestamp"}
    assert event["text"].startswith("log stream ended with error:")
    assert "NotFound" in event["text"]
    assert (event["finished"], event["status"], event["stream"]) == (True, "failed", "system")


def test_a_host_that_restarts_ends_open_streams_with_trouble(server, running, open_log, wait_for_readers):
    server.builds.write(running[1], "hello")
    with open_log(*running) as answer:
        wait_for_readers(server, running[1])
        server.builds.lose(running[1])
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]

    assert texts(events)[0] == "hello"
    assert "Unavailable" in events[1]["text"]
    assert "timestamp" not in events[1]


def test_a_stream_may_end_without_a_last_event(server, running, log):
    server.builds.write(running[1], "hello")
    server.builds.close_log(running[1])

    assert texts(log(*running)) == ["hello"]


def test_a_cancelled_build_goes_on_in_its_log(server, http, running, log):
    http.delete("/templates/{}/builds/{}".format(*running))
    server.builds.write(running[1], "still here")
    server.builds.finish(running[1], "step_failed: step 1/1 failed after 3s: exited with code 1")

    assert texts(log(*running)) == [
        "still here", "step_failed: step 1/1 failed after 3s: exited with code 1", "failed",
    ]  # fmt: skip


def test_errors_before_the_stream_are_plain_json(http, error, create):
    template_id, _ = create()

    assert error(http.get(f"/templates/{template_id}/builds/{uuid.uuid4()}/logs")) == (404, "not_found")
    assert error(http.get(f"/templates/{template_id}/builds/nonsense/logs")) == (400, "bad_request")


def test_a_reader_that_leaves_is_forgotten(server, running, open_log, wait_for_readers):
    server.builds.write(running[1], "hello")
    with open_log(*running) as answer:
        wait_for_readers(server, running[1])
        next(answer.iter_raw())

    wait_for_readers(server, running[1], 0)


def test_a_reader_that_leaves_in_the_middle_of_a_log_is_no_reason_for_warnings(
    server, open_log, wait_for_readers, caplog
):
    template_id = server.templates.add()
    build_id = server.builds.add(template_id, log=["x" * 30_000] * 250)

    for _ in range(5):
        with open_log(template_id, build_id) as answer:
            next(answer.iter_raw())
        wait_for_readers(server, build_id, 0)

    assert caplog.messages == []
