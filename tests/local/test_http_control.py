"""The routes under /_local/, by which tests in other languages set faults and look at requests."""

import httpx
import pytest

from superserve.local import LocalServer

FAULTS = "/_local/faults"


def test_a_fault_is_set_told_and_removed(http):
    created = http.post(FAULTS, json={"fault": "answer", "on": "GET /templates", "status": 503, "times": 2})
    fault_id = created.json()["id"]
    status = http.get("/templates").status_code
    told = http.get(f"{FAULTS}/{fault_id}")
    removed = http.delete(f"{FAULTS}/{fault_id}")

    assert (created.status_code, status, told.status_code, removed.status_code) == (201, 503, 200, 204)
    known = {"id": fault_id, "fault": "answer", "on": "GET /templates", "status": 503, "times": 2}
    assert created.json() == {**known, "struck": 0, "left": 2}
    assert told.json() == {**known, "struck": 1, "left": 1}
    assert http.get(FAULTS).json() == []
    assert http.get("/templates").status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "answer", "on": "*", "status": 200, "json": {"a": None}, "headers": {"X-A": "b"}, "delay_s": 0.5},
        {"fault": "answer", "on": "createTemplate", "status": 504, "body": "<html>", "handled": True},
        {"fault": "garble", "on": "GET /templates", "how": "html"},
        {"fault": "delay", "on": "/templates", "seconds": 2, "after_bytes": 0},
        {"fault": "drip", "on": "execRun", "every_s": 0.5, "count": 10},
        {"fault": "cut", "on": "GET /templates", "after_bytes": 10, "clean": True},
        {"fault": "reset", "on": "GET /templates/{id}", "head_bytes": 3, "skip": 1},
        {"fault": "stall", "on": "streamTemplateBuildLogs", "after_events": 1, "share": 0.5, "seed": 1},
        {"fault": "duplicate", "on": "streamTemplateBuildLogs", "chance": 0.5},
        {"fault": "reorder", "on": "streamTemplateBuildLogs", "group": 3},
        {"fault": "fail", "code": "step_failed", "step": 2, "exit_code": 3, "template": "demo"},
        {"fault": "fail", "code": "boot_failed", "message": "no luck", "times": 2},
        {"fault": "hang", "step": 1},
        {"fault": "lose"},
        {"fault": "time_out", "skip": 1},
    ],
    ids=lambda fault: fault["fault"],
)  # fmt: skip
def test_every_fault_can_be_set_and_is_told_as_it_was_given(http, server, fault):
    told = http.post(FAULTS, json=fault).json()

    left = None if "share" in fault else fault.get("times", 1)
    assert told == {"id": "1", **fault, "struck": 0, "left": left}
    assert http.get(FAULTS).json() == [told]
    assert [each.kind for each in server.faults] == [fault["fault"]]


def test_every_method_of_faults_can_be_called(http):
    faults = LocalServer().faults
    verbs = {
        name
        for chosen in (faults.on("*"), faults.on_build())
        for name, value in vars(type(chosen)).items()
        if callable(value) and not name.startswith("_")
    }

    message = http.post(FAULTS, json={"fault": "nonsense"}).json()["error"]["message"]

    assert verbs == set(message.partition("one of ")[2].rpartition(", not")[0].split(", "))


