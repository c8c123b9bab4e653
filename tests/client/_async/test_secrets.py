"""The API key goes to its own plane and nowhere else: no other origin, no default header, no text."""

import logging
import pickle

import httpx
import pytest

from superserve import AsyncTemplate, SandboxError
from superserve._config import resolve
from superserve._http.planes import control_plane
from tests.wire import cut, reply


async def test_the_key_is_no_default_header_and_is_sent_all_the_same(serve, connect, key):
    wire = serve(reply(json=[]))
    client = connect(wire)
    assert "x-api-key" not in client._http.headers
    assert key not in repr(client._http.headers)
    await AsyncTemplate.list(client=client)
    assert wire.requests[0].headers["x-api-key"] == key


@pytest.mark.parametrize("path", ["/templates", "templates", "/v1/templates?name_prefix=a"])
async def test_the_key_goes_with_requests_of_its_plane(serve, connect, key, path):
    wire = serve(reply(json=[]))
    await connect(wire)._http.get(path)
    assert wire.requests[0].headers["x-api-key"] == key


async def test_the_key_goes_to_no_other_origin(serve, connect, key):
    wire, other = serve(reply(json=[])), serve(reply(json=[]))
    http = connect(wire)._http
    await http.get(f"{wire.url}/templates")
    await http.get(f"{other.url}/templates")
    await http.get(f"http://localhost:{wire.port}/templates")
    assert [request.headers.get("x-api-key") for request in wire.requests] == [key, None]
    assert [request.headers.get("x-api-key") for request in other.requests] == [None]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.test/",
        "https://api.test:444/",
        "https://api.test.evil.test/",
        "https://evil.test/api.test",
        "https://api.test@evil.test/",
        "https://pi.test/",
    ],
)
def test_an_origin_is_the_same_only_if_scheme_host_and_port_are(url):
    plane = control_plane(resolve("the-key", "https://api.test"))
    request = httpx.Request("GET", url)
    plane.authenticate(request)
    assert "x-api-key" not in request.headers
    own = httpx.Request("GET", "https://api.test:443/templates")
    plane.authenticate(own)
    assert own.headers["x-api-key"] == "the-key"


async def test_a_redirect_elsewhere_is_not_followed_even_when_asked_for(serve, connect):
    other = serve(reply(json=[]))
    wire = serve(reply(307, headers={"Location": f"{other.url}/templates"}))
    response = await connect(wire)._http.get("/templates", follow_redirects=True)
    assert response.status_code == 307
    assert other.connections == 0


def test_a_plane_shows_no_secret(key):
    plane = control_plane(resolve(key, "https://api.test"))
    assert key not in repr(plane) + str(plane) + repr(plane.redactor) + repr(resolve(key))
    assert plane.redactor.hide(f"key {key}, {key!r}") == "key ***, '***'"


async def test_the_lines_that_httpx_logs_hold_no_key(serve, connect, key, caplog):
    caplog.set_level(logging.DEBUG)
    # What is sent, what comes back, and what is tried again.
    wire = serve(reply(503), cut(f"HTTP/1.1 {key}\r\n\r\n".encode()), reply(404, key, headers={"X": key}))
    with pytest.raises(SandboxError):
        await AsyncTemplate.connect("t-1", client=connect(wire))
    ours = [record for record in caplog.records if record.name in ("httpx", "superserve")]
    assert len(ours) >= 2
    assert not [record for record in ours if key in record.getMessage() + repr(record.args)]


async def test_an_error_can_be_pickled_without_the_key(serve, connect, key):
    wire = serve(reply(404, json={"error": {"code": "not_found", "message": f"what is {key}?"}}))
    with pytest.raises(SandboxError) as caught:
        await AsyncTemplate.connect("t-1", client=connect(wire))
    assert key.encode() not in pickle.dumps(caught.value)
    assert caught.value.message == "what is ***?"
