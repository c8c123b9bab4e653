"""What runs in sandboxes of the local server: from the start, up to its limits, and not after its end."""

import contextlib
import itertools
import json
import pathlib
import threading
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space
from tests.local.box import Box

MIB = 1 << 20
_seconds = itertools.count(40_000)


@pytest.fixture(scope="module")
def isolation():
    """What this machine can do: where nothing keeps commands apart, the tests ask for that by name."""
    return "none" if isinstance(find_space(), str) else "auto"


@contextlib.contextmanager
def started(**options):
    with (
        LocalServer(limits=False, **options) as server,
        httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http,
    ):
        yield server, http


@pytest.fixture(scope="module")
def shared(isolation):
    with started(isolation=isolation, speed=100) as both:
        yield both


@pytest.fixture
def server(shared):
    server, _ = shared
    yield server
    server.reset()


@pytest.fixture
def http(shared):
    return shared[1]


@pytest.fixture
def box(server, http):
    box = Box(server, http)
    with box.http:
        yield box
    http.delete(box.path)


@pytest.fixture
def small(server, http):
    """A sandbox with a disk of 8 MiB, in which 30 processes may run."""
    server.sandboxes.behave(disk_bytes=8 * MIB, processes=30)
    box = Box(server, http)
    with box.http:
        yield box
    http.delete(box.path)


def wait_for(condition, within_s=60):
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def build(http, **spec):
    made = http.post("/templates", json={"name": "mine", "build_spec": {"from": "debian:12", **spec}})
    assert made.status_code == 202, made.text
    wait_for(lambda: http.get(f"/templates/{made.json()['id']}").json()["status"] == "ready")


# start_cmd


def test_what_a_template_starts_runs_in_its_sandboxes_as_its_steps_say(server, http):
    build(
        http,
        steps=[
            {"env": {"key": "COLOUR", "value": "green"}},
            {"user": {"name": "app"}},
            {"workdir": "/home/app/work"},
        ],
        start_cmd='echo "$COLOUR $SHAPE $USER $(basename "$PWD")" > started; exec sleep 300',
    )
    box = Box(server, http, from_template="mine", env_vars={"SHAPE": "round"})
    with box.http:
        assert box.run("while ! test -s started; do sleep 0.01; done; cat started")["stdout"] == (
            "green round app work\n"
        )


def test_it_is_there_without_anybody_asking(server, http):
    seconds = next(_seconds)
    build(http, start_cmd=f"exec sleep {seconds}")
    box = Box(server, http, from_template="mine")
    wait_for(lambda: count_sleeping(seconds) == 1)
    http.delete(box.path)
    wait_for(lambda: count_sleeping(seconds) == 0)


def test_it_stops_with_a_pause_and_goes_on_with_the_resumption(server, http):
    build(http, start_cmd="while true; do date +%s%N > tick; sleep 0.01; done")
    box = Box(server, http, from_template="mine")
    with box.http:
        moved = 'a=$(cat tick); while test "$(cat tick)" = "$a"; do sleep 0.01; done; echo moved'
        box.run("while ! test -s tick; do sleep 0.01; done")
        for _ in range(2):
            assert box.run(moved, timeout_s=60)["stdout"] == "moved\n"
            http.post(f"{box.path}/pause")
            http.post(f"{box.path}/resume")


def test_commands_find_it_ready_where_its_build_did():
    if isinstance(find_space(), str):
        pytest.skip("nothing keeps builds and commands apart here")
    with started(speed=100, execute=True) as (server, http):
        build(
            http,
            steps=[{"workdir": "/home/user"}],
            start_cmd="sleep 0.3; exec sleep 300",
            ready_cmd="pgrep -f '^sleep 300'",
        )
        box = Box(server, http, from_template="mine")
        with box.http:
            assert box.run("pgrep -f '^sleep 300'")["exit_code"] == 0


def test_one_that_fails_keeps_nobody_waiting(server, http):
    build(http, start_cmd="no-such-program", ready_cmd="curl localhost:1")
    box = Box(server, http, from_template="mine")
    with box.http:
        assert box.run("echo fine")["stdout"] == "fine\n"


# Limits


def test_a_file_that_does_not_fit_is_refused_and_gone(small):
    path = {"path": "/home/user/large"}
    small.http.post("/files", params=path, content=b"before")
    answer = small.http.post("/files", params=path, content=bytes(9 * MIB))
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "sandbox_storage_full")
    assert small.http.get("/files", params=path).status_code == 404


