"""When the contract changes: what regenerating does, what goes on working, and what is caught."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
GENERATED = ROOT / "generated" / "superserve_api"


def generate(*arguments, **environment):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate.py", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(scratch, *command):
    """Run Python with the client in a scratch folder in place of the committed one."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{scratch}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def regenerate(scratch, edit):
    """Generate a client from an edited copy of the contract into a scratch folder."""
    contract = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    edit(contract)
    (scratch / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    done = generate(f"--spec={scratch / 'openapi.yaml'}", f"--output={scratch / 'superserve_api'}")
    assert done.returncode == 0, done.stderr


def files(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder): path.read_bytes() for path in paths}


# --- the program ------------------------------------------------------------------------------------------------------


def test_a_second_run_writes_the_same_bytes_wherever_and_however_it_runs(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 60\nformat.quote-style = 'single'\n")
    (tmp_path / "httpx").mkdir()
    # As in .nox/, where nox puts the temporary files of some sessions.
    (tmp_path / ".ignore").write_text("*\n")
    monkeypatch.chdir(tmp_path)
    done = generate("--output=again", PYTHONHASHSEED="12345", TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "again") == files(GENERATED)


def test_check_names_each_file_that_was_edited_removed_or_added(tmp_path):
    copy = shutil.copytree(
        GENERATED, tmp_path / "superserve_api", ignore=shutil.ignore_patterns("__pycache__")
    )
    (copy / "types.py").write_text("edited")
    (copy / "models" / "health.py").unlink()
    (copy / "api" / "extra.py").touch()
    before = files(copy)
    done = generate("--check", f"--output={copy}")

    assert done.returncode == 1
    assert "3 files" in done.stderr
    assert done.stdout.splitlines() == [
        f"changed: {copy}/types.py",
        f"missing: {copy}/models/health.py",
        f"stale: {copy}/api/extra.py",
    ]
    assert files(copy) == before

    assert generate(f"--output={copy}").returncode == 0
    assert files(copy) == files(GENERATED)


def test_a_folder_that_the_program_has_not_written_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    done = generate(f"--output={tmp_path}")

    assert done.returncode == 1
    assert "remove it, or name another folder" in done.stderr
    assert files(tmp_path) == {pathlib.Path("thesis.txt"): b"precious"}


def test_a_patch_that_does_not_apply_any_more_stops_the_run_and_is_named(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts" / "generate.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(program, "PATCHES", [("types.py.jinja", "no such text", "")])

    with pytest.raises(SystemExit, match=r"patch of types\.py\.jinja .* found 0 times:\nno such text"):
        program.write_templates(tmp_path)


def test_every_file_says_that_it_is_generated_and_the_package_that_it_is_typed():
    assert {
        path for path in GENERATED.rglob("*.py") if b"Do not edit" not in path.read_bytes()[:150]
    } == set()
    assert (GENERATED / "py.typed").is_file()


# --- changes that the ergonomic layer survives ------------------------------------------------------------------------

EXERCISE = """
import http.server, json, sys, threading
import superserve

TEMPLATE = {
    "id": "t-1", "team_id": "team", "name": "env", "vcpu": 1, "memory_mib": 1024, "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z", **json.loads(sys.argv[1]),
}
BUILD = {
    "id": "b-1", "template_id": "t-1", "status": "ready", "build_spec_hash": "0",
    "created_at": "2026-05-01T12:00:00Z", **json.loads(sys.argv[2]),
}

class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, {"/templates": [TEMPLATE], "/templates/t-1": TEMPLATE}.get(self.path, BUILD))

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(202, {**TEMPLATE, "build_id": "b-1"})

    def do_DELETE(self):
        self.send_response(204)
        self.end_headers()

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
import superserve._sync.build_wait
superserve._sync.build_wait.TEMPLATE_LAG_S = 0.1
with superserve.Superserve(api_key="key", base_url=f"http://127.0.0.1:{server.server_port}") as client:
    template = superserve.Template.create(name="env", from_="python:3.11", steps=[{"run": "make"}], client=client)
    template.wait_until_ready(timeout_s=10)
    print(template.get_info().status, template.get_build("b-1").status)
    print([info.name for info in superserve.Template.list(client=client)])
    template.delete()
server.shutdown()
server.server_close()
"""


def exercise(scratch, *, template="{}", build="{}"):
    """Use the ergonomic layer, on the client in a scratch folder, against a server that keeps the new contract."""
    done = run(scratch, "-W", "error", "-c", EXERCISE, template, build)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_new_optional_field_reaches_the_raw_client_and_leaves_the_ergonomic_layer_working(tmp_path):
    def add_a_field(contract):
        contract["components"]["schemas"]["TemplateResponse"]["properties"]["region"] = {"type": "string"}

    regenerate(tmp_path, add_a_field)
    program = (
        "from superserve_api.models import TemplateResponse; print('region' in TemplateResponse.__slots__)"
    )

    assert run(tmp_path, "-c", program).stdout == "True\n"
    assert exercise(tmp_path, template='{"status": "ready", "region": "use"}') == ["ready ready", "['env']"]


def test_a_new_enum_value_reaches_the_raw_client_and_leaves_the_ergonomic_layer_working(tmp_path):
    def add_a_value(contract):
        contract["components"]["schemas"]["TemplateStatus"]["enum"].append("archived")

    regenerate(tmp_path, add_a_value)
    program = (
        "from superserve_api.models.template_status import *; print('archived' in TEMPLATE_STATUS_VALUES)"
    )

    assert run(tmp_path, "-c", program).stdout == "True\n"
    assert exercise(tmp_path, template='{"status": "archived"}') == ["archived ready", "['env']"]


def test_a_new_operation_reaches_the_raw_client_and_leaves_the_ergonomic_layer_working(tmp_path):
    def add_an_operation(contract):
        contract["paths"]["/templates/{template_id}"]["patch"] = {
            "operationId": "renameTemplate",
            "tags": ["Templates"],
            "responses": {"204": {"description": "Renamed."}},
        }

    regenerate(tmp_path, add_an_operation)
    program = (
        "from superserve_api.api.templates import rename_template as r; print(r._get_kwargs('t')['method'])"
    )

    assert run(tmp_path, "-c", program).stdout == "patch\n"
    assert exercise(tmp_path, template='{"status": "ready"}') == ["ready ready", "['env']"]


def add_fields_of_every_kind(contract):
    contract["components"]["schemas"] |= {
        "Labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "Point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}},
    }
    contract["components"]["schemas"]["Health"] = {
        "type": "object",
        "properties": {
            "ratio": {"type": "number"},
            "day": {"type": "string", "format": "date"},
            "names": {"type": "array", "items": {"type": "string"}},
            "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
            "grid": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
            "labels": {"$ref": "#/components/schemas/Labels"},
            "note": {"type": ["string", "null"]},
            "ended_at": {"type": ["string", "null"], "format": "date-time"},
            "point": {"oneOf": [{"$ref": "#/components/schemas/Point"}, {"type": "null"}]},
            "errors": {"type": "array", "items": {"enum": ["a", "b"], "type": "string"}},
            "anything": {},
        },
    }


