"""The data plane's edge: of several things that are wrong with a request, the first in its order is told.

Each row of the table has everything wrong that a later row has, as far as one request can.
"""

import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from superserve.local import LocalServer


@pytest.fixture(scope="module")
def server():
    with LocalServer(speed=100, limits=False) as server:
        yield server


@pytest.fixture(scope="module")
def http():
    with httpx.Client(timeout=20, verify=False) as http:
        yield http


@pytest.fixture
def ask(server, http):
    """Ask for something in a sandbox."""

    def ask(*, host=None, box=None, token=None, path="/exec", method="POST"):
        given = {"Host": host, "X-Superserve-Sandbox-Id": box, "X-Access-Token": token}
        headers = {name: value for name, value in given.items() if value is not None}
        body = {"command": "true"} if method == "POST" else None
        return http.request(method, server.base_url + path, headers=headers, json=body)

    return ask


@pytest.fixture
def gone(server, http):
    """The id and token of a sandbox that is there no more: all later steps are wrong with it."""
    sandbox_id = server.sandboxes.add()
    token = server.sandboxes.token(sandbox_id)
    http.delete(f"{server.base_url}/sandboxes/{sandbox_id}", headers={"X-API-Key": server.api_key})
    return sandbox_id, token


@pytest.fixture(autouse=True)
def _as_at_the_start(server):
    server.reset()
    server.commands.on("*").answer()


