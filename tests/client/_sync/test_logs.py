# Written by scripts/unasync.py from tests/client/_async/test_logs.py. Do not edit: change that, then run `nox -s generate`.
"""Reading the log of a build: which events come, however they are sent, and what is asked for."""

import gzip
import json
import logging
import threading
import time
from contextlib import closing
from datetime import datetime

import pytest

from superserve import (
    BuildLogEvent,
    BuildLogStream,
    NotFoundError,
    SandboxError,
    Template,
    ValidationError,
)
from superserve._http import policy
from superserve._http.tasks_sync import sleep
from superserve._sync import reader
from tests.script import BUILD_ID, TEMPLATE_ID, Script, template_row
from tests.wire import PATIENCE_S, STREAM_HEAD, chunk, cut, head, log, reply, sse, stall

pytestmark = pytest.mark.usefixtures("no_backoff")

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
WHOLE = log(HELLO, WORLD, READY)
TEXTS = ["hello", "wörld", "ready"]


def iterated(template, **options):
    return [event for event in template.iter_build_logs(**options)]


def streamed(template, **options):
    events = []
    template.stream_build_logs(on_event=events.append, **options)
    return events


BOTH = pytest.mark.parametrize("read", [iterated, streamed])


def texts(events):
    return [event.text for event in events]


