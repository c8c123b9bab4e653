"""A server per test, raw httpx to talk to it: no code of the client is used here."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from superserve.local import LocalServer
from superserve.local._machines.build_host import BuildHost
from superserve.local._resources.builds import BuildResource

Created = tuple[str, str]


def client_of(server: LocalServer, key: str | None = None) -> httpx.Client:
    # Loading certificates takes longer than most tests here, and nothing is encrypted.
    return httpx.Client(
        base_url=server.base_url, headers={"X-API-Key": key or server.api_key}, verify=False, timeout=60
    )


def host_of(server: LocalServer) -> BuildHost:
    return server._running().services.resource(BuildResource).host


@pytest.fixture
def host(server: LocalServer) -> BuildHost:
    """What runs the server's builds."""
    return host_of(server)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(speed=100, limits=False) as server:
        yield server


@pytest.fixture
def http(server: LocalServer) -> Iterator[httpx.Client]:
    with client_of(server) as http:
        yield http


@pytest.fixture
def limited() -> Iterator[LocalServer]:
    """A server with the real figures."""
    with LocalServer(speed=100) as server:
        yield server


@pytest.fixture
def limited_http(limited: LocalServer) -> Iterator[httpx.Client]:
    with client_of(limited) as http:
        yield http


@pytest.fixture
def open_client() -> Iterator[Callable[..., httpx.Client]]:
    """Clients for other servers and keys, closed at the end of the test."""
    clients: list[httpx.Client] = []

    def open_client(server: LocalServer, key: str | None = None) -> httpx.Client:
        clients.append(client_of(server, key))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def create(http: httpx.Client) -> Callable[..., Created]:
    """Create a template; gives its id and its first build's."""

    def create(name: str = "demo", *, client: httpx.Client = http, **spec: object) -> Created:
        body = {"name": name, "build_spec": {"from": "python:3.11", **spec}}
        answer = client.post("/templates", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"], answer.json()["build_id"]

    return create


@pytest.fixture
def log(http: httpx.Client) -> Callable[..., list[dict[str, Any]]]:
    """Read a build's log stream to its end."""

    def log(template_id: str, build_id: str, *, client: httpx.Client = http) -> list[dict[str, Any]]:
        answer = client.get(f"/templates/{template_id}/builds/{build_id}/logs")
        assert answer.status_code == 200, answer.text
        return [json.loads(frame.removeprefix("data: ")) for frame in answer.text.split("\n\n") if frame]

    return log


@pytest.fixture
def wait_for_readers() -> Callable[..., None]:
    """Wait until so many readers of a build's log are connected."""

    def wait_for_readers(server: LocalServer, build_id: str, count: int = 1) -> None:
        log = host_of(server).records[build_id].log
        end = time.monotonic() + 60
        while len(log._subscriptions) != count:
            assert time.monotonic() < end, "not the expected number of readers"
            time.sleep(0.001)

    return wait_for_readers


@pytest.fixture
def error() -> Callable[[httpx.Response], tuple[int, str]]:
    """Read an error envelope; gives status and code."""

    def error(answer: httpx.Response) -> tuple[int, str]:
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        envelope = answer.json()
        assert envelope.keys() == {"error"}
        assert envelope["error"].keys() == {"code", "message"}
        assert envelope["error"]["message"]
        return answer.status_code, envelope["error"]["code"]

    return error
