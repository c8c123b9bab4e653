"""`python -m superserve.local`."""

import contextlib
import json
import logging
import os
import pty
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import attrs
import httpx
import pytest

import superserve.local
from superserve.local import __main__ as command_line
from superserve.local._app.terminal import LineFormatter, takes_colours

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(superserve.local.__file__).parents[2])}
COMMAND = [sys.executable, "-W", "error", "-m", "superserve.local"]


@attrs.frozen
class Ended:
    """What a command line has come to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capfd):
    """Run a command line to its end, in this process: what it starts writes to the same descriptors."""
    root, requests = logging.getLogger(), logging.getLogger("superserve.local.requests")

    def run(*arguments):
        capfd.readouterr()
        handlers, level = list(root.handlers), requests.level
        try:
            code = command_line.main(arguments)
        except SystemExit as ended:
            code = ended.code
        finally:
            # A command line logs for as long as its process lasts.
            for handler in [handler for handler in root.handlers if handler not in handlers]:
                root.removeHandler(handler)
            requests.setLevel(level)
        sys.stdout.flush()
        return Ended(code, *capfd.readouterr())

    return run


def run_apart(*arguments):
    """Run a command line to its end, as a shell does."""
    ended = subprocess.run(
        [*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def start():
    """Start the command in a process group of its own."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def serve(start):
    """Start the command; gives the process and what it exports."""

    def serve(*arguments):
        process = start(*arguments)
        lines = [process.stdout.readline() for _ in range(2)]
        return process, dict(re.fullmatch(r"export (\w+)=(\S+)\n", line).groups() for line in lines)

    return serve


def get(exported, path, **options):
    headers = {"X-API-Key": exported["SUPERSERVE_API_KEY"]}
    return httpx.get(exported["SUPERSERVE_BASE_URL"] + path, headers=headers, verify=False, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_prints_what_to_export_and_serves_until_it_is_told_to_stop(serve, number):
    process, exported = serve("--speed", "100")
    answer = get(exported, "/templates")

    process.send_signal(number)
    output, _ = process.communicate(timeout=120)

    assert answer.status_code == 200
    assert "ratelimit-limit" in answer.headers
    assert (process.returncode, output) == (0, "")


def test_sigterm_lets_requests_go_on_for_a_while_if_it_is_told_to(serve):
    process, exported = serve("--no-limits", "--speed", "100", "--drain", "360000")
    spec = {"from": "debian:12", "steps": [{"run": "sleep 50"}, {"run": "sleep 60000"}]}
    headers = {"X-API-Key": exported["SUPERSERVE_API_KEY"]}
    with httpx.Client(base_url=exported["SUPERSERVE_BASE_URL"], headers=headers, verify=False) as http:
        created = http.post("/templates", json={"name": "demo", "build_spec": spec}).json()
        with http.stream("GET", f"/templates/{created['id']}/builds/{created['build_id']}/logs") as stream:
            lines = stream.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            while is_served(exported):
                pass
            # The log goes on.
            assert any("Step 2/2" in line for line in lines)
            assert process.poll() is None
            # Whoever asks again does not want to wait.
            process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)

    assert process.wait(timeout=60) == 0


def is_served(exported):
    try:
        get(exported, "/health")
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        return False
    return True


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--drain", "-1"], "must be 0 or more seconds"),
        (["--drain", "soon"], "could not convert"),
        (["--drain", "15", "run", "true"], "--drain does not go with run"),
    ],
)
def test_a_drain_that_makes_no_sense_is_refused(start, arguments, text):
    process = start(*arguments)

    _, complaint = process.communicate(timeout=60)

    assert process.returncode == 2
    assert text in complaint


def test_it_stops_while_a_log_is_read(serve):
    process, exported = serve("--no-limits")
    spec = {"from": "debian:12", "steps": [{"run": "sleep 600"}]}
    headers = {"X-API-Key": exported["SUPERSERVE_API_KEY"]}
    with httpx.Client(base_url=exported["SUPERSERVE_BASE_URL"], headers=headers, verify=False) as http:
        created = http.post("/templates", json={"name": "demo", "build_spec": spec}).json()
        with http.stream("GET", f"/templates/{created['id']}/builds/{created['build_id']}/logs") as stream:
            lines = stream.iter_lines()
            assert "queued" in next(lines)
            process.send_signal(signal.SIGINT)
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)

    assert process.wait(timeout=120) == 0


