"""Execute mode through the server's front door."""

import asyncio
import json

import httpx
import pytest

from superserve.local import LocalServer


@pytest.fixture
def server():
    with LocalServer(execute=True, speed=20, limits=False) as server:
        yield server


@pytest.fixture
async def http(server):
    headers = {"X-API-Key": server.api_key}
    async with httpx.AsyncClient(base_url=server.base_url, headers=headers, timeout=20, verify=False) as http:
        yield http


@pytest.fixture
def create(http, marker):
    """Creates a template and returns its path and its build's."""

    async def create(*commands, **spec):
        steps = [{"env": {"key": "MARKER", "value": marker}}, *({"run": command} for command in commands)]
        body = {"name": "app", "build_spec": {"from": "python:3.11", "steps": steps, **spec}}
        created = (await http.post("/templates", json=body)).raise_for_status().json()
        template = f"/templates/{created['id']}"
        return template, f"{template}/builds/{created['build_id']}"

    return create


@pytest.fixture
def ended(http):
    """Waits for the end of a build and returns its row."""

    async def ended(build):
        async with asyncio.timeout(30):
            while True:
                row = (await http.get(build)).raise_for_status().json()
                if row["status"] not in {"pending", "building"}:
                    return row

    return ended


async def events(http, build):
    async with http.stream("GET", f"{build}/logs", timeout=None) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


async def started(http, build):
    async with asyncio.timeout(30):
        async for event in events(http, build):
            if "started" in event["text"].splitlines():
                return


async def test_a_template_is_built_by_running_its_steps(http, create, ended):
    template, build = await create(
        "echo $((40 + 2))", "echo oops >&2", start_cmd="sleep 1000", ready_cmd="true"
    )
    assert (await ended(build))["status"] == "ready"
    assert (await http.get(template)).json()["status"] == "ready"
    lines = [(event["stream"], event["text"]) async for event in events(http, build)]
    assert ("stdout", "42") in lines
    assert ("stderr", "oops") in lines
    assert "isolated" in next(text for stream, text in lines if "queued" not in text)


async def test_a_failing_step_fails_build_and_template(http, create, ended):
    template, build = await create("exit 3")
    row = await ended(build)
    assert row["status"] == "failed"
    assert row["error_message"].startswith("step_failed: step 2/2 failed after ")
    assert row["error_message"].endswith("ms: exited with code 3")
    assert (await http.get(template)).json()["error_message"] == row["error_message"]


async def test_cancelling_a_build_kills_its_processes(http, create, processes, until):
    _, build = await create("sleep 1000 & setsid sleep 1000 & echo started; wait")
    await started(http, build)
    await until(lambda: len(processes()) >= 3)
    assert (await http.delete(build)).status_code == 204
    await until(lambda: processes() == [])
    assert (await http.get(build)).json()["status"] == "cancelled"


async def test_stopping_the_server_kills_its_builds(server, http, create, processes, until):
    _, build = await create("sleep 1000 & setsid sleep 1000 & echo started; wait")
    await started(http, build)
    await until(lambda: len(processes()) >= 3)
    server.stop()
    assert processes() == []


async def test_real_work_has_its_real_time_however_fast_the_server(marker):
    # At this speed a scaled limit of 15 minutes would be over in 90 ms, and one of 30 minutes in 180 ms.
    with LocalServer(execute=True, speed=10_000, limits=False) as server:
        headers = {"X-API-Key": server.api_key}
        async with httpx.AsyncClient(base_url=server.base_url, headers=headers, verify=False) as http:
            spec = {"from": "python:3.11", "steps": [{"run": f"sleep 0.3 # {marker}"}]}
            created = (await http.post("/templates", json={"name": "app", "build_spec": spec})).json()
            await asyncio.to_thread(server.builds.wait_for, created["build_id"], "ready")
