"""openapi.yaml is valid and complete, and what the ergonomic layer builds on is really in it."""

import inspect
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import attrs
import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from superserve_api import models

import superserve
from superserve import _arguments, _config
from superserve._http import responses
from superserve._http.planes import control_plane
from superserve._operations import templates
from superserve.local import LocalServer
from tests.answers import CONTRACT
from tests.wire import log, reply

SCHEMAS = CONTRACT["components"]["schemas"]
DATA_PLANE = ("execRun", "execStream", "readFile", "writeFile")

OPERATIONS = {
    "health": "GET /health [System] 200 429 500",
    "listTemplates": "GET /templates [Templates] 200 400 401 403 429 500",
    "createTemplate": "POST /templates [Templates] 202 400 401 403 409 429 500",
    "getTemplate": "GET /templates/{template_id} [Templates] 200 400 401 403 404 429 500",
    "deleteTemplate": "DELETE /templates/{template_id} [Templates] 204 400 401 403 404 409 429 500",
    "listTemplateBuilds": "GET /templates/{template_id}/builds [Templates] 200 400 401 403 404 429 500",
    "createTemplateBuild": "POST /templates/{template_id}/builds [Templates] 200 201 400 401 403 404 409 429 500",
    "getTemplateBuild": (
        "GET /templates/{template_id}/builds/{build_id} [Templates] 200 400 401 403 404 429 500"
    ),
    "cancelTemplateBuild": (
        "DELETE /templates/{template_id}/builds/{build_id} [Templates] 204 400 401 403 404 429 500"
    ),
    "streamTemplateBuildLogs": (
        "GET /templates/{template_id}/builds/{build_id}/logs [Templates] 200 400 401 403 404 429 500"
    ),
    "listSandboxes": "GET /sandboxes [Sandboxes] 200 400 401 403 429 500",
    "createSandbox": "POST /sandboxes [Sandboxes] 201 400 401 403 404 409 410 429 500 503",
    "getSandbox": "GET /sandboxes/{sandbox_id} [Sandboxes] 200 400 401 403 404 429 500",
    "deleteSandbox": "DELETE /sandboxes/{sandbox_id} [Sandboxes] 204 400 401 403 404 409 429 500",
    "patchSandbox": "PATCH /sandboxes/{sandbox_id} [Sandboxes] 204 400 401 403 404 409 429 500",
    "pauseSandbox": "POST /sandboxes/{sandbox_id}/pause [Sandboxes] 202 204 400 401 403 404 409 410 429 500",
    "resumeSandbox": "POST /sandboxes/{sandbox_id}/resume [Sandboxes] 200 400 401 403 404 409 410 429 500 503",
    "activateSandbox": (
        "POST /sandboxes/{sandbox_id}/activate [Sandboxes] 200 400 401 403 404 409 410 429 500 503"
    ),
    "listSandboxFiles": "GET /sandboxes/{sandbox_id}/files [Files] 200 400 401 403 404 429 500",
    "execRun": "POST /exec [Exec] 200 400 401 404 429 500 502 503",
    "execStream": "POST /exec/stream [Exec] 200 400 401 404 429 500 502 503",
    "readFile": "GET /files [Files] 200 400 401 404 429 500 502 503",
    "writeFile": "POST /files [Files] 200 400 401 404 413 429 500 502 503 507",
}

# The methods of Template and AsyncTemplate that use an operation, or the reason why none does.
USED_BY = {
    "health": "any call tells whether the service answers; who wants to ask just that has the raw client",
    "listTemplates": ["list"],
    "createTemplate": ["create"],
    "getTemplate": ["connect", "get_info", "wait_until_ready"],
    "deleteTemplate": ["delete", "delete_by_id"],
    "listTemplateBuilds": ["list_builds", "wait_until_ready"],
    "createTemplateBuild": ["rebuild"],
    "getTemplateBuild": ["get_build", "wait_until_ready"],
    "cancelTemplateBuild": ["cancel_build", "wait_until_ready"],
    "streamTemplateBuildLogs": ["stream_build_logs", "iter_build_logs", "wait_until_ready"],
    "createSandbox": ["start"],
}

