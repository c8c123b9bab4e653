# Written by scripts/unasync.py from tests/client/_async/test_answers.py. Do not edit: change that, then run `nox -s generate`.
"""Answers of newer servers, of broken ones, and of those that are no server of ours at all."""

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from superserve import (
    NotFoundError,
    SandboxError,
    Template,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
)
from superserve._http import policy
from tests.wire import chunk, head, reply, stall

pytestmark = pytest.mark.usefixtures("no_backoff")

ID = "7a3f2b8c-0000-4000-8000-000000000001"
BUILD_ID = "7a3f2b8c-0000-4000-8000-000000000003"
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
    "id": BUILD_ID,
    "template_id": ID,
    "status": "ready",
    "build_spec_hash": "ab12",
    "created_at": "2026-05-01T12:00:00Z",
}
NULLS_OF_TEMPLATE = dict.fromkeys(("size_bytes", "error_message", "built_at", "latest_build_id"))
NULLS_OF_BUILD = dict.fromkeys(("error_message", "started_at", "finalized_at"))
MORE = {"brand_new": {"deep": [1, {"er": None}]}, "": 0, "id_": "x"}


@pytest.fixture
def calls(serve, connect):
    """Return every call that reads an answer, of a server that gives this one."""

    def calls(answer, **options):
        wire = serve(reply(json=TEMPLATE))
        client = connect(wire, **options)
        template = Template.connect(ID, client=client)

        def as_documented(peer, request):
            # Of what creates something, the contract names other successes than 200.
            status = b"202" if request.path == "/templates" else b"201"
            peer.send(
                answer.replace(b" 200 ", b" " + status + b" ", 1) if request.method == "POST" else answer
            )

        wire.then(as_documented if isinstance(answer, bytes) else answer)
        return {
            "connect": lambda: Template.connect(ID, client=client),
            "get_info": template.get_info,
            "list": lambda: Template.list(client=client),
            "create": lambda: Template.create(name="my-env", from_="python:3.11", client=client),
            "rebuild": template.rebuild,
            "list_builds": template.list_builds,
            "get_build": lambda: template.get_build(BUILD_ID),
        }

    return calls


@pytest.fixture
def answered(calls):
    """Return what one call makes of an answer."""

    def answered(call, answer, **options):
        return (calls(answer, **options))[call]()

    return answered


def refused(call):
    with pytest.raises(SandboxError) as caught:
        call()
    error = caught.value
    assert type(error) is SandboxError
    return error


NO_ANSWERS = {
    "a web page": (
        reply(200, "<html>Hello</html>", content_type="text/html"),
        "it cannot be read as JSON (text/html, 18 bytes)",
    ),
    "nothing": (reply(200), "it cannot be read as JSON (no content type, 0 bytes)"),
    "half of it": (
        reply(200, json.dumps(TEMPLATE)[:-9], content_type="application/json"),
        "it cannot be read as JSON (application/json, 212 bytes)",
    ),
    "bytes": (reply(200, b"\xff\xfe\x00\x80"), "it cannot be read as JSON (no content type, 4 bytes)"),
    "a deep hole": (reply(200, "[" * 100_000), "it cannot be read as JSON (no content type, 100000 bytes)"),
    "a deep hole in an object": (
        reply(200, '{"a":' * 100_000),
        "it cannot be read as JSON (no content type, 500000 bytes)",
    ),
}


def test_a_number_that_is_too_long_is_an_error_like_any_other_number(calls):
    for name, call in (calls(reply(200, "9" * 5000))).items():
        assert "expected a JSON " in str(refused(call)), name


