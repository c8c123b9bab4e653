"""A wait keeps up with a local server that goes faster than the service."""

import asyncio
import threading

from superserve import AsyncTemplate, Template
from superserve.local import LocalServer

POLLS = 40
# Less than so many polls take at the interval of two seconds.
PATIENCE_S = 60.0


def test_polls_are_as_much_faster_as_the_server_without_a_log() -> None:
    with LocalServer(speed=100, limits=False) as server:
        server.builds.hold()
        connection = {"base_url": server.base_url, "api_key": server.api_key}
        template = Template.create(name="demo", from_="python:3.11", **connection)
        waiting = threading.Thread(target=template.wait_until_ready)
        waiting.start()
        server.requests.to("getTemplateBuild").wait_for(POLLS, timeout_s=PATIENCE_S)
        server.builds.release()
        waiting.join()


async def test_asynchronous_polls_are_as_well() -> None:
    with LocalServer(speed=100, limits=False) as server:
        server.builds.hold()
        connection = {"base_url": server.base_url, "api_key": server.api_key}
        template = await AsyncTemplate.create(name="demo", from_="python:3.11", **connection)
        waiting = asyncio.create_task(template.wait_until_ready())
        polls = server.requests.to("getTemplateBuild")
        await asyncio.to_thread(polls.wait_for, POLLS, timeout_s=PATIENCE_S)
        server.builds.release()
        assert (await waiting).status == "ready"
