"""The control plane's checks of sandboxes: of several things that are wrong, the first in the server's order is told.

Each row of a table has everything wrong that the later rows have.
"""

import uuid

import httpx
import pytest

from superserve.local import Limits, LocalServer, TeamLimits


@pytest.fixture(scope="module")
def server():
    team = TeamLimits(sandboxes=0, requests_per_s=1e6, burst=1_000_000)
    with LocalServer(limits=Limits(1e6, 1_000_000, team)) as server:
        server.templates.add("half", status="building")
        yield server


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http:
        yield http


def told(response):
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


# What is wrong with a create, in the order of the checks.
CREATE = {
    "name": ({"name": "é" * 33}, "bad_request", "name must be 1-64 bytes"),
    "timeout": ({"timeout_seconds": 0}, "bad_request", "timeout_seconds must be 1-604800"),
    "auto-delete": ({"auto_delete_seconds": -1}, "bad_request", "auto_delete_seconds must be 0-2592000"),
    "network": ({"network": {"deny_out": ["::1"]}}, "bad_request", "IPv6"),
    "metadata": ({"metadata": {"superserve.x": "y"}}, "bad_request", "metadata"),
    "env_vars": ({"env_vars": {"A=B": "c", "BOTH": ""}}, "bad_request", "env_vars"),
    "how many secrets": (
        {"secrets": {f"K{number}": "x" for number in range(33)}},
        "bad_request",
        "at most 32",
    ),
    "the variable of a secret": ({"secrets": {"0": "x y", "BOTH": "x"}}, "bad_request", '"0"'),
    "the name of a secret": ({"secrets": {"KEY": "x y", "BOTH": "x"}}, "bad_request", '"x y"'),
    "a variable that is both": (
        {"secrets": {"BOTH": "missing"}, "env_vars": {"BOTH": ""}},
        "bad_request",
        "both",
    ),
    "a secret that is missing": ({"secrets": {"OTHER": "missing"}}, "secret_not_found", "missing"),
}
NAMES = list(CREATE)


@pytest.mark.parametrize("row", NAMES)
def test_the_first_thing_that_is_wrong_with_a_create_is_told(http, row):
    body = {"name": "box", "from_template": "nowhere"}
    for name in reversed(NAMES[NAMES.index(row) :]):
        # What comes earlier in the order takes the place of what comes later under the same key.
        body |= CREATE[name][0]
    _, code, text = CREATE[row]
    status, found, message = told(http.post("/sandboxes", json=body))
    assert (status, found) == (400, code)
    assert text in message


def test_a_body_that_cannot_be_read_comes_before_all_that_is_wrong_in_it(http):
    for body in (
        b"",
        b"{",
        b"[]",
        b'{"name": 5, "timeout_seconds": 0}',
        b'{"name": "", "odd": 1}',
        b'{"name": ""} x',
    ):
        assert told(http.post("/sandboxes", content=body)) == (400, "bad_request", "invalid request body")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"from_template": "nowhere"}, 404, "not_found"),
        ({"from_template": "half"}, 409, "conflict"),
        ({"from_snapshot": "no-uuid"}, 400, "bad_request"),
        ({"from_snapshot": str(uuid.uuid4())}, 404, "not_found"),
        ({}, 429, "too_many_sandboxes"),
    ],
)
def test_the_template_comes_after_the_body_and_before_the_quota(http, body, status, code):
    assert told(http.post("/sandboxes", json={"name": "box", **body}))[:2] == (status, code)