def test_there_is_room_again_when_files_are_removed(small):
    def write(name):
        return small.http.post(
            "/files", params={"path": f"/home/user/{name}"}, content=bytes(5 * MIB)
        ).status_code

    assert [write("a"), write("b")] == [200, 507]
    small.run("rm a")
    assert write("b") == 200
    # Written over, it takes no more than before.
    assert write("b") == 200


def test_one_file_cannot_outgrow_the_disk(small):
    ran = small.run("head -c 20000000 /dev/zero > large; echo $?; wc -c < large")
    assert ran["stdout"].split() == ["1", str(8 * MIB)]
    assert "File too large" in ran["stderr"]


def test_a_command_that_fills_the_disk_with_many_files_is_killed_and_the_reason_told(small):
    ran = small.run(
        "i=0; while true; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); sleep 0.02; done", timeout_s=20
    )
    assert ran["exit_code"] == 137
    assert ran["stderr"] == (
        "\n[superserve.local] the sandbox has more than 8 MiB on its disk: all that ran in it was killed\n"
    )
    assert small.run("rm f*; echo there is room")["stdout"] == "there is room\n"


def test_a_command_that_starts_too_many_processes_is_killed_with_all_of_them(small):
    seconds = next(_seconds)
    ran = small.run(f"for n in $(seq 40); do sleep {seconds} & done; wait", timeout_s=20)
    assert ran["exit_code"] == 137
    assert "[superserve.local] the sandbox has more than 30 processes" in ran["stderr"]
    wait_for(lambda: count_sleeping(seconds) == 0)
    assert small.run("echo fine")["stdout"] == "fine\n"


# Ends


def hang_up(box, command):
    with contextlib.suppress(httpx.TimeoutException):
        box.http.post("/exec", json={"command": command}, timeout=0.5)


def hang_up_stream(box, command):
    with box.http.stream("POST", "/exec/stream", json={"command": command}) as response:
        next(response.iter_raw())


def hang_up_socket(box, command):
    with box.connect() as socket:
        socket.send(json.dumps({"command": command}))
        socket.recv()


def wait_for_the_timeout(box, command):
    assert box.run(command, timeout_s=1)["exit_code"] == 124


def lose(box, command, what):
    """Let a command run until something is done to the sandbox that ends its connection."""

    def run():
        with contextlib.suppress(httpx.TransportError, ConnectionClosed):
            box.http.post("/exec", json={"command": command})

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: count_sleeping(command.rsplit(None, 1)[-1]) == 2)
    what()
    thread.join(60)
    assert not thread.is_alive()


ENDS = {
    "timeout": lambda box, http, command: wait_for_the_timeout(box, command),
    "hanging up": lambda box, http, command: hang_up(box, command),
    "hanging up on a stream": lambda box, http, command: hang_up_stream(box, command),
    "hanging up on a socket": lambda box, http, command: hang_up_socket(box, command),
    "deletion": lambda box, http, command: lose(box, command, lambda: http.delete(box.path)),
    "pause and resumption": lambda box, http, command: lose(
        box, command, lambda: (http.post(f"{box.path}/pause"), http.post(f"{box.path}/resume"))
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_command_ends_with_all_that_it_has_started(box, http, how):
    seconds = next(_seconds)
    ENDS[how](box, http, f"echo begun; sleep {seconds} & sleep {seconds}")
    wait_for(lambda: count_sleeping(seconds) == 0)


def test_what_is_paused_stands_still_and_goes_with_its_sandbox(box, http):
    seconds = next(_seconds)
    box.run(f"sleep {seconds} > /dev/null 2>&1 &")
    wait_for(lambda: count_sleeping(seconds) == 1)
    http.post(f"{box.path}/pause")
    wait_for(lambda: states_of_sleeping(seconds) == ["T"])
    http.delete(box.path)
    wait_for(lambda: count_sleeping(seconds) == 0)


def test_a_server_that_stops_takes_along_what_runs_and_what_is_paused(isolation):
    seconds = next(_seconds)
    with started(isolation=isolation) as (server, http):
        running, paused = Box(server, http), Box(server, http)
        with running.http, paused.http:
            for box in (running, paused):
                box.run(f"sleep {seconds} > /dev/null 2>&1 &")
        wait_for(lambda: count_sleeping(seconds) == 2)
        http.post(f"{paused.path}/pause")
        wait_for(lambda: states_of_sleeping(seconds).count("T") == 1)
    wait_for(lambda: count_sleeping(seconds) == 0)


def states_of_sleeping(seconds):
    """Return the states of the processes of `sleep SECONDS` on this machine, whatever sees them."""
    states = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                states.append((process / "stat").read_text().rpartition(")")[2].split()[0])
    return states


def count_sleeping(seconds):
    return len(states_of_sleeping(seconds))
