"""Starting and stopping: what a server needs, and what it leaves."""

import json
import os
import pydoc
import re
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import httpx
import pytest

from superserve.local import LocalServer, TeamLimits
from superserve.local._app import server_thread


def open_files():
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()}


@pytest.fixture
def leaves_nothing():
    """Check that neither threads nor open files are left."""
    files, threads = open_files(), set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == threads
    assert open_files() <= files


def connect(server, request):
    """Send a request over a socket of its own and leave it open."""
    connection = socket.create_connection(("127.0.0.1", httpx.URL(server.base_url).port), timeout=60)
    connection.sendall(request)
    return connection


def get(server, path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {server.api_key}\r\nConnection: close\r\n\r\n".encode()


def read(connection):
    """Read what is left on a connection, to its end."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def held_build(server):
    server.builds.hold()
    template_id = server.templates.add()
    build_id = server.builds.add(template_id, status="pending")
    return f"/templates/{template_id}/builds/{build_id}/logs", build_id


def test_a_server_answers_as_soon_as_it_is_started(leaves_nothing):
    with LocalServer() as server:
        answer = httpx.get(server.base_url + "/health", verify=False)

    assert answer.status_code == 200
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.base_url)


def test_after_stop_nobody_answers(leaves_nothing):
    server = LocalServer().start()
    server.stop()
    server.stop()

    with pytest.raises(httpx.ConnectError):
        httpx.get(server.base_url + "/health", verify=False)


def test_a_stopped_server_starts_again_with_fresh_rows():
    server = LocalServer(limits=False)
    with server:
        server.templates.add("demo")
        port = httpx.URL(server.base_url).port
    server = LocalServer(port=port, api_key=server.api_key)
    for _ in range(2):
        with server:
            listed = httpx.get(
                server.base_url + "/templates", headers={"X-API-Key": server.api_key}, verify=False
            )
            server.templates.add("demo")
        assert "demo" not in listed.text


def test_many_servers_run_at_once_and_share_nothing(leaves_nothing):
    servers = [LocalServer(speed=100).start() for _ in range(20)]
    for number, server in enumerate(servers):
        server.templates.add(f"own-{number}")
    lists = [
        httpx.get(server.base_url + "/templates", headers={"X-API-Key": server.api_key}, verify=False).json()
        for server in servers
    ]
    for server in servers:
        server.stop()

    assert len({server.base_url for server in servers}) == len({server.api_key for server in servers}) == 20
    for number, rows in enumerate(lists):
        assert [row["name"] for row in rows if row["name"].startswith("own-")] == [f"own-{number}"]


def test_stopping_cuts_open_log_streams_off(leaves_nothing, wait_for_readers):
    with LocalServer(speed=100) as server:
        path, build_id = held_build(server)
        server.builds.write(build_id, "hello")
        silent_path, silent_id = held_build(server)
        server.builds.wait_for(silent_id, "building")
        talking, silent = connect(server, get(server, path)), connect(server, get(server, silent_path))
        start = talking.recv(1000)
        wait_for_readers(server, silent_id)

    with talking, silent:
        rest, nothing = read(talking), read(silent)

    assert start.startswith(b"HTTP/1.1 200")
    # As after a crash: without a last chunk, and without headers where there was no event yet.
    assert not (start + rest).endswith(b"0\r\n\r\n")
    assert b"hello" in start + rest
    assert nothing == b""


def test_a_server_that_is_drained_answers_what_it_was_asked_and_takes_nothing_more(
    leaves_nothing, wait_for_readers
):
    server = LocalServer(speed=100).start()
    path, build_id = held_build(server)
    server.builds.write(build_id, "hello")
    idle, talking = (
        connect(server, get(server, "/health").replace(b"close", b"keep-alive")),
        connect(server, get(server, path)),
    )
    assert idle.recv(1000).startswith(b"HTTP/1.1 200")
    wait_for_readers(server, build_id)
    draining = threading.Thread(target=server.stop, kwargs={"drain_s": 1_000_000})
    draining.start()

    with idle, talking:
        # It ends when the server has begun to drain.
        read(idle)
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.base_url + "/health", verify=False)
        server.builds.write(build_id, "goodbye")
        server.builds.finish(build_id)
        log = read(talking)
    draining.join()

    assert b"goodbye" in log
    assert log.endswith(b"0\r\n\r\n")


def test_a_drain_ends_when_its_time_is_over_and_cuts_off_what_goes_on(leaves_nothing):
    server = LocalServer(speed=100).start()
    path, build_id = held_build(server)
    server.builds.write(build_id, "hello")
    with connect(server, get(server, path)) as talking:
        start = talking.recv(1000)
        server.stop(drain_s=1)
        log = start + read(talking)

    assert b"hello" in log
    assert not log.endswith(b"0\r\n\r\n")


def test_a_drain_is_ended_by_a_stop(leaves_nothing, wait_for_readers):
    server = LocalServer(speed=100).start()
    path, build_id = held_build(server)
    server.builds.write(build_id, "hello")
    idle, talking = (
        connect(server, get(server, "/health").replace(b"close", b"keep-alive")),
        connect(server, get(server, path)),
    )
    idle.recv(1000)
    wait_for_readers(server, build_id)
    draining = threading.Thread(target=server.stop, kwargs={"drain_s": 1_000_000})
    draining.start()

    with idle, talking:
        read(idle)
        server.stop()
        draining.join()
        assert b"hello" in read(talking)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), "15", True])
def test_a_drain_has_a_length(seconds):
    with LocalServer() as server, pytest.raises((TypeError, ValueError), match="drain_s must be"):
        server.stop(drain_s=seconds)


def test_stopping_does_not_wait_for_clients_that_do_not_read(leaves_nothing):
    with LocalServer(speed=100) as server:
        path, build_id = held_build(server)
        server.builds.write(build_id, "hello")
        connection = connect(server, get(server, path))
        connection.recv(1000)
        for _ in range(4):
            server.builds.write(build_id, *["x" * 32_000] * 256, wait=False)

    connection.close()


def test_stopping_does_not_wait_for_clients_that_do_not_send(leaves_nothing):
    head = "POST /templates HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {}\r\nContent-Length: 1000\r\n\r\n{{"
    with LocalServer() as server:
        upload = connect(server, head.format(server.api_key).encode())
        half_a_head = connect(server, b"GET /templates HT")
        idle = connect(server, get(server, "/health"))
        idle.recv(1000)

    for connection in (upload, half_a_head, idle):
        connection.close()


def test_stopping_stops_builds_that_run(leaves_nothing):
    with LocalServer(speed=100) as server:
        _, build_id = held_build(server)
        server.builds.wait_for(build_id, "building")


def test_a_port_can_be_chosen_and_one_that_is_taken_is_named():
    with LocalServer() as server:
        port = httpx.URL(server.base_url).port
        with pytest.raises(OSError, match=f"127.0.0.1:{port}.*choose another port"):
            LocalServer(port=port).start()
    with LocalServer(port=port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": -1}, "port must be 0-65535"),
        ({"port": 65536}, "port must be 0-65535"),
        ({"speed": 0}, "speed must be more than 0 and at most 10000, not 0"),
        ({"speed": float("nan")}, "speed must be more than 0"),
        ({"speed": float("inf")}, "speed must be more than 0 and at most 10000, not inf"),
        ({"speed": 10_001}, "speed must be more than 0 and at most 10000, not 10001"),
        ({"api_key": " "}, "api_key must not be empty"),
        ({"api_key": "two words"}, "api_key must be printable ASCII characters without spaces"),
        ({"api_key": "schlüssel"}, "api_key must be printable ASCII characters without spaces"),
        ({"api_key": "key\n"}, "api_key must be printable ASCII characters without spaces"),
        ({"state": ""}, "state must name a file"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LocalServer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": True}, "port must be a whole number, not True"),
        ({"port": "8080"}, "port must be a whole number, not '8080'"),
        ({"speed": "100"}, "speed must be a number, not '100'"),
        ({"speed": True}, "speed must be a number, not True"),
        ({"api_key": 12345}, "api_key must be a text$"),
        ({"api_key": b"12345"}, "api_key must be a text$"),
        ({"execute": "no"}, "execute must be true or false, not 'no'"),
        ({"newer": 1}, "newer must be true or false, not 1"),
        ({"system_templates": None}, "system_templates must be true or false, not None"),
        ({"limits": "no"}, r"limits must be True, False or Limits\(...\), not 'no'"),
        ({"limits": TeamLimits()}, r"limits must be True, False or Limits\(...\), not TeamLimits"),
        ({"limits": None}, r"limits must be True, False or Limits\(...\), not None"),
    ],
)
def test_options_of_a_wrong_type_are_named(options, message):
    with pytest.raises(TypeError, match=message):
        LocalServer(**options)


def test_a_server_that_refuses_its_arguments_can_be_shown():
    server = LocalServer.__new__(LocalServer)
    with pytest.raises(ValueError, match="port must be"):
        server.__init__(port=-1)

    # Debuggers and test reports show it beside the error.
    assert repr(server) == "<LocalServer not running>"


def test_the_highest_speed_is_taken():
    with LocalServer(speed=10_000) as server:
        assert httpx.get(server.base_url + "/health", verify=False).status_code == 200


def test_help_tells_what_a_server_has():
    told = pydoc.plain(pydoc.render_doc(LocalServer))

    for name in vars(LocalServer()):
        assert name.startswith("_") or f"{name}: `{name.title()}`" in told


def test_what_needs_a_running_server_says_so():
    server = LocalServer()

    with pytest.raises(RuntimeError, match=r"start\(\)"):
        _ = server.base_url
    with pytest.raises(RuntimeError, match=r"start\(\)"):
        server.reset()
    with pytest.raises(RuntimeError, match=r"start\(\)"):
        server.templates.add()


def test_a_running_server_is_not_started_twice():
    with LocalServer() as server, pytest.raises(RuntimeError, match="already runs"):
        server.start()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(leaves_nothing, monkeypatch):
    def broken(*_):
        raise LookupError("no backend today")

    monkeypatch.setattr(server_thread, "Backend", broken)

    with pytest.raises(LookupError, match="no backend today"):
        LocalServer().start()


def test_keys_are_random_unless_chosen_and_never_shown():
    chosen = LocalServer(api_key="chosen-key")

    assert LocalServer().api_key != LocalServer().api_key
    assert chosen.api_key == "chosen-key"
    with chosen:
        team = chosen.add_team()
        assert "chosen-key" not in repr(chosen)
        assert team.api_key not in repr(team)
    assert repr(chosen) == "<LocalServer not running>"


def test_a_key_names_no_region():
    assert re.fullmatch(r"ss_local_[0-9a-f]{32}", LocalServer().api_key)


def test_a_seed_repeats_the_ids():
    def ids(seed):
        with LocalServer(seed=seed) as server:
            return server.templates.add(), server.add_team().id

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert ids(None) != ids(None)


def test_reset_goes_back_to_the_start():
    with LocalServer(speed=100, seed=7) as server:
        key = server.add_team().api_key
        first = server.templates.add("demo")
        path, build_id = held_build(server)
        server.builds.write(build_id, "hello")
        server.builds.freeze()
        with connect(server, get(server, path)) as stream:
            stream.recv(1000)
            server.reset()
            assert not read(stream).endswith(b"0\r\n\r\n")
        client = httpx.Client(base_url=server.base_url, verify=False)
        with client:
            refused = client.get("/templates", headers={"X-API-Key": key})
            listed = client.get("/templates", headers={"X-API-Key": server.api_key})
            team_id = server.add_team().id
            again = server.templates.add("demo")
            build_id = server.builds.add(again, status="pending")
            server.builds.wait_for(build_id, "ready")

    assert refused.status_code == 401
    assert {row["name"].split("/")[0] for row in listed.json()} == {"superserve"}
    assert listed.headers["ratelimit-remaining"] == "39"
    assert len({first, again, team_id}) == 2, "the same seed gives the same ids again"


def test_a_call_that_fails_fails_in_its_caller_and_harms_nobody(server, http):
    with pytest.raises(KeyError, match="no build 'no such build' on this server"):
        server.builds.set("no such build", "ready")
    with pytest.raises(ValueError, match="the host has no build"):
        server.builds.finish(server.builds.add(server.templates.add()))

    assert http.get("/templates").status_code == 200


def python(*arguments, **options):
    root = Path(server_thread.__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.mark.parametrize("missing", ["uvicorn", "starlette"])
def test_without_the_extra_the_import_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import superserve.local"

    ended = python("-c", code)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("ImportError: ")
    assert "pip install 'superserve-client[local]'" in ended.stderr


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("uvicorn", ["run", "--", "true"]),
        ("websockets", ["--help"]),
        ("tree_sitter", ["--help"]),
        ("tree_sitter_bash", ["--help"]),
    ],
)
def test_without_the_whole_extra_the_command_says_so_on_one_line(tmp_path, arguments, missing):
    # Python imports this first of all.
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{missing!r}] = None\n")
    command = [sys.executable, "-W", "error", "-m", "superserve.local", *arguments]
    root = Path(server_thread.__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}

    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert (
        f"superserve.local needs {missing}, which isn't installed: pip install 'superserve-client[local]'"
        in line
    )


def test_what_the_first_request_does_not_need_is_not_loaded_at_the_start():
    code = "import sys, superserve.local.__main__; print(*sys.modules)"

    ended = python("-c", code)

    loaded = set(ended.stdout.split())
    assert "superserve.local" in loaded
    assert not loaded & {
        "websockets",
        "tree_sitter",
        "cryptography",
        "zipfile",
        "superserve.local._machines.processes",
    }


def test_a_server_that_nobody_stops_does_not_keep_the_interpreter():
    code = "from superserve.local import LocalServer; print(LocalServer().start().base_url)"

    ended = python("-c", code)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("http://")


def test_nothing_of_the_client_is_imported():
    code = (
        "import sys, json, superserve.local, superserve.local._machines.pretend\n"
        "import superserve.local._machines.processes, superserve.local._store.database\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('superserve')]))"
    )

    ended = python("-c", code)

    modules = json.loads(ended.stdout)
    assert "superserve.local" in modules
    assert {name for name in modules if not name.startswith("superserve.local")} == {"superserve"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_is_told_at_once_whose_the_server_is():
    with LocalServer(limits=False) as server:
        fault = server.faults.on("GET /templates").answer(503)
        commands = server.commands
        scripting = commands.on("make")
        steering = {
            "add_team": server.add_team,
            "add_key": server.add_key,
            "revoke_key": lambda: server.revoke_key(server.api_key),
            "reset": server.reset,
            "templates": server.templates.add,
            "builds": lambda: server.builds.wait_for("any", "ready"),
            "on": lambda: server.faults.on("*"),
            "on_build": server.faults.on_build,
            "clear": server.faults.clear,
            "faults": lambda: list(server.faults),
            "struck": lambda: fault.struck,
            "left": lambda: fault.left,
            "remove": fault.remove,
            "wait_for": fault.wait_for,
            "commands": lambda: server.commands,
            "script": scripting.answer,
            "forget scripts": commands.clear,
            "requests": server.requests.count,
            "arrival": server.requests.wait_for,
            "forget": server.requests.clear,
        }
        told = in_a_fork(lambda: {name: why_not(work) for name, work in steering.items()})
        shown = in_a_fork(lambda: [repr(server), repr(server.faults), repr(fault), repr(server.requests)])
        # What is only a request goes on, and it stops nothing that is its parent's.
        assert in_a_fork(server.stop) is None
        answer = httpx.get(server.base_url + "/health", verify=False)

    assert told.keys() == steering.keys()
    for name, text in told.items():
        assert f"RuntimeError: this server runs in process {os.getpid()}, " in text, name
    assert len(shown) == 4
    assert answer.status_code == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_may_have_a_server_of_its_own_and_read_one_that_was_stopped():
    stopped = LocalServer()
    with stopped:
        httpx.get(stopped.base_url + "/health", verify=False)

    def work():
        with LocalServer() as server:
            server.templates.add()
            return httpx.get(server.base_url + "/health", verify=False).status_code, stopped.requests.count()

    assert in_a_fork(work) == [200, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_does_not_keep_the_port_of_a_server_that_was_stopped():
    reader, writer = os.pipe()
    with LocalServer() as server:
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # until the parent has closed its end
            os._exit(0)
        answer = httpx.get(server.base_url + "/health", verify=False)
    try:
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.base_url + "/health", verify=False)
        with LocalServer(port=httpx.URL(server.base_url).port) as again:
            assert httpx.get(again.base_url + "/health", verify=False).status_code == 200
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)

    assert answer.status_code == 200


def in_a_fork(work):
    """Do work in a forked process; gives its result, which JSON can show."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            told = {"result": work()}
        except BaseException:  # noqa: BLE001 - the parent tells
            told = {"failed": traceback.format_exc()}
        os.write(writer, json.dumps(told).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    assert "failed" not in told, told["failed"]
    return told["result"]


def why_not(work):
    try:
        work()
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"


def test_a_thread_that_waits_is_told_when_the_server_stops():
    told = []

    def wait(server, build_id):
        try:
            server.builds.wait_for(build_id, "ready")
        except RuntimeError as error:
            told.append(str(error))

    with LocalServer(speed=100) as server:
        _, build_id = held_build(server)
        waiting = threading.Thread(target=wait, args=[server, build_id])
        waiting.start()
        # The coroutine that looks at the row is in the server's loop by then.
        calls = server._thread._calls
        while not calls:
            pass
    waiting.join(60)

    assert told == ["the server was stopped during the call"]


@pytest.mark.parametrize(
    "variables",
    [
        {"WEB_CONCURRENCY": "many", "FORWARDED_ALLOW_IPS": "*"},
        {"WEB_CONCURRENCY": "4", "UVICORN_PORT": "1", "UVICORN_RELOAD": "true", "UVICORN_LOG_LEVEL": "no"},
    ],
)
def test_what_the_environment_says_to_other_servers_changes_nothing(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with LocalServer() as server:
        config = server._thread._server.config
        answer = httpx.get(server.base_url + "/health", verify=False)

    assert answer.status_code == 200
    assert (config.workers, config.forwarded_allow_ips) == (1, "")


def test_what_the_environment_says_to_other_servers_changes_no_websocket():
    program = """if True:
        import os, socket
        from superserve.local import LocalServer
        with LocalServer() as server:
            with socket.create_connection(("127.0.0.1", int(server.base_url.rpartition(":")[2])), timeout=30) as sock:
                sock.sendall(b"GET /exec/connect HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: Upgrade\\r\\n"
                    b"Upgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: " + b"A" * 22 + b"==\\r\\n\\r\\n")
                print(sock.makefile("rb").readline().split()[1].decode(), os.environ["WEBSOCKETS_MAX_LINE_LENGTH"])
    """
    limits = {"WEBSOCKETS_MAX_NUM_HEADERS": "2", "WEBSOCKETS_MAX_LINE_LENGTH": "many"}

    told = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert told.stdout == "400 many\n", told.stderr