def test_the_key_comes_before_the_id_and_the_id_before_the_body_and_that_before_the_row_and_its_state(
    server, http
):
    nobody = {"X-API-Key": "wrong"}
    gone, failed = uuid.uuid4(), server.sandboxes.add(status="failed")
    patch = lambda sandbox_id, body, **options: http.patch(f"/sandboxes/{sandbox_id}", json=body, **options)  # noqa: E731
    wrong, network = {"timeout_seconds": 0}, {"network": {"deny_out": []}}
    assert patch("no-uuid", wrong, headers=nobody).status_code == 401
    assert told(patch("no-uuid", wrong)) == (
        400,
        "bad_request",
        'invalid sandbox_id: "no-uuid" is not a UUID',
    )
    assert told(patch(gone, wrong))[:2] == (400, "bad_request")
    assert told(patch(gone, network))[:2] == (404, "not_found")
    assert told(patch(failed, network))[:2] == (409, "conflict")
    assert patch(failed, {"metadata": {}}).status_code == 204


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "at least one field"),
        ({"metadata": None, "network": None}, "at least one field"),
        ({"timeout_seconds": 0, "network": {"deny_out": ["::1"]}, "metadata": {"": ""}}, "timeout_seconds"),
        ({"network": {"deny_out": ["::1"]}, "metadata": {"": ""}}, "IPv6"),
        ({"metadata": {"": ""}, "preview_access": "nobody"}, "metadata"),
    ],
)
def test_the_first_thing_that_is_wrong_with_a_change_is_told(server, http, body, text):
    path = f"/sandboxes/{server.sandboxes.add()}"
    status, code, message = told(http.patch(path, json=body))
    assert (status, code) == (400, "bad_request")
    assert text in message


@pytest.mark.parametrize("window", ["timeout_seconds", "auto_delete_seconds"])
def test_a_window_may_be_null_alone(server, http, window):
    assert http.patch(f"/sandboxes/{server.sandboxes.add()}", json={window: None}).status_code == 204


def test_any_spelling_of_an_id_is_good(server, http):
    sandbox_id = server.sandboxes.add()
    for spelling in (
        sandbox_id.upper(),
        sandbox_id.replace("-", ""),
        f"urn:uuid:{sandbox_id}",
        f"{{{sandbox_id}}}",
        f"sb-use-{sandbox_id}",
        f"sb-nowhere9-{sandbox_id}",
    ):
        assert http.get(f"/sandboxes/{spelling}").json()["id"] == sandbox_id
    for odd in (f"sb--{sandbox_id}", f"sb-USE-{sandbox_id}", f"x{sandbox_id}", sandbox_id[:-1]):
        assert told(http.get(f"/sandboxes/{odd}"))[:2] == (400, "bad_request")


def test_a_wrong_method_is_an_unknown_route_and_needs_no_key(server):
    with httpx.Client(base_url=server.base_url, verify=False) as nobody:
        for method, path in (
            ("PUT", "/sandboxes"),
            ("POST", f"/sandboxes/{uuid.uuid4()}"),
            ("GET", "/sandbox"),
        ):
            answer = nobody.request(method, path)
            assert (answer.status_code, answer.text) == (404, "404 page not found")


# What an operation says of a sandbox in each state; the states are those of the sheet.
REFUSED = {
    "pause": {"starting", "pausing", "paused", "resuming", "failed"},
    "resume": {"starting", "active", "resuming", "failed"},
    "activate": {"failed"},
}


@pytest.mark.parametrize("verb", REFUSED)
@pytest.mark.parametrize("status", ["starting", "active", "pausing", "paused", "resuming", "failed"])
def test_what_a_state_does_not_allow_is_a_conflict(verb, status, states):
    server, http = states
    path = f"/sandboxes/{server.sandboxes.add(status=status)}"
    answer = http.post(f"{path}/{verb}")
    waits = (verb, status) in {("activate", "starting"), ("activate", "resuming"), ("resume", "pausing")}
    if (verb, status) == ("activate", "pausing"):
        assert (told(answer)[:2], answer.headers["retry-after"]) == ((409, "sandbox_pausing"), "1")
    elif status in REFUSED[verb] or waits:
        assert told(answer)[:2] == (409, "conflict")
        assert status in told(answer)[2]
    else:
        assert answer.status_code in (200, 204)


@pytest.fixture(scope="module")
def states():
    # Fast, because some transitions are waited for.
    with (
        LocalServer(speed=1000, limits=False) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        yield server, http


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("starting", 409),
        ("active", 204),
        ("pausing", 409),
        ("paused", 204),
        ("resuming", 409),
        ("failed", 204),
    ],
)
def test_what_changes_its_state_cannot_be_deleted(server, http, status, answer):
    path = f"/sandboxes/{server.sandboxes.add(status=status)}"
    assert http.delete(path).status_code == answer
    assert http.get(path).status_code == (404 if answer == 204 else 200)