CAPPED = {"connections": 0, "address_connections": 0}
NO_PATH, NUL, UPWARDS = "/files", "/files?path=/a%00/../b", "/files?path=/a/../b"
ROWS = {
    "no sandbox": (CAPPED, {"path": NO_PATH, "method": "PUT"}, 400, "invalid sandbox URL\n"),
    "an id that is none": (CAPPED, {"box": "a b", "path": NO_PATH}, 400, "invalid sandbox URL\n"),
    "a name that is none": (
        CAPPED,
        {"host": "boxd-.localhost", "path": NO_PATH},
        400,
        "invalid sandbox URL\n",
    ),
    "connections to it": (
        CAPPED,
        {"path": "/none", "method": "PUT"},
        429,
        "too many connections to sandbox\n",
    ),
    "connections from here": (
        {"address_connections": 0},
        {"path": "/none", "method": "PUT"},
        429,
        "too many connections from this IP\n",
    ),
    "path": ({}, {"path": "/none", "method": "PUT"}, 404, "404 page not found\n"),
    "method": ({}, {"path": NO_PATH, "method": "PUT"}, 405, "method not allowed\n"),
    "method of exec": ({}, {"method": "GET"}, 405, "method not allowed\n"),
    "no path of a file": ({}, {"path": NO_PATH, "method": "GET"}, 400, "path is required\n"),
    "a NUL": ({}, {"path": NUL, "method": "GET"}, 400, "path must not contain NUL\n"),
    "upwards": ({}, {"path": UPWARDS, "method": "GET"}, 400, "path traversal not allowed\n"),
    "no token": ({}, {}, 401, "missing X-Access-Token header\n"),
    "a wrong token": ({}, {"token": "wrong"}, 401, "invalid access token\n"),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_first_thing_that_is_wrong_is_told(server, ask, gone, row):
    behaviour, request, status, text = ROWS[row]
    server.sandboxes.behave(**behaviour)
    if "box" not in request and "host" not in request and row != "no sandbox":
        request = {"host": f"boxd-{gone[0]}.localhost", **request}
    answer = ask(**request)
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["content-type"].startswith("text/plain")
    assert not {"retry-after", "referrer-policy"} & answer.headers.keys()


def test_a_method_that_is_refused_says_which_are_not(ask, gone):
    host = f"boxd-{gone[0]}.localhost"
    for path, allowed in (("/exec", "POST"), ("/exec/stream", "POST"), ("/files", "GET, POST")):
        assert ask(host=host, path=path, method="PUT").headers["allow"] == allowed
    assert ask(host=host, path="/files", method="HEAD").status_code == 405


def test_what_is_not_there_comes_after_its_token_and_in_an_envelope(ask, gone):
    answer = ask(box=gone[0], token=gone[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "sandbox_route_stale")
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("status", ["pausing", "paused", "failed"])
def test_what_does_not_run_comes_last_and_in_an_envelope(server, ask, status):
    sandbox_id = server.sandboxes.add(status=status)
    answer = ask(box=sandbox_id, token=server.sandboxes.token(sandbox_id))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "sandbox_unavailable")
    assert "retry-after" not in answer.headers
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/exec", "/exec/stream"])
def test_every_form_of_an_address_is_accepted(server, ask, path):
    sandbox_id = server.sandboxes.add()
    token = server.sandboxes.token(sandbox_id)
    for form in (
        {"box": sandbox_id},
        {"box": sandbox_id.upper()},
        {"box": f"sb-use-{sandbox_id}"},
        {"host": f"boxd-{sandbox_id}.localhost"},
        {"host": f"boxd-sb-use-{sandbox_id}.localhost"},
    ):
        answer = ask(token=token, path=path, **form)
        assert (answer.status_code, answer.headers["referrer-policy"]) == (200, "no-referrer")


def test_the_name_of_the_host_counts_more_than_the_header(server, ask, gone):
    sandbox_id = server.sandboxes.add()
    token = server.sandboxes.token(sandbox_id)
    assert ask(host=f"boxd-{sandbox_id}.localhost", box=gone[0], token=token).status_code == 200


def test_connections_are_counted_by_the_address_that_a_proxy_names(server, http):
    server.commands.on("wait").answer(after_s=1_000_000)
    server.sandboxes.behave(address_connections=1)
    sandbox_id = server.sandboxes.add()
    headers = {
        "X-Superserve-Sandbox-Id": sandbox_id,
        "X-Access-Token": server.sandboxes.token(sandbox_id),
        "X-Forwarded-For": "192.0.2.1, 10.0.0.1",
    }
    url = f"{server.base_url}/exec"

    def status(address):
        other = {**headers, "X-Forwarded-For": address}
        return http.post(url, json={"command": "true"}, headers=other).status_code

    with http.stream("POST", f"{url}/stream", json={"command": "wait"}, headers=headers) as held:
        pieces = held.iter_raw()
        next(pieces)
        assert [status("192.0.2.1"), status("192.0.2.2"), status("10.0.0.1")] == [429, 200, 200]


def test_a_pause_frees_the_connections_that_it_cuts(server, http):
    server.commands.on("wait").answer(after_s=1_000_000)
    server.sandboxes.behave(connections=1)
    sandbox_id = server.sandboxes.add()
    headers = {"X-Superserve-Sandbox-Id": sandbox_id, "X-Access-Token": server.sandboxes.token(sandbox_id)}
    path = f"{server.base_url}/sandboxes/{sandbox_id}"
    key = {"X-API-Key": server.api_key}
    with http.stream(
        "POST", f"{server.base_url}/exec/stream", json={"command": "wait"}, headers=headers
    ) as held:
        pieces = held.iter_raw()
        next(pieces)
        assert http.post(f"{path}/pause", headers=key).status_code == 204
        with pytest.raises(httpx.TransportError):
            list(pieces)
    http.post(f"{path}/resume", headers=key)
    ran = http.post(f"{server.base_url}/exec", json={"command": "true"}, headers=headers)
    assert ran.status_code == 200


def refusal(server, sandbox_id, *protocols):
    with pytest.raises(InvalidStatus) as refused:
        connect(
            server.base_url.replace("http", "ws") + "/exec/connect",
            additional_headers={"X-Superserve-Sandbox-Id": sandbox_id},
            subprotocols=["superserve.exec.v1", *protocols],
            proxy=None,
        )
    response = refused.value.response
    return response.status_code, response.body.decode()


def test_a_websocket_is_refused_in_the_same_order_and_words(server, gone):
    sandbox_id, token = gone
    assert refusal(server, "a b") == (400, "invalid sandbox URL\n")
    server.sandboxes.behave(connections=0)
    assert refusal(server, sandbox_id) == (429, "too many connections to sandbox\n")
    server.sandboxes.behave(connections=None)
    assert refusal(server, sandbox_id) == (401, "missing X-Access-Token header\n")
    assert refusal(server, sandbox_id, "token.wrong") == (401, "invalid access token\n")
    status, body = refusal(server, sandbox_id, f"token.{token}")
    assert (status, json.loads(body)["error"]["code"]) == (404, "sandbox_route_stale")
    paused = server.sandboxes.add(status="paused")
    status, body = refusal(server, paused, f"token.{server.sandboxes.token(paused)}")
    assert (status, json.loads(body)["error"]["code"]) == (503, "sandbox_unavailable")
