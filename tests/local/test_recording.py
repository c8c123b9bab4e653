"""What the server remembers of the requests that arrived."""

import json
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from superserve.local import LocalServer
from superserve.local._app import recorder as requests_module
from superserve.local._resources import OPERATIONS
from tests.wire import PATIENCE_S

SPEC = {"name": "demo", "build_spec": {"from": "debian:12"}}


def raw(server, request):
    """Send bytes on a connection of their own."""
    connection = socket.create_connection(("127.0.0.1", httpx.URL(server.base_url).port), timeout=60)
    connection.sendall(request)
    return connection


def test_a_request_is_remembered_with_all_that_came(server, http):
    before = datetime.now(UTC)

    http.post("/templates?x=1&x=2&y=", json=SPEC, headers={"X-Custom": "Yes"})

    request = server.requests.last
    assert (request.method, request.path) == ("POST", "/templates")
    assert (request.query, request.query_string) == ({"x": ["1", "2"], "y": [""]}, "x=1&x=2&y=")
    assert (request.json, json.loads(request.body)) == (SPEC, SPEC)
    assert (request.status, request.operation) == (202, "createTemplate")
    assert before - timedelta(seconds=1) <= request.at <= datetime.now(UTC)
    assert (request.headers["x-custom"], request.headers["Content-Type"]) == ("Yes", "application/json")
    assert str(request) == "POST /templates?x=1&x=2&y=: 202"


def test_paths_and_queries_are_decoded(server, http):
    http.get("/templates/a%20b?name_prefix=%C3%BC%20x")

    request = server.requests.last
    assert (request.path, request.query) == ("/templates/a b", {"name_prefix": ["ü x"]})
    assert request.query_string == "name_prefix=%C3%BC%20x"


def test_keys_are_not_remembered(server, http):
    http.get("/templates", headers={"Authorization": f"Bearer {server.api_key}"})

    request = server.requests.last
    assert "x-api-key" not in request.headers
    assert request.headers["authorization"] == "***"
    assert server.api_key not in repr((request, dict(request.headers), server.requests, request._headers))


def test_what_is_refused_is_remembered_with_its_body(server, http):
    del http.headers["X-API-Key"]

    http.post("/templates", json=SPEC)
    http.put("/nowhere", content=b"\xff")

    refused, unknown = server.requests
    assert (refused.status, refused.json, refused.operation) == (401, SPEC, "createTemplate")
    assert (unknown.status, unknown.body, unknown.operation) == (404, b"\xff", None)


def test_a_body_that_is_no_json_says_so(server, http):
    http.post("/templates", content=b"{")

    with pytest.raises(ValueError, match="the body of POST /templates is not JSON"):
        _ = server.requests.last.json


def test_a_body_in_pieces_is_put_together(server, http):
    http.post("/templates", content=iter([b'{"name": "demo", ', b'"build_spec": {"from": "debian:12"}}']))

    assert (server.requests.last.json, server.requests.last.status) == (SPEC, 202)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_only_if_it_is_wanted(server):
    body = json.dumps(SPEC).encode()
    head = "POST /templates HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"

    with raw(server, head.format("wrong", len(body)).encode()) as refused:
        assert refused.recv(12) == b"HTTP/1.1 401"
    with raw(server, head.format(server.api_key, len(body)).encode()) as asked:
        assert asked.recv(12) == b"HTTP/1.1 100"
        asked.sendall(body)
        while b" 202 " not in asked.recv(1000):
            pass

    assert [request.status for request in server.requests] == [401, 202]
    assert [request.body for request in server.requests] == [b"", body]


