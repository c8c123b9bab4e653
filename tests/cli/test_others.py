"""`superserve api` and `superserve local`."""

import json
from pathlib import Path

import pytest


def test_api_makes_one_call_and_prints_the_answer(run, server):
    body = json.dumps({"name": "web", "build_spec": {"from": "a"}})
    Path("body.json").write_text(body)
    ran = run("api", "post", "/templates", "--input", "body.json")
    assert (ran.code, ran.json["name"]) == (0, "web")
    ran = run("api", "GET", "/templates?name_prefix=w", "-i", "--json")
    assert [one["name"] for one in ran.json] == ["web"]
    assert ran.stderr.startswith("200 OK\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["GET", "/nothing"], 3),
        (["GET", "/templates/x"], 2),
        (["GET", "templates"], 2),
        (["GET", "//elsewhere/templates"], 2),
        (["GET", "https://elsewhere/templates"], 2),
        (["GET", "/templ\nates"], 2),
        (["FETCH", "/templates"], 2),
        (["POST", "/templates", "--input", "nothing.json"], 2),
    ],
)
def test_api_exits_as_the_answer_is(run, arguments, code):
    assert run("api", *arguments).code == code


def test_an_answer_that_is_an_error_has_the_one_shape_on_stderr(run):
    ran = run("api", "GET", "/templates/x", "--json")
    assert (ran.json["error"]["code"], ran.error["category"]) == ("bad_request", "answer")


def test_faults_of_the_local_server_are_added_listed_and_cleared(run):
    assert run("local", "faults", "--json").json == []
    added = run("local", "faults", "add", '{"fault": "fail", "code": "boot_failed"}', "--json").json
    assert added["code"] == "boot_failed"
    assert "boot_failed" in run("local", "faults").stdout
    assert run("template", "build", "web").code == 1
    assert run("local", "faults", "clear").code == 0
    assert run("local", "faults", "--json").json == []


@pytest.mark.parametrize("arguments", [["add"], ["add", "{"], ["add", "5"], ["ls", "{}"]])
def test_what_is_no_fault_is_refused(run, arguments):
    assert run("local", "faults", *arguments).code == 2


def test_without_a_local_server_faults_say_so(run, environment, serve):
    from tests.wire import reply

    environment.setenv("SUPERSERVE_BASE_URL", serve(reply(404, body=b"404 page not found")).url)
    assert run("local", "faults").code == 2
    environment.setenv("SUPERSERVE_BASE_URL", "http://127.0.0.1:9")
    assert run("local", "faults").code == 7
    environment.delenv("SUPERSERVE_BASE_URL")
    assert run("local", "faults").code == 2


def test_local_run_exits_as_its_command_does(run):
    assert run("local", "run", "--", "sh", "-c", "exit 9").code == 9
    assert run("local", "run").code == 2
    assert run("local", "up", "--help").code == 0
