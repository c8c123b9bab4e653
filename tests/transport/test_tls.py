"""Calls, waits and logs over TLS: only a server whose certificate is trusted, and is for its name, hears anything."""

import asyncio
import contextlib
import ssl
import threading

import pytest
import trustme

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    SandboxConnectionError,
    Superserve,
    Template,
)
from superserve._http import environment as network
from tests.script import LINE, TEMPLATE_ID, Script, template_row
from tests.wire import PATIENCE_S, Wire, log, reply

END = {**LINE, "stream": "system", "text": "ready", "finished": True, "status": "ready"}


class TLSWire(Wire):
    """A scripted server that talks TLS.

    Attributes:
        names: The names that clients asked for in their handshakes.
    """

    def __init__(self, certificate, *answers):
        super().__init__(*answers)
        self.names = []
        self.url = f"https://localhost:{self.port}"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = lambda _sock, name, _context: self.names.append(name)
        certificate.configure_cert(self._context)

    def _serve(self, peer, sock):
        try:
            peer._socket = sock = self._context.wrap_socket(sock, server_side=True)
        except OSError:
            # The client has refused the certificate.
            sock.close()
        super()._serve(peer, sock)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def wire(authority):
    script = Script(build=["building", "ready"], logs=[log(LINE, END)])
    with TLSWire(authority.issue_cert("localhost"), script) as wire:
        yield wire


@pytest.fixture(autouse=True)
def _fresh_context():
    """Read certificates anew, and let other tests do so."""
    network._ssl_context.cache_clear()
    yield
    network._ssl_context.cache_clear()


@pytest.fixture
def _trusted(authority, environment, tmp_path):
    """Name the authority's certificate as programs do."""
    file = tmp_path / "authority.pem"
    environment.delenv("SSL_CERT_DIR", raising=False)
    authority.cert_pem.write_to_path(file)
    environment.setenv("SSL_CERT_FILE", str(file))


@pytest.mark.usefixtures("_trusted")
def test_a_server_whose_certificate_is_trusted_is_talked_to(wire, key, belongings):
    events = []
    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        template.wait_until_ready(on_log=events.append, poll_interval_s=0.01)
    assert [event.text for event in events] == ["hello", "ready"]
    assert set(wire.names) == {"localhost"}
    wire.until(lambda: wire.open_connections == 0)
    assert belongings.readers() == set()


@pytest.mark.usefixtures("_trusted")
async def test_so_it_is_by_asynchronous_programs(wire, key):
    events = []
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        await template.wait_until_ready(on_log=events.append, poll_interval_s=0.01)
        # A hundred at once have a handshake each, and a connection each at the most.
        await asyncio.gather(*(template.get_info() for _ in range(100)))
    assert [event.text for event in events] == ["hello", "ready"]
    assert set(wire.names) == {"localhost"}
    wire.until(lambda: wire.open_connections == 0)


def told(error):
    return "SSL_CERT_FILE" in str(error.value) and "certificate" in str(error.value)


@pytest.mark.usefixtures("_trusted")
async def test_a_certificate_for_another_name_is_refused(wire, key):
    url = f"https://127.0.0.1:{wire.port}"
    with Superserve(api_key=key, base_url=url) as client, pytest.raises(SandboxConnectionError) as caught:
        Template.connect(TEMPLATE_ID, client=client)
    assert told(caught)
    async with AsyncSuperserve(api_key=key, base_url=url) as client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    assert told(caught)
    assert wire.requests == []


async def test_a_certificate_of_an_authority_not_known_is_refused(wire, key):
    with (
        Superserve(api_key=key, base_url=wire.url) as client,
        pytest.raises(SandboxConnectionError) as caught,
    ):
        Template.connect(TEMPLATE_ID, client=client)
    assert told(caught)
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    assert told(caught)
    assert wire.requests == []


@pytest.mark.usefixtures("_trusted")
def test_a_log_over_tls_is_left_at_once(wire, key, belongings):
    silent = threading.Event()

    def stay_open(peer, _request):
        peer.send(log(LINE).removesuffix(b"0\r\n\r\n"))
        silent.set()
        peer.stall()

    wire.then(Script(build=["building"], logs=[stay_open]))
    with Superserve(api_key=key, base_url=wire.url) as client:
        for event in Template.connect(TEMPLATE_ID, client=client).iter_build_logs():
            assert event.text == "hello"
            assert silent.wait(20)
            break
    assert belongings.readers() == set()
    wire.until(lambda: wire.open_connections == 0)


async def test_a_certificate_named_while_the_process_runs_is_seen_by_the_next_client(
    wire, key, authority, environment, tmp_path
):
    with Superserve(api_key=key, base_url=wire.url) as before:
        with pytest.raises(SandboxConnectionError):
            Template.connect(TEMPLATE_ID, client=before)
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(file)
        environment.delenv("SSL_CERT_DIR", raising=False)
        environment.setenv("SSL_CERT_FILE", str(file))
        with Superserve(api_key=key, base_url=wire.url) as client:
            assert Template.connect(TEMPLATE_ID, client=client).name == "my-env"
        async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
            assert (await AsyncTemplate.connect(TEMPLATE_ID, client=client)).name == "my-env"


class Tunnel:
    """A proxy that really connects, whatever name it is asked for: to one port of this machine."""

    def __init__(self, port, certificate=None):
        self.heads = []
        self._port = port
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._context)

    def __enter__(self):
        started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._run(started)])
        self._thread.start()
        assert started.wait(PATIENCE_S)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    async def _run(self, started):
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._end.wait()
        server.close()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    async def _serve(self, reader, writer):
        writers = [writer]
        # Cancelled at the end of the test, which asyncio's server would log as an error.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            first = await reader.readexactly(1)
            await (self._greet_socks if first == b"\x05" else self._greet)(reader, writer)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            writers.append(far_writer)
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        for each in writers:
            each.transport.abort()

    async def _greet(self, reader, writer):
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def _greet_socks(self, reader, writer):
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x01\x00")
        *_, length = await reader.readexactly(5)
        host = await reader.readexactly(length)
        await reader.readexactly(2)
        self.heads.append(user + b":" + password + b"@" + host)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")

    async def _copy(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_through_a_proxy_tls_reaches_to_the_server_both_ways(authority, key, environment, scheme):
    # Both take many pieces.
    rows = [{**template_row(), "name": "x" * 60} for _ in range(2_000)]
    steps = [{"run": "x" * 60_000}] * 20

    def answer(peer, request):
        created = {**template_row(), "build_id": "a-build"}
        peer.send(reply(202, json=created) if request.method == "POST" else reply(json=rows))

    certificate = authority.issue_cert("localhost") if scheme == "https" else None
    with (
        TLSWire(authority.issue_cert("api.test"), answer) as wire,
        Tunnel(wire.port, certificate) as tunnel,
    ):
        environment.setenv("HTTPS_PROXY", f"{scheme}://user:word@localhost:{tunnel.port}")
        with Superserve(api_key=key, base_url="https://api.test") as client:
            Template.create(name="my-env", from_="debian:12", steps=steps, client=client)
            assert len(Template.list(client=client)) == len(rows)
        async with AsyncSuperserve(api_key=key, base_url="https://api.test") as client:
            await AsyncTemplate.create(name="my-env", from_="debian:12", steps=steps, client=client)
            assert len(await AsyncTemplate.list(client=client)) == len(rows)
    assert wire.names == ["api.test", "api.test"]
    login = b"user:word@api.test" if scheme == "socks5" else b"Basic dXNlcjp3b3Jk"
    assert [login in head for head in tunnel.heads] == [True, True]
