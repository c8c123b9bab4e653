"""Sandboxes on the local server, as plain HTTP sees them: the control plane."""

import re
import time
import uuid

import httpx
import pytest

from superserve.local import Limits, LocalServer, TeamLimits

NOBODY = str(uuid.UUID(int=7))


@pytest.fixture(scope="module")
def server():
    with LocalServer(speed=100, limits=False) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http:
        yield http


@pytest.fixture(autouse=True)
def fresh(server):
    server.reset()


def create(http, **fields):
    response = http.post("/sandboxes", json={"name": "box", **fields})
    assert response.status_code == 201, response.text
    return response.json()


def refusal(response):
    return response.status_code, response.json()["error"]["code"]


def test_a_sandbox_is_active_at_once_and_has_a_token(http):
    made = create(http)
    assert (made["status"], made["vcpu_count"], made["memory_mib"]) == ("active", 1, 1024)
    assert re.fullmatch(r"[0-9a-f]{64}", made["access_token"])
    assert made["metadata"] == {}
    assert made["preview_access"] == "public"
    assert not {"timeout_seconds", "auto_delete_seconds", "network", "secrets"} & made.keys()


def test_what_was_created_can_be_got_in_either_form_of_its_id(http):
    made = create(http)
    assert http.get(f"/sandboxes/{made['id']}").json() == made
    assert http.get(f"/sandboxes/sb-use-{made['id']}").json() == made
    assert refusal(http.get(f"/sandboxes/{NOBODY}")) == (404, "not_found")
    assert refusal(http.get("/sandboxes/mine")) == (400, "bad_request")


def test_lists_show_no_token_newest_first(http):
    made = [create(http, name=name)["id"] for name in ("a", "b", "c")]
    listed = http.get("/sandboxes")
    assert [row["id"] for row in listed.json()] == made[::-1]
    assert listed.headers["x-total-count"] == "3"
    assert not any("access_token" in row for row in listed.json())


def test_lists_are_cut_sorted_and_searched(http):
    for name in ("alpha", "beta", "gamma"):
        create(http, name=name, metadata={"kind": name[0]})
    names = lambda query: [row["name"] for row in http.get(f"/sandboxes?{query}").json()]  # noqa: E731
    assert names("sort=name&order=asc") == ["alpha", "beta", "gamma"]
    assert names("sort=name&order=asc&limit=1&offset=1") == ["beta"]
    assert names("q=ALPH") == ["alpha"]
    assert names("metadata.kind=g") == ["gamma"]
    assert names("status=paused,failed") == []
    assert len(names("status=active")) == 3
    for query in ("status=x", "sort=size", "metadata.a=1&metadata.a=2", "metadata.superserve.x=1", "limit=0"):
        assert refusal(http.get(f"/sandboxes?{query}")) == (400, "bad_request"), query


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 65},
        {"name": 5},
        {"name": "x", "unknown": 1},
        {"name": "x", "timeout_seconds": 0},
        {"name": "x", "timeout_seconds": 604_801},
        {"name": "x", "timeout_seconds": 1.5},
        {"name": "x", "auto_delete_seconds": -1},
        {"name": "x", "metadata": {"superserve.x": "1"}},
        {"name": "x", "metadata": {"": "1"}},
        {"name": "x", "metadata": {"k": 1}},
        {"name": "x", "env_vars": {"A=B": "1"}},
        {"name": "x", "env_vars": {"K": "v" * 8193}},
        {"name": "x", "network": {"deny_out": ["example.com"]}},
        {"name": "x", "network": {"allow_out": ["::1"]}},
        {"name": "x", "secrets": {"A": "nothing"}},
        {"name": "x", "env_vars": {"A": "1"}, "secrets": {"A": "s"}},
        {"name": "x", "preview_access": "secret"},
        {"name": "x", "from_template": "a", "from_snapshot": NOBODY},
        {"name": "x", "from_snapshot": "latest"},
    ],
)
def test_a_body_that_makes_no_sense_is_refused(http, body):
    status, code = refusal(http.post("/sandboxes", json=body))
    assert status == 400
    assert code in {"bad_request", "secret_not_found"}
    assert http.get("/sandboxes").json() == []


def test_the_template_has_to_be_there_and_ready(server, http):
    assert refusal(http.post("/sandboxes", json={"name": "x", "from_template": "no"})) == (404, "not_found")
    assert refusal(http.post("/sandboxes", json={"name": "x", "from_template": NOBODY})) == (404, "not_found")
    server.builds.hold()
    http.post("/templates", json={"name": "slow", "build_spec": {"from": "python:3.11"}})
    response = http.post("/sandboxes", json={"name": "x", "from_template": "slow"})
    assert refusal(response) == (409, "conflict")
    assert "status=building" in response.json()["error"]["message"]