def test_what_came_of_a_body_is_remembered_when_its_client_leaves(server):
    head = (
        f"POST /templates HTTP/1.1\r\nHost: a\r\nX-API-Key: {server.api_key}\r\nContent-Length: 100\r\n\r\n"
    )
    with raw(server, head.encode() + b"{"):
        pass

    server.requests.wait_for()
    # It is there as soon as it has come, before it is answered.
    until = time.monotonic() + PATIENCE_S
    while server.requests.last.status is None and time.monotonic() < until:
        time.sleep(0.005)

    (request,) = server.requests
    assert (request.body, request.status) == (b"{", 400)


def test_a_log_stream_is_remembered_as_soon_as_it_arrives(server, http, create):
    server.builds.hold()
    template_id, build_id = create()
    logs = server.requests.to("streamTemplateBuildLogs")
    server.builds.write(build_id, "hello")

    with http.stream("GET", f"/templates/{template_id}/builds/{build_id}/logs"):
        logs.wait_for()

    assert logs.last.status == 200


def test_a_log_that_is_asked_for_with_a_body_is_left_when_its_reader_leaves(
    server, http, create, wait_for_readers
):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.write(build_id, "hello")

    with http.stream("GET", f"/templates/{template_id}/builds/{build_id}/logs", content=b"why not"):
        wait_for_readers(server, build_id)
    wait_for_readers(server, build_id, 0)

    assert server.requests.last.body == b"why not"


# Looking for some of them


def test_requests_are_found_by_method_and_path_or_operation(server, http):
    template_id = server.templates.add()
    http.get("/templates")
    http.get(f"/templates/{template_id}")
    http.post("/templates", json=SPEC)

    requests = server.requests
    assert [request.method for request in requests.to("POST", "/templates")] == ["POST"]
    assert requests.to("POST", "/templates").last.json == SPEC
    assert requests.count("GET", "/templates/{id}") == 1
    assert requests.count("getTemplate") == requests.count(f"GET /templates/{template_id}") == 1
    assert requests.count("/templates") == 2
    assert requests.count("GET", "*") == 2
    assert requests.count("DELETE", "/templates/{id}") == 0
    assert requests.count() == len(requests) == 3
    assert [requests[0].operation, requests[-1].operation] == ["listTemplates", "createTemplate"]


def test_every_operation_is_told_by_its_name(server, http):
    for operation in OPERATIONS:
        if not operation.streams_events:
            http.request(operation.method, re.sub(r"\{.*?\}", "x", operation.path))

    assert [request.operation for request in server.requests] == [
        each.name for each in OPERATIONS if not each.streams_events
    ]


def test_a_view_goes_on_showing_what_arrives(server, http):
    lists = server.requests.to("listTemplates")
    assert len(lists) == 0

    http.get("/templates")
    http.get("/health")

    assert lists.count() == 1


def test_a_view_of_a_view_is_refused(server):
    with pytest.raises(ValueError, match="these are only the requests to 'health'"):
        server.requests.to("health").count("listTemplates")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "names no requests"),
        (["GET", "templates"], "names no requests"),
        (["/a?b"], "has a query"),
    ],
)
def test_a_name_that_means_nothing_is_refused(server, arguments, message):
    with pytest.raises(ValueError, match=message):
        server.requests.to(*arguments)


def test_what_is_missing_is_told_with_what_arrived(server, http):
    http.get("/health?a=1")

    with pytest.raises(
        LookupError, match=r"(?s)no request to 'createTemplate' arrived.*GET /health\?a=1: 200"
    ):
        _ = server.requests.to("createTemplate").last
    with pytest.raises(TimeoutError, match=r"(?s)0 of 2 requests to 'POST /templates' arrived.*GET /health"):
        server.requests.to("POST", "/templates").wait_for(2, timeout_s=0.01)
    server.requests.clear()
    with pytest.raises(LookupError, match="no request arrived"):
        _ = server.requests.last


def test_waiting_ends_when_so_many_have_arrived(server, open_client):
    def work():
        http = open_client(server)
        for _ in range(3):
            http.get("/health")
            http.get("/templates")

    thread = threading.Thread(target=work)
    thread.start()
    found = server.requests.to("health").wait_for(3)
    thread.join()

    assert [request.operation for request in found] == ["health"] * 3