def test_a_shell_can_evaluate_what_it_prints(start):
    script = """
        eval "$({command} &)"
        exec {python} -c 'import os; print(os.environ["SUPERSERVE_BASE_URL"], os.environ["SUPERSERVE_API_KEY"])'
    """
    # The server outlives the shell, in the same process group: the fixture ends both.
    shell = subprocess.Popen(
        ["sh", "-c", script.format(command=shlex.join(COMMAND), python=shlex.quote(sys.executable))],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = shell.communicate(timeout=120)
        base_url, key = output.split()
        answer = httpx.get(base_url + "/templates", headers={"X-API-Key": key}, verify=False)
    finally:
        os.killpg(shell.pid, signal.SIGTERM)

    assert answer.status_code == 200


def test_a_key_with_characters_of_the_shell_is_quoted(serve, tmp_path):
    key = "a-key;echo$(oops)"
    with superserve.local.LocalServer(state=tmp_path / "state", api_key=key):
        pass
    process = subprocess.Popen(
        [*COMMAND, "--state", tmp_path / "state"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    with process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
    shown = subprocess.run(
        ["sh", "-c", "".join(lines) + 'printf %s "$SUPERSERVE_API_KEY"'],
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout == key


def test_options_choose_the_port_and_turn_limits_off(serve):
    with superserve.local.LocalServer() as server:
        port = httpx.URL(server.base_url).port
    _, exported = serve("--port", str(port), "--no-limits")

    answer = httpx.get(exported["SUPERSERVE_BASE_URL"] + "/health", verify=False)

    assert exported["SUPERSERVE_BASE_URL"] == f"http://127.0.0.1:{port}"
    assert "ratelimit-limit" not in answer.headers


def test_a_port_that_is_taken_is_one_line_of_error(run):
    with superserve.local.LocalServer() as server:
        port = httpx.URL(server.base_url).port
        ended = run("--port", str(port))

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--port", "x"],
        ["--speed", "0"],
        ["--speed", "inf"],
        ["--speed", "100000"],
        ["--speed", "fast"],
        ["--state", ""],
        ["--nonsense"],
        ["run"],
    ],
)
def test_wrong_options_are_errors_of_the_command_line(run, arguments):
    ended = run(*arguments)

    assert ended.returncode == 2
    assert "usage:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_run_gives_a_command_a_server_of_its_own_and_takes_its_code():
    code = (
        "import os, sys, urllib.request as r\n"
        "url, key = os.environ['SUPERSERVE_BASE_URL'], os.environ['SUPERSERVE_API_KEY']\n"
        "print(r.urlopen(r.Request(url + '/templates', headers={'X-API-Key': key})).status, sys.argv[1:])\n"
        "sys.exit(7)\n"
    )

    ended = run_apart("run", "--speed", "100", "--no-limits", "--", sys.executable, "-c", code, "--port", "x")

    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "200 ['--port', 'x']\n", "")


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_what_is_behind_the_first_word_of_the_command_belongs_to_it(run, separator):
    code = "import os, sys; print(os.environ['SUPERSERVE_BASE_URL'], sys.argv[1:])"
    rest = ["--port", "x", "--execute", "-h", "--", "--speed=fast", "run"]
    with superserve.local.LocalServer() as server:
        port = httpx.URL(server.base_url).port

    ended = run("run", "--port", str(port), *separator, sys.executable, "-c", code, *rest)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"http://127.0.0.1:{port} {rest}\n"


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_short_options_of_the_command_are_its_own(run, separator, tmp_path):
    (tmp_path / ".hidden").touch()

    ended = run("run", *separator, "ls", "-la", str(tmp_path))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ".hidden" in ended.stdout


@pytest.mark.parametrize(
    "arguments", [["rnu", "--", "true"], ["serve"], ["--no-limits", "true"], ["--", "true", "run"]]
)
def test_another_word_than_run_is_told_what_to_write(run, arguments):
    ended = run(*arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    word = next(word for word in arguments if word != "--no-limits")
    assert f"{word!r} is not a subcommand: the only one is run, as in" in ended.stderr
    assert "run -- COMMAND ..." in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["run"], ["run", "--"], ["run", "--execute", "--"]])
def test_run_without_a_command_says_so(run, arguments):
    ended = run(*arguments)

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("run: error: there is no COMMAND to run")