def test_a_template_that_a_sandbox_uses_cannot_be_deleted(server, http):
    template_id = server.templates.add("used")
    made = create(http, from_template="used")
    assert refusal(http.delete(f"/templates/{template_id}")) == (409, "conflict")
    http.delete(f"/sandboxes/{made['id']}")
    assert http.delete(f"/templates/{template_id}").status_code == 204


def test_pause_and_resume_change_what_the_next_get_says(http):
    path = f"/sandboxes/{create(http)['id']}"
    assert http.post(f"{path}/pause", headers={"Prefer": "respond-async"}).status_code == 204
    assert http.get(path).json()["status"] == "paused"
    assert refusal(http.post(f"{path}/pause")) == (409, "conflict")
    resumed = http.post(f"{path}/resume")
    assert resumed.json().keys() == {"id", "status", "access_token"}
    assert refusal(http.post(f"{path}/resume")) == (409, "conflict")
    assert http.get(path).json()["status"] == "active"


def test_activate_wakes_a_paused_one_and_takes_an_active_one(http):
    path = f"/sandboxes/{create(http)['id']}"
    assert http.post(f"{path}/activate").json()["status"] == "active"
    http.post(f"{path}/pause")
    assert http.post(f"{path}/activate").json() == http.get(path).json()


def test_a_deleted_one_is_gone(http):
    path = f"/sandboxes/{create(http)['id']}"
    assert http.delete(path).status_code == 204
    assert refusal(http.delete(path)) == (404, "not_found")
    assert refusal(http.get(path)) == (404, "not_found")


def test_a_patch_changes_what_it_names_and_null_clears(http):
    path = f"/sandboxes/{create(http, timeout_seconds=600, metadata={'a': '1'})['id']}"
    assert http.patch(path, json={"metadata": {"b": "2"}}).status_code == 204
    assert http.patch(path, json={"timeout_seconds": None, "auto_delete_seconds": 60}).status_code == 204
    row = http.get(path).json()
    assert (row["metadata"], row.get("timeout_seconds"), row["auto_delete_seconds"]) == ({"b": "2"}, None, 60)
    for body in ({}, {"metadata": None}, {"name": "x"}, {"timeout_seconds": 0}):
        assert refusal(http.patch(path, json=body)) == (400, "bad_request"), body


def test_rules_of_the_network_come_back_with_addresses_first_once_they_are_stored(http):
    rules = {"allow_out": ["example.com", "1.2.3.4"], "deny_out": ["0.0.0.0/0"]}
    made = create(http, network=rules)
    assert made["network"] == rules
    path = f"/sandboxes/{made['id']}"
    assert http.get(path).json()["network"]["allow_out"] == ["1.2.3.4", "example.com"]
    http.post(f"{path}/pause")
    assert refusal(http.patch(path, json={"network": {}})) == (409, "conflict")


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_sandbox_is_paused_when_its_time_is_over_and_deleted_when_it_was_paused_for_long(http):
    path = f"/sandboxes/{create(http, timeout_seconds=1)['id']}"
    wait_for(lambda: http.get(path).json()["status"] == "paused")
    http.patch(path, json={"auto_delete_seconds": 1})
    assert "auto_delete_at" in http.get(path).json()
    wait_for(lambda: http.get(path).status_code == 404)


def test_one_that_is_to_be_deleted_with_the_pause_is_gone_then(http):
    path = f"/sandboxes/{create(http, auto_delete_seconds=0)['id']}"
    assert http.post(f"{path}/pause").status_code == 204
    assert http.get(path).status_code == 404


def test_another_teams_sandboxes_are_not_there(server, http):
    path = f"/sandboxes/{create(http)['id']}"
    other = {"X-API-Key": server.add_team().api_key}
    assert refusal(http.get(path, headers=other)) == (404, "not_found")
    assert refusal(http.delete(path, headers=other)) == (404, "not_found")
    assert http.get("/sandboxes", headers=other).json() == []


def test_a_team_may_have_so_many_active_ones():
    team = TeamLimits(sandboxes=1, requests_per_s=1000, burst=1000)
    with (
        LocalServer(limits=Limits(1000, 1000, team)) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        path = f"/sandboxes/{create(http)['id']}"
        refused = http.post("/sandboxes", json={"name": "two"})
        assert refusal(refused) == (429, "too_many_sandboxes")
        assert "retry-after" not in refused.headers
        http.post(f"{path}/pause")
        create(http)
        assert refusal(http.post(f"{path}/resume")) == (429, "too_many_sandboxes")
