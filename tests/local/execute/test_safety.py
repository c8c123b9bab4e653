"""Who can make a server in execute mode run something, and what is left when it or a build ends: through its door."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import superserve.local
from superserve.local import LocalServer
from superserve.local import __main__ as command_line
from superserve.local._machines import build_host

STEPS = "sleep 1000 & setsid sleep 1000 & echo started; wait"
COMMAND = [sys.executable, "-W", "error", "-m", "superserve.local"]


@pytest.fixture
def server():
    with LocalServer(execute=True, speed=20, limits=False) as server:
        yield server


@pytest.fixture
async def http(server):
    async with client(server.base_url, server.api_key) as http:
        yield http


@pytest.fixture
def body(marker):
    """A template whose build runs for long, and whose processes can be found."""
    steps = [{"env": {"key": "MARKER", "value": marker}}, {"run": STEPS}]
    return {"name": "app", "build_spec": {"from": "python:3.11", "steps": steps}}


def client(base_url, key):
    return httpx.AsyncClient(base_url=base_url, headers={"X-API-Key": key}, timeout=60, verify=False)


@pytest.fixture
def start(body, processes, until):
    """Start a build, and return its path when it runs; its log begins with what isolates it."""

    async def start(http, name="app"):
        created = (await http.post("/templates", json={**body, "name": name})).raise_for_status().json()
        build = f"/templates/{created['id']}/builds/{created['build_id']}"
        async with asyncio.timeout(60), http.stream("GET", f"{build}/logs", timeout=None) as response:
            texts = []
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    texts.append(json.loads(line.removeprefix("data: "))["text"])
                    if "started" in texts[-1].splitlines():
                        break
        assert next(text for text in texts if "queued" not in text).startswith(("isolated", "not isolated"))
        await until(lambda: len(processes()) >= 3)
        return build

    return start


@pytest.fixture
def nothing_left(processes, scratch_folders):
    """Tell whether neither processes nor folders of builds are there."""
    return lambda: processes() == [] and scratch_folders() == []


# -- Who can reach it


def test_it_listens_on_loopback_and_on_no_other_address(server):
    port = httpx.URL(server.base_url).port

    assert server._running()._listener.getsockname() == ("127.0.0.1", port)
    # Other addresses of this machine, of which each has at least the first.
    for address in ("127.0.0.2", *own_addresses()):
        with socket.socket() as connection:
            assert connection.connect_ex((address, port)) != 0


def own_addresses():
    # Connecting a datagram socket sends nothing: it only asks which address would be used.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            found.connect(("192.0.2.1", 9))
        except OSError:  # No network but loopback.
            return []
        return [found.getsockname()[0]]


def test_it_cannot_be_told_to_listen_elsewhere():
    for option in (["--host", "0.0.0.0"], ["--bind", "0.0.0.0"], ["--port", "0.0.0.0:8080"]):
        assert command_line.main(["--execute", *option]) == 2
    with pytest.raises(TypeError):
        LocalServer(execute=True, host="0.0.0.0")


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}]
)
async def test_nothing_runs_without_the_key(server, http, body, headers):
    template = server.templates.add()
    build = server.builds.add(template)
    async with httpx.AsyncClient(base_url=server.base_url, headers=headers, verify=False) as stranger:
        for method, path in (
            ("POST", "/templates"),
            ("POST", f"/templates/{template}/builds"),
            ("DELETE", f"/templates/{template}/builds/{build}"),
            ("DELETE", f"/templates/{template}"),
            ("GET", f"/templates/{template}/builds/{build}/logs"),
            ("POST", "/_local/faults"),
            ("POST", "/_local/reset"),
            ("GET", "/_local/overview"),
        ):
            answer = await stranger.request(method, path, json=body if method == "POST" else None)
            assert answer.status_code == 401, path

    assert [row["name"] for row in (await http.get("/templates", params={"name_prefix": "app"})).json()] == []
    assert len((await http.get(f"/templates/{template}/builds")).json()) == 1


async def test_nothing_runs_for_a_name_that_was_made_to_lead_here(server, http, body):
    for path in ("/", "/health", "/templates", "/nowhere", "/_local/overview", "/_local/faults"):
        for method in ("GET", "POST"):
            answer = await http.request(method, path, json=body, headers={"Host": "attacker.example"})
            assert answer.status_code == 421, path

    assert [row["name"] for row in (await http.get("/templates", params={"name_prefix": "app"})).json()] == []


async def test_pages_of_other_origins_are_not_let_in(http, body):
    origin = {"Origin": "https://attacker.example"}
    asked = await http.options("/templates", headers={**origin, "Access-Control-Request-Method": "POST"})
    answer = await http.get("/templates", headers=origin)

    assert asked.status_code == 404
    assert [name for name in (*asked.headers, *answer.headers) if name.startswith("access-control")] == []


# -- What is left


@pytest.fixture
def short_limit(monkeypatch):
    """Builds may take no longer than 1.5 s."""
    monkeypatch.setattr(build_host, "BUILD_LIMIT_S", 1.5)


@pytest.mark.usefixtures("short_limit")
async def test_a_build_that_takes_too_long_is_ended(server, http, body, nothing_left, until):
    created = (await http.post("/templates", json=body)).json()

    await asyncio.to_thread(server.builds.wait_for, created["build_id"], "failed")
    template = (await http.get(f"/templates/{created['id']}")).json()
    assert template["error_message"] == "step_failed: context deadline exceeded"
    await until(nothing_left)


async def test_a_reset_ends_builds(server, http, start, nothing_left, until):
    await start(http)

    server.reset()

    await until(nothing_left)


@pytest.fixture
def command(tmp_path):
    """Start the command in execute mode; gives the process and what it exports."""
    started = []

    def command(*arguments):
        process = subprocess.Popen(
            [*COMMAND, "--execute", "--no-limits", "--speed", "100", *arguments],
            env={
                **os.environ,
                "PYTHONPATH": str(Path(superserve.local.__file__).parents[2]),
                "TMPDIR": str(tmp_path),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        exported = dict(
            re.fullmatch(r"export (\w+)=(\S+)\n", process.stdout.readline()).groups() for _ in range(2)
        )
        return process, exported["SUPERSERVE_BASE_URL"], exported["SUPERSERVE_API_KEY"]

    yield command
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_command_ends_its_builds_before_it_ends(command, start, nothing_left, number):
    process, base_url, key = command()
    async with client(base_url, key) as http:
        await start(http)
        process.send_signal(number)
        code = await asyncio.to_thread(process.wait, 30)

    assert code == 0
    assert nothing_left()


@pytest.mark.slow
async def test_builds_of_a_killed_command_end_and_have_failed_in_its_next_run(
    command, start, nothing_left, until, tmp_path
):
    state = ("--state", str(tmp_path / "state.db"))
    process, base_url, key = command(*state)
    async with client(base_url, key) as http:
        build = await start(http)
    process.kill()

    await asyncio.to_thread(process.wait, 30)
    _, base_url, same_key = command(*state)
    assert same_key == key
    async with client(base_url, key) as http:
        row = (await http.get(build)).json()
        assert row["status"] == "failed"
        assert row["error_message"] == "vmd has no record of this build (likely vmd restarted)"
        # The next build also takes away the folder of the one before.
        await http.delete(await start(http, "another"))
    await until(nothing_left)
