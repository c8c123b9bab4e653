"""Several callers ensure the same spec at the same time: they end up with the same template."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from superserve import Superserve, Template, TemplateSpec

SPEC = TemplateSpec(name="web", from_="python:3.11").run("echo made")
CALLERS = 6


@pytest.fixture
def client(server):
    with Superserve(api_key=server.api_key, base_url=server.base_url) as client:
        yield client


def ensured(client, spec):
    """Return the templates that callers get who ensure a spec at the same time."""

    def ensure(_number):
        return Template.ensure(spec, client=client, poll_interval_s=0.01)

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ensure, range(CALLERS)))


@pytest.mark.parametrize("number", range(5))
def test_whoever_is_late_uses_what_the_first_has_made(client, number):
    templates = ensured(client, SPEC)
    assert {template.status for template in templates} == {"ready"}
    assert len({template.id for template in templates}) == 1
    assert len(Template.list(client=client)) == 1


@pytest.mark.parametrize("number", range(5))
def test_a_template_that_differs_is_replaced_once(client, server, number):
    before = Template.ensure(SPEC, client=client, poll_interval_s=0.01)
    server.requests.clear()
    templates = ensured(client, SPEC.run("echo more"))
    assert len({template.id for template in templates} - {before.id}) == 1
    assert [request.status for request in server.requests.to("createTemplate")].count(202) == 1
