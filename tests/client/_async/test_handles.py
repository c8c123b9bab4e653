"""A template's handle: what it is equal to, what it shows, and the doors of a client."""

import inspect

import pytest

from superserve import AsyncSandbox, AsyncTemplate, TemplateInfo, TemplateSpec
from superserve._async import sandboxes as sandboxes_module
from superserve._async import templates as templates_module
from tests.script import BUILD_ID, TEMPLATE_ID, Script, template_row
from tests.wire import reply

OTHER_ID = "7a3f2b8c-0000-4000-8000-000000000009"


async def test_handles_of_one_template_through_one_client_are_equal(serve, connect):
    wire = serve(reply(json=template_row("building")), reply(json=template_row("ready", name="renamed")))
    client = connect(wire)
    one = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    same = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    assert one == same
    assert hash(one) == hash(same)
    assert {one, same} == {one}


async def test_handles_of_other_templates_or_through_other_clients_differ(serve, connect):
    wire = serve(reply(json=template_row()))
    client = connect(wire)
    one = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    assert one != await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    wire.then(reply(json=template_row(id=OTHER_ID)))
    assert one != await AsyncTemplate.connect(OTHER_ID, client=client)
    assert one != TEMPLATE_ID
    assert one != await one.get_info()


async def test_a_handle_shows_its_name_and_id_and_no_status_that_may_be_old(serve, connect):
    wire = serve(reply(json=template_row("building")))
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    assert repr(template) == str(template) == f"<AsyncTemplate 'my-env' {TEMPLATE_ID}>"


async def test_a_handles_properties_stay_as_they_were(scripted):
    script = Script(template=[reply(json=template_row("building", latest_build_id=BUILD_ID))])
    template = await scripted(script)
    script.then(template=[reply(json=template_row("ready", latest_build_id=BUILD_ID, size_bytes=7))])
    assert (await template.get_info()).status == "ready"
    assert (await template.wait_until_ready()).size_bytes == 7
    assert (template.status, template.size_bytes) == ("building", None)


async def test_a_client_has_the_same_doors_as_the_class(client):
    template = await client.templates.create(name="my-env", from_="python:3.11", steps=[{"run": "make"}])
    assert isinstance(template, AsyncTemplate)
    assert template == await client.templates.connect(template.id)
    (info,) = await client.templates.list(name_prefix="my-")
    assert isinstance(info, TemplateInfo)
    assert info.id == template.id
    assert await client.templates.list(name_prefix="other") == []
    await template.wait_until_ready()
    assert await client.templates.delete_by_id(template.id) is None
    assert await client.templates.list() == []


class HandedOverError(Exception):
    """Ends a call once it is known what it was given."""


@pytest.mark.parametrize(
    ("doors", "kind"),
    [
        (lambda client: client.templates, AsyncTemplate),
        (lambda client: client.sandboxes, AsyncSandbox),
    ],
)
async def test_every_door_of_a_client_hands_over_all_that_it_is_given(
    connect, serve, monkeypatch, doors, kind
):
    client = connect(serve())
    names = [name for name in dir(doors(client)) if not name.startswith("_")]
    assert {"create", "connect", "list"} < {*names}
    for name in names:
        taken, got = inspect.signature(getattr(kind, name)), {}

        def hand_over(*args, taken=taken, got=got, **kwargs):
            got.update(taken.bind(*args, **kwargs).arguments)
            raise HandedOverError

        monkeypatch.setattr(kind, name, hand_over)
        door = getattr(doors(client), name)
        given = {argument: object() for argument in inspect.signature(door).parameters}
        with pytest.raises(HandedOverError):
            await door(**given)
        assert got == {**given, "client": client}


SPEC = TemplateSpec(name="my-env", from_="python:3.11")
FACTORIES = {
    AsyncTemplate: {
        "create": {"name": "my-env", "from_": "python:3.11"},
        "connect": {"template_id": TEMPLATE_ID},
        "list": {},
        "delete_by_id": {"template_id": TEMPLATE_ID},
        "get_by_name": {"name": "my-env"},
        "plan": {"spec": SPEC},
        "ensure": {"spec": SPEC},
        "build_all": {"specs": [SPEC]},
        "prune": {"keep": 1},
    },
    AsyncSandbox: {
        "create": {"name": "box"},
        "connect": {"sandbox_id": OTHER_ID},
        "get": {"sandbox_id": OTHER_ID},
        "list": {},
        "kill_by_id": {"sandbox_id": OTHER_ID},
        "update_by_id": {"sandbox_id": OTHER_ID, "metadata": {}},
    },
}


@pytest.mark.parametrize("kind", FACTORIES)
async def test_every_factory_uses_the_client_key_and_addresses_that_it_is_given(monkeypatch, kind):
    got = {}

    def client_for(client, **where):
        got.update(client=client, **where)
        raise HandedOverError

    module = {AsyncTemplate: templates_module, AsyncSandbox: sandboxes_module}[kind]
    monkeypatch.setattr(module, "client_for", client_for)
    for name, arguments in FACTORIES[kind].items():
        factory = getattr(kind, name)
        where = {"client", "api_key", "base_url", "sandbox_url"} & {*inspect.signature(factory).parameters}
        given = {argument: object() for argument in where}
        with pytest.raises(HandedOverError):
            await factory(**arguments, **given)
        assert got == given
        got.clear()