def test_fields_of_every_kind_are_read_with_the_same_care(tmp_path):
    regenerate(tmp_path, add_fields_of_every_kind)
    good = {
        "ratio": 1,
        "day": "2026-05-01",
        "names": ["a"],
        "times": ["2026-05-01T12:00:00+00:00"],
        "grid": [[1, 2], []],
        "labels": {"team": "a"},
        "note": None,
        "ended_at": "2026-05-01T12:00:00+00:00",
        "point": {"x": 0.5},
        "errors": ["a", "brand new"],
        "anything": {"deep": [None]},
        "of a newer server": 1,
    }
    bad = {
        "ratio": True,
        "day": "secret",
        "names": ["a", 5],
        "times": ["secret"],
        "grid": [[1], ["secret"]],
        "labels": {"secret": 1},
        "note": 5,
        "ended_at": "secret",
        "point": {"x": "secret"},
        "errors": [None],
    }
    program = """
import json, sys
from superserve_api.models import Health
good, bad = map(json.loads, sys.argv[1:])
assert Health.from_dict(good).to_dict() == good
assert Health.from_dict(dict.fromkeys(bad)).to_dict() == {"note": None, "ended_at": None, "point": None}
for name, value in bad.items():
    try:
        print(Health.from_dict({**good, name: value}))
    except ValueError as error:
        print(error)
"""
    done = run(tmp_path, "-W", "error", "-c", program, json.dumps(good), json.dumps(bad))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "field 'ratio': expected a number, got a boolean",
        "field 'day': not what is documented",
        "field 'names': item 1: expected a string, got a number",
        "field 'times': item 0: expected a time such as 2026-05-01T12:00:00Z, got a string",
        "field 'grid': item 1: item 0: expected an integer, got a string",
        "field 'labels': a field of any name: expected a string, got a number",
        "field 'note': a number such as this is not documented",
        "field 'ended_at': a string such as this is not documented",
        "field 'point': an object such as this is not documented",
        "field 'errors': item 0: expected a string, got null",
    ]