@pytest.mark.parametrize("arguments", [["--spe", "100"], ["run", "--spe", "100", "--", "true"]])
def test_options_are_written_out(run, arguments):
    ended = run(*arguments)

    assert ended.returncode == 2
    assert "unrecognized arguments: --spe" in ended.stderr


def test_the_help_shows_that_run_may_be_left_out(run):
    ended = run("--help")

    assert ended.returncode == 0
    usage = "usage: python -m superserve.local [options] [run [options] -- COMMAND ...]"
    assert ended.stdout.splitlines()[0] == usage
    assert run("run", "--help").stdout.startswith("usage: python -m superserve.local run [options] ")


def test_run_tells_of_a_command_that_a_signal_ended(run):
    ended = run("run", "--", "sh", "-c", "kill -KILL $$")

    assert ended.returncode == 128 + signal.SIGKILL


def test_run_says_when_there_is_no_such_command(run):
    ended = run("run", "--", "no-such-command-anywhere")

    assert (ended.returncode, ended.stderr) == (127, "no-such-command-anywhere: command not found\n")


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (
            "exit 3\n",
            0o755,
            "is not a program for this machine; a script starts with a line such as #!/bin/sh",
        ),
        ("#!/no/such/interpreter\n", 0o755, "the interpreter in its first line does not exist"),
        ("#!/bin/sh\nexit 3\n", 0o644, "is not executable; chmod +x makes it executable"),
        (None, 0o755, "is a directory"),
    ],
)
def test_run_names_a_file_that_cannot_be_run_and_says_why(run, tmp_path, content, mode, reason):
    script = tmp_path / "script"
    if content is None:
        script.mkdir()
    else:
        script.write_text(content)
    script.chmod(mode)

    ended = run("run", "--", str(script))

    assert (ended.returncode, ended.stderr) == (126, f"{script}: {reason}\n")


