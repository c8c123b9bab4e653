"""Where key, address and limits come from, and what is refused."""

import logging
import pickle
import traceback

import httpx
import pytest

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    AuthenticationError,
    SandboxConnectionError,
    SandboxError,
    ValidationError,
)
from superserve._http import environment as network
from tests.wire import cut, reply

SECRET = "abcdefgh_jklmnopqrstuv_x-z012345"
LEGACY_KEY = f"ss_live_{SECRET}"
USE = "https://api.superserve.ai"


def base_url(**options):
    return AsyncSuperserve(**options).base_url


async def keys_sent(wire, **options):
    """Return the keys that a call without a client sends."""
    await AsyncTemplate.list(**options)
    return [request.headers["x-api-key"] for request in wire.requests]


async def test_key_and_address_come_from_the_environment(serve, environment):
    wire = serve(reply(json=[]))
    environment.setenv("SUPERSERVE_API_KEY", "from-environment")
    environment.setenv("SUPERSERVE_BASE_URL", wire.url)
    assert await keys_sent(wire) == ["from-environment"]
    assert base_url() == wire.url


async def test_arguments_win_over_the_environment(serve, environment):
    wire = serve(reply(json=[]))
    environment.setenv("SUPERSERVE_API_KEY", "from-environment")
    environment.setenv("SUPERSERVE_BASE_URL", "http://127.0.0.1:1")
    assert await keys_sent(wire, api_key="argument", base_url=wire.url) == ["argument"]


async def test_the_environment_is_read_at_each_call(serve, environment):
    wire = serve(reply(json=[]))
    environment.setenv("SUPERSERVE_BASE_URL", wire.url)
    for key in ("first", "second"):
        environment.setenv("SUPERSERVE_API_KEY", key)
        sent = await keys_sent(wire)
    assert sent == ["first", "second"]


async def test_white_space_around_a_setting_is_taken_off(serve, environment):
    wire = serve(reply(json=[]))
    assert await keys_sent(wire, api_key=" argument\n", base_url=f"\t{wire.url} \n") == ["argument"]
    environment.setenv("SUPERSERVE_API_KEY", " from-environment\r\n")
    environment.setenv("SUPERSERVE_BASE_URL", f" {wire.url}/\n")
    assert await keys_sent(wire) == ["argument", "from-environment"]
    assert base_url() == wire.url


@pytest.mark.parametrize("key", [None, "", "  ", "\n"])
async def test_without_a_key_nothing_is_sent_and_the_error_says_how_to_give_one(serve, environment, key):
    wire = serve(reply(json=[]))
    if key is not None:
        environment.setenv("SUPERSERVE_API_KEY", key)
    with pytest.raises(AuthenticationError) as caught:
        await AsyncTemplate.list(base_url=wire.url)
    assert str(caught.value) == "no API key: pass api_key= or set SUPERSERVE_API_KEY"
    # No response said so.
    assert caught.value.status_code is None
    assert wire.connections == 0


def test_a_blank_address_in_the_environment_is_unset(environment):
    environment.setenv("SUPERSERVE_BASE_URL", " ")
    assert base_url(api_key=LEGACY_KEY) == USE


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_argument_is_an_error_and_not_the_environment(environment, blank):
    environment.setenv("SUPERSERVE_API_KEY", "from-environment")
    environment.setenv("SUPERSERVE_BASE_URL", "http://localhost")
    with pytest.raises(ValidationError) as caught:
        base_url(api_key=blank)
    assert str(caught.value) == ("api_key: is blank; leave it out (or pass None) to use SUPERSERVE_API_KEY")
    with pytest.raises(ValidationError) as caught:
        base_url(base_url=blank)
    assert str(caught.value) == ("base_url: is blank; leave it out (or pass None) to use SUPERSERVE_BASE_URL")


@pytest.mark.parametrize("value", [5, b"key", ["key"], True])
def test_a_setting_that_is_no_string_is_refused_without_showing_it(value):
    for name in ("api_key", "base_url"):
        with pytest.raises(ValidationError) as caught:
            base_url(**{"api_key": LEGACY_KEY, name: value})
        assert str(caught.value) == f"{name}: expected a string, got {type(value).__name__}"


