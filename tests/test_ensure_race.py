"""Several callers ensure the same spec at the same time: they end up with the same template."""

import os
import subprocess
import sys
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


PROGRAM = """
import sys
from superserve import Template, TemplateSpec
sys.stdin.readline()
print(Template.ensure(TemplateSpec(name="web", from_="python:3.11").run("echo made"), poll_interval_s=0.01).id)
"""


@pytest.mark.slow
def test_two_processes_that_race_get_the_same_template(client, server):
    environment = {**os.environ, "SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": server.api_key}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(2)
    ]  # fmt: skip
    # Both have loaded what they need by now, or will have: whoever is late uses what the other has made.
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], told
    [info] = Template.list(client=client)
    assert [output for output, _ in told] == [f"{info.id}\n"] * 2