def test_run_says_when_there_is_no_such_file(run, tmp_path):
    ended = run("run", "--", str(tmp_path / "gone"))

    assert (ended.returncode, ended.stderr) == (127, f"{tmp_path / 'gone'}: command not found\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_leaves_signals_to_the_command(start, number):
    process = start(
        "run", "--", "sh", "-c", "trap 'exit 5' INT TERM; echo ready; while :; do sleep 0.05; done"
    )
    assert process.stdout.readline() == "ready\n"

    # A terminal signals the whole group, a supervisor only the process it started.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (5, "")


def test_options_before_run_count_too(run):
    code = (
        "import os, urllib.request as r\n"
        "print(dict(r.urlopen(os.environ['SUPERSERVE_BASE_URL'] + '/health').headers).keys())\n"
    )

    ended = run("--no-limits", "run", "--", sys.executable, "-c", code)

    assert ended.returncode == 0
    assert "ratelimit" not in ended.stdout.lower()


def send_garbage(exported):
    url = httpx.URL(exported["SUPERSERVE_BASE_URL"])
    with socket.create_connection((url.host, url.port), timeout=60) as connection:
        connection.sendall(b"\x1b[31mgarbage\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_requests_and_what_is_wrong_are_logged_on_a_line_each_without_colours_and_keys(serve):
    process, exported = serve("--no-limits")
    key = exported["SUPERSERVE_API_KEY"]
    for path in ("/templates?name_prefix=a%20b", f"/nowhere/{key}?key={key}", "/", "/_local/overview"):
        get(exported, path)
    send_garbage(exported)

    process.terminate()
    _, errors = process.communicate(timeout=120)

    lines = errors.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  warning  Invalid HTTP request received\.", lines.pop())
    for hint in (f"Status page: {exported['SUPERSERVE_BASE_URL']}/", "Ctrl-C stops the server."):
        lines.remove(hint)
    form = r"\d\d:\d\d:\d\d  (\w+) +(\d+) +[0-9.]+ m?s  (\S+)"
    # The page and what it asks for are not among them: they are no requests to the API.
    assert [re.fullmatch(form, line).groups() for line in lines] == [
        ("GET", "200", "/templates?name_prefix=a%20b"),
        ("GET", "404", "/nowhere/***?key=***"),
    ]
    assert "\x1b" not in errors


def test_json_logs_are_a_json_object_for_each_request_and_for_what_is_wrong(serve):
    process, exported = serve("--json-logs", "--speed", "100")
    headers = {"X-API-Key": exported["SUPERSERVE_API_KEY"]}
    with httpx.Client(base_url=exported["SUPERSERVE_BASE_URL"], headers=headers, verify=False) as http:
        body = {"name": "demo", "build_spec": {"from": "debian:12"}}
        created = http.post("/templates?a=%22b", json=body).json()
        http.get(f"/templates/{created['id']}/builds/{created['build_id']}/logs")
    send_garbage(exported)

    process.terminate()
    _, errors = process.communicate(timeout=120)

    lines = [json.loads(line) for line in errors.splitlines()]
    wrong = lines.pop()
    assert wrong.keys() == {"time", "level", "message"}
    assert (wrong["level"], wrong["message"]) == ("warning", "Invalid HTTP request received.")
    assert [line.pop("duration_ms") >= 0 for line in lines] == [True, True]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert lines == [
        {"method": "POST", "path": "/templates", "query": "a=%22b", "status": 202},
        {
            "method": "GET",
            "path": f"/templates/{created['id']}/builds/{created['build_id']}/logs",
            "query": "",
            "status": 200,
        },
    ]
    assert exported["SUPERSERVE_API_KEY"] not in errors


def test_what_a_message_has_in_it_does_not_move_the_cursor():
    error = LookupError("\x1b[2Jgone\x9b1m")
    record = logging.LogRecord(
        "x", logging.ERROR, "", 0, "\x07%s failed\r", ("/a",), (type(error), error, None)
    )

    line = LineFormatter(colours=False).format(record)

    assert line.splitlines()[0].endswith("  error  \\x07/a failed\\x0d")
    assert line.endswith("LookupError: \\x1b[2Jgone\\x9b1m")
    assert "\x1b[31merror\x1b[0m" in LineFormatter(colours=True).format(record)


def test_run_logs_requests_if_they_are_wanted_as_json():
    code = "import os, urllib.request as r; r.urlopen(os.environ['SUPERSERVE_BASE_URL'] + '/health')"

    ended = run_apart("--json-logs", "run", "--", sys.executable, "-c", code)

    assert json.loads(ended.stderr)["path"] == "/health"


@pytest.fixture
def on_a_terminal():
    """Start the command on a terminal of its own; gives what the terminal got when Ctrl-C has ended it."""

    # The first process of a session takes its input for the terminal that it is controlled by.
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"

    def on_a_terminal(*arguments):
        terminal, its_end = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", take, *COMMAND, *arguments],
            env={
                **{name: value for name, value in ENVIRONMENT.items() if name != "NO_COLOR"},
                "TERM": "xterm",
            },
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
        )
        os.close(its_end)
        output = ""

        def read_until(text):
            nonlocal output
            end = time.monotonic() + 60
            while text not in output:
                assert time.monotonic() < end, output
                output += os.read(terminal, 65536).decode()

        try:
            read_until("Ctrl-C stops the server.")
            exported = dict(re.findall(r"export (\w+)=(\S+)", output))
            get(exported, "/templates")
            get(exported, "/nowhere")
            read_until("/nowhere")
            os.write(terminal, b"\x03")
            # The end of a terminal is an error on Linux.
            with contextlib.suppress(OSError):
                read_until("never")
            code = process.wait(timeout=120)
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
        return exported, output, code

    return on_a_terminal


def test_on_a_terminal_it_shows_colours_and_a_link_with_the_key(on_a_terminal):
    exported, output, code = on_a_terminal("--no-limits")

    link = f"Status page: {exported['SUPERSERVE_BASE_URL']}/#key={exported['SUPERSERVE_API_KEY']}\r\n"
    assert link in output
    assert re.search(r"GET +\x1b\[32m200\x1b\[0m .*/templates\r\n", output)
    assert re.search(r"GET +\x1b\[33m404\x1b\[0m .*/nowhere\r\n", output)
    assert code == 0


@pytest.mark.parametrize(
    ("variables", "takes"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_can_be_unwanted(environment, variables, takes):
    environment.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        environment.setenv(name, value)
    terminal, its_end = pty.openpty()
    with os.fdopen(terminal), os.fdopen(its_end, "w") as stream:
        assert takes_colours(stream) == takes


def test_files_take_no_colours(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        assert not takes_colours(stream)


def test_a_state_file_keeps_key_and_templates(serve, tmp_path):
    state = tmp_path / "state.db"
    keys, listed = set(), []
    for _ in range(2):
        process, exported = serve("--state", str(state))
        keys.add(exported["SUPERSERVE_API_KEY"])
        headers = {"X-API-Key": exported["SUPERSERVE_API_KEY"]}
        with httpx.Client(base_url=exported["SUPERSERVE_BASE_URL"], headers=headers, verify=False) as http:
            listed.append({row["name"] for row in http.get("/templates").json()})
            http.post("/templates", json={"name": "demo", "build_spec": {"from": "debian:12"}})
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 0

    assert len(keys) == 1
    assert listed[1] - listed[0] == {"demo"}


def test_a_state_file_that_is_no_use_is_one_line_of_error(run, tmp_path):
    other = tmp_path / "other.db"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE notes (text)")
    database.close()

    for arguments in ([], ["run", "--", "true"]):
        ended = run("--state", str(other), *arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == (
            f"python -m superserve.local: {other} is not a state file of superserve.local: choose another file\n"
        )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_it_serves_though_its_streams_were_closed(start_shell, tmp_path, closed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    state = tmp_path / "state"
    process = start_shell(
        f"exec {shlex.join(COMMAND)} --port {port} --api-key chosen --state {state} {closed}"
    )

    exported = {"SUPERSERVE_BASE_URL": f"http://127.0.0.1:{port}", "SUPERSERVE_API_KEY": "chosen"}
    answer = wait_for_answer(exported, "/templates", process)
    process.terminate()

    assert answer.status_code == 200
    assert process.wait(timeout=120) == 0


def wait_for_answer(exported, path, process):
    end = time.monotonic() + 60
    while True:
        try:
            return get(exported, path)
        except httpx.TransportError:
            assert process.poll() is None, "it has ended"
            assert time.monotonic() < end, "it does not answer"
            time.sleep(0.01)


@pytest.fixture
def start_shell():
    started = []

    def start_shell(line):
        started.append(subprocess.Popen(["sh", "-c", line], env=ENVIRONMENT, start_new_session=True))
        return started[-1]

    yield start_shell
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_what_run_starts_has_no_file_of_the_server_for_a_stream_that_was_closed():
    tell = "import os; os.write(2, os.readlink('/proc/self/fd/1').encode())"
    line = shlex.join([*COMMAND, "run", "--", sys.executable, "-c", tell])

    ended = subprocess.run(
        ["sh", "-c", f"{line} >&-"],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )

    assert ended.stderr == "/dev/null"


def test_a_key_can_be_chosen_on_both_sides_of_run(run):
    show = ["--", "sh", "-c", "echo $SUPERSERVE_API_KEY"]

    assert run("--api-key", "chosen", "run", *show).stdout == "chosen\n"
    assert run("run", "--api-key", "chosen", *show).stdout == "chosen\n"


def test_a_key_that_cannot_be_sent_is_not_repeated(run):
    ended = run("--api-key", "two words")

    assert ended.returncode == 2
    assert "api_key must be printable ASCII characters without spaces" in ended.stderr
    assert "two words" not in ended.stderr


def test_the_version_is_that_of_the_package(run):
    assert run("--version").stdout == f"superserve {superserve.__version__}\n"


USER = """
import httpx, os

http = httpx.Client(base_url=os.environ["SUPERSERVE_BASE_URL"], verify=False)
http.headers["X-API-Key"] = os.environ["SUPERSERVE_API_KEY"]
print("<title>" in http.get("/").text)
spec = {"from": "debian:12", "steps": [{"run": "expr 6 '*' 7"}]}
made = http.post("/templates", json={"name": "demo", "build_spec": spec}).json()
log = http.get("/templates/{id}/builds/{build_id}/logs".format(**made)).text
print('"text":"42"' in log, '"status":"ready"' in log)
"""

ARCHIVED = """
from superserve.local.__main__ import __file__, main

assert "local.pyz" in __file__
raise SystemExit(main())
"""


def test_from_an_archive_the_page_is_there_and_steps_are_run(tmp_path):
    # What it depends on comes from where it is installed.
    package = Path(superserve.local.__file__).parents[1]
    archive = tmp_path / "local.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        for path in package.rglob("*"):
            if path.suffix in {".py", ".html"}:
                file.write(path, path.relative_to(package.parent))
        file.writestr("__main__.py", ARCHIVED)
    command = [sys.executable, archive, "run", "--execute", "--speed", "100"]

    ended = subprocess.run(
        [*command, "--", sys.executable, "-c", USER],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert (ended.stdout, ended.stderr) == ("True\nTrue True\n", "")