# --- changes that it doesn't survive ----------------------------------------------------------------------------------


def check_types(scratch):
    """Return what the type check says of the ergonomic layer on the client in a scratch folder."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            f"--cache-dir={scratch}/cache",
            "superserve/_operations",
            "superserve/_async",
        ],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_removed_field_that_the_ergonomic_layer_uses_is_caught_and_named(tmp_path):
    def remove_two_fields(contract):
        schemas = contract["components"]["schemas"]
        del schemas["TemplateResponse"]["properties"]["size_bytes"]
        del schemas["BuildSpec"]["properties"]["ready_cmd"]

    regenerate(tmp_path, remove_two_fields)
    problems = check_types(tmp_path)

    assert '"TemplateResponse" has no attribute "size_bytes"' in problems
    assert 'Unexpected keyword argument "ready_cmd" for "BuildSpec"' in problems


def write_it_in_another_style(contract):
    """Change what the vendor's own document does differently, as far as the generator can stumble over it."""
    parts, paths = contract["components"], contract["paths"]
    schemas = parts["schemas"]
    schemas["Error"] = schemas.pop("ApiError")
    schemas["Error"]["properties"]["error"] = schemas.pop("ApiErrorDetail")
    for response in parts["responses"].values():
        response["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    schemas["BuildStep"]["properties"] |= {"env": schemas.pop("BuildEnv"), "user": schemas.pop("BuildUser")}
    for schema in schemas.values():
        schema.pop("required", None)
    template = schemas["TemplateResponse"]["properties"]
    template["id"] = {"type": "string", "format": "uuid"}
    template["built_at"]["nullable"] = True
    del template["latest_build_id"]
    paths["/templates/{template_id}/builds"]["get"]["parameters"][0]["schema"]["default"] = 20
    logs = paths["/templates/{template_id}/builds/{build_id}/logs"]["get"]["responses"]["200"]
    logs["content"]["text/event-stream"]["schema"] = {"$ref": "#/components/schemas/BuildLogEvent"}
    archive = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
    paths["/files"] = {
        "get": {
            "operationId": "readFile",
            "tags": ["Files"],
            "responses": {"200": {"description": "Files.", "content": archive}},
        }
    }


RAW_EXERCISE = """
import httpx
from superserve_api import AuthenticatedClient
from superserve_api.api.files import read_file
from superserve_api.api.templates import get_template, list_template_builds, stream_template_build_logs

def answer(body, status=200):
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    return AuthenticatedClient(base_url="http://api.test", token="key", httpx_args={"transport": transport})

with answer(b'{"id": "7a3f2b8c-0000-4000-8000-000000000001", "status": "archived", "built_at": null}') as client:
    print(get_template.sync("t", client=client).status)
with answer(b'{"id": "odd"}') as client:
    print(get_template.sync("t", client=client))
with answer(b'{"error": {"code": "not_found", "message": "gone"}}', 404) as client:
    print(get_template.sync("t", client=client).error.code)
with answer(b"<html>", 404) as client:
    print(get_template.sync_detailed("t", client=client).status_code.value)
with answer(b"[]") as client:
    print(list_template_builds.sync("t", client=client))
with answer(b'data: {"text": "hello"}') as client:
    print(stream_template_build_logs.sync_detailed("t", "b", client=client).content)
with answer(b"PK") as client:
    print(read_file.sync(client=client).payload.read())
"""


@pytest.mark.slow
def test_a_document_in_another_style_gives_a_working_raw_client_and_a_list_of_what_superserve_misses(
    tmp_path,
):
    regenerate(tmp_path, write_it_in_another_style)
    done = run(tmp_path, "-W", "error", "-c", RAW_EXERCISE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [
        "archived",
        "None",
        "not_found",
        "404",
        "[]",
        'b\'data: {"text": "hello"}\'',
        "b'PK'",
        "",
    ]
    missed = check_types(tmp_path)
    assert '"TemplateResponse" has no attribute "latest_build_id"' in missed
    assert 'has no attribute "BuildEnv"' in missed
