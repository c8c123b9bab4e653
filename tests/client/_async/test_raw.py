"""The generated client on the connections of one of ours: same key, address, pool and retries."""

import threading

import httpx
import pytest
from superserve_api.api.system import health
from superserve_api.api.templates import create_template, get_template, list_templates
from superserve_api.models import BuildSpec, CreateTemplateRequest

from superserve import AsyncSuperserve, AsyncTemplate, SandboxError
from tests.wire import cut, reply

pytestmark = pytest.mark.usefixtures("no_backoff")

BODY = CreateTemplateRequest(name="my-env", build_spec=BuildSpec(from_="python:3.11"))


async def test_the_raw_client_talks_to_the_same_server_with_the_same_key(client):
    created = await create_template.asyncio(body=BODY, client=client.raw)
    template = await AsyncTemplate.connect(created.id, client=client)
    assert template.name == "my-env"
    response = await get_template.asyncio_detailed(template.id, client=client.raw)
    assert (response.status_code, response.parsed.name) == (200, "my-env")
    assert (await health.asyncio(client=client.raw)).status == "ok"


async def test_the_raw_client_shares_the_connection(serve, connect, key):
    wire = serve(reply(json=[]))
    client = connect(wire)
    await AsyncTemplate.list(client=client)
    assert await list_templates.asyncio(client=client.raw) == []
    async with client.raw as raw:
        await list_templates.asyncio(client=raw)
    # Leaving it has closed nothing.
    await AsyncTemplate.list(client=client)
    assert (len(wire.requests), wire.connections) == (4, 1)
    assert {request.headers["x-api-key"] for request in wire.requests} == {key}
    assert len({request.headers["user-agent"] for request in wire.requests}) == 1


async def test_the_raw_client_repeats_what_may_be_repeated(serve, connect):
    wire = serve(reply(503), cut(), reply(json=[]))
    assert await list_templates.asyncio(client=connect(wire).raw) == []
    assert len(wire.requests) == 3


async def test_the_raw_client_hands_out_the_last_answer(serve, connect):
    wire = serve(reply(503, "<html>", content_type="text/html"))
    response = await list_templates.asyncio_detailed(client=connect(wire).raw)
    assert (response.status_code, response.parsed) == (503, None)
    assert len(wire.requests) == 3


async def test_the_raw_client_sends_what_creates_something_once(serve, connect):
    wire = serve(cut())
    with pytest.raises(httpx.RemoteProtocolError):
        await create_template.asyncio(body=BODY, client=connect(wire).raw)
    assert len(wire.requests) == 1


async def test_the_raw_client_ends_with_its_client(serve, key):
    wire = serve(reply(json=[]))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        raw = client.raw
        await list_templates.asyncio(client=raw)
    with pytest.raises(SandboxError, match=r"^this client is closed; make another$"):
        await list_templates.asyncio(client=raw)


async def test_the_raw_client_cannot_be_made_to_differ(client):
    for change in (
        lambda: client.raw.with_headers({"X-API-Key": "other"}),
        lambda: client.raw.with_cookies({"a": "b"}),
        lambda: client.raw.with_timeout(httpx.Timeout(1.0)),
        lambda: client.raw.set_httpx_client(httpx.Client()),
    ):
        with pytest.raises(SandboxError, match="shares its connections"):
            change()


async def test_a_single_request_may_be_given_less_time_than_its_client_gives(serve, connect):
    released = threading.Event()

    def late(peer, _request):
        peer.wait(released)
        peer.send(reply(json=[]))

    http = connect(serve(late), timeout_s=60)._http
    timer = threading.Timer(5, released.set)
    timer.start()
    try:
        with pytest.raises(httpx.ReadTimeout):
            await http.get("/templates", timeout=0.1)
    finally:
        timer.cancel()
        released.set()


async def test_the_raw_client_is_one_object_that_does_not_show_its_key(client, server):
    assert client.raw is client.raw
    assert repr(client.raw) == f"<RawClient {server.base_url}>"
