"""The service's own addresses, as a program with an official SDK asks for them: through CONNECT, with TLS."""

import contextlib
import datetime as dt
import gc
import http.client
import json
import logging
import os
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import websockets.sync.client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from superserve import Superserve, Template
from superserve.local import Limits, LocalServer
from superserve.local._official import authority

HOSTS = ("api", "api-usw", "api-staging", "sandbox", "usw-sandbox", "staging-sandbox")


@pytest.fixture(scope="module")
def server():
    with LocalServer(speed=100, limits=False) as server:
        yield server


@pytest.fixture(scope="module")
def environment(server):
    return server.official_environment()


@pytest.fixture
def official(environment):
    """What an official SDK does with the environment."""
    context = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    with httpx.Client(proxy=environment["HTTPS_PROXY"], verify=context) as http:
        yield http


def bundle(server):
    """Return the file that is trusted with a tunnel."""
    return server.official_environment(tunnel=True)["SSL_CERT_FILE"]


def connect(server, *pieces):
    """Send pieces one by one, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", int(server.base_url.rpartition(":")[2])), 10) as sock:
        for piece in pieces:
            sock.sendall(piece)
        received = b""
        while data := sock.recv(65536):
            received += data
    return received.decode()


@pytest.mark.parametrize("name", HOSTS)
def test_official_addresses_are_served_with_tls(official, name):
    assert official.get(f"https://{name}.superserve.ai/health").json()["status"] == "ok"


def test_a_sandboxes_own_address_leads_to_the_sandbox(official):
    answer = official.get("https://boxd-1.sandbox.superserve.ai/files?path=/x")
    assert answer.text == "missing X-Access-Token header\n"


def test_all_names_below_the_data_planes_are_the_sandboxes(official):
    for host in ("boxd-1.sandbox", "8080-1.usw-sandbox", "any.staging-sandbox"):
        assert official.get(f"https://{host}.superserve.ai/files?path=/x").status_code != 200


def test_a_websocket_goes_through(server, environment):
    server.commands.on("echo").answer(stdout="through")
    row = httpx.post(
        f"{server.base_url}/sandboxes", json={"name": "socket"}, headers={"X-API-Key": server.api_key}
    ).json()
    with websockets.sync.client.connect(
        f"wss://boxd-{row['id']}.sandbox.superserve.ai/exec/connect",
        proxy=environment["HTTPS_PROXY"],
        ssl=ssl.create_default_context(cafile=environment["SSL_CERT_FILE"]),
        subprotocols=["superserve.exec.v1", f"token.{row['access_token']}"],
    ) as websocket:
        websocket.send(json.dumps({"command": "echo"}))
        assert websocket.recv().endswith(b"through")
        assert json.loads(websocket.recv()) == {"exit_code": 0, "finished": True}


@pytest.mark.parametrize("is_official", [False, True])
def test_a_client_that_uses_it_as_its_plain_proxy_is_served(is_official):
    """With HTTP_PROXY or ALL_PROXY the target of a request is a whole address."""
    with LocalServer() as server:
        if is_official:
            server.official_environment()
        with httpx.Client(proxy=server.base_url) as http:
            assert http.get(f"{server.base_url}/health").json()["status"] == "ok"
        line = f"GET {server.base_url}/health HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n"
        assert connect(server, line.encode()).startswith("HTTP/1.1 200 ")


@pytest.mark.skipif(sys.platform != "linux", reason="this machine has one loopback address")
def test_limits_count_the_address_that_a_client_really_has():
    with LocalServer(limits=Limits(requests_per_s=0.001, burst=2)) as server:
        environment = server.official_environment()
        context = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])

        def ask(address):
            """Ask three times, from this address, and return the statuses."""
            there = ("127.0.0.1", int(server.base_url.rpartition(":")[2]))
            with socket.create_connection(there, 10, source_address=(address, 0)) as sock:
                sock.sendall(b"CONNECT api.superserve.ai:443 HTTP/1.1\r\n\r\n")
                assert sock.recv(1024).startswith(b"HTTP/1.1 200 ")
                with context.wrap_socket(sock, server_hostname="api.superserve.ai") as tls:
                    statuses = []
                    for _ in range(3):
                        tls.sendall(b"GET /templates HTTP/1.1\r\nHost: api.superserve.ai\r\n\r\n")
                        answer = http.client.HTTPResponse(tls)
                        answer.begin()
                        answer.read()
                        statuses.append(answer.status)
            return statuses

        assert ask("127.0.0.1") == ask("127.0.0.2") == [401, 401, 429]


def test_a_connection_serves_more_than_one_request(server, official):
    headers = {"X-API-Key": server.api_key}
    created = official.post(
        "https://api.superserve.ai/templates",
        json={"name": "kept", "build_spec": {"from": "python:3.11"}},
        headers=headers,
    )
    assert created.status_code == 202
    names = [
        row["name"] for row in official.get("https://api.superserve.ai/templates", headers=headers).json()
    ]
    assert "kept" in names


def test_what_comes_through_is_recorded_like_the_rest(server, official):
    server.requests.clear()
    official.get("https://api.superserve.ai/health")
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/health")]


@pytest.mark.parametrize(
    "target",
    [
        "example.com:443",
        "superserve.ai:443",
        "xapi.superserve.ai:443",
        "below.api.superserve.ai:443",
        "api.superserve.ai.example.com:443",
        "xsandbox.superserve.ai:443",
        "api.superserve.ai:80",
    ],
)
def test_other_addresses_are_refused_with_a_reason(server, environment, target):
    answer = connect(server, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert answer.startswith("HTTP/1.1 403 Forbidden\r\n")
    assert f"{target} is not an address of Superserve" in answer
    assert "--tunnel" in answer


@pytest.mark.parametrize("target", ["api.superserve.ai", "api.superserve.ai:https", "", "a b:443"])
def test_targets_that_are_no_address_are_refused(server, environment, target):
    assert connect(server, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode()).startswith("HTTP/1.1 400 ")


def test_a_first_line_may_come_in_pieces(server, environment):
    pieces = [b"C", b"ONNECT exam", b"ple.com:443 HTTP/1.1\r\n", b"\r\n"]
    assert connect(server, *pieces).startswith("HTTP/1.1 403 ")


def test_requests_that_only_begin_like_a_connect_are_ordinary_ones(server, environment):
    assert "404 page not found" in connect(
        server, b"CON", b"NEXT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )


def test_a_head_without_an_end_is_refused(server, environment):
    assert connect(server, b"CONNECT x:443 HTTP/1.1\r\n" + b"a: b\r\n" * 12_000).startswith("HTTP/1.1 400 ")


def test_without_being_asked_for_it_is_no_proxy_and_knows_no_such_page_as_the_real_server():
    with LocalServer() as server:
        answer = connect(
            server, b"CONNECT api.superserve.ai:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith("HTTP/1.1 404 ")
        assert answer.endswith("\r\n\r\n404 page not found")


def test_a_tunnel_leads_to_other_hosts_if_that_is_asked_for(server):
    with LocalServer() as proxy:
        proxy.official_environment(tunnel=True)
        host = server.base_url.removeprefix("http://")
        with socket.create_connection(("127.0.0.1", int(proxy.base_url.rpartition(":")[2])), 10) as sock:
            sock.sendall(f"CONNECT {host} HTTP/1.1\r\n\r\n".encode())
            assert sock.recv(1024).startswith(b"HTTP/1.1 200 ")
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := sock.recv(1024):
                answer += data
        assert b'"status":"ok"' in answer


def test_a_tunnel_to_where_nobody_listens_says_so(server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with LocalServer() as proxy:
        proxy.official_environment(tunnel=True)
        answer = connect(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith("HTTP/1.1 502 ")
        assert f"cannot connect to 127.0.0.1:{port}" in answer


def test_with_a_tunnel_the_usual_authorities_are_trusted_too():
    with LocalServer() as server:
        own = Path(server.official_environment()["SSL_CERT_FILE"]).read_text()
        both = Path(server.official_environment(tunnel=True)["SSL_CERT_FILE"]).read_text()
    assert own in both
    assert both.count("BEGIN CERTIFICATE") > 10


def test_a_client_that_does_not_trust_the_authority_is_told_of(server, environment, caplog):
    with (
        caplog.at_level(logging.WARNING, "superserve.local"),
        httpx.Client(proxy=environment["HTTPS_PROXY"]) as http,
        pytest.raises(httpx.ConnectError),
    ):
        http.get("https://api.superserve.ai/health")
    # The server may hear of it a moment later: another request through it comes after that.
    httpx.get(f"{server.base_url}/health")
    assert "SSL_CERT_FILE" in caplog.text


def test_the_authority_vouches_for_the_services_names_alone(environment):
    certificate = x509.load_pem_x509_certificate(Path(environment["SSL_CERT_FILE"]).read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [name.value for name in constraints.value.permitted_subtrees] == ["superserve.ai", "localhost"]


def test_the_authority_lives_for_a_month_at_most(environment):
    certificate = x509.load_pem_x509_certificate(Path(environment["SSL_CERT_FILE"]).read_bytes())
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < dt.timedelta(days=31)


def test_clients_refuse_what_the_authority_might_sign_for_other_sites(tmp_path):
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = dt.datetime.now(dt.UTC)
    issuer = authority._authority(authority_key, now)
    (tmp_path / "ca.pem").write_bytes(issuer.public_bytes(serialization.Encoding.PEM))

    def greet(name):
        """Return how a client that trusts the authority takes a server that shows its certificate for a name."""
        leaf = (
            authority._builder(issuer.subject, issuer.subject, key.public_key(), now)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False
            )
            .sign(authority_key, hashes.SHA256())
        )
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
        (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(encoding) + private)
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(tmp_path / "leaf.pem")
        asking = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        pipes = ssl.MemoryBIO(), ssl.MemoryBIO()
        there = serving.wrap_bio(*pipes, server_side=True)
        here = asking.wrap_bio(*reversed(pipes), server_hostname=name)
        for side in (here, there, here):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        return here.version()

    assert greet("api.superserve.ai") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        greet("example.com")


def test_the_authority_is_this_users_alone_and_goes_with_the_server():
    with LocalServer() as server:
        file = Path(server.official_environment()["SSL_CERT_FILE"])
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(bundle(server)).stat().st_mode) == 0o600
        Path(bundle(server)).unlink()
        assert [path.name for path in file.parent.iterdir()] == ["ca.pem"]
        assert server.official_environment()["SSL_CERT_FILE"] == str(file)
    assert not file.parent.exists()


def test_stopping_ends_what_goes_through():
    with LocalServer() as server:
        environment = server.official_environment()
        context = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
        http = httpx.Client(proxy=environment["HTTPS_PROXY"], verify=context)
        http.get("https://api.superserve.ai/health")
    with pytest.raises(httpx.TransportError):
        http.get("https://api.superserve.ai/health")
    http.close()
    gc.collect()


@pytest.mark.filterwarnings("error")
def test_stopping_ends_tunnels(server):
    with LocalServer() as proxy:
        proxy.official_environment(tunnel=True)
        sock = socket.create_connection(("127.0.0.1", int(proxy.base_url.rpartition(":")[2])), 10)
        sock.sendall(f"CONNECT {server.base_url.removeprefix('http://')} HTTP/1.1\r\n\r\n".encode())
        assert sock.recv(1024).startswith(b"HTTP/1.1 200 ")
    with sock:
        assert sock.recv(1024) == b""
    gc.collect()


def test_our_own_client_gets_there_without_an_address(environment, monkeypatch):
    monkeypatch.delenv("SUPERSERVE_BASE_URL", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Superserve() as client:
        assert client.base_url == "https://api.superserve.ai"
        assert Template.list(name_prefix="superserve/", client=client)


def test_a_command_is_run_with_what_it_needs():
    program = (
        "import os; print(*sorted(k for k in os.environ if k in ("
        "'HTTPS_PROXY', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'NODE_USE_ENV_PROXY', 'SUPERSERVE_API_KEY', "
        "'SUPERSERVE_BASE_URL')))"
    )
    run = subprocess.run(
        [sys.executable, "-m", "superserve.local", "run", "--official", "--", sys.executable, "-c", program],
        env={**os.environ, "SUPERSERVE_BASE_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert run.stdout.split() == [
        "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY", "SSL_CERT_FILE", "SUPERSERVE_API_KEY",
    ]  # fmt: skip


def test_a_tunnel_without_official_addresses_is_refused(capsys):
    from superserve.local.__main__ import main

    assert main(["--tunnel"]) == 2
    assert "--tunnel needs --official" in capsys.readouterr().err


def test_without_the_extra_all_but_connect_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "superserve.local._official.authority", raising=False)
    with LocalServer() as server:
        with pytest.raises(ImportError):
            server.official_environment()
        assert httpx.get(f"{server.base_url}/health").json()["status"] == "ok"


def test_the_command_without_the_extra_says_what_to_install(monkeypatch, capsys):
    from superserve.local.__main__ import main

    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "superserve.local._official.authority", raising=False)
    assert main(["run", "--official", "--", "true"]) == 1
    assert "pip install 'superserve-client[official]'" in capsys.readouterr().err


def test_the_command_prints_what_a_shell_needs():
    """And nothing else: `eval "$(...)"` runs it."""
    program = 'eval "$("$0" -m superserve.local --official --tunnel & echo "server=$!")"; env; kill $server'
    run = subprocess.run(
        ["/bin/sh", "-c", program, sys.executable],
        env={**os.environ, "SUPERSERVE_BASE_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    assert "SUPERSERVE_BASE_URL" not in told
    assert told["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert told["SSL_CERT_FILE"].endswith(".pem")
    assert told["NODE_EXTRA_CA_CERTS"].endswith("ca.pem")
    assert told["NODE_USE_ENV_PROXY"] == "1"
    assert told["SUPERSERVE_API_KEY"].startswith("ss_")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "superserve.local._official.authority", raising=False)
    with (
        LocalServer() as server,
        pytest.raises(ImportError, match=r"pip install 'superserve-client\[official\]'"),
    ):
        server.official_environment()
