"""Previews: servers that run in sandboxes, reached through the local server."""

import socket
import time

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space
from tests.local.box import Box

PORT = 8123
# Of the standard library, as any image with Python has it: says what it was asked, echoes lines once upgraded.
PROGRAM = """
import base64, hashlib, socketserver, threading, http.server
has_asked = threading.Event()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.headers.get("Upgrade"):
            return self.upgrade()
        if self.path == "/go":
            has_asked.set()
        body = f"{self.command} {self.path} {self.headers['Host']} {self.headers.get('X-Access-Token')}".encode()
        body += self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Mine", "yes")
        self.end_headers()
        if self.path == "/later":
            has_asked.wait(60)
        self.wfile.write(body)
    do_POST = do_GET
    def upgrade(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        head = self.rfile.read(2)
        mask = self.rfile.read(4)
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(head[1] & 127)))
        self.wfile.write(bytes([0x82, len(data)]) + data)
        self.wfile.flush()
        self.rfile.read(2)
        self.close_connection = True
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
""".replace("PORT", str(PORT))


@pytest.fixture(scope="module")
def server():
    isolation = "none" if isinstance(find_space(), str) else "auto"
    with LocalServer(speed=100, limits=False, isolation=isolation) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, verify=False) as http:
        yield http


@pytest.fixture(scope="module")
def box(server, http):
    box = Box(server, http)
    with box.http:
        box.http.post("/files?path=/home/user/serve.py", content=PROGRAM.encode())
        box.run("nohup python3 serve.py > log 2>&1 < /dev/null &")
        until = time.monotonic() + 60
        while look(server, box).status_code == 502:
            assert time.monotonic() < until, box.run("cat log")
        yield box


def look(server, box, path="/", port=PORT, **options):
    headers = {"Host": f"{port}-{box.id}.localhost", **options.pop("headers", {})}
    return httpx.request(options.pop("method", "GET"), server.base_url + path, headers=headers, **options)


def test_a_server_in_a_sandbox_is_reached_by_a_name_with_its_port(server, box):
    answer = look(server, box, "/a%20b?c=d", headers={"X-Access-Token": "secret"})
    assert (answer.status_code, answer.headers["x-mine"]) == (201, "yes")
    assert answer.text == f"GET /a%20b?c=d {PORT}-{box.id}.localhost None"


def test_a_server_in_a_sandbox_is_reached_by_headers(server, box):
    headers = {"X-Superserve-Sandbox-Id": box.id, "X-Superserve-Preview-Port": str(PORT)}
    assert httpx.get(f"{server.base_url}/exec", headers=headers).text.startswith("GET /exec 127.0.0.1")


def test_bodies_are_passed_on(server, box):
    assert look(server, box, method="POST", content=b"body").text.endswith("body")


def test_the_head_of_an_answer_is_passed_on_before_its_body(server, box):
    headers = {"Host": f"{PORT}-{box.id}.localhost"}

    with httpx.stream("GET", f"{server.base_url}/later", headers=headers, timeout=30) as answer:
        look(server, box, "/go")

        assert answer.status_code == 201
        assert answer.read().startswith(b"GET /later")


def by_headers(server, box):
    headers = {"X-Superserve-Sandbox-Id": box.id, "X-Superserve-Preview-Port": str(PORT)}
    return connect(server.base_url.replace("http", "ws") + "/socket", additional_headers=headers)


def by_name(server, box):
    # Python does not resolve names below localhost, so the connection is made first.
    port = httpx.URL(server.base_url).port
    sock = socket.create_connection(("127.0.0.1", port))
    return connect(f"ws://{PORT}-{box.id}.localhost:{port}/socket", sock=sock, proxy=None)


@pytest.mark.parametrize("dial", [by_headers, by_name])
def test_sockets_are_passed_on(server, box, dial):
    with dial(server, box) as websocket:
        websocket.send(b"ping")
        assert websocket.recv() == b"ping"


@pytest.mark.parametrize(("port", "status"), [(80, 403), (49983, 400), (70000, 400), (PORT + 1, 502)])
def test_ports_that_lead_nowhere_are_refused(server, box, port, status):
    assert look(server, box, port=port).status_code == status
    with pytest.raises(InvalidStatus) as refused:
        connect(
            server.base_url.replace("http", "ws"),
            additional_headers={"X-Superserve-Sandbox-Id": box.id, "X-Superserve-Preview-Port": str(port)},
        )
    assert refused.value.response.status_code == status


def test_looking_at_a_paused_sandbox_does_not_wake_it(server, http, box):
    paused = Box(server, http)
    with paused.http:
        http.post(f"{paused.path}/pause")
        answer = look(server, paused)
        assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (
            503,
            "sandbox is paused\n",
            "5",
        )
        http.delete(paused.path)
        assert look(server, paused).status_code == 404


def test_the_edge_looks_at_the_port_then_at_connections_then_at_who_may_look_then_at_the_status(server, http):
    private = Box(server, http, preview_access="private")
    with private.http:
        http.post(f"{private.path}/pause")
        server.sandboxes.behave(connections=0)
        assert (look(server, private, port=80).status_code, look(server, private, port=80).text) == (
            403,
            "port not allowed\n",
        )
        assert look(server, private, port=49983).text == "invalid sandbox URL\n"
        assert look(server, private).text == "too many connections to sandbox\n"
        server.sandboxes.behave(connections=None, address_connections=0)
        assert look(server, private).text == "too many connections from this IP\n"
        server.sandboxes.behave(address_connections=None)
        assert (look(server, private).status_code, look(server, private).text) == (
            401,
            "missing preview token\n",
        )
    http.delete(private.path)
