"""The raw client, superserve_api: typed calls that survive whatever a server answers."""

import asyncio
import copy
import functools
import importlib
import inspect
import itertools
import json
import os
import pathlib
import pickle
import pkgutil
import re
import subprocess
import sys
import traceback
import types
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import httpx_sse
import pytest
import superserve_api
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from superserve_api import AuthenticatedClient, errors, models
from superserve_api.api import exec_, files, sandboxes, system, templates
from superserve_api.api.exec_ import exec_stream
from superserve_api.api.files import read_file
from superserve_api.api.system import health
from superserve_api.api.templates import (
    create_template,
    delete_template,
    get_template,
    list_templates,
    stream_template_build_logs,
)
from superserve_api.types import UNSET, File

from tests.wire import reply

ROOT = pathlib.Path(__file__).parents[2]
CONTRACT = ROOT / "openapi.yaml"
EXAMPLE = ROOT / "examples" / "raw_client.py"
KEY = "ss_live_0123456789abcdef0123456789abcdef"
# `nox -s tests_slow` tries more.
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "20"))
TEMPLATE = {
    "id": "7a3f2b8c-0000-4000-8000-000000000001",
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-python-env",
    "status": "ready",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
}
BODY = models.CreateTemplateRequest(name="my-python-env", build_spec=models.BuildSpec(from_="python:3.11"))
BODIES = {
    "create_template": BODY,
    "create_sandbox": models.CreateSandboxRequest(name="box"),
    "patch_sandbox": models.SandboxPatch(timeout_seconds=None),
    "exec_run": models.ExecRequest(command="make"),
    "exec_stream": models.ExecRequest(command="make"),
}
OPERATIONS = [
    importlib.import_module(f"{package.__name__}.{module.name}")
    for package in (system, templates, sandboxes, exec_, files)
    for module in pkgutil.iter_modules(package.__path__)
]
every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda module: module.__name__.split(".")[-1]
)


def client(answer, **options):
    """Return a client whose server is a function from request to response."""
    transport = httpx.MockTransport(answer)
    return AuthenticatedClient(
        base_url="http://api.test", token=KEY, httpx_args={"transport": transport}, **options
    )


def always(status, **body):
    """Return a server that gives always the same answer."""
    return lambda _request: httpx.Response(status, **body)


def arguments(operation):
    """Return arguments for a call of any operation."""
    name = operation.__name__.rpartition(".")[2]
    values = {"template_id": "t", "build_id": "b", "sandbox_id": "s", "path": "/a"}
    values["body"] = File(b"content") if name == "write_file" else BODIES.get(name)
    parameters = inspect.signature(operation._get_kwargs).parameters
    return {name: values[name] for name in parameters if name in values}


def parsed(answer):
    with client(always(200, json=answer)) as raw:
        return get_template.sync("t", client=raw)


def documented_errors(operation):
    """Return the error statuses that the contract names for an operation."""
    name = operation.__name__.rpartition(".")[2].replace("_", "")
    contract = yaml.safe_load(CONTRACT.read_text())
    (responses,) = (
        described["responses"]
        for path in contract["paths"].values()
        for described in path.values()
        if isinstance(described, dict) and described["operationId"].lower() == name
    )
    return [int(status) for status in responses if int(status) >= 400]


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_the_key_goes_into_the_header_that_the_api_reads():
    with client(
        lambda request: httpx.Response(200, json=[{**TEMPLATE, "name": request.headers["X-API-Key"]}])
    ) as raw:
        (template,) = list_templates.sync(client=raw)

    assert template.name == KEY


def test_only_what_was_given_is_sent():
    requests = []

    def answer(request):
        requests.append(request)
        return httpx.Response(500)

    with client(answer) as raw:
        create_template.sync(client=raw, body=BODY)
        list_templates.sync(client=raw)
        list_templates.sync(client=raw, name_prefix="my-", owner="team", limit=5)

    assert json.loads(requests[0].content) == {"name": "my-python-env", "build_spec": {"from": "python:3.11"}}
    assert [str(request.url) for request in requests[1:]] == [
        "http://api.test/templates",
        "http://api.test/templates?name_prefix=my-&owner=team&limit=5",
    ]


