"""Templates through their public methods, against the local server."""

from superserve import AsyncTemplate


async def test_create_registers_a_template_and_queues_its_first_build(client):
    template = await AsyncTemplate.create(name="my-env", from_="python:3.11", client=client)
    assert template.name == "my-env"
    assert [build.id for build in await template.list_builds()] == [template.latest_build_id]
