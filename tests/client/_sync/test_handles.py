# Written by scripts/unasync.py from tests/client/_async/test_handles.py. Do not edit: change that, then run `nox -s generate`.
"""A template's handle: what it is equal to, what it shows, and the doors of a client."""

import inspect

import pytest

from superserve import Sandbox, Template, TemplateInfo, TemplateSpec
from superserve._sync import sandboxes as sandboxes_module
from superserve._sync import templates as templates_module
from tests.script import BUILD_ID, TEMPLATE_ID, Script, template_row
from tests.wire import reply

OTHER_ID = "7a3f2b8c-0000-4000-8000-000000000009"


def test_handles_of_one_template_through_one_client_are_equal(serve, connect):
    wire = serve(reply(json=template_row("building")), reply(json=template_row("ready", name="renamed")))
    client = connect(wire)
    one = Template.connect(TEMPLATE_ID, client=client)
    same = Template.connect(TEMPLATE_ID, client=client)
    assert one == same
    assert hash(one) == hash(same)
    assert {one, same} == {one}


def test_handles_of_other_templates_or_through_other_clients_differ(serve, connect):
    wire = serve(reply(json=template_row()))
    client = connect(wire)
    one = Template.connect(TEMPLATE_ID, client=client)
    assert one != Template.connect(TEMPLATE_ID, client=connect(wire))
    wire.then(reply(json=template_row(id=OTHER_ID)))
    assert one != Template.connect(OTHER_ID, client=client)
    assert one != TEMPLATE_ID
    assert one != one.get_info()


def test_a_handle_shows_its_name_and_id_and_no_status_that_may_be_old(serve, connect):
    wire = serve(reply(json=template_row("building")))
    template = Template.connect(TEMPLATE_ID, client=connect(wire))
    assert repr(template) == str(template) == f"<Template 'my-env' {TEMPLATE_ID}>"


def test_a_handles_properties_stay_as_they_were(scripted):
    script = Script(template=[reply(json=template_row("building", latest_build_id=BUILD_ID))])
    template = scripted(script)
    script.then(template=[reply(json=template_row("ready", latest_build_id=BUILD_ID, size_bytes=7))])
    assert (template.get_info()).status == "ready"
    assert (template.wait_until_ready()).size_bytes == 7
    assert (template.status, template.size_bytes) == ("building", None)


def test_a_client_has_the_same_doors_as_the_class(client):
    template = client.templates.create(name="my-env", from_="python:3.11", steps=[{"run": "make"}])
    assert isinstance(template, Template)
    assert template == client.templates.connect(template.id)
    (info,) = client.templates.list(name_prefix="my-")
    assert isinstance(info, TemplateInfo)
    assert info.id == template.id
    assert client.templates.list(name_prefix="other") == []
    template.wait_until_ready()
    assert client.templates.delete_by_id(template.id) is None
    assert client.templates.list() == []


class HandedOverError(Exception):
    """Ends a call once it is known what it was given."""


@pytest.mark.parametrize(
    ("doors", "kind"),
    [
        (lambda client: client.templates, Template),
        (lambda client: client.sandboxes, Sandbox),
    ],
)
def test_every_door_of_a_client_hands_over_all_that_it_is_given(connect, serve, monkeypatch, doors, kind):
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
            door(**given)
        assert got == {**given, "client": client}


SPEC = TemplateSpec(name="my-env", from_="python:3.11")
FACTORIES = {
    Template: {
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
    Sandbox: {
        "create": {"name": "box"},
        "connect": {"sandbox_id": OTHER_ID},
        "get": {"sandbox_id": OTHER_ID},
        "list": {},
        "kill_by_id": {"sandbox_id": OTHER_ID},
        "update_by_id": {"sandbox_id": OTHER_ID, "metadata": {}},
    },
}


@pytest.mark.parametrize("kind", FACTORIES)
def test_every_factory_uses_the_client_key_and_addresses_that_it_is_given(monkeypatch, kind):
    got = {}

    def client_for(client, **where):
        got.update(client=client, **where)
        raise HandedOverError

    module = {Template: templates_module, Sandbox: sandboxes_module}[kind]
    monkeypatch.setattr(module, "client_for", client_for)
    for name, arguments in FACTORIES[kind].items():
        factory = getattr(kind, name)
        where = {"client", "api_key", "base_url", "sandbox_url"} & {*inspect.signature(factory).parameters}
        given = {argument: object() for argument in where}
        with pytest.raises(HandedOverError):
            factory(**arguments, **given)
        assert got == given
        got.clear()