def test_every_kind_of_step_is_written_as_the_one_key_it_has():
    spec = models.BuildSpec(
        from_="python:3.11",
        steps=[
            models.BuildStep(run="make"),
            models.BuildStep(env=models.BuildEnv(key="DEBUG", value="1")),
            models.BuildStep(workdir="/app"),
            models.BuildStep(user=models.BuildUser(name="app", sudo=True)),
        ],
        start_cmd="./serve",
        ready_cmd="./ready",
    )

    assert spec.to_dict() == {
        "from": "python:3.11",
        "steps": [
            {"run": "make"},
            {"env": {"key": "DEBUG", "value": "1"}},
            {"workdir": "/app"},
            {"user": {"name": "app", "sudo": True}},
        ],
        "start_cmd": "./serve",
        "ready_cmd": "./ready",
    }
    assert models.BuildSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("odd_id", ["", ".", ".."])
def test_an_id_that_would_make_another_path_is_refused_before_any_request(odd_id):
    with (
        client(lambda _request: pytest.fail("sent")) as raw,
        pytest.raises(ValueError, match="part of a path"),
    ):
        delete_template.sync_detailed(odd_id, client=raw)


def test_an_id_with_slashes_stays_one_segment_of_the_path():
    with client(lambda request: httpx.Response(404, text=request.url.raw_path.decode())) as raw:
        answer = get_template.sync_detailed("../sandboxes/s?x#y", client=raw)

    assert answer.content == b"/templates/..%2Fsandboxes%2Fs%3Fx%23y"


# --- what comes back --------------------------------------------------------------------------------------------------


def test_an_answer_becomes_a_model():
    template = parsed({**TEMPLATE, "built_at": "2026-05-01T12:05:00.123456789+02:00", "size_bytes": 5})

    assert template.created_at == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert template.built_at == datetime(2026, 5, 1, 10, 5, 0, 123456, tzinfo=UTC)
    assert (template.status, template.size_bytes, template.error_message) == ("ready", 5, UNSET)


def test_an_unknown_enum_value_is_kept():
    assert parsed({**TEMPLATE, "status": "archived"}).status == "archived"


def test_an_id_that_is_no_uuid_is_kept():
    assert parsed({**TEMPLATE, "id": "tpl-use-42"}).id == "tpl-use-42"


def test_an_unknown_field_is_kept_beside_the_known_ones():
    template = parsed({**TEMPLATE, "region": "use"})

    assert template["region"] == "use"
    assert template.to_dict() == {**TEMPLATE, "region": "use", "created_at": "2026-05-01T12:00:00+00:00"}


def test_a_null_where_an_optional_date_may_stand_counts_as_absent():
    template = parsed({**TEMPLATE, "built_at": None})

    assert template.built_at is UNSET
    assert "built_at" not in template.to_dict()


def test_a_null_where_anything_optional_may_stand_counts_as_absent():
    nulls = dict.fromkeys(("size_bytes", "error_message", "built_at", "latest_build_id"))

    assert parsed({**TEMPLATE, **nulls}) == parsed(TEMPLATE)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-05-01T12:00:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01T14:00:00.5+02:00", datetime(2026, 5, 1, 12, 0, 0, 500_000, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_time_has_a_zone_and_one_without_is_the_servers(text, time):
    created_at = parsed({**TEMPLATE, "created_at": text}).created_at

    assert created_at == time
    assert created_at.tzinfo


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000])
def test_a_number_of_thousands_of_digits_in_an_unknown_field_costs_nothing(number):
    body = json.dumps(TEMPLATE)[:-1] + f', "added": {number}}}'
    with client(always(200, content=body)) as raw:
        assert get_template.sync("t", client=raw).name == "my-python-env"


def test_a_model_is_read_from_any_mapping_and_leaves_it_as_it_is():
    source = types.MappingProxyType({**TEMPLATE, "region": "use"})

    assert models.TemplateResponse.from_dict(source).additional_properties == {"region": "use"}
    assert source["region"] == "use"


def test_nulls_in_a_build_spec_count_as_absent():
    assert models.BuildSpec.from_dict({"from": "python:3.11", "steps": None}).steps is UNSET
    assert models.BuildStep.from_dict({"run": "make", "env": None, "user": None}).env is UNSET


def test_a_documented_error_becomes_a_model():
    body = {"error": {"code": "conflict", "message": "name taken", "name": "my-python-env"}}
    with client(always(409, json=body)) as raw:
        answer = create_template.sync_detailed(client=raw, body=BODY)

    assert answer.status_code is HTTPStatus.CONFLICT
    assert answer.parsed.error.code == "conflict"
    assert answer.parsed.error["name"] == "my-python-env"


