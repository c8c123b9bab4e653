"""The end of a build's log makes a wait look at the build soon, however long its poll interval is."""

import threading

import pytest

from tests.script import Script, build_row
from tests.wire import PATIENCE_S, log, reply

LAST = {
    "timestamp": "2026-05-01T10:00:03.5Z",
    "stream": "system",
    "text": "ready",
    "finished": True,
    "status": "ready",
}


@pytest.fixture
def wait(scripted):
    """Wait with a poll interval that is longer than the wait may take."""

    async def wait(script):
        template = await scripted(script)
        events = []
        await template.wait_until_ready(
            on_log=events.append, poll_interval_s=10 * PATIENCE_S, timeout_s=PATIENCE_S
        )
        return [event.text for event in events]

    return wait


async def test_the_end_of_the_log_brings_the_next_polls_forward(wait):
    script = Script(build=["building", "building", "ready"], logs=[log(LAST)])

    assert await wait(script) == ["ready"]


async def test_the_end_of_the_log_during_a_poll_brings_the_next_one_forward(wait):
    log_is_read = threading.Event()

    def send_log(peer, _request):
        peer.send(log(LAST))
        peer.stall()  # until the client, which has read it, hangs up
        log_is_read.set()

    def answer_late(peer, _request):
        peer.wait(log_is_read)
        peer.send(reply(json=build_row("building")))

    script = Script(build=[answer_late, "building", "ready"], logs=[send_log])

    assert await wait(script) == ["ready"]
