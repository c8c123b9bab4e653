"""Templates made from specs."""

import pytest

from superserve import (
    AsyncTemplate,
    BuildError,
    EnvStep,
    EnvStepValue,
    RunStep,
    SpecError,
    TemplateSpec,
    ValidationError,
)

SPEC = (
    TemplateSpec(name="web", from_="python:3.11", vcpu=2).run("make").user("app").start("serve", ready="true")
)


async def test_create_sends_what_the_spec_says_and_nothing_else(server, client):
    template = await AsyncTemplate.create(spec=SPEC, client=client)
    assert template.name == "web"
    assert server.requests.to("createTemplate").last.json == SPEC.to_api()
    [build] = await template.list_builds()
    assert build.build_spec_hash == SPEC.build_spec_hash


async def test_the_clients_own_door_takes_a_spec_too(server, client):
    await client.templates.create(spec=SPEC)
    assert server.requests.to("createTemplate").last.json == SPEC.to_api()


async def test_a_spec_with_mistakes_is_refused_with_all_of_them_and_nothing_is_sent(server, client):
    spec = TemplateSpec(name="Web", from_="alpine", steps=[{"rum": "make"}])
    with pytest.raises(SpecError) as caught:
        await AsyncTemplate.create(spec=spec, client=client)
    assert [problem.where for problem in caught.value.problems] == ["name", "from", "steps[0]"]
    assert isinstance(caught.value, ValidationError)
    assert list(server.requests) == []


async def test_warnings_do_not_stop_a_spec(client):
    spec = SPEC.env(PATH="/bin")
    assert spec.check()
    assert (await AsyncTemplate.create(spec=spec, client=client)).name == "web"


@pytest.mark.parametrize(
    "other", [{"name": "web"}, {"from_": "x"}, {"vcpu": 1}, {"steps": []}, {"start_cmd": "x"}]
)
async def test_a_spec_is_the_whole_template(client, other):
    with pytest.raises(ValidationError, match="leave the other arguments out"):
        await AsyncTemplate.create(spec=SPEC, client=client, **other)


async def test_what_is_no_spec_is_refused(client):
    with pytest.raises(ValidationError, match="spec: expected a TemplateSpec, got dict"):
        await AsyncTemplate.create(spec=SPEC.to_dict(), client=client)


async def test_a_failed_step_is_shown_with_the_place_where_it_was_written(client):
    spec = TemplateSpec(name="web", from_="python:3.11", steps=[EnvStep(EnvStepValue("A", "1"))])
    spec = spec.run("exit 3")
    template = await AsyncTemplate.create(spec=spec, client=client)
    with pytest.raises(BuildError) as caught:
        await template.wait_until_ready(poll_interval_s=0.01)
    assert caught.value.command == "exit 3"
    assert caught.value.place == spec.place_of("steps[1]") != spec.place_of("steps[0]")
    assert caught.value.place.file == __file__
    assert f"written at {caught.value.place}" in str(caught.value)


async def test_without_a_spec_there_is_no_place(client):
    template = await AsyncTemplate.create(name="web", from_="a", steps=[RunStep("exit 3")], client=client)
    with pytest.raises(BuildError) as caught:
        await template.wait_until_ready(poll_interval_s=0.01)
    assert caught.value.place is None
