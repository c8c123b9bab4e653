"""With no file descriptor left, and in event loops of another kind: errors of this package, which say why."""

import asyncio
import os
import subprocess
import sys

import pytest
import trio

from superserve import AsyncSuperserve, AsyncTemplate, SandboxError
from tests.script import BUILD_ID, TEMPLATE_ID, Script

resource = pytest.importorskip("resource", reason="this system has no limits for processes")

COMMON = """
import os, resource, sys
from superserve import AsyncSuperserve, AsyncTemplate, SandboxError, Superserve, Template

url, dead, template_id, build_id = sys.argv[1:]

def exhaust():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return held

def name_outcome(error):
    # With everything that led to it, whose names have to be loaded as well.
    return f"{isinstance(error, SandboxError)} {type(error).__name__}: {error}"
"""
SYNC = (
    COMMON
    + """
client = Superserve(base_url=url)
template = Template.connect(template_id, client=client)
held = exhaust()
for call in (
    lambda: template.list(client=Superserve(base_url=dead)),
    lambda: template.create(name="a", from_="b", client=Superserve(base_url=dead)),
    lambda: Template.connect(template_id, client=Superserve(base_url="http://localhost:1")),
    lambda: Template.connect(template_id, client=Superserve(base_url="http://name.invalid")),
    lambda: Template.list(client=Superserve(base_url="https://api.test")),
    lambda: list(Template(template._info, client=Superserve(base_url=dead)).iter_build_logs(build_id=build_id)),
    lambda: Template(template._info, client=Superserve(base_url=dead)).wait_until_ready(
        on_log=print, build_id=build_id, poll_interval_s=0.01, timeout_s=0.3
    ),
    # Over the connection that there is.
    lambda: template.get_info(),
):
    try:
        call()
    except BaseException as error:
        print(name_outcome(error))
    else:
        print("result")
"""
)
ASYNC = (
    COMMON
    + """
import asyncio

async def collect(events):
    return [event async for event in events]

async def main():
    client = AsyncSuperserve(base_url=url)
    template = await AsyncTemplate.connect(template_id, client=client)
    held = exhaust()
    for call in (
        lambda: template.list(client=AsyncSuperserve(base_url=dead)),
        lambda: template.create(name="a", from_="b", client=AsyncSuperserve(base_url=dead)),
        lambda: AsyncTemplate.connect(template_id, client=AsyncSuperserve(base_url="http://localhost:1")),
        lambda: AsyncTemplate.connect(template_id, client=AsyncSuperserve(base_url="http://name.invalid")),
        lambda: AsyncTemplate.list(client=AsyncSuperserve(base_url="https://api.test")),
        lambda: collect(AsyncTemplate(template._info, client=AsyncSuperserve(base_url=dead)).iter_build_logs(build_id=build_id)),
        lambda: AsyncTemplate(template._info, client=AsyncSuperserve(base_url=dead)).wait_until_ready(
            on_log=print, build_id=build_id, poll_interval_s=0.01, timeout_s=0.3
        ),
        lambda: template.get_info(),
    ):
        try:
            await call()
        except BaseException as error:
            print(name_outcome(error))
        else:
            print("result")

asyncio.run(main())
"""
)


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_with_no_file_descriptor_left_only_errors_of_this_package_come_out(serve, key, program):
    wire = serve(Script(build=["building"]))
    dead = serve()
    dead.__exit__()
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, wire.url, dead.url, TEMPLATE_ID, BUILD_ID],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "SUPERSERVE_API_KEY": key},
    )
    assert ran.stderr == ""
    *outcomes, last = ran.stdout.splitlines()
    assert last == "result"
    assert len(outcomes) == 7
    assert all(outcome.startswith("True ") for outcome in outcomes), ran.stdout
    # The real cause is told.
    assert "Too many open files" in outcomes[0]
    assert "Too many open files" in outcomes[1]


TRIO = r"an asynchronous client needs asyncio, and this is trio; use Superserve in a thread there$"


@pytest.mark.parametrize(
    "call",
    [
        lambda template: template.get_info(),
        lambda template: template.wait_until_ready(),
        lambda template: template.wait_until_ready(on_log=print),
        lambda template: template.stream_build_logs(on_event=print, build_id=BUILD_ID),
        lambda template: AsyncTemplate.list(client=template._client),
        lambda template: template.delete(),
    ],
)
async def test_in_trio_a_sentence_says_what_is_needed(serve, key, call):
    async with AsyncSuperserve(api_key=key, base_url=serve(Script()).url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)

        def use_trio():
            with pytest.raises(SandboxError, match=TRIO):
                trio.run(call, template)

        await asyncio.to_thread(use_trio)


def test_a_client_can_be_left_in_trio(key):
    client = AsyncSuperserve(api_key=key)
    trio.run(client.aclose)
    with pytest.raises(SandboxError, match="this client is closed"):
        trio.run(lambda: AsyncTemplate.list(client=client))
