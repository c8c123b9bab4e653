"""The handle of one build."""

import pytest

from superserve import AsyncBuild, AsyncTemplate, BuildCancelledError, NotFoundError, SandboxError

BUILD_ID = "7a3f2b8c-0000-4000-8000-000000000003"


@pytest.fixture
async def template(client):
    steps = [{"run": "echo one"}, {"run": "sleep 5"}, {"env": {"key": "A", "value": "1"}}]
    return await AsyncTemplate.create(
        name="web", from_="a", steps=steps, start_cmd="serve", ready_cmd="true", client=client
    )


async def test_create_and_rebuild_keep_the_build_for_build(template):
    first = template.build()
    assert first.id == template.latest_build_id
    assert first.template is template
    await first.wait(poll_interval_s=0.01)
    second = await template.rebuild()
    assert template.build() == AsyncBuild(template, second.id)
    assert template.build() != first
    assert len({template.build(), template.build(second.id), first}) == 2


async def test_a_build_waits_and_tells_of_itself(template):
    build = template.build()
    events = []
    info = await build.wait(on_log=events.append, poll_interval_s=0.01)
    assert info.status == "ready"
    assert "one" in [event.text for event in events]
    assert (await build.get_info()).status == "ready"
    assert "one" in [event.text async for event in build.logs()]


async def test_a_build_can_be_cancelled(server, client):
    server.builds.hold()
    template = await AsyncTemplate.create(name="held", from_="a", client=client)
    build = template.build()
    await build.cancel()
    with pytest.raises(BuildCancelledError):
        await build.wait()
    server.builds.release()


async def test_the_latest_build_is_asked_for(client, template):
    handle = await AsyncTemplate.connect(template.id, client=client)
    with pytest.raises(SandboxError, match=r"call latest_build\(\)"):
        handle.build()
    assert (await handle.latest_build()).id == template.latest_build_id


async def test_without_a_build_there_is_no_latest_one(server, client):
    template = await AsyncTemplate.connect(server.templates.add("bare"), client=client)
    with pytest.raises(NotFoundError, match="has no build that this team can see"):
        await template.latest_build()


async def test_a_handle_says_which_build_it_is(template):
    assert repr(template.build(BUILD_ID)) == f"<{AsyncBuild.__name__} {BUILD_ID} of 'web'>"


async def test_a_timeline_tells_where_the_time_went(template):
    await template.build().wait(poll_interval_s=0.01)
    timeline = await template.build().timeline()
    assert [part.kind for part in timeline.parts if part.kind != "queue"] == [
        "image", "environment", "step", "step", "step", "start", "ready", "save",
    ]  # fmt: skip
    assert [part.seconds for part in timeline.steps] == [0.01, 5.01, 0.01]
    assert timeline.slowest.label == "Step 2/3  $ sleep 5"
    assert timeline.is_complete
    assert "5.010 s  step         Step 2/3  $ sleep 5  <- slowest" in str(timeline)
    assert timeline.to_dict()["parts"][-1]["kind"] == "save"


async def test_the_timeline_of_a_lost_log_says_that_it_is_not_whole(server, client):
    template_id = server.templates.add("old")
    build_id = server.builds.add(template_id)
    template = await AsyncTemplate.connect(template_id, client=client)
    timeline = await template.build(build_id).timeline()
    assert (timeline.steps, timeline.is_complete) == ((), False)
    assert "The log was not complete" in str(timeline)