def until(condition):
    """Wait until something is true."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        sleep(0.005)


@pytest.fixture
def read_bytes(scripted):
    """Read a log of which the server sends exactly these bytes."""

    def read_bytes(answer):
        return iterated(scripted(Script(logs=[answer])))

    return read_bytes


# What is asked for


@BOTH
def test_the_log_of_a_connected_template_is_asked_for_once_and_nothing_else(scripted, read):
    script = Script(logs=[WHOLE])
    template = scripted(script)
    assert texts(read(template)) == TEXTS
    assert script.seen == ["template", "logs"]
    assert script.paths[1] == f"/templates/{TEMPLATE_ID}/builds/{BUILD_ID}/logs"


@BOTH
def test_the_log_of_a_created_template_is_asked_for_once_and_nothing_else(serve, connect, read):
    wire = serve(reply(202, json=template_row("building", build_id=BUILD_ID)), WHOLE, reply(500))
    template = Template.create(name="my-env", from_="python:3.11", client=connect(wire))
    assert texts(read(template)) == TEXTS
    assert [(request.method, request.path) for request in wire.requests] == [
        ("POST", "/templates"),
        ("GET", f"/templates/{TEMPLATE_ID}/builds/{BUILD_ID}/logs"),
    ]


@BOTH
def test_the_log_of_a_build_that_is_named_needs_no_latest_build(scripted, read):
    script = Script(template=[reply(json=template_row())], logs=[WHOLE])
    template = scripted(script)
    assert texts(read(template, build_id="named")) == TEXTS
    assert script.seen == ["template", "logs"]
    assert script.paths[1] == f"/templates/{TEMPLATE_ID}/builds/named/logs"


@BOTH
def test_where_no_build_is_known_the_error_says_how_to_name_one(scripted, read):
    script = Script(template=[reply(json=template_row())], logs=[WHOLE])
    template = scripted(script)
    with pytest.raises(SandboxError, match="pass build_id=, list_builds"):
        read(template)
    assert script.seen == ["template"]


def test_the_log_is_that_of_the_build_named_or_else_of_the_one_started_last(scripted):
    script = Script(template=[reply(json=template_row(latest_build_id="latest"))], logs=[WHOLE])
    template = scripted(script)
    iterated(template)
    template.rebuild()
    iterated(template)
    iterated(template, build_id="named")
    builds = [path.split("/")[4] for path in script.paths if path.endswith("/logs")]
    assert builds == ["latest", BUILD_ID, "named"]


def test_a_log_is_asked_for_as_an_event_stream_that_is_not_packed(serve, connect, key):
    wire = serve(reply(json=template_row(latest_build_id=BUILD_ID)), WHOLE)
    iterated(Template.connect(TEMPLATE_ID, client=connect(wire)))
    headers = wire.requests[1].headers
    assert headers["accept"] == "text/event-stream"
    assert headers["accept-encoding"] == "identity"
    assert headers["x-api-key"] == key


def test_a_wrong_argument_is_refused_before_anything_is_sent(scripted):
    script = Script(logs=[WHOLE])
    template = scripted(script)
    with pytest.raises(ValidationError, match="on_event"):
        template.stream_build_logs(on_event="print")
    for read in (iterated, streamed):
        with pytest.raises(ValidationError, match="build_id"):
            read(template, build_id="../x")
        with pytest.raises(ValidationError, match="build_id"):
            read(template, build_id="")
        with pytest.raises(ValidationError, match="idle_timeout_s"):
            read(template, idle_timeout_s=0)
    assert script.seen == ["template"]


def test_a_log_of_a_build_that_is_not_there_is_not_found(client):
    template = Template.create(name="my-env", from_="debian:12", client=client)
    with pytest.raises(NotFoundError):
        iterated(template, build_id=BUILD_ID)


# Which events come


@BOTH
def test_an_event_has_all_that_the_server_says_of_it(scripted, read):
    events = read(scripted(Script(logs=[WHOLE])))
    assert events == [
        BuildLogEvent(
            stream=BuildLogStream(sent["stream"]),
            text=sent["text"],
            timestamp=datetime.fromisoformat(sent["timestamp"]),
            finished=sent["finished"],
            status=sent["status"] or None,
            after_gap=False,
        )
        for sent in (HELLO, WORLD, READY)
    ]


def test_a_real_build_comes_the_same_by_the_iterator_the_callback_and_the_wait(client):
    template = Template.create(
        name="my-env",
        from_="python:3.11",
        steps=[{"run": "echo hello"}, {"run": "echo oh >&2"}],
        client=client,
    )
    waited = []
    template.wait_until_ready(on_log=waited.append, poll_interval_s=0.05)
    lasting = [event for event in waited if "queued" not in event.text]
    assert lasting == streamed(template) == iterated(template)
    assert [event.text for event in lasting if event.stream == "stderr"] == ["oh"]
    assert lasting[-1].status == "ready"


def test_twenty_thousand_events_at_once_come_exactly_as_they_were_sent(scripted):
    sent = [
        {
            "timestamp": f"2026-05-01T10:{number // 6000:02}:{number // 100 % 60:02}Z",
            "stream": ("stdout", "stderr")[number % 2],
            "text": f"line {number // 3}",
            "finished": False,
            "status": "",
        }
        for number in range(20_000)
    ]
    body = sse(*sent, READY)
    pieces = [chunk(body[start : start + 65536]) for start in range(0, len(body), 65536)]
    script = Script(logs=[STREAM_HEAD + b"".join(pieces) + chunk(b"")])
    *lines, last = streamed(scripted(script))
    assert last.finished
    assert [(event.stream, event.text) for event in lines] == [
        (event["stream"], event["text"]) for event in sent
    ]
    assert all(
        event.timestamp == datetime.fromisoformat(told["timestamp"])
        for event, told in zip(lines[::100], sent[::100], strict=True)
    )
    assert not any(event.after_gap for event in lines)
    assert script.count("logs") == 1


def test_heartbeats_and_the_servers_own_errors_are_handed_over(read_bytes):
    told = [
        {"timestamp": "2026-05-01T10:00:00Z", "stream": "system", "text": "queued", "finished": False},
        {"timestamp": "2026-05-01T10:00:01Z", "stream": "system", "text": "queued", "finished": False},
        HELLO,
        {**HELLO, "stream": "error", "text": "step_failed: step 1/1 failed after 3s: exited with code 100"},
        {**READY, "text": "failed", "status": "failed"},
    ]
    events = read_bytes(log(*told))
    assert [(event.stream, event.text) for event in events] == [
        (event["stream"], event["text"]) for event in told
    ]
    assert events[-1].status == "failed"


def test_an_event_without_a_time_has_none_and_what_nobody_knows_is_kept(read_bytes):
    odd = {"stream": "telemetry", "text": "cpu", "level": 3}
    [event, _] = read_bytes(log(odd, READY))
    assert (event.stream, event.text, event.timestamp) == ("telemetry", "cpu", None)


@pytest.mark.parametrize("odd", ["nonsense", 5, None, [HELLO], {"text": "x"}, {**HELLO, "text": None}])
def test_a_message_that_is_no_log_event_is_skipped_with_one_warning(read_bytes, caplog, odd):
    caplog.set_level(logging.WARNING, logger="superserve")
    assert texts(read_bytes(log(HELLO, odd, WORLD, odd, READY))) == TEXTS
    [warning] = [record for record in caplog.records if record.name == "superserve"]
    assert "not a log event" in warning.getMessage()


def test_events_come_as_soon_as_they_are_sent(scripted):
    told = threading.Event()

    def answer(peer, _request):
        peer.send(STREAM_HEAD + chunk(sse(HELLO)))
        peer.wait(told)
        peer.send(chunk(sse(READY)) + chunk(b""))

    events = []

    def see(event):
        events.append(event)
        told.set()

    template = scripted(Script(logs=[answer]))
    template.stream_build_logs(on_event=see)
    assert texts(events) == ["hello", "ready"]


# Who reads


def test_an_iterator_that_is_closed_stops_reading(serve, connect, belongings):
    wire = serve(Script(logs=[stall(STREAM_HEAD + chunk(sse(HELLO)))]))
    template = Template.connect(TEMPLATE_ID, client=connect(wire))
    with closing(template.iter_build_logs()) as events:
        for event in events:
            assert event.text == "hello"
            break
    assert belongings.readers() == set()
    wire.until(lambda: wire.open_connections <= 1)


def test_an_iterator_that_is_never_begun_asks_for_nothing(scripted):
    script = Script(logs=[WHOLE])
    template = scripted(script)
    template.iter_build_logs().close()
    assert script.seen == ["template"]


def test_two_readers_of_one_log_know_nothing_of_each_other(scripted):
    template = scripted(Script(logs=[WHOLE]))
    with closing(template.iter_build_logs()) as events:
        for event in events:
            assert event.text == "hello"
            assert texts(iterated(template)) == TEXTS
            break


@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
def test_what_the_callback_raises_stops_the_reading_at_once_and_comes_out(serve, connect, belongings, kind):
    wire = serve(Script(logs=[stall(STREAM_HEAD + chunk(sse(HELLO, WORLD)))]))
    template = Template.connect(TEMPLATE_ID, client=connect(wire))
    events = []

    def refuse(event):
        events.append(event)
        raise kind(event.text)

    with pytest.raises(kind, match="hello"):
        template.stream_build_logs(on_event=refuse)
    assert texts(events) == ["hello"]
    assert belongings.readers() == set()
    wire.until(lambda: wire.open_connections <= 1)


def test_an_error_of_ours_that_the_callback_raises_is_the_callers_own(scripted):
    script = Script(logs=[WHOLE])
    template = scripted(script)
    error = SandboxError("mine")

    def refuse(event):
        raise error

    with pytest.raises(SandboxError) as caught:
        template.stream_build_logs(on_event=refuse)
    assert caught.value is error
    assert script.count("logs") == 1


def test_reading_goes_on_while_the_callback_takes_its_time(scripted):
    all_is_sent = threading.Event()
    # More than what the system holds for both sides.
    lines = [{**HELLO, "text": f"{number} {'x' * 2**17}"} for number in range(200)]

    def answer(peer, _request):
        peer.send(log(*lines, READY))
        all_is_sent.set()

    events = []

    def dawdle(event):
        events.append(event)
        if len(events) == 1:
            until(all_is_sent.is_set)

    template = scripted(Script(logs=[answer]))
    template.stream_build_logs(on_event=dawdle)
    assert texts(events) == [*(line["text"] for line in lines), "ready"]


def test_who_is_far_behind_lets_the_server_wait_and_loses_nothing(scripted, monkeypatch):
    monkeypatch.setattr(reader, "READ_AHEAD", 2**20)
    # Twice as much as what the system holds for both sides, and more.
    line = chunk(sse({**HELLO, "text": "x" * 2**17}))
    count = 256
    sent = []

    def answer(peer, _request):
        peer.send(STREAM_HEAD)
        for _ in range(count):
            peer.send(line)
            sent.append(time.monotonic())
        peer.send(chunk(sse(READY)) + chunk(b""))

    events = []

    def dawdle(event):
        events.append(event)
        if len(events) == 1:
            until(lambda: sent and time.monotonic() - sent[-1] > 0.3)
            assert len(sent) < count * 3 / 4

    template = scripted(Script(logs=[answer]))
    template.stream_build_logs(on_event=dawdle)
    assert len(events) == count + 1
    assert len(sent) == count


def test_what_is_held_for_the_caller_is_64_mib():
    assert reader.READ_AHEAD == 64 * 2**20


def test_a_client_that_is_closed_reads_no_log(scripted, connect, serve):
    wire = serve(Script(logs=[WHOLE]))
    client = connect(wire)
    template = Template.connect(TEMPLATE_ID, client=client)
    client.close()
    with pytest.raises(SandboxError, match="closed"):
        iterated(template)


# Answers


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "text/plain; charset=utf-8", "Text/Event-Stream ; charset=utf-8"]
)
def test_a_log_may_lack_its_type_or_be_called_plain_text_as_mocks_do(read_bytes, kind):
    assert texts(read_bytes(reply(200, sse(HELLO, WORLD, READY), content_type=kind))) == TEXTS


def test_a_log_may_be_packed(read_bytes):
    packed = head(
        200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip", "Connection": "close"}
    )
    assert texts(read_bytes(packed + gzip.compress(sse(HELLO, WORLD, READY)))) == TEXTS


def test_a_log_that_unpacks_to_too_much_is_not_read(read_bytes, monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 2**20)
    bomb = gzip.compress(sse({**HELLO, "text": "x" * 2**21}))
    headers = {"Content-Encoding": "gzip"}
    with pytest.raises(SandboxError, match="larger than 1 MiB"):
        read_bytes(reply(200, bomb, headers=headers, content_type="text/event-stream"))


def test_a_line_that_never_ends_does_not_fill_the_memory(read_bytes, monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 2**20)
    endless = STREAM_HEAD + chunk(sse(HELLO)) + chunk(b"data: " + b"x" * 2**19) * 4
    with pytest.raises(SandboxError, match="larger than 1 MiB"):
        read_bytes(stall(endless))


LONG = [{**HELLO, "text": f"{number} {'x' * 1_000}"} for number in range(200)]


@pytest.mark.parametrize(
    "logs",
    [
        [log(*LONG, READY)],
        [reply(200, sse(*LONG, READY), content_type="text/event-stream")],
        # All but the last of what is replayed has been handed over.
        [cut(log(*LONG)[:-5]), log(*LONG, READY)],
    ],
    ids=["in chunks", "with its length", "replayed"],
)
def test_a_log_may_be_longer_than_any_other_answer(scripted, monkeypatch, logs):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 100_000)
    events = iterated(scripted(Script(logs=logs)))
    assert texts(events) == [*(line["text"] for line in LONG), "ready"]


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
def test_events_are_read_however_they_are_framed(read_bytes, stream):
    events = read_bytes(stream)
    assert [(event.stream, event.text) for event in events] == [
        ("stdout", "hello"),
        ("stderr", "wörld"),
        ("system", "ready"),
    ]


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_line_ends_of_the_standard_end_a_line(read_bytes, separator):
    line = {**HELLO, "text": f"one{separator}two"}
    assert texts(read_bytes(framed(data(line) + b"\n\n" + LINES[2] + b"\n\n"))) == [
        f"one{separator}two",
        "ready",
    ]


def test_a_character_may_be_split_between_pieces_and_half_of_one_is_replaced(read_bytes):
    line = data({**HELLO, "text": "a\N{GRINNING FACE}b"})
    middle = line.index(b"\x9f") + 1
    broken = data({**WORLD, "text": "c"}).replace(b'"c"', b'"\xf0\x9f"')
    stream = framed(line[:middle], line[middle:] + b"\n\n", broken + b"\n\n" + LINES[2] + b"\n\n")
    assert texts(read_bytes(stream)) == ["a\N{GRINNING FACE}b", "\ufffd", "ready"]


def test_a_line_may_be_very_long(read_bytes):
    line = {**HELLO, "text": "x" * (16 * 1024 * 1024)}
    first, last = read_bytes(log(line, READY))
    assert first.text == line["text"]
    assert last.finished
