"""What tests can make sandboxes do: `server.sandboxes`, `server.commands`, and faults of the data plane."""

import base64
import json
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space
from tests.local.box import Box
from tests.local.conftest import client_of
from tests.patience import given_time


@pytest.fixture(scope="module")
def server():
    isolation = "none" if isinstance(find_space(), str) else "auto"
    with LocalServer(speed=100, limits=False, isolation=isolation) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http:
        yield http


@pytest.fixture
def box(server, http):
    server.reset()
    box = Box(server, http)
    with box.http:
        yield box
    http.delete(box.path)


def status(http, box):
    return http.get(box.path).json()["status"]


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until


def code(response):
    return response.status_code, response.json()["error"]["code"]


# States


def test_a_row_can_lag_behind_the_answer_of_a_creation(server, http, box):
    server.sandboxes.behave(starting_s=6000)
    server.commands.on("true").answer()
    late = Box(server, http)
    with late.http:
        assert status(http, late) == "starting"
        assert late.run("true")["exit_code"] == 0
        assert code(http.post(f"{late.path}/pause")) == (409, "conflict")
        assert code(http.delete(late.path)) == (409, "conflict")
    server.sandboxes.behave(starting_s=1)
    soon = Box(server, http)
    with soon.http:
        wait_for(lambda: status(http, soon) == "active")


def test_a_pause_can_be_answered_before_it_is_done(server, http, box):
    server.sandboxes.behave(pausing_s=6000)
    answer = http.post(f"{box.path}/pause", headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()) == (202, {"status": "pausing"})
    assert answer.headers["retry-after"] == "1"
    assert status(http, box) == "pausing"
    refused = http.post(f"{box.path}/activate")
    assert (code(refused), refused.headers["retry-after"]) == ((409, "sandbox_pausing"), "1")
    server.sandboxes.set(box.id, status="active")
    server.sandboxes.behave(pausing_s=1)
    assert http.post(f"{box.path}/pause").status_code == 202
    wait_for(lambda: status(http, box) == "paused")


def test_a_row_can_lag_behind_the_answer_of_a_resumption(server, http, box):
    http.post(f"{box.path}/pause")
    server.sandboxes.behave(resuming_s=6000)
    assert http.post(f"{box.path}/resume").json()["status"] == "active"
    assert status(http, box) == "resuming"


@given_time
def test_a_transition_that_a_crash_cut_short_holds_up_deletion_for_fifteen_minutes(longer):
    with LocalServer(speed=4000 / longer, limits=False) as fast, client_of(fast) as http:
        path = f"/sandboxes/{fast.sandboxes.add(status='pausing')}"
        assert code(http.delete(path)) == (409, "conflict")
        wait_for(lambda: http.delete(path).status_code == 204)


def test_activate_refuses_what_has_failed(server, http):
    sandbox_id = server.sandboxes.add("lost", status="failed")
    assert code(http.post(f"/sandboxes/{sandbox_id}/activate")) == (409, "conflict")
    assert http.get("/sandboxes?status=failed").json()[0]["name"] == "lost"


def test_tokens_can_be_made_to_expire(server, http, box):
    old = box.token
    server.sandboxes.expire_tokens()
    refused = box.http.post("/exec", json={"command": "true"})
    assert (refused.status_code, refused.text) == (401, "invalid access token\n")
    fresh = http.post(f"{box.path}/activate").json()["access_token"]
    assert fresh != old
    assert fresh == server.sandboxes.token(box.id)


def test_due_sandboxes_can_be_reaped_at_once(server, http, box):
    sandbox_id = server.sandboxes.add("brief", timeout_seconds=1)
    wait_for(
        lambda: server.sandboxes.reap() or http.get(f"/sandboxes/{sandbox_id}").json()["status"] == "paused"
    )


def test_the_length_of_a_state_is_divided_by_the_speed():
    with LocalServer(speed=10_000, limits=False) as fast:
        fast.sandboxes.behave(starting_s=200, pausing_s=200)
        with httpx.Client(base_url=fast.base_url, headers={"X-API-Key": fast.api_key}, verify=False) as http:
            path = f"/sandboxes/{http.post('/sandboxes', json={'name': 'box'}).json()['id']}"
            # The test would give up long before 200 real seconds.
            wait_for(lambda: http.get(path).json()["status"] == "active")
            assert http.post(f"{path}/pause").status_code == 202
            wait_for(lambda: http.get(path).json()["status"] == "paused")