A_TIME = "expected a time such as 2026-05-01T12:00:00Z"
PROBLEMS = [
    (b"<html>", "text/html", "it cannot be read as JSON (text/html, 6 bytes)"),
    (b"", None, "it cannot be read as JSON (no content type, 0 bytes)"),
    (b"[" * 100_000, "application/json; a=b", "it cannot be read as JSON (application/json, 100000 bytes)"),
    (b'{"id": "\xff"}', "text/\u00e9", "it cannot be read as JSON (no content type, 11 bytes)"),
    (b"null", None, "expected a JSON object, got null"),
    (b"[]", None, "expected a JSON object, got an array"),
    (b'"secret"', None, "expected a JSON object, got a string"),
    (b"9" * 5000, None, "expected a JSON object, got a number"),
    ({"created_at": ...}, None, "field 'created_at' is missing"),
    ({"created_at": None}, None, f"field 'created_at': {A_TIME}, got null"),
    ({"created_at": "secret"}, None, f"field 'created_at': {A_TIME}, got a string"),
    ({"created_at": 5}, None, f"field 'created_at': {A_TIME}, got a number"),
    ({"built_at": ["secret"]}, None, f"field 'built_at': {A_TIME}, got an array"),
    ({"id": ...}, None, "field 'id' is missing"),
    ({"name": None}, None, "field 'name': expected a string, got null"),
    ({"status": ...}, None, "field 'status' is missing"),
    ({"status": {"secret": 1}}, None, "field 'status': expected a string, got an object"),
    ({"vcpu": "secret"}, None, "field 'vcpu': expected an integer, got a string"),
    ({"vcpu": True}, None, "field 'vcpu': expected an integer, got a boolean"),
    ({"vcpu": 1.5}, None, "field 'vcpu': expected an integer, got a number"),
    ({"size_bytes": "secret"}, None, "field 'size_bytes': expected an integer, got a string"),
    ({"error_message": False}, None, "field 'error_message': expected a string, got a boolean"),
]
every_problem = pytest.mark.parametrize(("body", "kind", "problem"), PROBLEMS, ids=[p for *_, p in PROBLEMS])


def unreadable(body, kind):
    """Return a server whose answer is these bytes, or a template with these fields in place of its own."""
    if isinstance(body, dict):
        fields = {**TEMPLATE, **body}
        body = json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()
    return always(200, content=body, headers={"content-type": kind.encode()} if kind else {})


@every_problem
def test_an_answer_that_cannot_be_read_says_what_is_wrong_with_it_and_quotes_nothing(body, kind, problem):
    with client(unreadable(body, kind)) as raw:
        answer = get_template.sync_detailed("t", client=raw)

    assert (answer.status_code, answer.parsed, answer.problem) == (200, None, problem)


@every_problem
def test_a_client_that_is_to_raise_says_what_is_wrong_with_an_answer(body, kind, problem):
    with (
        client(unreadable(body, kind), raise_on_unexpected_status=True) as raw,
        pytest.raises(errors.UnexpectedStatus) as caught,
    ):
        get_template.sync("t", client=raw)

    assert caught.value.problem == problem
    assert str(caught.value).startswith(f"Unexpected response, status code 200: {problem}\n")
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "expected a JSON array, got an object"),
        (None, "expected a JSON array, got null"),
        ([TEMPLATE, "odd"], "item 1: expected a JSON object, got a string"),
        (
            [TEMPLATE, TEMPLATE, {**TEMPLATE, "vcpu": None}],
            "item 2: field 'vcpu': expected an integer, got null",
        ),
        ([{}], "item 0: field 'id' is missing"),
    ],
)
def test_an_item_of_a_list_that_cannot_be_read_is_named_by_its_index(body, problem):
    with client(always(200, content=json.dumps(body))) as raw:
        answer = list_templates.sync_detailed(client=raw)

    assert (answer.parsed, answer.problem) == (None, problem)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "field 'error' is missing"),
        ({"error": "gone"}, "field 'error': expected a JSON object, got a string"),
        ({"error": {"code": "not_found"}}, "field 'error': field 'message' is missing"),
    ],
)
def test_an_error_that_cannot_be_read_says_so_too(body, problem):
    with client(always(404, json=body)) as raw:
        answer = get_template.sync_detailed("t", client=raw)

    assert (answer.status_code, answer.parsed, answer.problem) == (404, None, problem)


def test_there_is_no_problem_with_an_answer_that_can_be_read_or_that_has_no_body_to_read():
    for status, body in ((200, TEMPLATE), (404, {"error": {"code": "c", "message": "m"}}), (502, None)):
        with client(always(status, json=body)) as raw:
            assert get_template.sync_detailed("t", client=raw).problem is None
    with client(always(204)) as raw:
        assert delete_template.sync_detailed("t", client=raw).problem is None


