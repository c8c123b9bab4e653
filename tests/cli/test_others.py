"""`superserve api` and `superserve local`."""

import json
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["up", "x"], 2, "'x' is no option"),
        (["up", "--port", "99999"], 2, "port must be 0-65535, not 99999"),
        (["run"], 2, "there is no COMMAND to run"),
        (["run", "--port", "x", "--", "true"], 2, "argument --port: invalid int value: 'x'"),
        (["run", "--", "no-such-program"], 127, "no-such-program: command not found"),
        (["run", "--", "/"], 126, "/: is a directory"),
    ],
)
def test_errors_of_the_local_server_have_the_one_shape(run, arguments, code, message):
    ran = run("local", *arguments)
    assert (ran.code, ran.stdout) == (code, "")
    assert message in ran.stderr
    ran = run("local", arguments[0], "--json", *arguments[1:])
    assert (ran.code, ran.error["message"]) == (code, message)


def test_a_port_that_is_taken_is_told_once(server):
    port = server.base_url.rpartition(":")[2]
    # Apart: a server that is to serve logs to stderr as long as its process lives.
    command = [sys.executable, "-m", "superserve", "local", "up", "--port", port]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"superserve: cannot listen on 127.0.0.1:{port}: ")


def test_the_environment_of_a_local_server_can_be_json():
    command = [sys.executable, "-m", "superserve", "local", "up", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        told = json.loads(started.stdout.readline())
        started.terminate()
        assert started.wait(30) == 0
    assert told["unset"] == []
    assert set(told["environment"]) == {"SUPERSERVE_BASE_URL", "SUPERSERVE_API_KEY"}


def test_local_run_exits_as_its_command_does(run):
    assert run("local", "run", "--", "sh", "-c", "exit 9").code == 9
    assert run("local", "run").code == 2
    assert run("local", "up", "--help").code == 0
