"""The raw client, superserve_api: typed calls that survive whatever a server answers."""

import copy
import importlib
import inspect
import itertools
import json
import pathlib
import pickle
import pkgutil
import subprocess
import sys
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
from superserve_api.api import system, templates
from superserve_api.api.system import health
from superserve_api.api.templates import (
    create_template,
    delete_template,
    get_template,
    list_templates,
    stream_template_build_logs,
)
from superserve_api.types import UNSET

CONTRACT = pathlib.Path(__file__).parent.parent / "openapi.yaml"
KEY = "ss_live_0123456789abcdef0123456789abcdef"
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
OPERATIONS = [
    importlib.import_module(f"{package.__name__}.{module.name}")
    for package in (system, templates)
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
    values = {"template_id": "t", "build_id": "b", "body": BODY}
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


def test_a_null_where_a_date_is_due_does_not_cost_the_other_fields():
    template = parsed({**TEMPLATE, "created_at": None})

    assert (template.created_at, template.name) == (None, "my-python-env")
    assert template.to_dict() == {**TEMPLATE, "created_at": None}


def test_a_null_date_in_one_item_does_not_cost_the_other_items():
    with client(always(200, json=[TEMPLATE, {**TEMPLATE, "created_at": None}])) as raw:
        assert [template.name for template in list_templates.sync(client=raw)] == ["my-python-env"] * 2


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
@pytest.mark.parametrize("status", [299, 302, 418, 499, 502, 520, 599])
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
@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(status=st.integers(200, 599), body=bodies)
def test_no_answer_at_all_raises_an_exception_of_a_parser(operation, status, body):
    with client(always(status, content=body)) as raw:
        assert operation.sync_detailed(client=raw, **arguments(operation)).status_code == status


def test_an_unexpected_status_can_be_copied_and_pickled():
    error = errors.UnexpectedStatus(520, b"<html>")

    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(twin), twin.status_code, twin.content) == (str(error), 520, b"<html>")


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
            raw.get_httpx_client(), **stream_template_build_logs._get_kwargs("t", "b")
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
