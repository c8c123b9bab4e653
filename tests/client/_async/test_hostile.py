"""Whatever a server sends: a result or a SandboxError, soon, and never the key."""

import gzip
import json
import os
import traceback
from datetime import datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from superserve import (
    AsyncTemplate,
    BuildLogEvent,
    SandboxError,
    TemplateBuildInfo,
    TemplateInfo,
    _polling,
)
from superserve._async import build_wait
from tests.answers import answers, jsons_of, objects
from tests.conftest import KEY
from tests.script import Script, build_row, template_row
from tests.wire import STREAM_HEAD, chunk, cut, envelope, log, reply, sse

pytestmark = pytest.mark.usefixtures("no_backoff")

# `nox -s tests_slow` tries more.
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "30"))

quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # The server and the client are the same for all examples; what they are sent is not.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Connections and readers are made anew for each example.
slowly = settings(quickly, max_examples=max(EXAMPLES // 2, 1))

ID = "7a3f2b8c-0000-4000-8000-000000000001"
TEMPLATE = {
    "id": ID,
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-env",
    "status": "ready",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
}
BUILD = {
    "id": "b1",
    "template_id": ID,
    "status": "ready",
    "build_spec_hash": "ab12",
    "created_at": "2026-05-01T12:00:00Z",
}
CALLS = {
    "connect": (lambda template: AsyncTemplate.connect(ID, client=template._client), AsyncTemplate),
    "get_info": (lambda template: template.get_info(), TemplateInfo),
    "list": (lambda template: AsyncTemplate.list(client=template._client), list),
    "create": (
        lambda template: AsyncTemplate.create(name="my-env", from_="b", client=template._client),
        AsyncTemplate,
    ),
    "rebuild": (lambda template: template.rebuild(), TemplateBuildInfo),
    "list_builds": (lambda template: template.list_builds(), list),
    "get_build": (lambda template: template.get_build("b1"), TemplateBuildInfo),
    "cancel_build": (lambda template: template.cancel_build("b1"), type(None)),
    "delete": (lambda template: template.delete(), type(None)),
    "delete_by_id": (lambda template: AsyncTemplate.delete_by_id(ID, client=template._client), type(None)),
}

jsons = jsons_of(st.text() | st.just(KEY))
almost_templates = st.fixed_dictionaries(
    {},
    optional={
        name: st.just(value) | jsons for name, value in (TEMPLATE | BUILD | {"build_id": "b1"}).items()
    },
)
errors = st.fixed_dictionaries(
    {}, optional={"error": jsons | st.fixed_dictionaries({"code": jsons, "message": jsons}), "code": jsons}
)
texts = st.one_of(
    st.binary(max_size=300),
    (jsons | almost_templates | st.lists(almost_templates, max_size=3) | errors)
    .map(json.dumps)
    .map(str.encode),
    st.just(json.dumps(envelope("bad_request", f"what is {KEY}?")).encode()),
    st.sampled_from([b"", b"<html>", KEY.encode(), b"[" * 9999, b"\xef\xbb\xbf{}", b"\x00", b"NaN"]),
)
bodies = texts | texts.map(gzip.compress)
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20) | st.just(KEY)
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Content-Type",
                "Retry-After",
                "Set-Cookie",
                "Location",
                "X-Request-Id",
                "Connection",
                "Date",
                f"X-{KEY}",
            ]
        ),
        words
        | st.sampled_from(
            [
                "application/json",
                "text/plain",
                "text/plain; charset=x",
                "text/html",
                "text/event-stream",
                "0",
                "close",
                "https://host:port/",
                "http://[::1",
                "http://xn--/",
            ]
        ),
    )
    | st.tuples(
        st.just("Content-Encoding"), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, gzip", "", KEY])
    )
    | st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "identity", "gzip", KEY]))
    | st.tuples(
        st.just("Content-Length"), st.integers(-1, 400).map(str) | st.sampled_from(["9" * 30, KEY, ""])
    ),
    max_size=4,
)
statuses = st.sampled_from([200, 201, 202, 204, 301, 400, 401, 404, 409, 422, 429, 500, 503]) | st.integers(
    0, 1200
)


def is_going_on(row):
    if row["status"] in {"pending", "building", "snapshotting"}:
        return True
    # That a build has ended in a way that nobody knows yet is told by when.
    return row["status"] not in {"ready", "failed", "cancelled"} and row.get("finalized_at") is None


@st.composite
def responses(draw):
    """Return the bytes of something like a response."""
    body = draw(bodies)
    fields = draw(headers)
    if draw(st.booleans()):
        fields.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {draw(statuses)} {draw(words)}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