def test_a_model_that_cannot_be_read_raises_one_kind_of_exception():
    for source in ({}, {"from": 5}, {"from": "x", "steps": 5}, {"from": "x", "steps": [{"env": {}}]}, None):
        with pytest.raises(errors.UnreadableError):
            models.BuildSpec.from_dict(source)


UNREADABLE = [
    b"<html><h1>502 Bad Gateway</h1></html>",
    b"",
    b'{"error": "text"}',
    b'{"error": null}',
    b"null",
    b"[]",
    b'{"error": {"code": "not_f',
    b'{"error": "\xff"}',
    b"[" * 100_000,
]


@every_operation
async def test_a_documented_error_with_an_unreadable_body_keeps_its_status(operation):
    statuses = documented_errors(operation)
    assert {429, 500} <= set(statuses)
    for status, body in itertools.product(statuses, UNREADABLE):
        async with client(always(status, content=body)) as raw:
            answers = [
                operation.sync_detailed(client=raw, **arguments(operation)),
                await operation.asyncio_detailed(client=raw, **arguments(operation)),
            ]
            raw.get_httpx_client().close()
        assert [(answer.status_code, answer.content, answer.parsed) for answer in answers] == [
            (status, body, None)
        ] * 2


@every_operation
@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: body[:20])
async def test_an_unreadable_body_is_an_unexpected_status_if_the_client_is_to_raise(operation, body):
    async with client(always(500, content=body), raise_on_unexpected_status=True) as raw:
        with raw, pytest.raises(errors.UnexpectedStatus) as caught:
            operation.sync_detailed(client=raw, **arguments(operation))
        with pytest.raises(errors.UnexpectedStatus):
            await operation.asyncio_detailed(client=raw, **arguments(operation))
    assert (caught.value.status_code, caught.value.content) == (500, body)


@every_operation
@pytest.mark.parametrize("status", [302, 418, 499, 502, 520, 599])
def test_an_undocumented_status_comes_back_as_it_is(operation, status):
    server = always(status, content=b"<html>")
    with client(server) as raw:
        answer = operation.sync_detailed(client=raw, **arguments(operation))
    assert (answer.status_code, answer.parsed) == (status, None)

    with (
        client(server, raise_on_unexpected_status=True) as raw,
        pytest.raises(errors.UnexpectedStatus, match=str(status)),
    ):
        operation.sync_detailed(client=raw, **arguments(operation))


SUCCESSES = {
    create_template: {**TEMPLATE, "build_id": "b"},
    delete_template: None,
    get_template: TEMPLATE,
    list_templates: [TEMPLATE],
}


@pytest.mark.parametrize("status", [200, 201, 203, 299])
@pytest.mark.parametrize("operation", SUCCESSES, ids=lambda module: module.__name__.split(".")[-1])
def test_an_undocumented_success_is_read_as_the_documented_one_unless_the_client_is_to_raise(
    operation, status
):
    body = SUCCESSES[operation]
    is_documented = status == 200 and operation in (get_template, list_templates)
    with client(always(status, json=body)) as raw:
        answer = operation.sync_detailed(client=raw, **arguments(operation))
    assert (answer.status_code, bool(answer.parsed), answer.problem) == (status, bool(body), None)

    with client(always(status, json=body), raise_on_unexpected_status=True) as raw:
        if is_documented:
            assert operation.sync(client=raw, **arguments(operation))
        else:
            with pytest.raises(errors.UnexpectedStatus, match=str(status)):
                operation.sync_detailed(client=raw, **arguments(operation))


def test_a_success_without_the_body_that_is_due_cannot_be_read():
    with client(always(204)) as raw:
        answer = get_template.sync_detailed("t", client=raw)

    assert (answer.parsed, answer.problem) == (None, "it cannot be read as JSON (no content type, 0 bytes)")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(sorted(map(str, TEMPLATE.values()))),
    lambda values: (
        st.lists(values) | st.dictionaries(st.sampled_from([*TEMPLATE, "built_at", "error"]), values)
    ),
    max_leaves=20,
)
almost_templates = st.builds(
    lambda name, value: {**TEMPLATE, name: value},
    st.sampled_from([*TEMPLATE, "built_at", "size_bytes"]),
    json_values,
)
bodies = st.binary() | (json_values | almost_templates | st.lists(almost_templates)).map(
    lambda value: json.dumps(value).encode()
)


