"""Many who need another token at once: one asks for it, and nobody waits for ever."""

import asyncio
import os
import signal
import threading

import pytest

from superserve import AsyncSandbox, AsyncSuperserve, Sandbox, ServerError, Superserve
from tests.talk import SANDBOX_ID, TOKEN, handle, sandbox_row
from tests.wire import PATIENCE_S, envelope, reply

FRESH = "f" * 64
RAN = reply(json={"stdout": "", "stderr": "", "exit_code": 0})
TOO_OLD = reply(401, "invalid access token\n", content_type="text/plain")
ACTIVATE = f"/sandboxes/{SANDBOX_ID}/activate"
MANY = 8


class Api:
    """Refuses the old token, to all at once, and gives another when it is told to."""

    def __init__(self, woken=None):
        self.activations = 0
        self.go = threading.Event()
        self.has_begun = threading.Event()
        self.has_refused_two = threading.Event()
        self._refusals = 0
        self._refused = threading.Barrier(MANY)
        self._woken = woken or reply(json=sandbox_row(access_token=FRESH))

    def __call__(self, peer, request):
        if request.target == ACTIVATE:
            self.activations += 1
            self.has_begun.set()
            peer.wait(self.go)
            peer.send(self._woken)
        elif request.headers["x-access-token"] == TOKEN:
            self._refused.wait(PATIENCE_S)
            peer.send(TOO_OLD)
            self._refusals += 1
            if self._refusals > 1:
                self.has_refused_two.set()
        else:
            peer.send(RAN)


def test_s22_surprise_11_threads_that_are_refused_at_once_activate_once(serve, key):
    api = Api()
    with Superserve(api_key=key, base_url=serve(api).url) as client:
        sandbox = handle(Sandbox, client)
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(sandbox.commands.run("true").exit_code))
            for _ in range(MANY)
        ]
        for thread in threads:
            thread.start()
        assert api.has_begun.wait(PATIENCE_S)
        api.go.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert results == [0] * MANY
    assert api.activations == 1


async def test_s22_tasks_that_are_refused_at_once_activate_once(serve, key):
    api = Api()
    api.go.set()
    async with AsyncSuperserve(api_key=key, base_url=serve(api).url) as client:
        sandbox = handle(AsyncSandbox, client)
        results = await asyncio.gather(*[sandbox.commands.run("true") for _ in range(MANY)])
    assert [result.exit_code for result in results] == [0] * MANY
    assert api.activations == 1


async def test_those_who_wait_for_a_token_are_told_why_there_is_none(serve, key):
    api = Api(reply(500, json=envelope("internal_error", "oops")))
    api.go.set()
    async with AsyncSuperserve(api_key=key, base_url=serve(api).url) as client:
        sandbox = handle(AsyncSandbox, client)
        errors = await asyncio.gather(
            *[sandbox.commands.run("true") for _ in range(MANY)], return_exceptions=True
        )
    assert [type(error) for error in errors] == [ServerError] * MANY
    assert api.activations == 1


async def test_another_asks_when_the_one_who_asked_is_cancelled(serve, key):
    api = Api()
    api._refused = threading.Barrier(1)
    async with AsyncSuperserve(api_key=key, base_url=serve(api).url) as client:
        sandbox = handle(AsyncSandbox, client)
        first = asyncio.create_task(sandbox.commands.run("true"))
        assert await asyncio.to_thread(api.has_begun.wait, PATIENCE_S)
        second = asyncio.create_task(sandbox.commands.run("true"))
        assert await asyncio.to_thread(api.has_refused_two.wait, PATIENCE_S)
        first.cancel()
        api.go.set()
        assert (await second).exit_code == 0
        with pytest.raises(asyncio.CancelledError):
            await first
    assert api.activations == 2


def test_a_late_refusal_of_the_old_token_activates_nothing(serve, key):
    wire = serve(TOO_OLD, RAN)
    with Superserve(api_key=key, base_url=wire.url) as client:
        sandbox = handle(Sandbox, client)
        way = sandbox._data._route
        sandbox._data.take(type(way.access)(FRESH))
        assert sandbox._data._renew(way, wake=True).access.token == FRESH
    assert wire.requests == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_s29_a_fork_while_a_token_is_asked_for_leaves_nobody_waiting(serve, key):
    api = Api()
    api._refused = threading.Barrier(1)
    with Superserve(api_key=key, base_url=serve(api).url) as client:
        sandbox = handle(Sandbox, client)
        thread = threading.Thread(target=lambda: sandbox.commands.run("true"))
        thread.start()
        assert api.has_begun.wait(PATIENCE_S)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(60)
                os.write(writing, b"%d" % sandbox.commands.run("true").exit_code)
            finally:
                os._exit(0)
        os.close(writing)
        api.go.set()
        assert os.read(reading, 1) == b"0"
        os.close(reading)
        os.waitpid(child, 0)
        thread.join(PATIENCE_S)
    assert api.activations == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_s29_a_fork_of_an_event_loop_that_asks_for_a_token_leaves_nobody_waiting(serve, key):
    api = Api()
    api._refused = threading.Barrier(1)
    async with AsyncSuperserve(api_key=key, base_url=serve(api).url) as client:
        sandbox = handle(AsyncSandbox, client)
        first = asyncio.create_task(sandbox.commands.run("true"))
        assert await asyncio.to_thread(api.has_begun.wait, 20)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(30)
                result = asyncio.run(sandbox.commands.run("true"))
                os.write(writing, b"%d" % result.exit_code)
            finally:
                os._exit(0)
        os.close(writing)
        api.go.set()
        assert await asyncio.to_thread(os.read, reading, 1) == b"0"
        os.close(reading)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert (await first).exit_code == 0
    assert api.activations == 2