hostile = responses() | st.binary(max_size=200)
# Builds that quote what the server was sent.
tainted_builds = st.fixed_dictionaries(
    {
        name: st.just(value) | st.sampled_from([KEY, f"step_failed: {KEY}", f"{KEY}: no"])
        for name, value in build_row("building", error_message="no").items()
        if name != "created_at"
    }
).map(lambda row: row | {"created_at": "2026-05-01T12:00:00Z"})
# Bytes in the place of a log, in pieces as they come.
hostile_logs = st.lists(
    texts
    | texts.map(lambda data: b"data: " + data + b"\n\n")
    | objects("BuildLogEvent").map(sse)
    | st.sampled_from([b"data:\n\n", b"event: x\nid: 1\nretry: y\n: z\n\n", b"\r\n\r", b"data: {}\n\n"]),
    max_size=4,
).map(lambda pieces: STREAM_HEAD + b"".join(chunk(piece) for piece in pieces if piece) + chunk(b""))


@pytest.fixture
def outcome(serve, connect):
    """Make a call that is answered so each time; return what comes of it."""
    wire = serve(reply(json=TEMPLATE))
    template = None

    async def outcome(call, answer):
        nonlocal template
        if template is None:
            template = await AsyncTemplate.connect(ID, client=connect(wire, timeout_s=20.0))
        wire.then(answer)
        try:
            return await call(template)
        except SandboxError as error:
            return error

    return outcome


def check(result, kind):
    if not isinstance(result, SandboxError):
        assert isinstance(result, kind)
        return
    shown = "".join(traceback.format_exception(result)) + repr(result) + repr(vars(result))
    assert KEY.lower() not in shown.lower()
    # It can be printed anywhere.
    str(result).encode()
    assert str(result).isprintable()


@quickly
@given(call=st.sampled_from(list(CALLS)), data=responses())
async def test_any_response_gives_a_result_or_an_error_of_ours(outcome, call, data):
    make, kind = CALLS[call]
    check(await outcome(make, cut(data)), kind)


