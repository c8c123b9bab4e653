"""Reading a log in a task that is cancelled, whatever the log does at that moment: it stops at once and leaves nothing."""

import asyncio
import contextlib

import anyio
import pytest

from superserve import AsyncSuperserve, AsyncTemplate
from superserve._async import reader
from superserve._http import retry
from tests.script import LINE, TEMPLATE_ID, Script
from tests.wire import PATIENCE_S, STREAM_HEAD, chunk, reply, sse, stall

EVENT = chunk(sse(LINE))

PHASES = {
    "before headers": stall(),
    "within headers": stall(STREAM_HEAD[:30]),
    "before the first event": stall(STREAM_HEAD),
    "within an event": stall(STREAM_HEAD + EVENT[:40]),
    "between attempts": reply(503),
    "within a refusal": stall(b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n{"),
    "in the callback": stall(STREAM_HEAD + EVENT),
    "far ahead of the callback": stall(STREAM_HEAD + EVENT * 1000),
}


@pytest.fixture(params=PHASES)
async def reading(request, serve, key, monkeypatch):
    """Read a log that is in a certain phase, and see that nothing is left of that afterwards."""
    monkeypatch.setattr(retry, "delay_s", lambda *_: 10 * PATIENCE_S)
    monkeypatch.setattr(reader, "READ_AHEAD", 1000)
    wire = serve(Script(logs=[PHASES[request.param]]))
    is_in_callback = asyncio.Event()

    async def hang(_event):
        is_in_callback.set()
        await asyncio.Event().wait()

    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        before = asyncio.all_tasks()

        async def read():
            await template.stream_build_logs(on_event=hang)

        async def has_begun():
            if "callback" in request.param:
                await is_in_callback.wait()
            while len(wire.requests) < 2:  # noqa: ASYNC110 - nobody tells when it has come
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)

        yield read, has_begun
        assert asyncio.all_tasks() - {asyncio.current_task()} <= before
        await asyncio.to_thread(wire.until, lambda: wire.open_connections <= 1)
        # The client is as good as ever.
        assert (await template.get_info()).id == TEMPLATE_ID


async def test_a_cancelled_task_stops_reading(reading):
    read, has_begun = reading
    task = asyncio.create_task(read())
    await has_begun()
    task.cancel()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_time_limit_of_the_callers_own_stops_reading(reading):
    read, has_begun = reading

    async def read_for_a_while():
        async with asyncio.timeout(None) as limit:
            task = asyncio.create_task(has_begun())
            task.add_done_callback(lambda _: limit.reschedule(0))
            await read()

    with pytest.raises(TimeoutError):
        await read_for_a_while()


async def test_a_cancel_scope_of_anyios_stops_reading(reading):
    read, has_begun = reading
    with anyio.CancelScope() as scope:
        task = asyncio.create_task(has_begun())
        task.add_done_callback(lambda _: scope.cancel())
        await read()
    assert scope.cancelled_caught


async def test_an_iterator_that_is_left_without_being_closed_leaves_nothing_for_long(serve, key):
    wire = serve(Script(logs=[stall(STREAM_HEAD + EVENT)]))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        before = asyncio.all_tasks()
        async for _event in template.iter_build_logs():
            break
        async with asyncio.timeout(PATIENCE_S):
            while asyncio.all_tasks() - before:  # noqa: ASYNC110 - nobody tells when it ends
                await asyncio.sleep(0.001)
        await asyncio.to_thread(wire.until, lambda: wire.open_connections <= 1)


async def test_a_log_that_was_read_to_its_end_leaves_no_task(serve, key):
    last = {**LINE, "stream": "system", "finished": True, "status": "ready"}
    wire = serve(Script(logs=[stall(STREAM_HEAD + EVENT + chunk(sse(last)))]))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        before = asyncio.all_tasks()
        await template.stream_build_logs(on_event=lambda _: None)
        assert asyncio.all_tasks() <= before


async def test_what_the_callback_raises_comes_out_even_if_it_is_a_cancellation(serve, key):
    wire = serve(Script(logs=[stall(STREAM_HEAD + EVENT)]))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        before = asyncio.all_tasks()

        async def give_up(_event):
            raise asyncio.CancelledError("enough")

        with pytest.raises(asyncio.CancelledError, match="enough"):
            await template.stream_build_logs(on_event=give_up)
        assert asyncio.all_tasks() <= before


async def test_two_tasks_read_one_log_and_one_of_them_is_cancelled(serve, key):
    wire = serve(Script(logs=[stall(STREAM_HEAD + EVENT)]))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        seen = [asyncio.Event(), asyncio.Event()]
        tasks = [
            asyncio.create_task(template.stream_build_logs(on_event=lambda _, event=event: event.set()))
            for event in seen
        ]
        for event in seen:
            await event.wait()
        tasks[0].cancel()
        await asyncio.wait(tasks, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        assert [task.done() for task in tasks] == [True, False]
        tasks[1].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[1]
