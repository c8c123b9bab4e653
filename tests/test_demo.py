"""The demo, run as its users run it: a program of its own, seen from outside."""

import ast
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from superserve import Template
from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "examples/build_template.py"
PATIENCE_S = 60

# What a visitor gets to see, in this order. `|` and `!` mark what the steps really printed.
SCENES = [
    r"Superserve at http://127\.0\.0\.1:\d+, with \d+ templates so far",
    r"Create a template",
    r"   status +building",
    r"== Step 1/6  \$ uname -sm",
    rf"{platform.system()} {platform.machine()}",
    r"Hello from /\S*app, 1 of 5",
    r"Hello from /\S*app, 5 of 5",
    r"== Step 6/6 took \S+s",
    r"Template is ready",
    r"ready",
    r"What it is now: a TemplateInfo",
    r"   status +ready",
    r"Rebuild, and cancel that",
    r"   rebuild +\S+, pending",
    r"   and again +\S+, the same: it is still in flight",
    r"   BuildCancelledError +build \S+ of template",
    r"   template +ready",
    r"All its builds, newest first",
    r"   cancelled +\S+, created at \S+",
    r"   ready +\S+, created at \S+",
    r"fine",
    r"not so fine",
    r"What a BuildError tells",
    r"   code +step_failed",
    r"   step +2 of 3",
    r"   exit code +3",
    r"   printed last +not so fine",
    r"   first +deleted",
    r"   second +was gone already, which is no error",
    r"   NotFoundError +could not get template .*",
    r"Done in \d+\.\d s; nothing is left behind\.",
]


SANDBOX_SCENES = [
    r"Start a sandbox from it",
    r"   \| Hello, 1 of 3",
    r"   \| Hello, 3 of 3",
    r"   exit code +0",
    r"   stdout +\$HOME \* ",
    r"   exit code +2",
    r"   timed out +True",
    r"   stdout +begun",
    r"   CommandStartError +.*no-such-program.*",
    r"   read +'roses are red\\nviolets are blue\\n'",
    r"   poem\.txt +file, 31 bytes, mode 0644",
    r"   missing +/home/user/notes/novel\.txt",
    r"   \| heard: hello",
    r"   \| heard: goodbye",
    r"   \| interrupted",
    r"   exit code +130",
    r"   through a pipe +READ ME ALOUD",
    r"   made\.txt +from a file of this machine",
    r"   status +paused",
    r"   status +active",
    r"   still there +roses are red",
    r"Done in \d+\.\d s; nothing is left behind\.",
]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder, with `python` as the interpreter of the tests."""
    arguments = [sys.executable if part == "python" else part for part in command]
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def commands_of_session(name: str) -> list[list[str]]:
    """Return the arguments of each `session.run(...)` of a session in noxfile.py."""
    sessions = {
        node.name: node for node in ast.parse((ROOT / "noxfile.py").read_text()).body if hasattr(node, "name")
    }
    calls = [
        node
        for node in ast.walk(sessions[name])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "session.run"
    ]
    # What is starred is for machines that isolate nothing.
    return [
        [ast.literal_eval(argument) for argument in call.args if not isinstance(argument, ast.Starred)]
        for call in calls
    ]


@pytest.fixture
def held(server: LocalServer) -> Iterator[LocalServer]:
    """A server whose builds begin and don't end."""
    server.builds.hold()
    yield server
    server.builds.release()


# `nox -s demo` shows it, too.
@pytest.mark.slow
def test_the_demo_shows_a_template_from_its_creation_to_its_end_in_100_columns():
    done = run(*commands_of_session("demo")[0])

    assert (done.returncode, done.stderr) == (0, "")
    lines = iter(done.stdout.splitlines())
    for scene in SCENES:
        assert any(re.fullmatch(scene, line) for line in lines), (
            f"{scene!r} is missing, or too early, in\n{done.stdout}"
        )
    assert "\nnever\n" not in done.stdout
    # The build that was queued is the one that was cancelled.
    [build] = re.findall(r"^   rebuild +(\S+), pending$", done.stdout, re.MULTILINE)
    rows = [line.split()[0] for line in done.stdout.splitlines() if build in line]
    assert rows == ["rebuild", "and", "BuildCancelledError", "cancelled"]
    # A log's lines are as long as they are.
    assert [line for line in done.stdout.splitlines() if len(line) > 100 and line[0] == " "] == []


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_the_demo_goes_on_with_a_sandbox_from_its_start_to_its_end(isolation):
    if isolation == "auto" and isinstance(find_space(), str):
        pytest.skip("nothing keeps commands apart here")
    command = commands_of_session("demo")[1]
    options = command.index("--")
    done = run(*command[:options], "--isolation", isolation, *command[options:])

    assert (done.returncode, done.stderr) == (0, "")
    lines = iter(done.stdout.splitlines())
    for scene in SANDBOX_SCENES:
        assert any(re.fullmatch(scene, line) for line in lines), (
            f"{scene!r} is missing, or too early, in\n{done.stdout}"
        )


def test_without_a_key_the_demo_says_what_to_do():
    done = run("python", PROGRAM)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "no API key: pass api_key= or set SUPERSERVE_API_KEY",
        "Without an account: python -m nox -s demo",
    ]
    assert done.stdout == ""


def test_with_a_wrong_key_the_demo_says_so(server):
    done = run("python", PROGRAM, SUPERSERVE_BASE_URL=server.base_url, SUPERSERVE_API_KEY="not-this-one")

    assert done.returncode == 1
    assert "401 auth_failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_the_demo_says_so():
    done = run("python", PROGRAM, SUPERSERVE_BASE_URL="http://127.0.0.1:9", SUPERSERVE_API_KEY="any")

    assert done.returncode == 1
    assert done.stderr.startswith(
        "SandboxConnectionError: could not list templates: cannot connect to http://127.0.0.1:9: ["
    )


def test_an_interrupted_demo_deletes_what_it_created(held):
    environment = {"SUPERSERVE_BASE_URL": held.base_url, "SUPERSERVE_API_KEY": held.api_key}
    server = {"base_url": held.base_url, "api_key": held.api_key}
    with subprocess.Popen(
        [sys.executable, PROGRAM],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            for line in demo.stdout:
                if line.startswith("Wait until"):
                    break
            [created] = Template.list(name_prefix="sdk-demo-", **server)
            demo.send_signal(signal.SIGINT)
            _, errors = demo.communicate(timeout=PATIENCE_S)
        finally:
            demo.kill()

    assert (demo.returncode, errors) == (130, "")
    assert created.status == "building"
    assert Template.list(name_prefix="sdk-demo-", **server) == []