@quickly
@given(call=st.sampled_from(list(CALLS)), data=st.binary(max_size=200))
@example(call="get_info", data=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}")
@example(call="get_info", data=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n{}")
@example(call="get_info", data=b"HTTP/1.1 100 Continue\r\n\r\n" * 5)
@example(
    call="get_info", data=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx"
)
@example(call="delete", data=b"HTTP/2.0 204 No Content\r\n\r\n")
@example(call="list", data=b"HTTP/0.9 200 OK\r\n\r\n[]")
@example(call="list", data=b"HTTP/1.0 200 OK\r\n\r\n[]")
async def test_any_bytes_give_a_result_or_an_error_of_ours(outcome, call, data):
    make, kind = CALLS[call]
    check(await outcome(make, cut(data)), kind)


# What keeps the contract

READS = {
    "connect": "getTemplate",
    "get_info": "getTemplate",
    "list": "listTemplates",
    "create": "createTemplate",
    "rebuild": "createTemplateBuild",
    "list_builds": "listTemplateBuilds",
    "get_build": "getTemplateBuild",
}
COMMON = {"id", "status", "created_at"}
TEMPLATE_FIELDS = COMMON | {
    "name",
    "team_id",
    "vcpu",
    "memory_mib",
    "disk_mib",
    "size_bytes",
    "error_message",
    "built_at",
    "latest_build_id",
}
BUILD_FIELDS = COMMON | {
    "template_id",
    "build_spec_hash",
    "error_message",
    "started_at",
    "finalized_at",
}


def check_told(result, answer):
    """Check that a result says what an answer says, and nothing else."""
    if isinstance(result, list):
        for one, told in zip(result, answer, strict=True):
            check_told(one, told)
        return
    fields = BUILD_FIELDS if isinstance(result, TemplateBuildInfo) else TEMPLATE_FIELDS
    told = {name: answer.get(name) for name in fields}
    if "build_id" in answer:
        told["latest_build_id"] = answer["build_id"]
    for name, value in told.items():
        is_time = name.endswith("_at") and value is not None
        assert getattr(result, name) == (datetime.fromisoformat(value) if is_time else value), name


@quickly
@given(data=st.data(), call=st.sampled_from(list(READS)))
async def test_any_answer_that_keeps_the_contract_is_read_whatever_is_added(outcome, data, call):
    status, answer = data.draw(answers(READS[call]))
    make, kind = CALLS[call]
    result = await outcome(make, reply(status, json=answer))
    assert isinstance(result, kind), result
    check_told(result, answer)


# The last event ends the log; one without a time that says "failed" is trouble with the stream, and no such event.
events = objects("BuildLogEvent").filter(lambda event: event.get("finished") is not True)
last_events = objects("BuildLogEvent").map(
    lambda event: event | {"finished": True, "timestamp": "2026-05-01T12:00:00Z"}
)


def check_events(found, told):
    """Check that events say what was told."""
    for event, answer in zip(found, told, strict=True):
        timestamp = answer.get("timestamp")
        assert (event.stream, event.text, event.finished, event.status, event.after_gap) == (
            answer["stream"],
            answer["text"],
            answer.get("finished") is True,
            answer.get("status") or None,
            False,
        )
        assert event.timestamp == (datetime.fromisoformat(timestamp) if timestamp else None)


@pytest.fixture
def impatient(monkeypatch):
    """Give up soon."""
    monkeypatch.setattr(_polling, "OUTAGE_S", 0.05)
    for seconds in ("CANCEL_S", "FLOWING_S", "SILENT_S", "NOT_OPEN_S", "TEMPLATE_LAG_S"):
        monkeypatch.setattr(build_wait, seconds, 0.05)


@pytest.fixture
def no_lag(monkeypatch):
    """Take the template's row as it is when the build has ended."""
    monkeypatch.setattr(build_wait, "TEMPLATE_LAG_S", 0.0)


@pytest.fixture
async def waited(scripted):
    """Follow a build in some way while the server answers as given; return the result and the events."""
    script = Script()
    template = await scripted(script)

    async def waited(way, *, timeout_s=20.0, **answers):
        script.then(**answers)
        found = []
        try:
            return await WAYS[way](template, found, timeout_s), found
        except SandboxError as error:
            return error, found

    return waited


async def iterated(template, found, _timeout_s):
    async for event in template.iter_build_logs():
        found.append(event)


WAYS = {
    "wait": lambda template, _found, timeout_s: template.wait_until_ready(
        poll_interval_s=0.001, timeout_s=timeout_s
    ),
    "wait with on_log": lambda template, found, timeout_s: template.wait_until_ready(
        on_log=found.append, poll_interval_s=0.001, timeout_s=timeout_s
    ),
    "wait and cancel": lambda template, found, timeout_s: template.wait_until_ready(
        on_log=found.append, poll_interval_s=0.001, timeout_s=timeout_s, cancel_on_interrupt=True
    ),
    "stream": lambda template, found, _timeout_s: template.stream_build_logs(on_event=found.append),
    "iterate": iterated,
}


@slowly
@given(
    log_events=st.lists(events, max_size=5),
    last=last_events,
    rows=st.lists(objects("TemplateBuildResponse").filter(is_going_on), max_size=3),
    info=objects("TemplateResponse"),
    way=st.sampled_from(["wait with on_log", "stream", "iterate"]),
)
async def test_any_log_that_keeps_the_contract_is_read_whatever_is_added(
    waited, no_lag, *, log_events, last, rows, info, way
):
    told = [*log_events, last]
    builds = [reply(json=row) for row in rows]
    result, found = await waited(
        way, logs=[log(*told)], build=[*builds, "ready"], template=[reply(json=info)]
    )
    assert not isinstance(result, SandboxError), result
    check_events(found, told)
    if way.startswith("wait"):
        check_told(result, info)


@slowly
@given(
    way=st.sampled_from(list(WAYS)),
    polls=st.lists(hostile, max_size=3),
    quoting=tainted_builds,
    streams=st.lists(hostile | hostile_logs, min_size=1, max_size=3),
    info=hostile | st.just(reply(json=template_row())),
    ends=st.sampled_from([{"status": "ready"}, {"status": "failed"}, {"status": "cancelled"}, {}]),
)
async def test_any_responses_end_a_wait_with_a_result_or_an_error_of_ours(
    waited, impatient, *, way, polls, quoting, streams, info, ends
):
    if not way.startswith("wait"):
        # Readers have no time limit of their own.
        ends = ends or {"status": "ready"}
    result, found = await waited(
        way,
        timeout_s=0.1,
        build=[*map(cut, polls), reply(json=quoting | ends)],
        logs=list(map(cut, streams)),
        template=[cut(info)],
        cancel=[cut(info)],
    )
    check(result, TemplateInfo if way.startswith("wait") else type(None))
    assert all(isinstance(event, BuildLogEvent) for event in found)
    assert "broke down" not in str(result)
