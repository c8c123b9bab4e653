"""Calls, waits and logs over TLS: only a server whose certificate is trusted, and is for its name, hears anything."""

import asyncio
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
from tests.script import LINE, TEMPLATE_ID, Script
from tests.wire import Wire, log

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
