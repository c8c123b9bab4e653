"""What becomes of sandboxes and their tokens with time: the server's clock, which the tests move on by hand."""

from datetime import timedelta

import httpx
import pytest

from superserve.local import Limits, LocalServer, TeamLimits
from superserve.local._app.clock import Clock

HOUR = 3600
# Real time goes on while a test runs, and its machine may stand still for a while.
SLACK = 300


@pytest.fixture(scope="module")
def server():
    with LocalServer(limits=False) as server:
        yield server


@pytest.fixture(scope="module")
def fast():
    with LocalServer(speed=1000, limits=False) as server:
        yield server


@pytest.fixture(scope="module")
def http():
    with httpx.Client(timeout=20, verify=False) as http:
        yield http


class Api:
    """Plain requests to one server."""

    def __init__(self, server, http):
        server.reset()
        server.commands.on("*").answer()
        self.server = server
        self._http = http

    def ask(self, method, path, body=None):
        headers = {"X-API-Key": self.server.api_key}
        return self._http.request(method, self.server.base_url + path, headers=headers, json=body)

    def create(self, **fields):
        return self.ask("POST", "/sandboxes", {"name": "box", **fields}).json()

    def status(self, sandbox_id):
        answer = self.ask("GET", f"/sandboxes/{sandbox_id}")
        return answer.json()["status"] if answer.status_code == 200 else None

    def run(self, sandbox_id, token):
        headers = {"X-Superserve-Sandbox-Id": sandbox_id, "X-Access-Token": token}
        return self._http.post(
            self.server.base_url + "/exec", headers=headers, json={"command": "true"}
        ).status_code


@pytest.fixture
def api(server, http):
    return Api(server, http)


@pytest.fixture
def move(monkeypatch):
    """Move the server's clock on."""
    steady, moved = Clock.steady, [0.0]
    monkeypatch.setattr(Clock, "steady", lambda clock: steady(clock) + timedelta(seconds=moved[0]))

    def move(seconds):
        moved[0] += seconds

    return move


def to_the_next_hour(server, move):
    now = server._running().services.clock.steady().timestamp()
    move(HOUR - now % HOUR)


def test_a_token_is_the_same_for_everybody_for_an_hour_and_good_for_the_next_one(server, api, move):
    to_the_next_hour(server, move)
    made = api.create()
    box, token = made["id"], made["access_token"]
    path = f"/sandboxes/{box}"
    move(HOUR - SLACK)
    assert api.ask("GET", path).json()["access_token"] == token
    assert api.ask("POST", f"{path}/pause").status_code == 204
    assert api.ask("POST", f"{path}/resume").json()["access_token"] == token
    move(SLACK)
    fresh = api.ask("POST", f"{path}/activate").json()["access_token"]
    assert fresh != token
    move(HOUR - SLACK)
    assert (api.run(box, token), api.run(box, fresh)) == (200, 200)
    move(SLACK)
    assert (api.run(box, token), api.run(box, fresh)) == (401, 200)


def test_tokens_are_in_no_list(api):
    api.create()
    [listed] = api.ask("GET", "/sandboxes").json()
    assert not {"access_token", "routing_hint"} & listed.keys()


def test_time_is_over_after_so_long_in_one_session_and_not_since_the_creation(server, api, move):
    box = api.create(timeout_seconds=1000)["id"]
    move(1000 - SLACK)
    server.sandboxes.reap()
    assert api.status(box) == "active"
    move(SLACK)
    assert api.status(box) == "active", "nobody has looked yet"
    server.sandboxes.reap()
    assert api.status(box) == "paused"
    api.ask("POST", f"/sandboxes/{box}/resume")
    move(1000 - SLACK)
    server.sandboxes.reap()
    assert api.status(box) == "active"


def test_a_time_that_is_already_over_counts_at_the_next_round(server, api, move):
    box = api.create()["id"]
    move(1000)
    assert api.ask("PATCH", f"/sandboxes/{box}", {"timeout_seconds": 500}).status_code == 204
    assert api.status(box) == "active"
    server.sandboxes.reap()
    assert api.status(box) == "paused"