@pytest.mark.parametrize(("answer", "problem"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_json_is_an_error_of_ours(calls, answer, problem):
    for name, call in (calls(answer)).items():
        error = refused(call)
        assert f": the server's answer cannot be understood: {problem}" in str(error), name
        assert error.status_code in (200, 201, 202)


def test_no_content_where_some_is_due_is_an_error_of_ours(calls):
    for name, call in (calls(reply(204))).items():
        error = refused(call)
        assert ": the server's answer cannot be understood: it " in str(error), name
        assert error.status_code == 204


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (5, "a number"),
        (5.5, "a number"),
        ("ready", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_json_of_another_kind_is_an_error_of_ours(calls, value, kind):
    for name, call in (calls(reply(json=value))).items():
        if name.startswith("list") and value == []:
            assert call() == []
            continue
        error = refused(call)
        if name.startswith("list"):
            assert f": expected a JSON array, got {kind}" in str(error)
        elif value == {}:
            assert ": field 'id' is missing" in str(error)
        else:
            assert f": expected a JSON object, got {kind}" in str(error)


WRONG_VALUES = {
    "id": [None, 5, ["x"], {}, ""],
    "name": [None, 5],
    "team_id": [None, False],
    "template_id": [None, 5],
    "build_spec_hash": [None, 5],
    "status": [None, 5, ["ready"]],
    "vcpu": [None, "1", True, 1.5, []],
    "memory_mib": [None, "x"],
    "disk_mib": [None, {}],
    "created_at": [None, 5, "yesterday", "2026-13-01T00:00:00Z", ""],
    "size_bytes": ["1", True, 1.5],
    "error_message": [5, {}],
    "built_at": [5, "soon"],
    "started_at": [5, "soon"],
    "finalized_at": [{}, "soon"],
    "latest_build_id": [5, []],
}


@pytest.mark.parametrize(
    ("call", "good"), [("get_info", TEMPLATE | NULLS_OF_TEMPLATE), ("get_build", BUILD | NULLS_OF_BUILD)]
)
def test_a_wrong_field_is_named(answered, call, good):
    optional = {**NULLS_OF_TEMPLATE, **NULLS_OF_BUILD}
    for field in good:
        for value in WRONG_VALUES[field]:
            error = refused(
                lambda field=field, value=value: answered(call, reply(json=good | {field: value}))
            )
            assert f": field '{field}'" in str(error)
            assert f"could not get {call.removeprefix('get_').replace('info', 'template')} " in str(error)
        if field not in optional:
            without = {name: value for name, value in good.items() if name != field}
            error = refused(lambda without=without: answered(call, reply(json=without)))
            assert f": field '{field}' is missing [200]" in str(error)


def test_a_wrong_item_of_a_list_is_named_by_its_index(answered):
    error = refused(lambda: answered("list", reply(json=[TEMPLATE, TEMPLATE | {"vcpu": None}])))
    assert "item 1: field 'vcpu': expected an integer, got null" in str(error)
    error = refused(lambda: answered("list_builds", reply(json=[BUILD, BUILD, "odd"])))
    assert "item 2: expected a JSON object, got a string" in str(error)


def test_what_is_wrong_is_not_shown_as_it_may_be_long_or_secret(answered):
    error = refused(lambda: answered("get_info", reply(json=TEMPLATE | {"vcpu": "hunter2" * 1000})))
    assert str(error) == (
        f"could not get template {ID}: the server's answer cannot be understood: "
        "field 'vcpu': expected an integer, got a string [200]"
    )


def test_nulls_where_something_is_optional_are_none(answered):
    info = answered("get_info", reply(json=TEMPLATE | NULLS_OF_TEMPLATE))
    assert (info.size_bytes, info.error_message, info.built_at, info.latest_build_id) == (None,) * 4
    assert info == answered("get_info", reply(json=TEMPLATE))
    build = answered("get_build", reply(json=BUILD | NULLS_OF_BUILD))
    assert (build.error_message, build.started_at, build.finalized_at) == (None,) * 3
    assert build == answered("get_build", reply(json=BUILD))


def test_fields_that_nobody_knows_yet_are_borne_with(answered):
    assert answered("get_info", reply(json=TEMPLATE | MORE)) == answered("get_info", reply(json=TEMPLATE))
    assert answered("list", reply(json=[TEMPLATE | MORE])) == answered("list", reply(json=[TEMPLATE]))
    assert answered("get_build", reply(json=BUILD | MORE)) == answered("get_build", reply(json=BUILD))
    assert (answered("create", reply(202, json=TEMPLATE | MORE | {"build_id": "b1"}))).latest_build_id == "b1"


def test_a_status_that_nobody_knows_yet_is_kept(answered):
    info, other = answered("list", reply(json=[TEMPLATE | {"status": "archived"}, TEMPLATE]))
    assert (info.status, info.status.value, str(info.status)) == ("archived", "archived", "archived")
    assert isinstance(info.status, TemplateStatus)
    assert other.status is TemplateStatus.READY
    build = answered("get_build", reply(json=BUILD | {"status": "verifying"}))
    assert isinstance(build.status, TemplateBuildStatus)
    assert (build.status, build.status.is_terminal) == ("verifying", False)


def test_the_latest_build_of_newer_servers_is_known(answered):
    assert (
        answered("connect", reply(json=TEMPLATE | {"latest_build_id": BUILD_ID}))
    ).latest_build_id == BUILD_ID


def test_ids_need_not_be_uuids(answered):
    info = answered("get_info", reply(json=TEMPLATE | {"id": "tpl-1", "team_id": "t"}))
    assert (info.id, info.team_id) == ("tpl-1", "t")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01T12:00:00+00:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        (
            "2026-05-01T12:00:00.5+02:00",
            datetime(2026, 5, 1, 12, 0, 0, 500_000, timezone(timedelta(hours=2))),
        ),
        (
            "2026-05-01T12:00:00-07:30",
            datetime(2026, 5, 1, 12, tzinfo=timezone(-timedelta(hours=7, minutes=30))),
        ),
        # A time without a zone is the server's, which means UTC.
        ("2026-05-01T12:00:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        *(
            (
                f"2026-05-01T12:00:00.{'123456789'[:digits]}Z",
                datetime(2026, 5, 1, 12, 0, 0, int("123456789"[:digits].ljust(6, "0")[:6]), UTC),
            )
            for digits in range(1, 10)
        ),
        # What a Go program sends for a time that was never set.
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_with_any_fraction_and_offset(answered, text, time):
    info = answered("get_info", reply(json=TEMPLATE | {"created_at": text, "built_at": text}))
    assert info.created_at == info.built_at == time
    assert info.created_at.utcoffset() == time.utcoffset()


def test_any_text_comes_through_whole(answered):
    text = "a\u0085b\u2028c\x00d\x1b[2Je \U0001f600 é \n"
    info = answered("get_info", reply(json=TEMPLATE | {"name": text, "error_message": text}))
    assert info.name == info.error_message == text
    raw = json.dumps(TEMPLATE | {"name": text}, ensure_ascii=False).encode()
    assert (answered("get_info", reply(body=raw))).name == text
    assert (answered("get_info", reply(body=b"\xef\xbb\xbf" + raw))).name == text


def test_the_content_type_does_not_matter_where_the_answer_makes_sense(answered):
    for kind in ("text/plain", "text/event-stream", None):
        info = answered("get_info", reply(body=json.dumps(TEMPLATE), content_type=kind))
        assert type(info) is TemplateInfo


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_packed_answers_are_unpacked(answered, encoding):
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding]
    body = pack(json.dumps(TEMPLATE).encode())
    info = answered("get_info", reply(body=body, headers={"Content-Encoding": encoding}))
    assert info.name == "my-env"


TOO_LARGE = "cannot read the server's answer: the answer is larger than 64 MiB"


def test_an_answer_that_says_it_is_too_large_is_refused_unread(answered):
    large = stall(head(200, {"Content-Length": str(64 * 2**20 + 1)}))
    error = refused(lambda: answered("list", large))
    assert TOO_LARGE in str(error)


def test_an_answer_that_turns_out_too_large_is_refused_without_reading_on(answered):
    def endless(peer, _request):
        peer.send(head(200, {"Transfer-Encoding": "chunked"}))
        while True:
            peer.send(chunk(b" " * 2**20))

    error = refused(lambda: answered("list", endless))
    assert TOO_LARGE in str(error)


@pytest.fixture
def _small_limit(monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 2**20)


@pytest.mark.usefixtures("_small_limit")
def test_the_limit_itself_is_allowed_and_one_byte_more_is_not(answered):
    body = json.dumps([TEMPLATE]).encode().ljust(2**20)
    assert len(answered("list", reply(body=body))) == 1
    error = refused(lambda: answered("list", reply(body=body + b" ")))
    assert "the answer is larger than 1 MiB" in str(error)


@pytest.mark.usefixtures("_small_limit")
def test_an_answer_that_unpacks_to_too_much_is_refused(answered):
    bomb = gzip.compress(b" " * (2**20 + 1))
    error = refused(lambda: answered("list", reply(body=bomb, headers={"Content-Encoding": "gzip"})))
    assert "the answer is larger than 1 MiB" in str(error)
    twice = reply(body=gzip.compress(bomb), headers={"Content-Encoding": "gzip, gzip"})
    error = refused(lambda: answered("list", twice))
    assert "the answer has a content encoding that was not asked for" in str(error)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x-gzip"])
def test_an_answer_packed_in_a_way_that_was_not_asked_for_is_refused(serve, connect, encoding):
    # httpx unpacks more than gzip where certain libraries are installed, and without a bound.
    wire = serve(reply(body=b"[]", headers={"Content-Encoding": encoding}))
    error = refused(lambda: Template.list(client=connect(wire)))
    assert "the answer has a content encoding that was not asked for" in str(error)
    assert wire.requests[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("added", ["9" * 5000, "-" + "9" * 5000])
def test_a_number_that_is_too_long_in_a_field_that_nobody_reads_is_no_error(answered, added):
    body = json.dumps(TEMPLATE)[:-1] + f', "added": {added}}}'
    assert (answered("get_info", reply(body=body))).id == TEMPLATE["id"]


def test_a_refusal_that_is_too_large_is_one_all_the_same(answered):
    def endless(peer, _request):
        peer.send(head(404, {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}))
        while True:
            peer.send(chunk(b"no such template " * 4096))

    with pytest.raises(NotFoundError, match="no such template") as caught:
        answered("get_info", endless)
    assert len(str(caught.value)) < 2000


def test_a_create_that_cannot_be_read_says_that_the_template_may_exist(answered):
    for answer in (reply(202, "<html>"), reply(202, "no gzip", headers={"Content-Encoding": "gzip"})):
        error = refused(lambda answer=answer: answered("create", answer))
        assert "the template may have been created" in str(error)


def test_a_wrong_route_is_not_found_and_the_address_is_to_be_checked(answered):
    with pytest.raises(
        NotFoundError, match=r": 404 page not found \[404\]; check base_url= or SUPERSERVE_BASE_URL$"
    ):
        answered("get_info", reply(404, "404 page not found", content_type="text/plain"))
