"""One deadline bounds a whole call: attempts, waits between them, and servers that take their time at every step."""

import time

import httpx
import pytest
from superserve_api.api.templates import list_templates

from superserve import (
    AsyncTemplate,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
)
from tests.patience import given_time
from tests.script import TEMPLATE_ID, template_row
from tests.wire import drip, reply, reset, stall

TIMEOUT_S = 0.2
# Far more than the deadline, for machines that are slow.
LIMIT_S = 60.0

TEMPLATE = reply(json=template_row())
SLOW = {
    "stalls before headers": stall(),
    "stalls within the status line": stall(b"HTTP/1.1 2"),
    "stalls within headers": stall(TEMPLATE[:30]),
    "stalls before the body": stall(TEMPLATE[: TEMPLATE.index(b"\r\n\r\n") + 4]),
    "stalls within the body": stall(TEMPLATE[:-10]),
    "drips headers": drip(TEMPLATE, 0.1),
    "drips the body": lambda peer, _: (peer.send(TEMPLATE[:-100]), peer.drip(TEMPLATE[-100:], 0.1)),
    "drips chunks": lambda peer, _: (
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        peer.drip(b"1\r\n[\r\n" * 1000, 0.05),
    ),
    "drips interim answers": drip(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, 0.02),
}


@pytest.fixture
def bounded():
    """Fail a test that takes far longer than its deadline."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < LIMIT_S


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
async def test_a_call_ends_at_its_deadline_although_every_read_makes_progress(
    bounded, serve, connect, answer
):
    wire = serve(answer)
    client = connect(wire, timeout_s=TIMEOUT_S)
    with pytest.raises(SandboxTimeoutError, match=r"within the timeout of 0\.2 s") as caught:
        await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    assert caught.value.status_code is None
    wire.until(lambda: wire.open_connections == 0)


@pytest.mark.parametrize("how", ["stalls before headers", "stalls within the body", "drips interim answers"])
@given_time
async def test_a_create_that_ends_at_its_deadline_says_that_the_template_may_exist(
    bounded, serve, connect, how, *, longer
):
    client = connect(serve(SLOW[how]), timeout_s=TIMEOUT_S * longer)
    with pytest.raises(SandboxTimeoutError, match=r"list\(name_prefix='my-env'\)"):
        await AsyncTemplate.create(name="my-env", from_="debian:12", client=client)


@given_time
async def test_a_server_that_never_accepts_ends_a_call_at_its_deadline(bounded, deaf, connect, *, longer):
    client = connect(deaf, timeout_s=TIMEOUT_S * longer)
    with pytest.raises(SandboxTimeoutError, match="no connection within the timeout"):
        await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    with pytest.raises(SandboxTimeoutError, match="no connection within the timeout") as caught:
        await AsyncTemplate.create(name="my-env", from_="debian:12", client=client)
    assert "may have been created" not in str(caught.value)


@given_time
async def test_attempts_and_the_waits_between_them_count(bounded, serve, connect, no_backoff, *, longer):
    wire = serve(reply(503), reset(), stall())
    with pytest.raises(SandboxTimeoutError):
        await AsyncTemplate.list(client=connect(wire, timeout_s=0.4 * longer, max_attempts=100))
    assert len(wire.requests) == 3


@given_time
async def test_the_deadline_is_that_of_the_call_not_of_an_attempt(bounded, serve, connect, *, longer):
    def slow_refusal(peer, _request):
        peer.drip(b"HTTP/1.1 503 X\r\n", 0.01 * longer)
        peer.send(b"Content-Length: 0\r\n\r\n")

    wire = serve(slow_refusal)
    with pytest.raises(SandboxError):
        await AsyncTemplate.list(client=connect(wire, timeout_s=0.5 * longer, max_attempts=100))
    assert 1 <= len(wire.requests) < 6


async def test_an_asked_for_wait_beyond_the_deadline_is_not_begun(bounded, serve, connect):
    wire = serve(reply(503, headers={"Retry-After": "3600"}))
    with pytest.raises(SandboxError) as caught:
        await AsyncTemplate.list(client=connect(wire, timeout_s=20))
    assert caught.value.status_code == 503
    assert len(wire.requests) == 1


async def test_a_server_that_takes_a_request_by_bits_ends_a_call_at_its_deadline(bounded, sipping, connect):
    steps = [{"run": "x" * 60_000}] * 200
    with pytest.raises(SandboxTimeoutError):
        await AsyncTemplate.create(
            name="my-env", from_="debian:12", steps=steps, client=connect(sipping, timeout_s=TIMEOUT_S)
        )


@given_time
async def test_every_address_of_a_host_gets_its_turn_within_the_deadline(named, serve, connect, *, longer):
    wire = serve(TEMPLATE)
    host = named(wire.port, deaf=["127.0.0.2", "127.0.0.3"], heard="127.0.0.1")
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(host, timeout_s=1.5 * longer))
    assert template.id == TEMPLATE_ID


@given_time
async def test_a_host_none_of_whose_addresses_answers_ends_a_call_at_its_deadline(
    bounded, named, connect, *, longer
):
    host = named(0, deaf=["127.0.0.2", "127.0.0.3"])
    with pytest.raises(SandboxTimeoutError, match="no connection"):
        await AsyncTemplate.connect(TEMPLATE_ID, client=connect(host, timeout_s=TIMEOUT_S * longer))


async def test_an_address_of_a_kind_that_this_machine_lacks_is_passed_over(named, serve, connect):
    wire = serve(TEMPLATE)
    host = named(wire.port, lacking=True, heard="127.0.0.1")
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(host))
    assert template.id == TEMPLATE_ID


async def test_a_host_with_no_address_that_this_machine_can_use_cannot_be_connected_to(named, connect):
    host = named(0, lacking=True)
    with pytest.raises(SandboxConnectionError, match=r"cannot connect to http://named\.test:\d+: \["):
        await AsyncTemplate.connect(TEMPLATE_ID, client=connect(host, max_attempts=1))


@pytest.mark.parametrize("addresses", [[], ["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
async def test_a_host_that_is_not_known_or_refuses_is_told_at_once(bounded, named, connect, addresses):
    host = named(0, refusing=addresses)
    with pytest.raises(SandboxConnectionError, match=r"cannot connect to http://named\.test:\d+: \["):
        await AsyncTemplate.connect(TEMPLATE_ID, client=connect(host, max_attempts=1))


@given_time
async def test_a_handshake_that_stalls_ends_a_call_at_its_deadline(bounded, serve, connect, *, longer):
    wire = serve(stall())
    client = connect(wire, base_url=wire.url.replace("http", "https"), timeout_s=TIMEOUT_S * longer)
    with pytest.raises(SandboxTimeoutError, match="no connection within the timeout"):
        await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    wire.until(lambda: wire.open_connections == 0)


@given_time
async def test_a_proxy_takes_no_more_time_than_the_server_itself(
    bounded, serve, connect, environment, *, longer
):
    proxy = serve(reply(json=template_row()), drip(TEMPLATE, 0.1 * longer))
    environment.setenv("HTTP_PROXY", proxy.url)
    environment.setenv("NO_PROXY", "elsewhere.test")
    client = connect(serve(), base_url="http://api.test", timeout_s=TIMEOUT_S * longer)
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    assert proxy.requests[0].target == f"http://api.test/templates/{TEMPLATE_ID}"
    with pytest.raises(SandboxTimeoutError):
        await template.get_info()


async def test_the_raw_client_keeps_to_the_same_deadline(bounded, serve, connect):
    client = connect(serve(drip(reply(json=[]), 0.1)), timeout_s=TIMEOUT_S)
    with pytest.raises(httpx.TimeoutException):
        await list_templates.asyncio(client=client.raw)


@given_time
async def test_a_connection_that_a_call_has_left_in_time_is_used_again(serve, connect, *, longer):
    wire = serve(TEMPLATE)
    client = connect(wire, timeout_s=TIMEOUT_S * longer)
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    wire.then(stall())
    with pytest.raises(SandboxTimeoutError):
        await template.get_info()
    wire.then(TEMPLATE)
    await template.get_info()
    await template.get_info()
    assert wire.connections == 2