# The edge


def test_a_resolver_can_lag_behind_a_pause(server, http, box):
    server.sandboxes.behave(stale_s=6000)
    http.post(f"{box.path}/pause")
    answer = box.http.post("/exec", json={"command": "true"})
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (
        502,
        "sandbox unreachable\n",
        "2",
    )


def test_the_edge_can_speak_as_it_used_to(server, http, box):
    server.sandboxes.behave(has_old_texts=True)
    http.post(f"{box.path}/pause")
    paused = box.http.post("/exec", json={"command": "true"})
    http.delete(box.path)
    gone = box.http.post("/exec", json={"command": "true"})
    assert (paused.status_code, paused.text) == (503, "sandbox is paused\n")
    assert (gone.status_code, gone.text) == (404, "sandbox not found\n")


@pytest.mark.parametrize(
    ("cap", "text"),
    [
        ("connections", "too many connections to sandbox\n"),
        ("address_connections", "too many connections from this IP\n"),
    ],
)
def test_connections_are_capped(server, box, cap, text):
    server.sandboxes.behave(**{cap: 1})
    server.commands.on("wait").answer(after_s=6000)
    with box.http.stream("POST", "/exec/stream", json={"command": "wait"}) as first:
        pieces = first.iter_raw()
        next(pieces)
        refused = httpx.post(box.url + "/exec", headers=box.http.headers, json={"command": "true"})
    assert (refused.status_code, refused.text) == (429, text)
    assert "retry-after" not in refused.headers


def test_the_api_key_has_no_business_on_the_data_plane(server, box):
    answer = box.http.post("/exec", json={"command": "true"}, headers={"X-API-Key": server.api_key})
    assert answer.status_code == 400
    assert server.api_key not in answer.text


def expiry(http, box):
    claims = http.get(box.path).json()["routing_hint"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["e"]


def test_answers_can_have_a_routing_hint(server, http, box):
    server.sandboxes.behave(gives_hints=True)
    assert http.get(box.path).json()["routing_hint"].count(".") == 2
    assert expiry(http, box) > time.time()
    server.sandboxes.behave(hint_s=0)
    assert expiry(http, box) <= time.time()
    http.post(f"{box.path}/pause")
    assert "routing_hint" in http.post(f"{box.path}/resume").json()


def test_a_load_balancer_gives_up_on_a_silent_command_which_goes_on(server, box):
    server.sandboxes.behave(idle_s=5)
    waiting = "while ! test -e go; do sleep 0.02; done; echo done > /tmp/mark"
    answer = box.http.post("/exec", json={"command": waiting})
    assert (answer.status_code, answer.headers["content-type"]) == (504, "text/html; charset=utf-8")
    server.sandboxes.behave(idle_s=None)
    assert (
        box.run("touch go; while ! test -s /tmp/mark; do sleep 0.02; done; cat /tmp/mark")["stdout"]
        == "done\n"
    )


# Files and output


def test_a_disk_can_be_full(server, box):
    server.sandboxes.behave(is_full=True)
    assert code(box.http.post("/files?path=/home/user/a", content=b"x")) == (507, "sandbox_storage_full")


def test_a_file_can_be_too_large(server, box):
    server.sandboxes.behave(upload_bytes=3)
    assert box.http.post("/files?path=/home/user/a", content=b"1234").status_code == 413
    assert box.http.get("/files?path=/home/user/a").status_code == 404


def test_an_archive_can_end_early_and_look_whole(server, box):
    import io
    import zipfile

    for name in "abc":
        box.http.post(f"/files?path=/home/user/d/{name}", content=b"x")
    server.sandboxes.behave(zip_entries=2)
    answer = box.http.get("/files?path=/home/user/d&format=zip")
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["d/", "d/a", "d/b"]


def test_output_can_be_cut_early(server, box):
    server.sandboxes.behave(output_bytes=4)
    server.commands.on("talk").answer(stdout="one\ntwo", exit_code=3)
    ran = box.run("talk")
    assert (ran["stdout"], ran["exit_code"], ran["truncated"]) == ("one", 3, True)
    assert ran["stderr"].startswith("\n[superserve]")


@pytest.mark.parametrize(
    "change", [{"colour": 1}, {"starting_s": -1}, {"is_full": 1}, {"connections": 1.5}, {"zip_entries": None}]
)
def test_behaviour_that_makes_no_sense_is_refused(server, change):
    with pytest.raises((TypeError, ValueError)):
        server.sandboxes.behave(**change)


# Commands as told


def test_a_command_as_told_takes_its_time_and_can_be_killed_or_time_out(server, box):
    server.commands.on("train *").answer(stdout="ok", after_s=6000)
    assert box.run("train all", timeout_s=1)["exit_code"] == 124
    with box.connect() as socket:
        socket.send(json.dumps({"command": "train all"}))
        socket.send(json.dumps({"type": "signal", "name": "SIGINT"}))
        assert json.loads(socket.recv())["exit_code"] == 130


# Faults


def test_a_stream_can_end_without_its_last_event(server, box):
    server.commands.on("talk").answer(stdout="one", stderr="two")
    server.faults.on("execStream").cut(after_events=2, clean=True)
    events = box.stream("talk")
    assert [set(event) - {"timestamp"} for event in events] == [{"stdout"}, {"stderr"}]


def test_a_socket_can_close_in_good_order_without_saying_how_the_command_ended(server, box):
    server.commands.on("talk").answer(stdout="one", stderr="two")
    server.faults.on("execConnect").cut(after_events=1, clean=True)
    with box.connect() as socket:
        socket.send(json.dumps({"command": "talk"}))
        assert socket.recv() == b"\x01one"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "bridge closed")


