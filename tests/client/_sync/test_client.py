# Written by scripts/unasync.py from tests/client/_async/test_client.py. Do not edit: change that, then run `nox -s generate`.
"""The client: its connections, who shares them, and how they end."""

import pytest

from superserve import SandboxError, Superserve, Template
from tests.wire import reply

ID = "7a3f2b8c-0000-4000-8000-000000000001"
TEMPLATE = {
    "id": ID,
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-env",
    "status": "ready",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
}
CLOSED = "^this client is closed; make another$"


@pytest.fixture
def wire(serve):
    return serve(reply(json=TEMPLATE))


def test_a_hundred_calls_take_one_connection(wire, connect):
    template = Template.connect(ID, client=connect(wire))
    for _ in range(99):
        template.get_info()
    assert (len(wire.requests), wire.connections) == (100, 1)


def test_calls_without_a_client_share_one_for_the_same_key_and_address(wire, environment, key):
    template = Template.connect(ID, api_key=key, base_url=wire.url)
    template.get_info()
    Template.connect(ID, api_key=f" {key} ", base_url=f"{wire.url}/")
    environment.setenv("SUPERSERVE_API_KEY", key)
    environment.setenv("SUPERSERVE_BASE_URL", wire.url)
    Template.connect(ID)
    assert (len(wire.requests), wire.connections) == (4, 1)


def test_another_key_has_another_connection(wire):
    for key in ("one", "two", "one"):
        Template.connect(ID, api_key=key, base_url=wire.url)
    assert [request.headers["x-api-key"] for request in wire.requests] == ["one", "two", "one"]
    assert [request.connection for request in wire.requests] == [1, 2, 1]


def test_every_factory_takes_a_key_and_an_address(serve, environment):
    environment.setenv("SUPERSERVE_API_KEY", "another")
    environment.setenv("SUPERSERVE_BASE_URL", "http://127.0.0.1:1")
    wire = serve(
        reply(202, json={**TEMPLATE, "build_id": ID}),
        reply(json=TEMPLATE),
        reply(json=[TEMPLATE]),
        reply(204),
    )
    here = {"api_key": "mine", "base_url": wire.url}
    Template.create(name="my-env", from_="debian:12", **here)
    Template.connect(ID, **here)
    Template.list(**here)
    Template.delete_by_id(ID, **here)
    assert [request.headers["x-api-key"] for request in wire.requests] == ["mine"] * 4
    assert wire.connections == 1


def test_clients_of_many_keys_do_not_pile_up(wire):
    for number in range(70):
        Template.connect(ID, api_key=f"key-{number}", base_url=wire.url)
    wire.until(lambda: wire.open_connections == 64)
    # The oldest are those that were forgotten.
    Template.connect(ID, api_key="key-69", base_url=wire.url)
    assert wire.connections == 70
    Template.connect(ID, api_key="key-0", base_url=wire.url)
    assert wire.connections == 71


def test_a_client_of_ones_own_is_not_shared(wire, connect, key):
    Template.connect(ID, api_key=key, base_url=wire.url)
    Template.connect(ID, client=connect(wire))
    assert wire.connections == 2


def test_a_client_without_settings_can_still_be_shown():
    # Debuggers show one whose settings are refused.
    assert repr(object.__new__(Superserve)) == "<Superserve without settings>"


def test_leaving_a_client_closes_its_connections(wire, key):
    with Superserve(api_key=key, base_url=wire.url) as client:
        Template.connect(ID, client=client)
        assert wire.open_connections == 1
    wire.until(lambda: wire.open_connections == 0)


def test_a_closed_client_says_so(wire, key):
    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(ID, client=client)
    for call in (
        template.get_info,
        template.delete,
        template.wait_until_ready,
        lambda: template.stream_build_logs(on_event=print, build_id=ID),
        lambda: Template.list(client=client),
    ):
        with pytest.raises(SandboxError, match=CLOSED):
            call()
    assert len(wire.requests) == 1


def test_closing_twice_or_before_the_first_call_is_fine(wire, key):
    client = Superserve(api_key=key, base_url=wire.url)
    client.close()
    client.close()
    with pytest.raises(SandboxError, match=CLOSED):
        Template.connect(ID, client=client)
    assert wire.connections == 0


def test_making_a_client_opens_nothing(wire, connect):
    connect(wire)
    assert wire.connections == 0


def test_an_exception_inside_the_with_statement_comes_out_and_the_client_is_closed(wire, key):
    def fail():
        with Superserve(api_key=key, base_url=wire.url) as client:
            Template.connect(ID, client=client)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        fail()
    wire.until(lambda: wire.open_connections == 0)


def test_a_client_tells_its_address_and_timeout_but_not_its_key(key):
    client = Superserve(api_key=key, base_url="https://example.com/", timeout_s=5)
    assert repr(client) == str(client) == "<Superserve https://example.com>"
    assert (client.base_url, client.timeout_s) == ("https://example.com", 5.0)
    for name in ("base_url", "timeout_s", "raw"):
        with pytest.raises(AttributeError):
            setattr(client, name, None)


def test_a_call_may_take_as_long_as_one_likes(wire, connect):
    template = Template.connect(ID, client=connect(wire, timeout_s=1e9))
    template.delete()


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(serve, connect):
    closing = reply(json=TEMPLATE, headers={"Connection": "close"})
    wire = serve(lambda peer, _request: (peer.send(closing), peer.close()))
    template = Template.connect(ID, client=connect(wire, max_attempts=1))
    template.get_info()
    assert wire.connections == 2