def test_requests_can_be_forgotten(server, http):
    http.get("/templates")
    http.get("/health")

    server.requests.to("health").clear()
    assert [request.operation for request in server.requests] == ["listTemplates"]

    server.requests.clear()
    assert (len(server.requests), repr(server.requests)) == (0, "<0 requests>")


# How many, and how long


def test_only_the_newest_are_kept(server, http, monkeypatch):
    monkeypatch.setattr(requests_module, "KEPT_REQUESTS", 3)

    for number in range(5):
        http.get(f"/templates/{number}")

    assert [request.path for request in server.requests] == ["/templates/2", "/templates/3", "/templates/4"]
    assert server.requests.forgotten == 2


def test_only_so_much_of_bodies_is_kept(server, http, monkeypatch):
    monkeypatch.setattr(requests_module, "KEPT_BODY_BYTES", 250)

    for size in (100, 100, 100, 1000):
        http.post("/templates", content=b"x" * size)
        assert len(server.requests) == {100: min(2, len(server.requests)), 1000: 1}[size]

    assert [len(request.body) for request in server.requests] == [1000]
    assert server.requests.forgotten == 3


def test_bodies_that_come_after_their_requests_count_as_well(server, http, monkeypatch):
    monkeypatch.setattr(requests_module, "KEPT_BODY_BYTES", 250)

    for _ in range(4):
        http.post("/templates", content=b"x" * 100, headers={"Expect": "100-continue"})

    assert [len(request.body) for request in server.requests] == [100, 100]
    assert server.requests.forgotten == 2


def test_requests_outlast_their_server_and_not_its_next_start(open_client):
    server = LocalServer(limits=False)
    with server:
        open_client(server).get("/health")
    assert server.requests.count("health") == 1

    with server:
        assert len(server.requests) == 0


def test_a_reset_forgets_requests(server, http):
    http.get("/health")

    server.reset()

    assert len(server.requests) == 0
    assert http.get("/health").status_code == 200
    assert len(server.requests) == 1


def test_many_threads_are_remembered_one_by_one(server, open_client):
    def work(number):
        http = open_client(server)
        for _ in range(20):
            http.get(f"/templates/{number}")

    threads = [threading.Thread(target=work, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [server.requests.count("GET", f"/templates/{number}") for number in range(5)] == [20] * 5


# Back to the start


def test_a_reset_waits_for_nothing(open_client):
    """Nothing here would end by itself within the hour: the clock is slow, and clients wait for ever."""
    with LocalServer(speed=0.01, seed=3) as server:
        http = open_client(server)
        start = http.get("/templates").json()
        ids = [http.post("/templates", json={**SPEC, "name": f"t-{number}"}).json() for number in range(3)]
        server.templates.add_many(1000)
        fault = server.faults.on("GET /templates").stall()
        key = server.api_key
        head = f"Host: localhost\r\nX-API-Key: {key}\r\n\r\n"
        logs = "/templates/{id}/builds/{build_id}/logs".format(**ids[0])
        with (
            raw(server, f"GET /templates HTTP/1.1\r\n{head}".encode()) as stalled,
            raw(server, f"GET {logs} HTTP/1.1\r\n{head}".encode()) as reading,
        ):
            fault.wait_for()
            assert reading.recv(12) == b"HTTP/1.1 200"

            server.reset()

            assert stalled.recv(100) == b""
            log = b""
            while data := reading.recv(1000):
                log += data
            assert not log.endswith(b"\r\n0\r\n\r\n")
        assert (len(server.faults), len(server.requests)) == (0, 0)
        again = http.get("/templates")
        assert again.headers["ratelimit-remaining"] == "39"
        assert [row["id"] for row in again.json()] == [row["id"] for row in start]
        assert server.api_key == key
