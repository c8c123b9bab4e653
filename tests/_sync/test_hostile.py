# Written by scripts/unasync.py from tests/_async/test_hostile.py. Do not edit: change that, then run `nox -s generate`.
"""Whatever a server sends: a result or a SandboxError, soon, and never the key."""

import gzip
import json
import traceback
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from superserve import SandboxError, Template, TemplateBuildInfo, TemplateInfo
from tests.conftest import KEY
from tests.wire import reply

pytestmark = pytest.mark.usefixtures("no_backoff")

quickly = settings(
    max_examples=100,
    deadline=None,
    # The server and the client are the same for all examples; what they are sent is not.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

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
    "connect": (lambda template: Template.connect(ID, client=template._client), Template),
    "get_info": (lambda template: template.get_info(), TemplateInfo),
    "list": (lambda template: Template.list(client=template._client), list),
    "create": (
        lambda template: Template.create(name="my-env", from_="b", client=template._client),
        Template,
    ),
    "rebuild": (lambda template: template.rebuild(), TemplateBuildInfo),
    "list_builds": (lambda template: template.list_builds(), list),
    "get_build": (lambda template: template.get_build("b1"), TemplateBuildInfo),
    "cancel_build": (lambda template: template.cancel_build("b1"), type(None)),
    "delete": (lambda template: template.delete(), type(None)),
    "delete_by_id": (lambda template: Template.delete_by_id(ID, client=template._client), type(None)),
}

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(KEY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just(KEY), inner, max_size=4),
    max_leaves=8,
)
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


@st.composite
def responses(draw):
    """Return the bytes of something like a response."""
    body = draw(bodies)
    fields = draw(headers)
    if draw(st.booleans()):
        fields.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {draw(statuses)} {draw(words)}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def outcome(serve, connect):
    """Make a call whose answer, each time, is these bytes and then the connection's end; return what comes of it."""
    wire = serve(reply(json=TEMPLATE))
    template = None

    def outcome(call, data):
        nonlocal template
        if template is None:
            template = Template.connect(ID, client=connect(wire, timeout_s=20.0))
        wire.then(lambda peer, _request: (peer.send(data), peer.close()))
        try:
            return call(template)
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
def test_any_response_gives_a_result_or_an_error_of_ours(outcome, call, data):
    make, kind = CALLS[call]
    check(outcome(make, data), kind)


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
def test_any_bytes_give_a_result_or_an_error_of_ours(outcome, call, data):
    make, kind = CALLS[call]
    check(outcome(make, data), kind)


optional = {
    "size_bytes": st.none() | st.integers(0, 2**63),
    "error_message": st.none() | st.text(),
    "built_at": st.none() | st.just("2026-05-01T12:00:00.123456789+02:00"),
    "latest_build_id": st.none() | st.text(min_size=1),
}
required = {
    "id": st.text(min_size=1),
    "team_id": st.text(),
    "name": st.text(),
    "status": st.text(),
    "vcpu": st.integers(),
    "memory_mib": st.integers(),
    "disk_mib": st.integers(),
    "created_at": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
}
added = st.dictionaries(st.text().filter(lambda name: name not in TEMPLATE | optional), jsons, max_size=3)


@quickly
@given(answer=st.fixed_dictionaries(required, optional=optional), more=added)
def test_any_answer_that_keeps_the_contract_is_read_whatever_is_added(outcome, answer, more):
    body = reply(json=more | answer)
    info = outcome(CALLS["get_info"][0], body)
    assert {
        name: getattr(info, name) for name in ("id", "team_id", "name", "status", "vcpu", "memory_mib")
    } == {name: answer[name] for name in ("id", "team_id", "name", "status", "vcpu", "memory_mib")}
    assert info.created_at == datetime.fromisoformat(answer["created_at"])
    for name in ("size_bytes", "error_message", "latest_build_id"):
        assert getattr(info, name) == answer.get(name)
    assert (info.built_at is None) == (answer.get("built_at") is None)
