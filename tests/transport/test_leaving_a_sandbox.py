"""A `with` around a sandbox kills it whatever ends the block, and what ended the block comes out."""

import asyncio
import signal

import pytest

from superserve import AsyncSandbox, AsyncSuperserve, Sandbox, Superserve
from superserve._async import sandbox_life as async_life
from superserve._sync import sandbox_life
from tests.talk import SANDBOX_ID, sandbox_row
from tests.wire import reply, stall

MADE = reply(201, json=sandbox_row())
DELETE = f"DELETE /sandboxes/{SANDBOX_ID}"


def asked(wire):
    return [f"{request.method} {request.target}" for request in wire.requests]


async def test_s40_a_cancelled_task_kills_its_sandbox(serve, key):
    wire = serve(MADE, reply(204))
    is_inside = asyncio.Event()

    async def work(client):
        async with await AsyncSandbox.create(name="box", client=client):
            is_inside.set()
            await asyncio.Event().wait()

    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        task = asyncio.create_task(work(client))
        await is_inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert asked(wire) == ["POST /sandboxes", DELETE]


async def test_a_task_whose_time_is_over_kills_its_sandbox(serve, key):
    wire = serve(MADE, reply(204))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), await AsyncSandbox.create(name="box", client=client):
                await asyncio.Event().wait()
    assert asked(wire) == ["POST /sandboxes", DELETE]


def test_an_interrupted_block_kills_its_sandbox(serve, key):
    wire = serve(MADE, reply(204))
    with (
        Superserve(api_key=key, base_url=wire.url) as client,
        pytest.raises(KeyboardInterrupt),
        Sandbox.create(name="box", client=client),
    ):
        signal.raise_signal(signal.SIGINT)
    assert asked(wire) == ["POST /sandboxes", DELETE]


async def test_s40_leaving_ends_although_the_server_says_nothing(serve, key, monkeypatch, caplog):
    monkeypatch.setattr(async_life, "LEAVE_S", 0.2)
    monkeypatch.setattr(sandbox_life, "LEAVE_S", 0.2)
    # The server would be silent for ever.
    async with (
        AsyncSuperserve(api_key=key, base_url=serve(MADE, stall()).url) as client,
        await AsyncSandbox.create(name="box", client=client),
    ):
        pass
    with (
        Superserve(api_key=key, base_url=serve(MADE, stall()).url) as plain,
        Sandbox.create(name="box", client=plain),
    ):
        pass
    assert [SANDBOX_ID in record.getMessage() for record in caplog.records] == [True, True]


def test_s30_a_sandbox_may_be_used_in_one_event_loop_after_another(serve, key):
    ran = reply(json={"stdout": "", "stderr": "", "exit_code": 0})
    wire = serve(MADE, ran)
    client = AsyncSuperserve(api_key=key, base_url=wire.url)
    sandbox = asyncio.run(AsyncSandbox.create(name="box", client=client))
    for _ in range(2):
        assert asyncio.run(sandbox.commands.run("true")).exit_code == 0
    asyncio.run(client.aclose())