def test_a_paused_one_is_deleted_so_long_after_its_pause(server, api, move):
    box = api.create(auto_delete_seconds=1000)["id"]
    move(2000)
    server.sandboxes.reap()
    assert api.status(box) == "active"
    api.ask("POST", f"/sandboxes/{box}/pause")
    move(1000 - SLACK)
    api.ask("PATCH", f"/sandboxes/{box}", {"auto_delete_seconds": 1000})
    move(SLACK)
    server.sandboxes.reap()
    assert api.status(box) == "paused", "the change counts from now"
    move(1000 - SLACK)
    server.sandboxes.reap()
    assert api.status(box) is None


@pytest.mark.parametrize("status", ["starting", "pausing", "resuming"])
def test_what_a_crash_cut_short_can_be_deleted_after_a_quarter_of_an_hour(server, api, move, status):
    box = server.sandboxes.add(status=status)
    move(900 - SLACK)
    assert api.ask("DELETE", f"/sandboxes/{box}").status_code == 409
    move(SLACK)
    assert api.ask("DELETE", f"/sandboxes/{box}").status_code == 204


def test_rounds_come_every_half_minute(fast, http):
    api = Api(fast, http)
    box = api.create(timeout_seconds=1)["id"]
    while api.status(box) != "paused":
        pass


@pytest.mark.parametrize(
    ("status", "verb"), [("starting", "activate"), ("resuming", "activate"), ("pausing", "resume")]
)
def test_transitions_are_waited_for_and_not_for_ever(fast, http, status, verb):
    api = Api(fast, http)
    box = fast.sandboxes.add(status=status)
    assert api.ask("POST", f"/sandboxes/{box}/{verb}").status_code == 409
    fast.sandboxes.behave(starting_s=1, resuming_s=1, pausing_s=1)
    box = api.create()["id"]
    if status != "starting":
        while api.ask("POST", f"/sandboxes/{box}/pause").status_code == 409:
            pass
    if status == "resuming":
        while api.ask("POST", f"/sandboxes/{box}/resume").status_code == 409:
            pass
    # It is done within the wait, unless the machine stands still.
    while (answer := api.ask("POST", f"/sandboxes/{box}/{verb}")).status_code == 409:
        pass
    assert (answer.status_code, answer.json()["status"]) == (200, "active")


def test_the_quota_counts_active_ones_of_one_team_alone(http):
    team = TeamLimits(sandboxes=1, requests_per_s=1e6, burst=1_000_000)
    with LocalServer(limits=Limits(1e6, 1_000_000, team)) as server:
        api = Api(server, http)
        server.sandboxes.add(status="failed")
        server.sandboxes.add(team=server.add_team())
        first = api.create()["id"]
        full = [
            api.ask("POST", "/sandboxes", {"name": "second"}),
        ]
        api.ask("POST", f"/sandboxes/{first}/pause")
        second = api.create()["id"]
        full += [api.ask("POST", f"/sandboxes/{first}/{verb}") for verb in ("resume", "activate")]
        for refused in full:
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_sandboxes")
            assert "1 active" in refused.json()["error"]["message"]
            assert "retry-after" not in refused.headers
        assert api.ask("POST", f"/sandboxes/{second}/activate").status_code == 200
        api.ask("DELETE", f"/sandboxes/{second}")
        assert api.ask("POST", f"/sandboxes/{first}/activate").status_code == 200


@pytest.mark.parametrize("header", [{}, {"Prefer": "respond-async"}])
def test_a_pause_is_over_when_it_is_answered_whatever_is_preferred(server, http, api, header):
    path = f"{server.base_url}/sandboxes/{api.create()['id']}"
    key = {"X-API-Key": server.api_key}
    paused = http.post(f"{path}/pause", headers={**key, **header})
    assert (paused.status_code, paused.content) == (204, b"")
    assert http.get(path, headers=key).json()["status"] == "paused"
