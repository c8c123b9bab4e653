# Written by scripts/unasync.py from tests/_async/test_templates.py. Do not edit: change that, then run `nox -s generate`.
"""Templates through their public methods, against the local server."""

from superserve import Template


def test_create_registers_a_template_and_queues_its_first_build(client):
    template = Template.create(name="my-env", from_="python:3.11", client=client)
    assert template.name == "my-env"
    assert [build.id for build in template.list_builds()] == [template.latest_build_id]