@every_operation
@settings(deadline=None, derandomize=True, database=None, max_examples=EXAMPLES)
@given(status=st.integers(200, 599), body=bodies)
def test_no_answer_at_all_raises_an_exception_of_a_parser(operation, status, body):
    with client(always(status, content=body)) as raw:
        assert operation.sync_detailed(client=raw, **arguments(operation)).status_code == status


def test_an_unexpected_status_can_be_copied_and_pickled():
    for error in (
        errors.UnexpectedStatus(520, b"<html>"),
        errors.UnexpectedStatus(200, b"[]", "expected a JSON object, got an array"),
    ):
        for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert str(twin) == str(error)
            assert (twin.status_code, twin.content, twin.problem) == (
                error.status_code,
                error.content,
                error.problem,
            )


# --- the log stream ---------------------------------------------------------------------------------------------------


def test_the_log_stream_can_be_read_event_by_event():
    transcript = (
        'data: {"stream": "error", "text": "step_failed: \u2028 x", "status": ""}\n\n'
        'data: {"stream": "system", "text": "failed", "finished": true, "status": "failed"}\n\n'
    )

    def answer(request):
        assert request.url.path == "/templates/t/builds/b/logs"
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=transcript)

    with (
        client(answer) as raw,
        httpx_sse.connect_sse(
            raw.get_httpx_client(), **stream_template_build_logs.request_arguments("t", "b")
        ) as source,
    ):
        first, last = (models.BuildLogEvent.from_dict(event.json()) for event in source.iter_sse())

    assert (first.stream, first.text, first.timestamp, first.finished) == (
        "error",
        "step_failed: \u2028 x",
        UNSET,
        UNSET,
    )
    assert (last.finished, last.status) == (True, "failed")
    with client(answer) as raw:
        assert stream_template_build_logs.sync("t", "b", client=raw) == transcript


def test_the_request_of_a_stream_and_no_other_is_public():
    assert stream_template_build_logs.request_arguments("t", build_id="b") == {
        "method": "get",
        "url": "/templates/t/builds/b/logs",
    }
    assert {module for module in OPERATIONS if hasattr(module, "request_arguments")} == {
        stream_template_build_logs,
        exec_stream,
        read_file,
    }


# --- the client itself ------------------------------------------------------------------------------------------------


def test_repr_never_shows_the_key():
    options = {
        "headers": {"Authorization": KEY},
        "cookies": {"session": KEY},
        "httpx_args": {"params": {"key": KEY}},
    }
    with AuthenticatedClient(base_url="http://api.test", token=KEY, **options) as raw:
        raw.get_httpx_client()
        shown = [repr(raw), str(raw), repr(raw.with_headers({"X-Trace": "1"})), f"{raw}"]

    assert "http://api.test" in shown[0]
    assert not [text for text in shown if KEY in text]


def test_white_space_around_a_key_is_not_sent():
    with client(lambda request: httpx.Response(404, text=request.headers["X-API-Key"])) as raw:
        raw.token = f"\t{KEY}\r\n"
        assert get_template.sync_detailed("t", client=raw).content == KEY.encode()
    assert AuthenticatedClient(base_url="http://api.test", token=f"{KEY}\n").token == KEY


