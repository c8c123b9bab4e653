# Written by scripts/unasync.py from tests/client/_async/test_plans.py. Do not edit: change that, then run `nox -s generate`.
"""From a spec to a ready template: what is planned, what is done, and what happens in a race."""

import attrs
import pytest

from superserve import (
    BuildError,
    ConflictError,
    NotFoundError,
    Plan,
    SpecError,
    Template,
    TemplateSpec,
    TemplateStatus,
    ValidationError,
)
from superserve._sync import plans
from tests.wire import reply

SPEC = TemplateSpec(name="web", from_="python:3.11", memory_mib=2048).run("echo made")
QUICK = {"poll_interval_s": 0.01}


def writes(server):
    """Return what was asked of the server that changes something."""
    return [request.operation for request in server.requests if request.method != "GET"]


def ensure(client, spec=SPEC, **options):
    """Ensure a spec, and return the template and the actions of the plans that were made."""
    made = []
    template = Template.ensure(spec, on_plan=made.append, client=client, **QUICK, **options)
    return template, [plan.action for plan in made]


@pytest.fixture
def ready(server, client):
    """A template that is as the spec says, and ready; what it took is forgotten."""
    template, _ = ensure(client)
    server.requests.clear()
    return template


def test_a_template_is_found_by_its_exact_name(client):
    Template.create(name="web-2", from_="a", client=client)
    created = Template.create(spec=SPEC, client=client)
    found = Template.get_by_name("web", client=client)
    assert found == created
    assert client.templates.get_by_name("web") == created
    with pytest.raises(NotFoundError, match="there is no template 'we'; "):
        Template.get_by_name("we", client=client)
    with pytest.raises(ValidationError, match="name: expected"):
        Template.get_by_name("We", client=client)


def test_the_teams_own_template_comes_before_the_systems(serve, connect):
    def template(number, name, team):
        return {
            "id": f"7a3f2b8c-0000-4000-8000-00000000000{number}", "team_id": team, "name": name, "status": "ready",
            "vcpu": 1, "memory_mib": 1024, "disk_mib": 4096, "created_at": "2026-05-01T12:00:00Z",
        }  # fmt: skip

    both = [template(1, "web", "system"), template(2, "web", "ours")]
    wire = serve(reply(json=both), reply(json=[template(3, "superserve/base", "system")]))
    found = Template.get_by_name("web", client=connect(wire))
    assert found.team_id == "ours"


def test_a_plan_writes_nothing(server, client):
    plan = Template.plan(SPEC, client=client)
    assert plan == Plan("create", ("there is no template 'web'",))
    assert str(client.templates.plan(SPEC)) == "create: there is no template 'web'"
    assert writes(server) == []


def test_what_is_not_there_is_created_and_waited_for(client):
    template, actions = ensure(client)
    assert (template.status, actions) == ("ready", ["create"])


def test_what_is_there_is_used_as_it_is(server, client, ready):
    template, actions = ensure(client)
    assert (template, actions, writes(server)) == (ready, ["reuse"], [])


def test_resources_that_the_spec_leaves_open_are_not_compared(client, ready):
    assert (
        Template.plan(TemplateSpec(**{**SPEC.to_dict(), "memory_mib": None}), client=client)
    ).action == "reuse"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (SPEC.resources(memory_mib=1024), "memory_mib is 2048, the spec has 1024"),
        (SPEC.run("more"), "image, steps or commands differ"),
    ],
)
def test_what_differs_is_replaced_and_the_reasons_are_told(server, client, ready, spec, reason):
    assert (Template.plan(spec, client=client)).reasons == (reason,)
    template, actions = ensure(client, spec)
    assert (template.status, actions) == ("ready", ["replace"])
    assert template.id != ready.id
    assert writes(server) == ["deleteTemplate", "createTemplate"]


def test_a_failed_build_is_built_again(server, client):
    spec = TemplateSpec(name="web", from_="a").run("exit 3")
    with pytest.raises(BuildError) as caught:
        ensure(client, spec)
    assert caught.value.place.file == __file__
    server.requests.clear()
    with pytest.raises(BuildError) as caught:
        ensure(client, spec)
    assert writes(server) == ["createTemplateBuild"]
    assert caught.value.place.file == __file__
    assert "the last build is failed: step_failed" in str(Template.plan(spec, client=client))


