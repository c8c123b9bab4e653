"""Commands and files in sandboxes of the local server, as plain HTTP and WebSockets see them: the data plane."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import Bwrap, Unshared, find_space
from superserve.local._resources import exec as exec_resource
from superserve.local._resources import exec_session
from superserve.local._resources.sandboxes import SandboxResource
from tests.local.box import Box


@pytest.fixture(scope="module")
def isolation():
    """What this machine can do: where nothing keeps commands apart, the tests ask for that by name."""
    return "none" if isinstance(find_space(), str) else "auto"


@pytest.fixture(scope="module")
def server(isolation):
    with LocalServer(limits=False, isolation=isolation) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http:
        yield http


@pytest.fixture(scope="module")
def shared(server, http):
    box = Box(server, http, env_vars={"COLOUR": "blue"})
    with box.http:
        yield box


@pytest.fixture
def box(server, http):
    box = Box(server, http)
    with box.http:
        yield box
    http.delete(box.path)


# POST /exec


def test_a_command_runs_and_tells_what_it_printed(shared):
    ran = shared.run("echo out; echo err >&2; exit 3")
    assert ran == {"stdout": "out\n", "stderr": "err\n", "exit_code": 3}


def test_the_answer_is_a_line_of_json_and_says_how_long_it_took(shared):
    answer = shared.http.post("/exec", json={"command": "true"})
    assert answer.content == b'{"stdout":"","stderr":"","exit_code":0}\n'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-boxd-spawn-ms"].isdecimal()
    assert answer.headers["x-boxd-run-ms"].isdecimal()


def test_a_command_without_a_shell_gets_its_arguments_as_they_are(shared):
    assert shared.run("printf", args=["%s|", "a b", "$HOME", "*"])["stdout"] == "a b|$HOME|*|"


def test_variables_come_in_layers(shared):
    ran = shared.run('echo "$COLOUR $SHAPE $USER"', env={"SHAPE": "round"})
    assert ran["stdout"] == "blue round user\n"
    assert shared.run("echo $COLOUR", env={"COLOUR": "red"})["stdout"] == "red\n"


def test_commands_start_at_home_or_where_they_are_told_to(shared):
    assert shared.run("pwd")["stdout"].rstrip().endswith("/home/user")
    shared.run("mkdir -p sub")
    assert shared.run("pwd", working_dir="sub")["stdout"].rstrip().endswith("/home/user/sub")


def test_standard_input_is_empty(shared):
    assert shared.run("cat; echo end")["stdout"] == "end\n"


def test_a_command_is_killed_when_its_time_is_over_with_all_that_it_started(shared):
    ran = shared.run("sleep 60 & echo early; sleep 60", timeout_s=1)
    assert ran == {"stdout": "early\n", "stderr": "", "exit_code": 124}


def test_a_signal_ends_a_command_with_128_and_its_number(shared):
    assert shared.run("kill -TERM $$")["exit_code"] == 143


def test_what_lets_go_of_its_output_goes_on_in_the_background(shared):
    shared.run("(sleep 0.1; echo done > later) > /dev/null 2>&1 &")
    assert (
        shared.run("while ! test -s later; do sleep 0.02; done; cat later", timeout_s=60)["stdout"]
        == "done\n"
    )


def test_an_unknown_program_is_the_shells_to_report_or_a_refusal(shared):
    assert shared.run("nosuchprogram")["exit_code"] == 127
    refused = shared.http.post("/exec", json={"command": "nosuchprogram", "args": ["x"]})
    assert (refused.status_code, refused.text) == (
        400, 'resolve "nosuchprogram": executable file not found in PATH\n',
    )  # fmt: skip


def test_a_command_that_cannot_start_is_an_error_of_the_machines(shared):
    for body in ({"command": "true", "working_dir": "/nowhere"}, {"command": "/nowhere", "args": ["x"]}):
        response = shared.http.post("/exec", json=body)
        assert response.status_code == 500
        assert response.text.startswith("internal: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"nonsense", "invalid JSON body"),
        (b"{}", "command is required"),
        (b'{"command": 5}', "invalid JSON body"),
        (b'{"command": "true", "timeout_s": 1.5}', "invalid JSON body"),
        (b'{"command": "true", "args": "x"}', "invalid JSON body"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(shared, body, reason):
    response = shared.http.post("/exec", content=body)
    assert (response.status_code, response.text) == (400, f"{reason}\n")


def test_what_stands_behind_the_json_and_keys_that_nobody_knows_are_let_pass(shared):
    response = shared.http.post("/exec", content=b'{"command": "true", "user": "x"} and more')
    assert response.json()["exit_code"] == 0


def test_bytes_that_are_no_text_are_replaced_one_by_one(shared):
    assert shared.run(r"printf 'a\342\202b'")["stdout"] == "a\ufffd\ufffdb"


def test_output_is_cut_at_eight_mebibytes_of_json(shared):
    ran = shared.run("head -c 9000000 /dev/zero | tr '\\0' x; echo late >&2")
    assert ran["truncated"] is True
    assert len(ran["stdout"]) == 8 << 20
    assert ran["stderr"].startswith("\n[superserve]")
    assert ran["exit_code"] == 0


# POST /exec/stream


def test_a_stream_has_the_output_and_then_one_last_event(shared):
    events = shared.stream("echo out; echo err >&2; exit 4")
    assert {"stdout": "out\n"}.items() <= events[0].items() or {"stderr": "err\n"}.items() <= events[
        0
    ].items()
    assert events[-1]["exit_code"] == 4
    assert events[-1]["finished"] is True
    assert all("timestamp" in event for event in events)


def test_output_comes_when_it_is_printed(shared):
    body = {"command": "echo first; while ! test -e go; do sleep 0.02; done; echo second"}
    with shared.http.stream("POST", "/exec/stream", json=body) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data: "))
        assert "first" in next(lines)
        shared.http.post("/files", params={"path": shared.run("pwd")["stdout"].strip() and "/home/user/go"})
        assert "second" in next(lines)


def test_a_command_that_cannot_start_has_an_event_without_an_exit_code(shared):
    [missing] = shared.stream("nosuchprogram", args=["x"])
    assert (missing["code"], missing["finished"]) == ("bad_request", True)
    [nowhere] = shared.stream("true", working_dir="/nowhere")
    assert nowhere["code"] == "exec_failed"
    assert not {"exit_code", "timestamp"} & nowhere.keys()


def test_a_silent_command_sends_comments(isolation):
    with (
        LocalServer(limits=False, isolation=isolation, speed=1000) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        box = Box(server, http)
        with box.http:
            assert ": keepalive\n\n" in box.http.post("/exec/stream", json={"command": "sleep 0.2"}).text


def test_who_hangs_up_has_the_command_killed(shared):
    body = {"command": "echo $$; sleep 60 & echo $! > child; wait"}
    with shared.http.stream("POST", "/exec/stream", json=body) as response:
        next(line for line in response.iter_lines() if line.startswith("data: "))
    gone = "while kill -0 $(cat child) 2>/dev/null; do sleep 0.02; done; echo gone"
    assert shared.run(gone, timeout_s=60)["stdout"] == "gone\n"


# GET /exec/connect


def test_bytes_go_in_and_come_out_as_they_are(shared):
    data = bytes(range(256)) * 100
    with shared.connect() as ws:
        assert ws.subprotocol == "superserve.exec.v1"
        ws.send('{"command": "cat; exit 7"}')
        ws.send(b"\0" + data)
        ws.send('{"type": "stdin_close"}')
        received = b""
        while isinstance(frame := ws.recv(), bytes):
            assert frame[:1] == b"\x01"
            received += frame[1:]
        assert received == data
        assert json.loads(frame) == {"exit_code": 7, "finished": True}
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "command exited")


def test_the_two_streams_are_told_apart(shared):
    with shared.connect() as ws:
        ws.send('{"command": "echo err >&2"}')
        assert ws.recv() == b"\x02err\n"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGQUIT", 131)])
def test_signals_reach_the_whole_group(shared, name, code):
    with shared.connect() as ws:
        # A shell that is about to turn into a program takes signals in a way of its own.
        ws.send('{"command": "cat", "args": ["-"]}')
        ws.send(b"\0up\n")
        assert ws.recv() == b"\x01up\n"
        ws.send(json.dumps({"type": "signal", "name": "SIGKILL"}))  # dropped
        ws.send("nonsense")
        ws.send(json.dumps({"type": "signal", "name": name}))
        assert json.loads(ws.recv())["exit_code"] == code


def test_signals_that_the_server_was_started_to_ignore_reach_commands(isolation):
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        with (
            LocalServer(limits=False, isolation=isolation) as server,
            httpx.Client(
                base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False
            ) as http,
        ):
            box = Box(server, http)
            with box.http:
                assert box.run("kill -QUIT $$")["exit_code"] == 131
    finally:
        signal.signal(signal.SIGQUIT, before)


def test_there_is_no_limit_on_a_socket_unless_one_is_given(shared):
    with shared.connect() as ws:
        ws.send('{"command": "sleep 60", "timeout_s": 1}')
        assert json.loads(ws.recv())["exit_code"] == 124


def test_a_socket_that_is_closed_takes_its_command_along(shared):
    with shared.connect() as ws:
        ws.send('{"command": "echo $$ > leader; echo up; sleep 60"}')
        ws.recv()
    gone = "while kill -0 $(cat leader) 2>/dev/null; do sleep 0.02; done; echo gone"
    assert shared.run(gone, timeout_s=60)["stdout"] == "gone\n"


@pytest.mark.parametrize(("first", "code"), [(b"\0x", 1003), ("nonsense", 1008), ("{}", 1008)])
def test_a_socket_begins_with_what_is_to_be_run(shared, first, code):
    with shared.connect() as ws:
        ws.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv()
        assert closed.value.rcvd.code == code


def closing(ws):
    """Read all that comes, and return how it ends: None if it breaks off."""
    try:
        while True:
            ws.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd and (closed.rcvd.code, closed.rcvd.reason)


def test_a_socket_on_which_nothing_begins_is_closed(shared, monkeypatch):
    monkeypatch.setattr(exec_session, "FIRST_FRAME_S", 0.01)
    with shared.connect() as ws:
        assert closing(ws) == (1008, "expected start message")


@pytest.mark.parametrize(("size", "code"), [((4 << 20) - 1, 1000), (4 << 20, 1009)])
def test_a_frame_has_four_mebibytes_at_most(shared, size, code):
    with shared.connect() as ws:
        ws.send('{"command": "head -c 1 > /dev/null"}')
        with contextlib.suppress(ConnectionClosed):
            ws.send(b"\0" * (size + 1))
        assert closing(ws)[0] == code


def test_a_session_ends_after_half_a_day_without_saying_how_its_command_ended(shared, monkeypatch):
    assert exec_resource.LONGEST_SESSION_S == 12 * 3600
    monkeypatch.setattr(exec_resource, "LONGEST_SESSION_S", 0.2)
    shared.run("rm -f leader")
    with shared.connect() as ws:
        ws.send('{"command": "echo $$ > leader; sleep 60"}')
        assert closing(ws) == (1000, "bridge closed")
    gone = "while test -s leader && kill -0 $(cat leader) 2>/dev/null; do sleep 0.02; done; echo gone"
    assert shared.run(gone, timeout_s=20)["stdout"] == "gone\n"


def test_a_client_that_does_not_read_has_its_command_killed(shared, monkeypatch):
    shared.run("rm -f leader")
    monkeypatch.setattr(exec_session, "SLOW_READER_S", 0.1)
    with shared.connect() as ws:
        ws.send('{"command": "echo $$ > leader; yes"}')
        gone = "while ! test -s leader || kill -0 $(cat leader) 2>/dev/null; do sleep 0.02; done; echo gone"
        assert shared.run(gone, timeout_s=20)["stdout"] == "gone\n"
        assert closing(ws) != (1000, "command exited")


def test_a_command_that_cannot_start_closes_the_socket_with_a_reason(shared):
    with shared.connect() as ws:
        ws.send('{"command": "nosuchprogram", "args": ["x"]}')
        assert json.loads(ws.recv())["code"] == "bad_request"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv()
        assert closed.value.rcvd.code == 1011


def test_a_socket_without_a_good_token_is_refused_before_it_is_one(shared):
    with pytest.raises(InvalidStatus) as refused:
        shared.connect("superserve.exec.v1", "token.wrong")
    assert refused.value.response.status_code == 401


# Files


def test_what_is_written_can_be_read_and_commands_see_it(shared):
    written = shared.http.post("/files", params={"path": "/home/user/deep/er/file.txt"}, content=b"abc")
    assert written.json() == {"path": "/home/user/deep/er/file.txt", "size": 3}
    read = shared.http.get("/files", params={"path": "/home/user/deep/er/file.txt"})
    assert (read.content, read.headers["content-type"]) == (b"abc", "text/plain")
    assert shared.run("cat deep/er/file.txt")["stdout"] == "abc"


def test_a_part_of_a_file_can_be_read(shared):
    shared.http.post("/files", params={"path": "/home/user/part"}, content=b"0123456789")
    get = lambda wanted: shared.http.get("/files?path=/home/user/part", headers={"Range": wanted})  # noqa: E731
    assert (get("bytes=2-4").status_code, get("bytes=2-4").content) == (206, b"234")
    assert get("bytes=-3").content == b"789"
    assert get("bytes=8-").content == b"89"
    assert get("bytes=10-").status_code == 416


def test_odd_names_are_names(shared):
    path = "/home/user/ä b%20?&#'\"\\.txt"
    shared.http.post("/files", params={"path": path}, content=b"odd")
    assert shared.http.get("/files", params={"path": path}).content == b"odd"


def test_a_folder_comes_as_an_archive_without_links(shared):
    shared.run("mkdir -p tree/sub && echo 1 > tree/a && echo 2 > tree/sub/b && ln -sf /etc/passwd tree/link")
    response = shared.http.get("/files?path=/home/user/tree&format=zip")
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.namelist() == ["tree/", "tree/a", "tree/sub/", "tree/sub/b"]
    assert archive.read("tree/sub/b") == b"2\n"
    listed = shared.http.get("/files?path=/home/user/tree&format=json").json()
    assert sorted(entry["name"] for entry in listed["entries"]) == ["a", "link", "sub"]
    assert [entry["name"] for entry in listed["entries"] if entry["is_dir"]] == ["sub"]


def test_a_link_to_a_folder_is_no_folder_to_pack(shared):
    shared.run("mkdir -p real/inner && echo x > real/inner/f && ln -s real link")
    refused = shared.http.get("/files?path=/home/user/link&format=zip")
    assert (refused.status_code, refused.text) == (400, '{"error":"path is a symbolic link"}\n')
    through = shared.http.get("/files?path=/home/user/link/inner&format=zip")
    assert zipfile.ZipFile(io.BytesIO(through.content)).namelist() == ["inner/", "inner/f"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("", 400), ("/a/../b", 400), ("/", 400), ("/proc/1/mem", 400), ("/nothing", 404), ("/home/user", 400)],
)
def test_paths_that_lead_nowhere_are_refused(shared, path, status):
    assert shared.http.get("/files", params={"path": path}).status_code == status


def test_an_upload_that_breaks_off_leaves_nothing(shared):
    path = "/home/user/broken"
    shared.http.post("/files", params={"path": path}, content=b"old")

    def half():
        yield b"new"
        raise RuntimeError("the client breaks")

    with pytest.raises(RuntimeError):
        shared.http.post("/files", params={"path": path}, content=half())
    assert (
        shared.run(f"while test -e {path}; do sleep 0.02; done; echo gone", timeout_s=60)["stdout"]
        == "gone\n"
    )


# The edge


def test_a_token_is_another_sandboxes_alone(server, http, box):
    other = Box(server, http)
    with other.http:
        headers = {"X-Superserve-Sandbox-Id": box.id, "X-Access-Token": other.token}
        assert other.http.post("/exec", json={"command": "true"}, headers=headers).status_code == 401


def test_calls_are_recorded_without_their_tokens(server, box):
    server.requests.clear()
    box.run("true")
    box.stream("true")
    box.http.post("/files", params={"path": "/home/user/x"}, content=b"body")
    box.http.get("/files", params={"path": "/home/user/x"})
    with box.connect() as ws:
        ws.send('{"command": "true"}')
        assert closing(ws) == (1000, "command exited")
    headers = {"Host": f"boxd-{box.id}.localhost", "X-Access-Token": box.token}
    assert httpx.post(f"{server.base_url}/exec", json={"command": "true"}, headers=headers).status_code == 200
    operations = ["execRun", "execStream", "writeFile", "readFile", "execConnect", "execRun"]
    assert [request.operation for request in server.requests] == operations
    assert server.requests[0].json == {"command": "true"}
    assert server.requests[3].query == {"path": ["/home/user/x"]}
    for request in server.requests:
        assert box.token not in f"{request!r} {request.headers} {request.query_string} {request.body!r}"


def test_faults_strike_the_data_plane_too(server, box):
    server.faults.on("execRun").answer(502, body="upstream connect error")
    assert box.http.post("/exec", json={"command": "true"}).status_code == 502
    assert box.run("true")["exit_code"] == 0


# Pause


def test_a_pause_ends_connections_without_a_word_and_background_work_goes_on_later(http, box):
    box.run("(while true; do date +%s%N > tick; sleep 0.02; done) > /dev/null 2>&1 &")
    answers = []

    def run():
        try:
            answers.append(box.http.post("/exec/stream", json={"command": "echo up; sleep 60"}).text)
        except httpx.TransportError as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    box.run("while ! test -s tick; do sleep 0.02; done")
    until = time.monotonic() + 60
    while not box.run("pgrep -f 'sleep 60' || true")["stdout"].strip() and time.monotonic() < until:
        pass
    http.post(f"{box.path}/pause")
    thread.join(60)
    assert isinstance(answers[0], httpx.TransportError)
    http.post(f"{box.path}/resume")
    moved = 'a=$(cat tick); while test "$(cat tick)" = "$a"; do sleep 0.02; done; echo moved'
    assert box.run(moved, timeout_s=60)["stdout"] == "moved\n"


# Without commands


def test_commands_can_be_written_down_instead(server, box):
    server.commands.on("pytest*").answer(stdout="1 failed\n", exit_code=1)
    assert box.run("pytest -q") == {"stdout": "1 failed\n", "stderr": "", "exit_code": 1}
    assert box.stream("pytest", args=["-x"])[-1]["exit_code"] == 1
    server.commands.clear()


@pytest.mark.parametrize(("program", "kind"), [("bwrap", Bwrap), ("unshare", Unshared)])
def test_a_command_cannot_change_this_machine(http, server, monkeypatch, program, kind):
    path = shutil.which(program)
    if path is None or isinstance(find_space(), str):
        pytest.skip(f"{program} does not work here")
    monkeypatch.setattr(server._running().services.resource(SandboxResource).machines, "space", kind(path))
    box = Box(server, http)
    with box.http:
        ran = box.run(
            "mount -o remount,rw,bind /usr; touch /usr/mark; kill -9 1; cat /proc/self/status; hostname; pwd"
        )
        assert (
            box.run("echo x > /dev/null; test -d /home/user && echo $$ > /tmp/mark && rm /tmp/mark")[
                "exit_code"
            ]
            == 0
        )
    http.delete(box.path)
    assert "CapEff:\t0000000000000000" in ran["stdout"]
    assert ran["stdout"].endswith("sandbox\n/home/user\n")
    assert not pathlib.Path("/usr/mark").exists()


def test_nothing_runs_where_nothing_keeps_it_apart(monkeypatch):
    from superserve.local._resources import sandbox_machines

    monkeypatch.setattr(sandbox_machines, "find_space", lambda _python: "bwrap is not installed")
    with (
        LocalServer(limits=False) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        box = Box(server, http)
        with box.http:
            response = box.http.post("/exec", json={"command": "true"})
            assert response.status_code == 500
            assert "bwrap is not installed" in response.text
            assert "--isolation none" in response.text
            assert box.stream("true")[0]["code"] == "exec_failed"


def test_what_keeps_commands_apart_is_looked_for_once(monkeypatch):
    from superserve.local._resources import sandbox_machines

    tried = []
    monkeypatch.setattr(
        sandbox_machines, "find_space", lambda _python: tried.append(1) or "bwrap is not installed"
    )
    with (
        LocalServer(limits=False) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        for _ in range(3):
            box = Box(server, http)
            with box.http:
                assert box.http.post("/exec", json={"command": "true"}).status_code == 500
    assert tried == [1]


def test_how_many_processes_the_user_has_elsewhere_does_not_matter(shared):
    import resource

    here = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = shared.run("grep 'Max processes' /proc/self/limits")["stdout"].split()
    shown = ["unlimited" if limit == resource.RLIM_INFINITY else str(limit) for limit in here]
    assert limits[2:4] == shown


def test_a_sandbox_with_too_many_processes_has_them_all_killed(shared, isolation):
    if isolation == "none":
        pytest.skip("without a space of their own they cannot be told apart")
    # Subshells that wait for a pipe that nobody writes to.
    many = "mkfifo pipe; for i in $(seq 1100); do (read line < pipe) & done; wait"
    assert shared.run(many)["exit_code"] == 137
    # They are gone once the first process of the sandbox has reaped them.
    gone = "while test $(ls -d /proc/[0-9]* | wc -l) -ge 20; do sleep 0.05; done"
    assert shared.run(gone, timeout_s=60)["exit_code"] == 0


def test_without_isolation_commands_are_plain_processes_in_a_folder_of_their_own():
    with (
        LocalServer(limits=False, isolation="none") as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        box = Box(server, http)
        with box.http:
            box.http.post("/files", params={"path": "/home/user/x"}, content=b"here")
            assert box.run("cat x; sleep 30 >/dev/null 2>&1 & echo $! > pid")["stdout"] == "here"
            pid = int(box.run("cat pid")["stdout"])
            box.http.post("/files", params={"path": "/home/user/y"}, content=b"")
    import os

    until = time.monotonic() + 60
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until
        time.sleep(0.01)


def test_without_isolation_the_paths_of_a_command_without_a_shell_are_the_sandboxs_if_it_has_their_folder(
    tmp_path,
):
    here = tmp_path / "file"
    here.write_text("this machine's")
    with (
        LocalServer(limits=False, isolation="none") as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        box = Box(server, http)
        with box.http:

            def run(*words):
                return box.run(words[0], args=list(words[1:]))

            box.http.post("/files", params={"path": "/home/user/x"}, content=b"the sandbox's")
            box.http.post("/files", params={"path": "/data/x"}, content=b"the sandbox's")
            for path in ("/home/user/x", "/data/x"):
                assert run("cat", path)["stdout"] == "the sandbox's"
            made = "/srv/made-by-a-test-of-superserve"
            run("mkdir", "-p", "--", made)
            run("mv", "-T", "--", "/home/user/x", f"{made}/x")
            assert not os.path.lexists(made)
            assert box.http.get("/files", params={"path": f"{made}/x"}).content == b"the sandbox's"
            run("rm", "-r", "--", made)
            assert box.http.get("/files", params={"path": f"{made}/x"}).status_code == 404
            # This machine's, as the sandbox has no such file; and what is no path.
            assert run("cat", str(here))["stdout"] == "this machine's"
            assert run("printf", "%s ", "/foo/p", "a/b", "/")["stdout"] == "/foo/p a/b / "


def test_stopping_leaves_no_folder_and_no_process(isolation, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        LocalServer(limits=False, isolation=isolation) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        box = Box(server, http)
        with box.http:
            box.run("sleep 60 > /dev/null 2>&1 &")
            assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_can_be_listed_by_its_team_which_wakes_a_paused_sandbox(http, box):
    box.http.post("/files?path=/home/user/sub/file", content=b"1234")
    http.post(f"{box.path}/pause")
    found = http.get(f"{box.path}/files", params={"path": "/home/user/sub"})
    assert http.get(box.path).json()["status"] == "active"
    [entry] = found.json()["entries"]
    assert entry.pop("modified_unix") > 0
    assert entry == {"name": "file", "is_dir": False, "size": 4}
    refused = [("/nowhere", 404), ("relative", 400), ("/a/../b", 400), ("/home/user/sub/file", 400)]
    for path, status in refused:
        assert http.get(f"{box.path}/files", params={"path": path}).status_code == status
    assert {"name", "is_dir"} < set(http.get(f"{box.path}/files").json()["entries"][0])


def test_what_a_session_leaves_in_the_background_outlives_it(shared):
    with shared.connect() as socket:
        socket.send(json.dumps({"command": "sleep 30 > /dev/null 2>&1 < /dev/null & echo $!"}))
        pid = int(socket.recv()[1:])
        assert json.loads(socket.recv())["exit_code"] == 0
    assert shared.run(f"kill {pid}")["exit_code"] == 0


def test_a_token_that_is_no_text_is_a_wrong_one(shared):
    answer = shared.http.post("/exec", json={"command": "true"}, headers={"X-Access-Token": b"\xe9"})
    assert answer.status_code == 401


def test_a_sandbox_that_is_deleted_while_a_request_is_read_is_not_there(server, http, box):
    def body():
        yield b'{"command": '
        assert http.delete(box.path).status_code == 204
        yield b'"true"}'

    server.requests.clear()
    try:
        answer = box.http.post("/exec/stream", content=body(), headers={"Expect": "100-continue"})
    except httpx.TransportError:
        # It was let in before that.
        return
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "sandbox_route_stale")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mark"), [("Bwrap", 4321), ("Unshared", 4322), ("Unisolated", 4323)])
def test_a_server_that_is_killed_leaves_no_process_and_the_next_removes_its_folders(kind, mark, tmp_path):
    path = shutil.which({"Bwrap": "bwrap", "Unshared": "unshare", "Unisolated": "sh"}[kind])
    if kind != "Unisolated" and (path is None or isinstance(find_space(), str)):
        pytest.skip(f"no {kind} here")
    # A process in a session of its own is not found again without isolation: the documentation says so.
    leaver = "" if kind == "Unisolated" else "setsid "
    program = f"""
import httpx
from superserve.local import LocalServer
from superserve.local._machines.sandboxes import spaces
from superserve.local._resources.sandboxes import SandboxResource
from tests.local.box import Box
with LocalServer(limits=False) as server:
    kind = spaces.{kind}
    space = kind() if kind is spaces.Unisolated else kind({path!r})
    server._running().services.resource(SandboxResource).machines.space = space
    http = httpx.Client(base_url=server.base_url, headers={{"X-API-Key": server.api_key}}, verify=False)
    Box(server, http).run("{leaver}sleep {mark} > /dev/null 2>&1 < /dev/null &")
    print("ready", flush=True)
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "ready\n"), killed.stderr

    def left():
        marks = (str(tmp_path).encode(), f"sleep\0{mark}".encode())
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (process / "cmdline").read_bytes()
                found += [process for each in marks if each in line]
        return found

    until = time.monotonic() + 60
    while left():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert list(tmp_path.glob("superserve-*"))
    sweep_in(tmp_path)
    assert not list(tmp_path.glob("superserve-*"))


def sweep_in(folder):
    from superserve.local._machines.scratch import sweep

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        sweep()
