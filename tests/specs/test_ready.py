"""Probes, run by a real shell: they succeed when the thing is there, and fail before."""

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from superserve import ValidationError, ready

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="/proc is Linux's")


def status(command, **environment):
    """Run a command as the service does, and return what it exits with."""
    ran = subprocess.run(
        ["/bin/sh", "-c", command], check=False, capture_output=True, env={**os.environ, **environment}
    )
    return ran.returncode


@contextlib.contextmanager
def listening(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_a_port_is_ready_when_a_process_listens_on_it():
    with listening() as port:
        assert status(ready.port(port)) == 0
    assert status(ready.port(port)) != 0


def test_a_port_of_ipv6_counts_as_well():
    try:
        context = listening(socket.AF_INET6, "::1")
        port = context.__enter__()
    except OSError:
        pytest.skip("there is no IPv6")
    assert status(ready.port(port)) == 0
    context.__exit__(None, None, None)


def test_the_probe_of_a_port_needs_no_program_at_all():
    with listening() as port:
        assert status(ready.port(port), PATH="/nowhere") == 0
    assert status(ready.port(port), PATH="/nowhere") != 0


def test_a_file_is_ready_when_there_is_something_in_it(tmp_path):
    path = tmp_path / "it's here"
    assert status(ready.file(str(path))) != 0
    path.touch()
    assert status(ready.file(str(path))) != 0
    path.write_text("1")
    assert status(ready.file(str(path))) == 0


def test_a_process_is_ready_when_its_program_runs(tmp_path):
    program = tmp_path / "a-program-of-a-long-name"
    shutil.copy(shutil.which("sleep"), program)
    assert status(ready.process(program.name)) != 0
    with subprocess.Popen([program, "60"]) as child:
        try:
            assert status(ready.process(program.name)) == 0
        finally:
            child.kill()


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 500)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def web():
    server = http.server.HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("tool", ["curl", "wget", "python3"])
def test_an_address_is_ready_when_it_answers_well_whatever_asks(tmp_path, web, tool):
    found = sys.executable if tool == "python3" else shutil.which(tool)
    if found is None:
        pytest.skip(f"there is no {tool}")
    (tmp_path / tool).write_text(f'#!/bin/sh\nexec {found} "$@"\n')
    (tmp_path / tool).chmod(0o755)
    assert status(ready.url(f"{web}/health"), PATH=str(tmp_path)) == 0
    assert status(ready.url(f"{web}/sick"), PATH=str(tmp_path)) != 0


def test_without_any_tool_an_address_is_ready_when_its_port_is(web):
    assert status(ready.url(f"{web}/sick"), PATH="/nowhere") == 0
    with listening() as port:
        pass
    assert status(ready.url(f"http://localhost:{port}"), PATH="/nowhere") != 0


@pytest.mark.parametrize("number", [0, 65536, "80", True, None])
def test_what_is_no_port_is_refused(number):
    with pytest.raises(ValidationError, match="a port from 1 to 65535"):
        ready.port(number)


@pytest.mark.parametrize(
    "address",
    ["localhost:80", "ftp://a", "http://", "http://a b", "http://a/\n", "http://[a", "http://a:99999"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValidationError, match="expected one such as"):
        ready.url(address)


@pytest.mark.parametrize("probe", [ready.file, ready.process, ready.url])
@pytest.mark.parametrize("value", [None, 5, b"x", ["x"], "", "a\0b"])
def test_what_is_no_text_is_refused(probe, value):
    with pytest.raises(ValidationError, match=r"^(path|name|address): "):
        probe(value)
