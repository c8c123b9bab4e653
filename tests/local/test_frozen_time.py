"""Tests that keep time still or move it: times of day are theirs, and waits take as long as they take."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import freezegun
import httpx
import pytest
import time_machine
from cryptography import x509

from superserve import AsyncTemplate, Sandbox, SandboxTimeoutError, Superserve, Template
from superserve.local import LocalServer

LATER = datetime(2040, 1, 1, tzinfo=UTC)

# Each keeps time still at a moment, and can be moved on.
FREEZERS = {
    "freezegun": lambda moment: freezegun.freeze_time(moment, real_asyncio=True),
    "time-machine": lambda moment: time_machine.travel(moment, tick=False),
}

pytestmark = pytest.mark.parametrize("freeze", FREEZERS.values(), ids=FREEZERS)


@pytest.fixture
def server():
    with LocalServer(speed=100, limits=False) as server:
        yield server


def connection(server):
    return {"base_url": server.base_url, "api_key": server.api_key}


def test_a_server_that_starts_while_time_stands_still_builds(freeze):
    with freeze(LATER), LocalServer(speed=100) as server:
        template = Template.create(name="demo", from_="python:3.11", **connection(server))
        info = template.wait_until_ready(poll_interval_s=0.01, timeout_s=10)

        assert info.status == "ready"
        assert info.created_at == LATER


def test_a_wait_ends_at_its_timeout(server, freeze):
    server.builds.hold()
    with freeze(LATER):
        template = Template.create(name="demo", from_="python:3.11", **connection(server))
        with pytest.raises(SandboxTimeoutError):
            template.wait_until_ready(poll_interval_s=0.01, timeout_s=0.1)
        with pytest.raises(SandboxTimeoutError):
            template.wait_until_ready(poll_interval_s=0.01, timeout_s=0.1, on_log=print)


async def test_an_asynchronous_wait_ends_at_its_timeout(server, freeze):
    server.builds.hold()
    with freeze(LATER):
        template = await AsyncTemplate.create(name="demo", from_="python:3.11", **connection(server))
        with pytest.raises(SandboxTimeoutError):
            await template.wait_until_ready(poll_interval_s=0.01, timeout_s=0.1)


def test_a_call_ends_at_its_timeout(server, freeze):
    server.faults.on("GET /templates", share=1).stall()
    with (
        freeze(LATER),
        Superserve(timeout_s=0.1, **connection(server)) as client,
        pytest.raises(SandboxTimeoutError),
    ):
        Template.list(client=client)


def test_waits_for_faults_and_requests_end(server, freeze):
    fault = server.faults.on("GET /templates").answer(503)
    with freeze(LATER):
        with pytest.raises(TimeoutError):
            fault.wait_for(timeout_s=0.01)
        with pytest.raises(TimeoutError):
            server.requests.wait_for(timeout_s=0.01)


@pytest.fixture
def patient():
    """A server on which a build may wait for 12 s, as freezegun takes a while to begin."""
    with LocalServer(speed=10, limits=False) as server:
        yield server


def test_moving_time_on_times_out_no_build(patient, freeze):
    server = patient
    server.builds.hold()
    build_id = server.builds.add(server.templates.add(), status="pending")
    server.builds.wait_for(build_id, "building")
    server.builds.hold("pending")
    waiting_id = server.builds.add(server.templates.add(), status="pending")

    with freeze(datetime.now(UTC) + timedelta(days=1)):
        server.builds.release()

        assert server.builds.wait_for(build_id, "ready", "failed") == "ready"
        assert server.builds.wait_for(waiting_id, "ready", "failed") == "ready"


def test_certificates_of_official_addresses_are_of_now_though_time_stands_still(server, freeze):
    now = datetime.now(UTC)
    with freeze(LATER):
        environment = server.official_environment()

    authority = x509.load_pem_x509_certificate(Path(environment["SSL_CERT_FILE"]).read_bytes())
    assert authority.not_valid_before_utc < now < authority.not_valid_after_utc < LATER


def test_a_limit_of_requests_recovers_though_time_stands_still(freeze):
    with freeze(LATER), LocalServer() as server, httpx.Client(verify=False) as http:
        while http.get(server.base_url + "/health").status_code != 429:
            pass

        assert any(http.get(server.base_url + "/health").status_code == 200 for _ in range(10_000))


def test_the_newest_is_the_one_made_last_though_time_stands_still(server, freeze):
    with freeze(LATER):
        template_id = server.templates.add("first")
        server.templates.add("last")
        builds = [server.builds.add(template_id) for _ in range(2)]
        headers = {"X-API-Key": server.api_key}
        with httpx.Client(base_url=server.base_url, headers=headers, verify=False) as http:
            listed = json.loads(http.get("/templates").text)
            of_template = http.get(f"/templates/{template_id}/builds").json()

    assert [row["name"] for row in listed][:2] == ["last", "first"]
    assert [row["id"] for row in of_template] == builds[::-1]


@pytest.fixture
def http(server):
    headers = {"X-API-Key": server.api_key}
    with httpx.Client(base_url=server.base_url, headers=headers, verify=False, timeout=60) as http:
        yield http


def test_moving_time_on_ends_no_sandbox_and_takes_no_token_away(http, freeze):
    made = http.post("/sandboxes", json={"name": "box", "timeout_seconds": 3600}).json()
    idle = http.post("/sandboxes", json={"name": "idle", "auto_delete_seconds": 3600}).json()
    http.post(f"/sandboxes/{idle['id']}/pause")

    with freeze(datetime.now(UTC) + timedelta(days=1)):
        # As soon as this one is gone, the others have been looked at.
        short = http.post("/sandboxes", json={"name": "short", "timeout_seconds": 1}).json()
        wait_for_status(http, short["id"], "paused")

        assert http.get(f"/sandboxes/{made['id']}").json()["status"] == "active"
        assert http.get(f"/sandboxes/{made['id']}").json()["access_token"] == made["access_token"]
        assert http.get(f"/sandboxes/{idle['id']}").json()["status"] == "paused"


def wait_for_status(http, sandbox_id, status):
    for _ in range(1000):
        if http.get(f"/sandboxes/{sandbox_id}").json()["status"] == status:
            return
    raise AssertionError(f"never {status}")


def test_the_newest_sandbox_is_listed_first_though_time_stands_still(http, freeze):
    with freeze(LATER):
        made = [http.post("/sandboxes", json={"name": name}).json()["id"] for name in ("first", "last")]
        assert [row["id"] for row in http.get("/sandboxes").json()] == made[::-1]


def test_waiting_for_a_command_ends_at_its_timeout(server, freeze):
    server.commands.on("build*").answer(stdout="done", after_s=100_000)
    with freeze(LATER), Sandbox.create(name="box", **connection(server)) as sandbox:
        command = sandbox.commands.spawn("build all")
        with pytest.raises(SandboxTimeoutError):
            command.wait(timeout_s=0.1)
        command.kill()