def test_python_sees_what_others_set_and_the_other_way_round(server, http):
    server.faults.on("GET /templates", share=1).stall()
    http.post(FAULTS, json={"fault": "cut", "on": "GET /health"})

    assert [fault["fault"] for fault in http.get(FAULTS).json()] == ["stall", "cut"]
    assert [fault.kind for fault in server.faults] == ["stall", "cut"]
    assert http.delete(FAULTS).status_code == 204
    assert len(server.faults) == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "a fault is a JSON object"),
        (b"\xff", "a fault is a JSON object"),
        (b"[]", "a fault is a JSON object"),
        (b"{}", '"fault" must be one of answer, garble'),
        (b'{"fault": ["cut"]}', '"fault" must be one of answer, garble'),
        (b'{"fault": "clear"}', '"fault" must be one of answer, garble'),
        (b'{"fault": "cut"}', 'cut needs "on"'),
        (b'{"fault": "answer", "on": "*"}', 'answer needs "status"'),
        (b'{"fault": "cut", "on": "*", "bytes": 1}', 'cut has no "bytes", but after_bytes'),
        (b'{"fault": "cut", "on": "*", "after_bytes": "1"}', "after_bytes must be a whole number"),
        (b'{"fault": "cut", "on": 1}', "requests are named by a text"),
        (b'{"fault": "cut", "on": "x"}', "names no requests"),
        (b'{"fault": "cut", "on": "*", "times": 1e400}', "times must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_fault_is_told(http, error, body, message):
    answer = http.post(FAULTS, content=body)

    assert error(answer) == (400, "bad_request")
    assert message in answer.json()["error"]["message"]
    assert http.get(FAULTS).json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", FAULTS),
        ("POST", FAULTS),
        ("DELETE", FAULTS),
        ("GET", FAULTS + "/1"),
        ("GET", "/_local/requests"),
        ("POST", "/_local/reset"),
        ("GET", "/_local/nowhere"),
    ],
)
def test_the_servers_own_key_is_needed(server, http, error, method, path):
    other = server.add_team().api_key

    for headers in ({"X-API-Key": ""}, {"X-API-Key": other}, {"X-API-Key": "ü".encode()}):
        assert error(http.request(method, path, headers=headers)) == (401, "auth_failed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", FAULTS),
        ("GET", FAULTS + "/7"),
        ("DELETE", FAULTS + "/7"),
        ("POST", FAULTS + "/1/2"),
        ("GET", "/_local/nowhere"),
        ("GET", "/_local/reset"),
    ],
)
def test_unknown_routes_and_faults_are_not_found(http, error, method, path):
    assert error(http.request(method, path)) == (404, "not_found")


def test_these_requests_are_none_to_the_api(limited, limited_http):
    limited.faults.on("*", share=1).answer(500)
    for _ in range(120):
        answer = limited_http.get(FAULTS)
        assert answer.status_code == 200
        assert "ratelimit-limit" not in answer.headers
    assert (limited_http.delete(FAULTS).status_code, len(limited.requests)) == (204, 0)

    assert limited_http.get("/templates").headers["ratelimit-remaining"] == "39"


def test_requests_can_be_looked_at_and_forgotten(server, http):
    http.post("/templates?a=1", content=b'{"name": "demo"}', headers={"X-Custom": "yes"})
    http.get("/nowhere")
    http.post("/templates", content=b"\xff{")

    first, second, third = http.get("/_local/requests").json()

    assert (first["method"], first["path"], first["query"]) == ("POST", "/templates", {"a": ["1"]})
    assert (first["json"], first["body"]) == ({"name": "demo"}, '{"name": "demo"}')
    assert (first["status"], first["operation"]) == (400, "createTemplate")
    assert first["headers"]["x-custom"] == "yes"
    assert "x-api-key" not in first["headers"]
    assert first["at"] == server.requests[0].at.isoformat()
    assert (second["status"], second["operation"], second["body"]) == (404, None, "")
    assert third["body"] == "\ufffd{"
    assert "json" not in second
    assert "json" not in third

    found = http.get("/_local/requests", params={"on": "POST /templates"}).json()
    assert found == [first, third]
    assert http.delete("/_local/requests", params={"on": "/nowhere"}).status_code == 204
    assert http.get("/_local/requests").json() == found
    assert http.delete("/_local/requests").status_code == 204
    assert len(server.requests) == 0


def test_requests_that_are_asked_for_wrongly_are_told(http, error):
    assert error(http.get("/_local/requests", params={"on": "nonsense"})) == (400, "bad_request")


def test_the_server_can_be_reset(server, http):
    server.templates.add("demo")
    http.post(FAULTS, json={"fault": "stall", "on": "*", "share": 1})

    assert http.post("/_local/reset").status_code == 204

    assert "demo" not in http.get("/templates").text
    assert len(server.faults) == 0


def test_a_client_that_leaves_in_the_midst_sets_nothing(server, caplog):
    def pieces():
        yield b'{"fault": "cut",'
        raise InterruptedError

    with pytest.raises(InterruptedError):
        httpx.post(
            server.base_url + FAULTS, headers={"X-API-Key": server.api_key}, content=pieces(), verify=False
        )

    server.reset()
    assert len(server.faults) == 0
    assert caplog.records == []


def test_a_server_that_executes_answers_only_for_this_machine(open_client):
    with LocalServer(execute=True) as server:
        answer = open_client(server).get(FAULTS, headers={"Host": "attacker.example"})

    assert answer.status_code == 421