@pytest.mark.parametrize("odd", ["\n", "\r\nX-Evil: 1", "\0", "\x7f", "\u00e9", "\u2028", "\ud800"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(odd):
    with pytest.raises(ValueError, match="token") as caught:
        AuthenticatedClient(base_url="http://api.test", token=f"{KEY}{odd}{KEY}")
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_key_that_is_no_text_is_refused():
    with pytest.raises(TypeError, match="token must be a string, not NoneType"):
        AuthenticatedClient(base_url="http://api.test", token=None)


async def ask(raw):
    """Make two calls, which share a connection; return the httpx client that they were made with."""
    for _ in range(2):
        assert (await get_template.asyncio("t", client=raw)).name == "my-python-env"
    return raw.get_async_httpx_client()


@pytest.mark.parametrize("make", [superserve_api.Client, functools.partial(AuthenticatedClient, token=KEY)])
def test_one_client_serves_an_event_loop_after_the_other(serve, make):
    raw = make(base_url=serve(reply(json=TEMPLATE)).url)
    made_before = raw.get_async_httpx_client()

    async def within():
        async with raw:
            return await ask(raw)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        used = [runner.run(within()) for runner in (first, second)]
    assert used[0] is made_before
    assert used[1] is not made_before
    assert asyncio.run(within()) not in used
    assert len(raw._async_clients) == 1, "those of closed loops are forgotten"


async def test_in_one_loop_a_client_keeps_its_connections(serve):
    wire = serve(reply(json=TEMPLATE))
    async with AuthenticatedClient(base_url=wire.url, token=KEY) as raw:
        assert await ask(raw) is await ask(raw)


def test_an_httpx_client_that_was_set_is_used_in_every_loop():
    transport = httpx.MockTransport(always(200, json=TEMPLATE))
    http = httpx.AsyncClient(transport=transport, base_url="http://api.test")
    raw = AuthenticatedClient(base_url="http://api.test", token=KEY).set_async_httpx_client(http)

    assert asyncio.run(ask(raw)) is asyncio.run(ask(raw)) is http


def test_a_client_can_be_copied_and_pickled_before_it_is_used():
    raw = AuthenticatedClient(base_url="http://api.test", token=KEY)

    assert pickle.loads(pickle.dumps(raw)) == copy.deepcopy(raw) == raw


def test_a_client_gives_up_at_some_time_unless_told_otherwise():
    with client(always(204)) as patient, client(always(204), timeout=None) as endless:
        assert None not in patient.get_httpx_client().timeout.as_dict().values()
        assert set(endless.get_httpx_client().timeout.as_dict().values()) == {None}


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.with_headers({"X-Trace": "2"}).get_httpx_client().headers["X-Trace"] == "2",
        lambda raw: raw.with_cookies({"a": "b"}).get_httpx_client().cookies["a"] == "b",
        lambda raw: raw.with_timeout(httpx.Timeout(1)).get_httpx_client().timeout == httpx.Timeout(1),
    ],
    ids=["headers", "cookies", "timeout"],
)
def test_a_client_made_from_another_leaves_that_one_as_it_is(change):
    headers = {"X-Trace": "1"}
    with client(always(204), headers=headers) as raw:
        http = raw.get_httpx_client()
        before = (http.timeout, dict(http.headers), dict(http.cookies))

        assert change(raw)
        assert raw.get_httpx_client() is http
        assert (http.timeout, dict(http.headers), dict(http.cookies)) == before
    assert headers == {"X-Trace": "1"}


async def test_health_needs_no_key():
    answer = httpx.Response(200, json={"status": "ok", "version": "0.1.0"})
    transport = httpx.MockTransport(lambda request: answer if "X-API-Key" not in request.headers else None)
    async with superserve_api.Client(base_url="http://api.test", httpx_args={"transport": transport}) as raw:
        assert await health.asyncio(client=raw) == models.Health(status="ok", version="0.1.0")


def test_the_example_builds_and_deletes_a_template(server):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE],
        env=os.environ | {"SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": server.api_key},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"raw-demo-\w+ is building", printed[0])
    assert ' system: $ echo "$GREETING, world"' in printed
    assert printed[-2:] == ["the build is ready", "deleted"]


# --- models -----------------------------------------------------------------------------------------------------------

MODELS = [
    BODY,
    models.TemplateResponse.from_dict({**TEMPLATE, "region": "use"}),
    models.CreateTemplateResponse.from_dict({**TEMPLATE, "build_id": "b"}),
    models.TemplateBuildResponse.from_dict({**TEMPLATE, "template_id": "t", "build_spec_hash": "0" * 64}),
    models.BuildLogEvent.from_dict({"stream": "stdout", "text": "hello"}),
    models.ApiError.from_dict({"error": {"code": "not_found", "message": "gone"}}),
    models.BuildStep(user=models.BuildUser(name="app")),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_model_survives_copy_deepcopy_and_pickle(model, duplicate):
    twin = duplicate(model)

    assert twin == model  # and UNSET is UNSET still
    assert twin.to_dict() == model.to_dict()


def test_an_endpoint_imports_the_models_that_it_needs_and_no_others():
    program = (
        "import sys; import superserve_api.api.templates.get_template, superserve_api.models;"
        "print(*sorted(name for name in sys.modules if name.startswith('superserve_api.models.')), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert [name.rpartition(".")[2] for name in done.stdout.split()] == [
        "api_error",
        "template_response",
        "template_status",
    ]


def test_every_model_can_be_imported_by_name_and_nothing_else():
    assert set(models.__all__) <= set(dir(models))
    for name in models.__all__:
        assert getattr(models, name) is getattr(
            importlib.import_module(models._MODULES[name], models.__name__), name
        )
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = models.Nonsense