async def test_slashes_at_the_end_of_the_address_are_taken_off(serve, connect):
    wire = serve(reply(json=[]))
    for end in ("", "/", "//", "/v1", "/v1/"):
        wire.requests.clear()
        await AsyncTemplate.list(client=connect(wire, base_url=wire.url + end))
        assert [request.target for request in wire.requests] == [f"{end.rstrip('/')}/templates"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "ftp://example.com"}, "base_url: it must start with https:// or http://"),
        (
            {"base_url": "https://me:hunter2@example.com"},
            "base_url: must not contain a user name or password",
        ),
        ({"api_key": f"ss_live_eu_{SECRET}"}, "api_key: this version does not know its region 'eu'"),
        ({"api_key": f"{SECRET} x"}, "api_key: only printable ASCII characters without spaces are allowed"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_when_the_client_is_made(options, message):
    with pytest.raises(ValidationError) as caught:
        base_url(**{"api_key": LEGACY_KEY, **options})
    assert str(caught.value).startswith(message)


def test_without_being_told_a_client_waits_half_a_minute_and_tries_thrice():
    client = AsyncSuperserve(api_key=LEGACY_KEY)
    assert (client.timeout_s, client.max_attempts) == (30.0, 3)


def test_a_key_of_the_environment_that_cannot_be_sent_is_named_so(environment):
    environment.setenv("SUPERSERVE_API_KEY", f"{SECRET}\n{SECRET}")
    with pytest.raises(ValidationError, match=r"^SUPERSERVE_API_KEY: only printable ASCII"):
        base_url()


async def test_what_a_server_calls_its_status_is_not_logged(serve, connect, caplog):
    caplog.set_level(logging.INFO)
    wire = serve(cut(f"HTTP/1.1 200 {SECRET}\r\nContent-Length: 2\r\n\r\n[]".encode()))
    assert await AsyncTemplate.list(client=connect(wire)) == []
    assert '"HTTP/1.1 200 OK"' in caplog.text
    assert SECRET not in caplog.text


async def test_the_key_is_in_no_repr_no_log_and_no_pickle(server, caplog):
    caplog.set_level(logging.DEBUG)
    async with AsyncSuperserve(api_key=server.api_key, base_url=server.base_url) as client:
        template = await AsyncTemplate.create(name="my-env", from_="python:3.11", client=client)
        await template.wait_until_ready(on_log=str)
        await template.delete()
        shown = [client, client.raw, client.templates, template, client._config, client._plane, client._http]
        shown += [client._connections, client._connections.pool(), client._pool_maker]
        for thing in shown:
            assert server.api_key not in repr(thing) + str(thing)
    assert {record.name.split(".")[0] for record in caplog.records} >= {"httpx", "httpcore"}
    assert server.api_key not in caplog.text
    for thing in (client, client.raw, template):
        with pytest.raises(TypeError, match="cannot be pickled or copied: it holds a key and connections"):
            pickle.dumps(thing)


async def test_the_key_is_no_variable_where_an_error_is_raised(serve, connect, key):
    # Many a program shows the variables of every frame when something goes wrong.
    client = connect(serve(reply(404), reply(200, "{"), cut()), max_attempts=1)
    for _ in range(3):
        with pytest.raises(SandboxError) as caught:
            await AsyncTemplate.list(client=client)
        ours = [
            frame
            for frame in traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
            if "/superserve/" in frame.filename
        ]
        assert ours
        if isinstance(caught.value.__cause__, httpx.RequestError):
            assert key not in repr(caught.value.__cause__.request.headers)
        assert not [frame for frame in ours if key in str(frame.locals)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "ftp://127.0.0.1:1"),
        ("ALL_PROXY", "http://[::1"),
        ("SSL_CERT_FILE", __file__),
    ],
)
def test_an_environment_that_allows_no_connections_is_named_when_the_client_is_made(
    environment, variable, value
):
    environment.delenv("SSL_CERT_DIR", raising=False)
    network._ssl_context.cache_clear()
    environment.setenv(variable, value)
    with pytest.raises(SandboxError, match=rf"^{variable}: "):
        AsyncSuperserve(api_key="k", base_url="https://api.test")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "ftp://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nowhere"),
        ("NO_PROXY", "fe80::/10,[::1],*:x"),
    ],
)
async def test_nothing_in_the_environment_keeps_a_client_from_this_machine(
    environment, connect, serve, variable, value
):
    environment.setenv(variable, value)
    assert await AsyncTemplate.list(client=connect(serve(reply(json=[])))) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_reached_without_a_proxy(environment, connect, serve, host):
    # As Go does it: the local server works behind a company's proxy, too.
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    wire = serve(reply(json=[]))
    url = f"http://{host}:{wire.port}"
    assert await AsyncTemplate.list(client=connect(wire, base_url=url)) == []
    wire.__exit__()
    with pytest.raises(SandboxConnectionError) as caught:
        await AsyncTemplate.list(client=connect(wire, base_url=url))
    assert caught.value.hint == "check the network and base_url= or SUPERSERVE_BASE_URL"


async def test_a_proxy_of_the_environment_is_used(environment, serve):
    proxy = serve(reply(json=[]))
    environment.setenv("HTTP_PROXY", proxy.url)
    assert await AsyncTemplate.list(api_key="k", base_url="http://superserve.invalid") == []
    assert [request.target for request in proxy.requests] == ["http://superserve.invalid/templates"]