def test_a_socket_can_break_off(server, box):
    server.commands.on("talk").answer(stdout="one", stderr="two")
    server.faults.on("execConnect").cut(after_events=1)
    with box.connect() as socket:
        socket.send(json.dumps({"command": "talk"}))
        assert socket.recv() == b"\x01one"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is None


def test_a_socket_can_be_refused(server, box):
    from websockets.exceptions import InvalidStatus

    server.faults.on("execConnect").answer(503, body="no healthy upstream")
    with pytest.raises(InvalidStatus) as refused:
        box.connect()
    assert refused.value.response.status_code == 503


def test_sockets_are_recorded_without_their_tokens(server, box):
    with box.connect() as socket:
        assert socket.subprotocol == "superserve.exec.v1"
    recorded = server.requests.to("execConnect").last
    assert (recorded.method, recorded.status) == ("GET", 101)
    assert recorded.headers["sec-websocket-protocol"] == "superserve.exec.v1, token.***"


# What a build left


def test_a_sandbox_starts_from_what_its_templates_build_left(server):
    steps = [
        {"workdir": "/usr/src/app"},
        {"run": "echo built > result; mkdir -p /opt-of-mine && echo more > /opt-of-mine/file"},
        {"env": {"key": "COLOUR", "value": "green"}},
    ]
    if isinstance(find_space(), str):
        pytest.skip("nothing keeps builds and commands apart here")
    with (
        LocalServer(speed=100, limits=False, execute=True) as real,
        httpx.Client(base_url=real.base_url, headers={"X-API-Key": real.api_key}, verify=False) as http,
    ):
        made = http.post(
            "/templates", json={"name": "mine", "build_spec": {"from": "debian:12", "steps": steps}}
        ).json()
        wait_for(lambda: http.get(f"/templates/{made['id']}").json()["status"] == "ready")
        first, second = (Box(real, http, from_template="mine") for _ in range(2))
        with first.http, second.http:
            ran = first.run(
                "cat result /opt-of-mine/file; echo $COLOUR; pwd; echo mine > result; ls /usr/bin | grep -c ."
            )
            assert ran["stdout"].startswith("built\nmore\ngreen\n/usr/src/app\n")
            assert int(ran["stdout"].split()[-1]) > 10
            assert second.run("cat result")["stdout"] == "built\n"