def test_a_build_that_is_going_on_is_waited_for(server, client):
    server.builds.hold()
    created = Template.create(spec=SPEC, client=client)
    plan = Template.plan(SPEC, client=client)
    assert (plan.action, plan.build_id) == ("reuse", created.latest_build_id)
    server.builds.release()
    template, actions = ensure(client)
    assert (template.status, actions) == ("ready", ["reuse"])
    assert writes(server) == ["createTemplate"]


def test_a_build_that_ends_while_the_plan_is_made_is_not_made_again(server, client, ready):
    listed = Template.list(client=client)

    class Late(Template):
        @classmethod
        def list(cls, **_):
            return [attrs.evolve(info, status=TemplateStatus.BUILDING) for info in listed]

    template = Late.ensure(SPEC, client=client, **QUICK)
    assert (template.status, writes(server)) == ("ready", [])


def test_a_build_of_what_is_replaced_is_cancelled_first(server, client):
    server.builds.hold()
    Template.create(spec=SPEC.run("older"), client=client)
    server.requests.clear()
    template, actions = ensure(client, wait=False)
    assert (template.status, actions) == ("building", ["replace"])
    assert writes(server) == ["cancelTemplateBuild", "deleteTemplate", "createTemplate"]
    server.builds.release()


def test_what_sandboxes_use_is_not_replaced(server, client):
    template_id = server.templates.add("web", sandboxes=1)
    server.builds.add(template_id)
    with pytest.raises(ConflictError, match="sandbox"):
        ensure(client)
    assert (Template.connect(template_id, client=client)).name == "web"


def test_a_plan_can_be_refused(server, client, ready):
    def refuse(plan):
        raise PermissionError(plan.action)

    with pytest.raises(PermissionError, match="replace"):
        Template.ensure(SPEC.run("more"), on_plan=refuse, client=client)
    assert writes(server) == []


def test_where_the_hash_cannot_be_trusted_nothing_is_replaced(server, client):
    ensure(client)
    spec = SPEC.run("echo '\b'")
    plan = Template.plan(spec, client=client)
    assert (plan.action, plan.is_certain) == ("replace", False)
    with pytest.raises(
        ConflictError, match=r"it is not known .*: the spec has characters .*; delete the template"
    ):
        ensure(client, spec)
    # Resources tell for certain.
    assert (Template.plan(spec.resources(memory_mib=1024), client=client)).is_certain


def test_a_hash_of_an_unknown_form_is_not_trusted(server, client, monkeypatch, ready):
    monkeypatch.setattr(plans, "_HASH_DIGITS", 128)
    plan = Template.plan(SPEC.run("more"), client=client)
    assert not plan.is_certain
    assert "a form that this version does not know" in str(plan)


def test_who_is_late_uses_what_the_other_has_created(client):
    made = []

    def hurry(plan):
        made.append(plan.action)
        if len(made) == 1:
            # The other process acts between the plan and its being carried out.
            other.append(None)

    other = []
    create = Template.create

    def create_late(**arguments):
        if other:
            other.clear()
            create(spec=SPEC, client=client)
        return create(**arguments)

    class Late(Template):
        pass

    Late.create = create_late
    template = Late.ensure(SPEC, on_plan=hurry, client=client, **QUICK)
    assert (template.status, made) == ("ready", ["create", "reuse"])


def test_a_race_that_does_not_end_is_given_up(client):
    class Late(Template):
        pass

    def create(**_):
        raise ConflictError("the name is taken")

    Late.create = create
    with pytest.raises(ConflictError, match="other processes changed the template 'web' 5 times"):
        Late.ensure(SPEC, client=client)


def test_a_spec_with_mistakes_is_refused_before_anything_is_sent(server, client):
    broken = TemplateSpec(name="Web", from_="alpine")
    for act in (Template.plan, Template.ensure):
        with pytest.raises(SpecError):
            act(broken, client=client)
    assert list(server.requests) == []
