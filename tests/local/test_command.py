"""`python -m superserve.local`."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import superserve.local

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(superserve.local.__file__).parents[2])}
COMMAND = [sys.executable, "-W", "error", "-m", "superserve.local"]


def run(*arguments):
    return subprocess.run(
        [*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def start():
    """Start the command in a process group of its own."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def serve(start):
    """Start the command; gives the process and what it exports."""

    def serve(*arguments):
        process = start(*arguments)
        lines = [process.stdout.readline() for _ in range(2)]
        return process, dict(re.fullmatch(r"export (\w+)=(\S+)\n", line).groups() for line in lines)

    return serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_what_to_export_and_serves_until_it_is_told_to_stop(serve, number):
    process, exported = serve("--speed", "100")
    base_url, key = exported["SUPERSERVE_BASE_URL"], exported["SUPERSERVE_API_KEY"]
    answer = httpx.get(base_url + "/templates", headers={"X-API-Key": key}, verify=False)

    process.send_signal(number)
    output, errors = process.communicate(timeout=20)

    assert answer.status_code == 200
    assert "ratelimit-limit" in answer.headers
    assert (process.returncode, output, errors) == (0, "", "")


def test_options_choose_the_port_and_turn_limits_off(serve):
    with superserve.local.LocalServer() as server:
        port = httpx.URL(server.base_url).port
    _, exported = serve("--port", str(port), "--no-limits")

    answer = httpx.get(exported["SUPERSERVE_BASE_URL"] + "/health", verify=False)

    assert exported["SUPERSERVE_BASE_URL"] == f"http://127.0.0.1:{port}"
    assert "ratelimit-limit" not in answer.headers


def test_a_port_that_is_taken_is_one_line_of_error():
    with superserve.local.LocalServer() as server:
        port = httpx.URL(server.base_url).port
        ended = run("--port", str(port))

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--port", "70000"], ["--port", "x"], ["--speed", "0"], ["--speed", "fast"], ["--nonsense"], ["run"]],
)
def test_wrong_options_are_errors_of_the_command_line(arguments):
    ended = run(*arguments)

    assert ended.returncode == 2
    assert "usage:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_run_gives_a_command_a_server_of_its_own_and_takes_its_code():
    code = (
        "import os, sys, urllib.request as r\n"
        "url, key = os.environ['SUPERSERVE_BASE_URL'], os.environ['SUPERSERVE_API_KEY']\n"
        "print(r.urlopen(r.Request(url + '/templates', headers={'X-API-Key': key})).status, sys.argv[1:])\n"
        "sys.exit(7)\n"
    )

    ended = run("run", "--speed", "100", "--no-limits", "--", sys.executable, "-c", code, "--port", "x")

    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "200 ['--port', 'x']\n", "")


def test_run_tells_of_a_command_that_a_signal_ended():
    ended = run("run", "--", "sh", "-c", "kill -KILL $$")

    assert ended.returncode == 128 + signal.SIGKILL


def test_run_says_when_there_is_no_such_command():
    ended = run("run", "--", "no-such-command-anywhere")

    assert (ended.returncode, ended.stderr) == (127, "no-such-command-anywhere: command not found\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_leaves_signals_to_the_command(start, number):
    process = start(
        "run", "--", "sh", "-c", "trap 'exit 5' INT TERM; echo ready; while :; do sleep 0.05; done"
    )
    assert process.stdout.readline() == "ready\n"

    # A terminal signals the whole group, a supervisor only the process it started.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (5, "")
