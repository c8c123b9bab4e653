"""Calls through a proxy: what it answers to CONNECT is judged as the server's answer is, and its password is its own."""

import logging
import traceback

import pytest

from superserve import AsyncSuperserve, AsyncTemplate, SandboxConnectionError, SandboxTimeoutError
from tests.wire import cut, reply, reset, stall

pytestmark = pytest.mark.usefixtures("no_backoff")

USER, PASSWORD = "me-myself", "hunter2-hunter2"
# What the two become in a header.
BASIC = "bWUtbXlzZWxmOmh1bnRlcjItaHVudGVyMg=="


@pytest.fixture
def through(serve, environment):
    """Return a client of https://api.test whose proxy answers so, and that proxy."""

    def through(*answers, scheme="https", **options):
        proxy = serve(*answers)
        address = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
        environment.setenv(f"{scheme.upper()}_PROXY", address)
        return AsyncSuperserve(api_key="k", base_url=f"{scheme}://api.test", **options), proxy

    return through


def check_unshown(error, caplog):
    shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text
    for secret in (USER, PASSWORD, BASIC):
        assert secret not in shown


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_that_is_busy_is_asked_again(through, caplog, status):
    caplog.set_level(logging.DEBUG)
    client, proxy = through(reply(status))
    async with client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.list(client=client)
    assert [request.method for request in proxy.requests] == ["CONNECT"] * 3
    assert {request.target for request in proxy.requests} == {"api.test:443"}
    assert {request.headers["proxy-authorization"] for request in proxy.requests} == {f"Basic {BASIC}"}
    assert f"the proxy 127.0.0.1:{proxy.port} of HTTPS_PROXY refused: {status} " in str(caught.value)
    check_unshown(caught.value, caplog)


@pytest.mark.parametrize("status", [403, 404, 407, 500])
async def test_a_proxy_that_refuses_is_not_asked_again(through, caplog, status):
    caplog.set_level(logging.DEBUG)
    client, proxy = through(reply(status))
    async with client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.list(client=client)
    assert len(proxy.requests) == 1
    assert f"the proxy 127.0.0.1:{proxy.port} of HTTPS_PROXY refused: {status} " in str(caught.value)
    assert caught.value.hint == "check the proxy, and what it requires"
    check_unshown(caught.value, caplog)


@pytest.mark.parametrize("answer", [cut(), reset(), cut(b"HTTP/1.1 20"), cut(b"SSH-2.0\r\n\r\n")])
async def test_a_proxy_that_hangs_up_is_an_error_of_the_connection(through, caplog, answer):
    caplog.set_level(logging.DEBUG)
    client, proxy = through(answer)
    async with client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.list(client=client)
    assert len(proxy.requests) == 3
    check_unshown(caught.value, caplog)


async def test_a_create_that_a_proxy_refuses_was_not_sent(through, caplog):
    client, proxy = through(reply(503))
    async with client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.create(name="my-env", from_="python:3.11", client=client)
    assert len(proxy.requests) == 1
    assert "may have been created" not in str(caught.value)
    check_unshown(caught.value, caplog)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_dead_is_named(through, caplog, scheme):
    client, proxy = through(reply(200), scheme=scheme)
    proxy.__exit__()
    async with client:
        with pytest.raises(SandboxConnectionError) as caught:
            await AsyncTemplate.list(client=client)
    variable = f"{scheme.upper()}_PROXY"
    assert (
        f"cannot connect to {scheme}://api.test through the proxy 127.0.0.1:{proxy.port} of {variable}: [Errno "
    ) in str(caught.value)
    assert caught.value.hint == f"check the network, {variable} and base_url= or SUPERSERVE_BASE_URL"
    check_unshown(caught.value, caplog)


async def test_a_proxy_that_does_not_answer_takes_no_more_time_than_the_call_has(through, caplog):
    client, _ = through(stall(), timeout_s=0.3)
    async with client:
        with pytest.raises(SandboxTimeoutError) as caught:
            await AsyncTemplate.list(client=client)
    check_unshown(caught.value, caplog)


async def test_the_key_is_not_told_to_a_proxy_that_only_connects(through):
    client, proxy = through(reply(403))
    async with client:
        with pytest.raises(SandboxConnectionError):
            await AsyncTemplate.list(client=client)
    assert "x-api-key" not in proxy.requests[0].headers