# What they do, others of them could be called for.
MADE_OF_OTHERS = {
    "build",
    "build_all",
    "ensure",
    "get_by_name",
    "latest_build",
    "plan",
    "prune",
}
# The methods of Sandbox and AsyncSandbox that use an operation, or the reason why none does.
USED_BY_SANDBOXES = {
    "listSandboxes": ["list", "iter", "create"],
    "createSandbox": ["create"],
    "getSandbox": ["get", "get_info", "pause", "resume"],
    "deleteSandbox": ["kill", "kill_by_id"],
    "patchSandbox": ["update", "update_by_id", "set_timeout"],
    "pauseSandbox": ["pause"],
    "resumeSandbox": ["resume"],
    "activateSandbox": ["activate", "connect", "create"],
    "listSandboxFiles": "it wakes the sandbox before it looks; files.list runs a command",
    "execRun": ["wait_for_port"],
    "execStream": "commands.run, where there are callbacks or more than 60 s",
    "readFile": "files.read and others",
    "writeFile": "files.write and others",
}
# It makes an address and asks for nothing.
WITHOUT_OPERATION = {"get_preview_url"}


def described_operations():
    return {
        operation["operationId"]: (method, path, operation)
        for path, item in CONTRACT["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_the_contract_is_valid_openapi_3_1():
    assert CONTRACT["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(CONTRACT).iter_errors()) == []


def test_the_contract_describes_every_operation_with_its_answers():
    described = {
        operation_id: f"{method.upper()} {path} [{operation['tags'][0]}] {' '.join(operation['responses'])}"
        for operation_id, (method, path, operation) in described_operations().items()
    }
    assert {operation_id: described.get(operation_id) for operation_id in OPERATIONS} == OPERATIONS


def test_every_operation_is_used_by_a_public_method_or_there_is_a_reason_why_not():
    assert described_operations().keys() == USED_BY.keys() | USED_BY_SANDBOXES.keys(), (
        "say in USED_BY who uses it, or why nobody does"
    )


# Methods that call other methods.
MADE_OF_OTHERS = {"build", "build_all", "ensure", "get_by_name", "latest_build", "plan", "prune", "start"}


@pytest.mark.parametrize("public", [superserve.Template, superserve.AsyncTemplate])
def test_every_public_method_uses_an_operation(public):
    named = {method for methods in USED_BY.values() if isinstance(methods, list) for method in methods}

    assert named | MADE_OF_OTHERS == {
        name for name in dir(public) if not name.startswith("_") and callable(getattr(public, name))
    }


def answers_of(operation_id):
    _, _, operation = described_operations()[operation_id]
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            answer = CONTRACT["components"]["responses"][answer["$ref"].rpartition("/")[2]]  # noqa: PLW2901
        yield status, answer


@pytest.mark.parametrize("operation_id", sorted(OPERATIONS.keys() - DATA_PLANE))
def test_every_error_that_is_documented_has_the_envelope_and_every_answer_the_rate_limits(operation_id):
    for status, answer in answers_of(operation_id):
        assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} <= answer["headers"].keys()
        assert ("Retry-After" in answer["headers"]) == (
            status == "429" or (operation_id, status) == ("pauseSandbox", "202")
        )
        if status >= "400":
            assert answer["content"] == {
                "application/json": {"schema": {"$ref": "#/components/schemas/ApiError"}}
            }


@pytest.mark.parametrize("operation_id", DATA_PLANE)
def test_the_data_plane_has_addresses_and_a_key_of_its_own_and_errors_that_may_be_plain_text(operation_id):
    _, _, operation = described_operations()[operation_id]

    assert [server["url"] for server in operation["servers"]] == [
        "https://sandbox.superserve.ai",
        "https://usw-sandbox.superserve.ai",
        "https://staging-sandbox.superserve.ai",
        "https://boxd-{sandbox_id}.{host}",
    ]
    assert operation["security"] == [{"accessToken": []}]
    assert CONTRACT["components"]["securitySchemes"]["accessToken"]["name"] == "X-Access-Token"
    for status, answer in answers_of(operation_id):
        if status >= "400":
            assert answer["content"] == {
                "application/json": {"schema": {"$ref": "#/components/schemas/ApiError"}},
                "text/plain": {"schema": {"type": "string"}},
            }


def test_a_new_sandbox_has_the_limits_of_the_api():
    properties = SCHEMAS["CreateSandboxRequest"]["properties"]

    assert SCHEMAS["CreateSandboxRequest"]["required"] == ["name"]
    assert (properties["name"]["minLength"], properties["name"]["maxLength"]) == (1, 64)
    for schema in (properties, SCHEMAS["SandboxPatch"]["properties"]):
        assert {
            name: (schema[name]["minimum"], schema[name]["maximum"])
            for name in ("timeout_seconds", "auto_delete_seconds")
        } == {"timeout_seconds": (1, 604_800), "auto_delete_seconds": (0, 2_592_000)}


def test_the_limits_of_a_new_template_are_those_of_the_api():
    request = SCHEMAS["CreateTemplateRequest"]
    properties = request["properties"]

    assert request["required"] == ["name", "build_spec"]
    assert {
        name: (properties[name]["minimum"], properties[name]["maximum"])
        for name in ("vcpu", "memory_mib", "disk_mib")
    } == {"vcpu": (1, 4), "memory_mib": (256, 4096), "disk_mib": (1024, 8192)}
    assert (properties["name"]["minLength"], properties["name"]["maxLength"]) == (1, 128)
    assert properties["name"]["pattern"] == "^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$"
    for name, default in (("vcpu", "1"), ("memory_mib", "1024"), ("disk_mib", "4096")):
        assert f"default is {default}. " in properties[name]["description"]


def interrupt(_event):
    raise KeyboardInterrupt


def wait_and_be_interrupted(template):
    template.wait_until_ready(on_log=lambda _event: None)
    with pytest.raises(KeyboardInterrupt):
        template.wait_until_ready(on_log=interrupt, cancel_on_interrupt=True)


# How each public method is called, with all that it can make use of.
CALLS = {
    "list": lambda template: template.list(client=template._client),
    "create": lambda template: template.create(name="env", from_="debian:12", client=template._client),
    "connect": lambda template: template.connect(template.id, client=template._client),
    "delete_by_id": lambda template: template.delete_by_id(template.id, client=template._client),
    "get_info": lambda template: template.get_info(),
    "wait_until_ready": wait_and_be_interrupted,
    "stream_build_logs": lambda template: template.stream_build_logs(on_event=print, build_id=BUILD_ID),
    "iter_build_logs": lambda template: list(template.iter_build_logs(build_id=BUILD_ID)),
    "rebuild": lambda template: template.rebuild(),
    "list_builds": lambda template: template.list_builds(),
    "get_build": lambda template: template.get_build(BUILD_ID),
    "cancel_build": lambda template: template.cancel_build(BUILD_ID),
    "delete": lambda template: template.delete(),
    "start": lambda template: template.start(name="box"),
}


# The same of sandboxes. The server refuses what it is told to, so that all that a method can ask for is asked for.
SANDBOX_CALLS = {
    "list": (lambda sandbox: sandbox.list(client=sandbox._client), set()),
    "iter": (lambda sandbox: list(sandbox.iter(client=sandbox._client)), set()),
    "create": (
        lambda sandbox: sandbox.create(name="box", adopt_lost=True, client=sandbox._client),
        {"createSandbox"},
    ),
    "connect": (lambda sandbox: sandbox.connect(sandbox.id, client=sandbox._client), set()),
    "get": (lambda sandbox: sandbox.get(sandbox.id, client=sandbox._client), set()),
    "kill_by_id": (lambda sandbox: sandbox.kill_by_id(sandbox.id, client=sandbox._client), set()),
    "update_by_id": (
        lambda sandbox: sandbox.update_by_id(sandbox.id, metadata={}, client=sandbox._client),
        set(),
    ),
    "get_info": (lambda sandbox: sandbox.get_info(), set()),
    "pause": (lambda sandbox: sandbox.pause(timeout=5), set()),
    "resume": (lambda sandbox: sandbox.resume(), {"resumeSandbox"}),
    "activate": (lambda sandbox: sandbox.activate(), set()),
    "kill": (lambda sandbox: sandbox.kill(), set()),
    "update": (lambda sandbox: sandbox.update(metadata={}), set()),
    "set_timeout": (lambda sandbox: sandbox.set_timeout(None), set()),
    "wait_for_port": (lambda sandbox: sandbox.wait_for_port(80), set()),
}


class Api:
    """Answers every operation, and remembers which were asked for. Every other time a build is said to go on."""

    def __init__(self, refused=()):
        self.asked_for = set()
        self._refused = refused
        self._statuses = itertools.cycle(["building", "ready"])

    def __call__(self, peer, request):
        operation_id = self._operation(request)
        self.asked_for.add(operation_id)
        build = {**BUILD, "status": next(self._statuses)} if operation_id == "getTemplateBuild" else BUILD
        if operation_id in self._refused:
            if operation_id == "createSandbox":
                # Nobody knows what has become of it.
                peer.reset()
            else:
                peer.send(reply(409, json={"error": {"code": "conflict", "message": "m"}}))
            return
        answers = {
            "listSandboxes": reply(json=[SANDBOX]),
            "createSandbox": reply(201, json=SANDBOX),
            "getSandbox": reply(
                json={**SANDBOX, "status": "paused" if "pauseSandbox" in self.asked_for else "active"}
            ),
            "pauseSandbox": reply(202, json={"status": "pausing"}),
            "resumeSandbox": reply(json={"id": SANDBOX["id"], "status": "active", "access_token": "a"}),
            "activateSandbox": reply(json=SANDBOX),
            "execRun": reply(json={"stdout": "", "stderr": "", "exit_code": 0}),
            "listTemplates": reply(json=[TEMPLATE]),
            "createTemplate": reply(202, json={**TEMPLATE, "build_id": BUILD_ID}),
            "getTemplate": reply(json=TEMPLATE | {"status": "ready"}),
            "listTemplateBuilds": reply(json=[build]),
            "createTemplateBuild": reply(201, json=build),
            "getTemplateBuild": reply(json=build),
            "streamTemplateBuildLogs": log(
                {"stream": "system", "text": "ready", "finished": True, "status": "ready"}
            ),
        }
        peer.send(answers.get(operation_id, reply(204)))

    def _operation(self, request):
        (found,) = (
            operation_id
            for operation_id, (method, path, _) in described_operations().items()
            if request.method == method.upper()
            and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.path)
        )
        return found


@pytest.mark.parametrize("method", CALLS)
def test_each_method_uses_the_operations_that_it_is_said_to_use(method, serve):
    api = Api()
    with superserve.Superserve(api_key="key", base_url=serve(api).url) as client:
        template = superserve.Template.connect(TEMPLATE["id"], client=client)
        api.asked_for.clear()
        CALLS[method](template)

    assert api.asked_for == {
        operation_id
        for operation_id, methods in USED_BY.items()
        if isinstance(methods, list) and method in methods
    }


@pytest.mark.parametrize("public", [superserve.Sandbox, superserve.AsyncSandbox])
def test_every_public_method_of_a_sandbox_uses_an_operation(public):
    named = {
        method for methods in USED_BY_SANDBOXES.values() if isinstance(methods, list) for method in methods
    }

    assert named | WITHOUT_OPERATION == {
        name for name in dir(public) if not name.startswith("_") and callable(getattr(public, name))
    }


@pytest.mark.parametrize("method", SANDBOX_CALLS)
def test_each_method_of_a_sandbox_uses_the_operations_that_it_is_said_to_use(method, serve):
    call, refused = SANDBOX_CALLS[method]
    api = Api(refused)
    with superserve.Superserve(api_key="key", base_url=serve(api).url) as client:
        sandbox = superserve.Sandbox.get(SANDBOX["id"], client=client)
        api.asked_for.clear()
        call(sandbox)

    assert api.asked_for == {
        operation_id
        for operation_id, methods in USED_BY_SANDBOXES.items()
        if isinstance(methods, list) and method in methods
    }


def schemas_within(schema, place):
    """Yield each schema in a schema, with its place, but not what it refers to."""
    yield place, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas_within(inner, f"{place}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from schemas_within(schema[key], f"{place}.{key}")


ALL_SCHEMAS = [found for name, schema in SCHEMAS.items() for found in schemas_within(schema, name)] + [
    (f"{operation_id}.{parameter['name']}", parameter["schema"])
    for operation_id, (_, _, operation) in described_operations().items()
    for parameter in operation.get("parameters", [])
    if "$ref" not in parameter
]


def test_objects_maps_and_enums_are_components_with_names_of_their_own():
    assert [
        place
        for place, schema in ALL_SCHEMAS
        if "." in place and (schema.get("type") == "object" or "enum" in schema or "oneOf" in schema)
    ] == []


def test_nothing_in_the_contract_makes_the_client_send_a_default_or_refuse_an_odd_id():
    assert [
        place for place, schema in ALL_SCHEMAS if "default" in schema or schema.get("format") == "uuid"
    ] == []


def test_everything_is_described():
    assert [
        place for place, schema in ALL_SCHEMAS if "$ref" not in schema and not schema.get("description")
    ] == []


# --- the local server -------------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    with (
        LocalServer(speed=20.0) as running,
        httpx.Client(base_url=running.base_url, headers={"X-API-Key": running.api_key}, timeout=30) as http,
    ):
        yield http


def ask(server, operation_id, json=None, **ids):
    """Make a call of an operation; return its answer if that is one that the contract describes."""
    method, path, operation = described_operations()[operation_id]
    answer = server.request(method, path.format(**ids), json=json)
    described = operation["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = CONTRACT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    # Errors of the data plane are of two kinds.
    assert kind in described.get("content", {}) if answer.content else "content" not in described
    if kind == "application/json":
        schema = described["content"][kind]["schema"]
        Draft202012Validator({**schema, "components": CONTRACT["components"]}).validate(answer.json())
    return answer


def test_the_local_server_answers_as_the_contract_says(server):
    spec = {"from": "python:3.11", "steps": [{"run": "make"}, {"env": {"key": "DEBUG", "value": "1"}}]}
    created = ask(server, "createTemplate", json={"name": "env", "build_spec": spec}).json()
    ids = {"template_id": created["id"], "build_id": created["build_id"]}
    for operation_id in ("health", "listTemplates", "getTemplate", "listTemplateBuilds", "getTemplateBuild"):
        assert ask(server, operation_id, **ids).status_code == 200

    assert ask(server, "createTemplate", json={"name": "env", "build_spec": spec}).status_code == 409
    assert ask(server, "createTemplate", json={"name": "env", "build_spec": {}}).status_code == 400
    assert ask(server, "cancelTemplateBuild", template_id="env", build_id="1").status_code == 400
    assert ask(server, "getTemplate", template_id=ids["build_id"]).status_code == 404

    transcript = ask(server, "streamTemplateBuildLogs", **ids).text
    events = [json.loads(line.removeprefix("data: ")) for line in transcript.split("\n") if line]
    schema = {**SCHEMAS["BuildLogEvent"], "components": CONTRACT["components"]}
    assert [error for event in events for error in Draft202012Validator(schema).iter_errors(event)] == []
    assert events[-1]["finished"]

    again = ask(server, "createTemplateBuild", **ids).json()
    assert ask(server, "cancelTemplateBuild", **ids | {"build_id": again["id"]}).status_code == 204
    assert ask(server, "deleteTemplate", **ids).status_code == 204
    server.headers["X-API-Key"] = "another"
    assert ask(server, "listTemplates").status_code == 401


def test_the_local_server_answers_as_the_contract_says_of_sandboxes(server):
    created = ask(server, "createSandbox", json={"name": "box", "metadata": {"env": "test"}}).json()
    box = {"sandbox_id": created["id"]}
    for operation_id in ("listSandboxes", "getSandbox", "activateSandbox"):
        assert ask(server, operation_id, **box).status_code == 200
    assert ask(server, "patchSandbox", json={"timeout_seconds": None}, **box).status_code == 204
    assert ask(server, "pauseSandbox", **box).status_code == 204
    assert ask(server, "pauseSandbox", **box).status_code == 409
    assert ask(server, "resumeSandbox", **box).status_code == 200
    assert ask(server, "resumeSandbox", **box).status_code == 409
    assert ask(server, "createSandbox", json={"name": ""}).status_code == 400
    assert ask(server, "createSandbox", json={"name": "box", "from_template": "none"}).status_code == 404
    assert ask(server, "patchSandbox", json={}, **box).status_code == 400

    inside_headers = {"X-Access-Token": created["access_token"], "X-Superserve-Sandbox-Id": created["id"]}
    with httpx.Client(base_url=server.base_url, headers=inside_headers, timeout=30) as inside:
        assert ask(inside, "execRun", json={"command": "echo hi"}).json()["exit_code"] == 0
        assert ask(inside, "execRun", json={"command": ""}).status_code == 400
        transcript = ask(inside, "execStream", json={"command": "echo hi"}).text
        inside.headers["X-Access-Token"] = "another"
        assert ask(inside, "execRun", json={"command": "echo hi"}).status_code == 401
    events = [
        json.loads(line.removeprefix("data: ")) for line in transcript.split("\n") if line[:5] == "data:"
    ]
    schema = {**SCHEMAS["ExecStreamEvent"], "components": CONTRACT["components"]}
    assert [error for event in events for error in Draft202012Validator(schema).iter_errors(event)] == []
    assert (events[-1]["finished"], events[-1]["exit_code"]) == (True, 0)

    assert ask(server, "deleteSandbox", **box).status_code == 204
    assert ask(server, "deleteSandbox", **box).status_code == 404


# --- what the ergonomic layer reads and sends -------------------------------------------------------------------------

TEMPLATE = {
    "id": "7a3f2b8c-0000-4000-8000-000000000001",
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-python-env",
    "status": "building",
    "vcpu": 2,
    "memory_mib": 2048,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
}
SANDBOX = {
    "id": "7a3f2b8c-0000-4000-8000-00000000000a",
    "name": "box",
    "status": "active",
    "vcpu_count": 1,
    "memory_mib": 1024,
    "created_at": "2026-05-01T12:00:00.123456789Z",
    "metadata": {},
    "access_token": "a",
}
BUILD_ID = "7a3f2b8c-0000-4000-8000-000000000003"
BUILD = {
    "id": BUILD_ID,
    "template_id": TEMPLATE["id"],
    "status": "building",
    "build_spec_hash": "0" * 64,
    "created_at": "2026-05-01T12:00:00Z",
}


def missing(model, names):
    """Name each field that superserve uses and the generated model doesn't have."""
    return [
        f"{model.__name__}.{name} is not in the contract"
        for name in sorted(names - attrs.fields_dict(model).keys())
    ]


@pytest.mark.slow
def test_fields_taken_out_of_the_contract_fail_the_type_check_and_are_named(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy")
    root = pathlib.Path(__file__).parents[2]
    shutil.copytree(root / "generated" / "superserve_api", tmp_path / "superserve_api")
    model = tmp_path / "superserve_api" / "models" / "template_response.py"
    text = model.read_text(encoding="utf-8")
    model.write_text(
        re.sub(r"^    (created_at|latest_build_id): .*$", "", text, flags=re.MULTILINE), encoding="utf-8"
    )
    checked = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--python-version=3.11", "--follow-imports=silent",
            f"--cache-dir={tmp_path / 'cache'}", root / "superserve" / "_operations" / "templates.py",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "MYPYPATH": f"{tmp_path}{os.pathsep}{root}"},
    )  # fmt: skip
    assert checked.returncode == 1, checked.stdout + checked.stderr
    for field in ("created_at", "latest_build_id"):
        assert f'"TemplateResponse" has no attribute "{field}"' in checked.stdout


def test_superserve_reads_only_fields_of_a_log_event_that_the_contract_has():
    # Whether something is missing before it is what the client itself has noticed.
    names = {field.name for field in attrs.fields(superserve.BuildLogEvent)} - {"after_gap"}

    assert missing(models.BuildLogEvent, names) == []


def test_superserve_reads_only_fields_of_an_error_that_the_contract_has():
    body = {"error": {"code": "conflict", "message": "name taken"}}
    call = templates.get_template(TEMPLATE["id"])
    plane = control_plane(_config.resolve("another-key"))
    error = responses.refusal(call, httpx.Response(409, json=body), plane)

    assert (error.code, error.message) == ("conflict", "name taken")
    assert missing(models.ApiError, body.keys()) == []
    assert missing(type(models.ApiError.from_dict(body).error), body["error"].keys()) == []


def test_superserve_sends_only_fields_that_the_contract_has():
    options = {"vcpu": 2, "memory_mib": 2048, "disk_mib": 4096}
    commands = {"start_cmd": "./serve", "ready_cmd": "./ready"}
    steps = [
        {"run": "make"},
        {"env": {"key": "DEBUG", "value": "1"}},
        {"workdir": "/app"},
        {"user": {"name": "app", "sudo": True}},
    ]
    request = templates.write_create_request(
        name="env", from_="python:3.11", steps=_arguments.steps(steps), **options, **commands
    )

    assert request.to_dict() == {
        "name": "env",
        **options,
        "build_spec": {"from": "python:3.11", "steps": steps, **commands},
    }


@pytest.mark.parametrize(
    ("ours", "component"),
    [
        (superserve.TemplateStatus, "TemplateStatus"),
        (superserve.TemplateBuildStatus, "TemplateBuildStatus"),
        (superserve.BuildLogStream, "BuildLogStream"),
        (superserve.SandboxStatus, "SandboxStatus"),
        (superserve.PreviewAccess, "PreviewAccess"),
    ],
)
def test_superserve_names_only_values_that_the_contract_lists(ours, component):
    assert {str(member) for member in ours} <= set(SCHEMAS[component]["enum"])


@pytest.mark.parametrize("public", [superserve.Template, superserve.AsyncTemplate])
def test_every_option_of_create_is_a_field_of_the_request(public):
    fields = (
        attrs.fields_dict(models.CreateTemplateRequest).keys() | attrs.fields_dict(models.BuildSpec).keys()
    )
    # A spec holds the same fields.
    besides = {"api_key", "base_url", "client", "spec"}

    options = inspect.signature(public.create).parameters.keys() - besides
    assert options <= fields - {"build_spec"}


@pytest.mark.parametrize("public", [superserve.Sandbox, superserve.AsyncSandbox])
def test_every_option_of_a_sandbox_is_a_field_of_a_request(public):
    connection = {"api_key", "base_url", "sandbox_url", "client"}
    created = inspect.signature(public.create).parameters.keys() - connection - {"adopt_lost"}
    updated = inspect.signature(public.update).parameters.keys() - {"self"}

    assert created == attrs.fields_dict(models.CreateSandboxRequest).keys()
    assert updated == attrs.fields_dict(models.SandboxPatch).keys()


def test_a_sandbox_has_all_that_the_contract_says_of_it_but_what_opens_it():
    ours = {field.name for field in attrs.fields(superserve.SandboxInfo)}
    theirs = attrs.fields_dict(models.SandboxResponse).keys() - {"additional_properties"}

    assert theirs - ours == {"access_token", "routing_hint", "snapshot_id"}
    assert ours <= theirs
