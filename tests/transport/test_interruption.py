"""A wait that is interrupted, at any moment and by whatever means, stops at once and keeps the exception."""

import asyncio
import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import pytest

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    SandboxError,
    SandboxTimeoutError,
    Superserve,
    Template,
    _clock,
)
from tests.conftest import Belongings
from tests.script import BUILD_ID, LINE, TEMPLATE_ID, Script
from tests.wire import PATIENCE_S, STREAM_HEAD, Peer, Request, Wire, chunk, reply, reset, sse, stall

EVENT = chunk(sse(LINE))
_AGAIN = f".wait_until_ready(build_id='{BUILD_ID}')."
GO_ON = {
    "sync": f"The build goes on; wait again with Template.connect('{TEMPLATE_ID}'){_AGAIN}",
    "async": f"The build goes on; wait again with (await AsyncTemplate.connect('{TEMPLATE_ID}')){_AGAIN}",
}

MOMENTS = random.Random(7)  # the same moments on every run, as far as the machine's speed is


class InterruptError(Exception):
    """What a signal handler raises here."""


def chatty(peer, _request):
    """A log that says something every few milliseconds, until the client hangs up."""
    peer.send(STREAM_HEAD)
    peer.drip(EVENT * 10_000, 0.0001)


@pytest.fixture
def restless() -> Iterator[tuple[Script, Wire]]:
    """A build that never ends, whose log is cut, stalls and talks."""
    script = Script(
        build=["building"],
        logs=[stall(), reset(STREAM_HEAD + EVENT[:20]), stall(STREAM_HEAD + EVENT), chatty] * 1000,
    )
    with Wire(script) as wire:
        yield script, wire


@pytest.fixture
def belongings() -> Belongings:
    return Belongings()


# Signals


# Python loses what is raised while it runs the call-back of a weak reference: so it is raised again.
AGAIN_S = 10.0


def raise_error(_number: int, _frame: object) -> None:
    raise InterruptError


@contextlib.contextmanager
def interrupted_after(seconds: float, handler: Callable[[int, object], None] = raise_error) -> Iterator[None]:
    """Let a signal handler raise after some time."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt(peer: Peer, _request: Request) -> None:
    """Let it raise now that the request has arrived, which is not answered."""
    signal.setitimer(signal.ITIMER_REAL, 0.01, AGAIN_S)
    peer.stall()


@pytest.mark.parametrize(
    ("what", "times"),
    [
        ("wait with a log", 10),
        *(pytest.param(what, 80, marks=pytest.mark.slow) for what in ("wait", "wait with a log", "iterate")),
    ],
)
def test_a_signal_that_raises_at_any_moment_stops_everything_and_leaves_nothing(what, times):
    # In a process of its own: what measures coverage doesn't survive such moments.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    program = subprocess.run(
        [sys.executable, "-m", "tests.interrupts", what, str(times)],
        capture_output=True, text=True, timeout=120, env=env, check=False,
    )  # fmt: skip
    assert program.returncode == 0, program.stderr
    assert program.stdout == f"{times} interrupts, nothing left\n"


@pytest.mark.parametrize(
    ("number", "colour", "cancel"),
    [
        (signal.SIGINT, "sync", False),
        (signal.SIGTERM, "sync", True),
        (signal.SIGINT, "async", True),
        (signal.SIGTERM, "async", False),
        pytest.param(signal.SIGINT, "sync", True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "sync", False, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, "async", False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "async", True, marks=pytest.mark.slow),
    ],
)
def test_a_program_that_is_interrupted_stops_and_says_how_to_go_on(serve, key, number, colour, cancel):
    def cancel_build(peer, _request):
        script.then(build=["cancelled"])
        peer.send(reply(204))

    script = Script(build=["building"], logs=[chatty], cancel=[cancel_build])
    wire = serve(script)
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAMS[colour], wire.url, TEMPLATE_ID, str(cancel)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SUPERSERVE_API_KEY": key},
    )
    with program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "hello\n"
            program.send_signal(number)
            out, error = program.communicate(timeout=120)
        finally:
            program.kill()
    assert out == "left behind: []\n"
    raised = "Terminated" if colour == "sync" else "CancelledError"
    assert ("KeyboardInterrupt" if number == signal.SIGINT else raised) in error
    if cancel:
        assert f"Build {BUILD_ID} of template {TEMPLATE_ID} has ended: cancelled." in error
    else:
        assert GO_ON[colour] in error
    assert script.count("cancel") == cancel
    assert "ignored" not in error
    assert program.returncode != 0
    wire.until(lambda: wire.open_connections == 0)


_COMMON = """
import asyncio, signal, sys, threading
from superserve import AsyncTemplate, Template

url, template_id, cancel = sys.argv[1], sys.argv[2], sys.argv[3] == "True"

said = []

def say_once(event):
    if not said:
        said.append(event)
        print(event.text, flush=True)

options = {"poll_interval_s": 0.01, "cancel_on_interrupt": cancel, "on_log": say_once}

def report(error, tasks=()):
    print(*error.__notes__, file=sys.stderr)
    names = [thread.name for thread in threading.enumerate()] + [task.get_name() for task in tasks]
    print("left behind:", [name for name in names if name.startswith("superserve")], flush=True)
"""
PROGRAMS = {
    "sync": _COMMON
    + """
class Terminated(BaseException):
    pass

def terminate(*_):
    raise Terminated

signal.signal(signal.SIGTERM, terminate)
template = Template.connect(template_id, base_url=url)
try:
    template.wait_until_ready(**options)
except BaseException as error:
    report(error)
    raise
""",
    "async": _COMMON
    + """
async def main():
    # The way of asyncio, which may lose what a handler of the signal module raises amid its own code.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    template = await AsyncTemplate.connect(template_id, base_url=url)
    try:
        await template.wait_until_ready(**options)
    except BaseException as error:
        report(error, asyncio.all_tasks())
        raise

asyncio.run(main())
""",
}


CREATED = "The template may have been created; look for it with Template.list(name_prefix='my-env')"


def test_an_interrupted_create_says_that_the_template_may_exist(serve, key):
    wire = serve(interrupt)
    with (
        Superserve(api_key=key, base_url=wire.url) as client,
        pytest.raises(InterruptError) as caught,
        interrupted_after(PATIENCE_S),
    ):
        Template.create(name="my-env", from_="python:3.11", client=client)
    assert caught.value.__notes__ == [CREATED]


async def test_a_cancelled_create_says_that_the_template_may_exist(serve, key):
    wire = serve(stall())
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        creating = asyncio.create_task(
            AsyncTemplate.create(name="my-env", from_="python:3.11", client=client)
        )
        await asyncio.to_thread(wire.until, lambda: wire.requests)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await creating
    assert caught.value.__notes__ == [CREATED]


# Cancelled tasks


@pytest.mark.parametrize("times", [40, pytest.param(200, marks=pytest.mark.slow)])
async def test_a_task_cancelled_at_any_moment_stops_waiting_and_leaves_nothing(
    restless, key, belongings, times
):
    _, wire = restless
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        for number in range(times):
            log = {"on_log": lambda event: None} if number % 2 else {}
            waiting = asyncio.create_task(template.wait_until_ready(poll_interval_s=0.001, **log))
            await asyncio.sleep(MOMENTS.uniform(0, 0.02))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await waiting
            assert belongings.readers() == set()
            assert getattr(caught.value, "__notes__", [GO_ON["async"]]) == [GO_ON["async"]]
        pool = client._connections.pool()
        assert pool._requests == []
        assert (await template.get_info()).id == TEMPLATE_ID
    assert belongings.left() == set()


@pytest.mark.parametrize("times", [3, pytest.param(12, marks=pytest.mark.slow)])
async def test_calls_cancelled_at_any_moment_give_their_connections_back(serve, key, times):
    # httpcore alone loses one now and then: cancelled between two steps of giving it back.
    def slow(peer, _request):
        threading.Event().wait(0.002)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")

    wire = serve(slow)
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        await AsyncTemplate.list(client=client)
        for _ in range(times):
            calls = [asyncio.create_task(AsyncTemplate.list(client=client)) for _ in range(120)]
            await asyncio.sleep(MOMENTS.uniform(0.02, 0.2))
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            pool = client._connections.pool()
            assert pool._requests == []
            assert not [connection for connection in pool.connections if not connection.is_idle()]
        assert await AsyncTemplate.list(client=client) == []


# The means of asyncio


@pytest.fixture
async def template(serve, key) -> AsyncIterator[AsyncTemplate]:
    """A template whose build goes on, while its log has said one thing and stays open."""
    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)]))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        yield await AsyncTemplate.connect(TEMPLATE_ID, client=client)


async def test_a_timeout_around_a_wait_ends_it_with_its_own_error(template, belongings):
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await template.wait_until_ready(on_log=lambda event: None, poll_interval_s=0.01)
    assert not isinstance(caught.value, SandboxError)
    assert caught.value.__cause__.__notes__ == [GO_ON["async"]]
    assert belongings.readers() == set()


@pytest.mark.parametrize("cancels", [False, True])
async def test_a_scope_of_anyio_around_a_wait_ends_it_and_what_it_has_to_do_is_done(
    serve, key, belongings, cancels
):
    # Such as FastAPI's, when a client hangs up: they cancel again at every await.
    script = Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)])
    wire = serve(script)

    async def wait(scope):
        try:
            await template.wait_until_ready(on_log=lambda event: scope.cancel(), cancel_on_interrupt=cancels)
        except asyncio.CancelledError as error:
            notes.extend(error.__notes__)
            raise

    notes: list[str] = []
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        script.then(build=["building", "cancelled"])
        with anyio.CancelScope() as scope:
            await wait(scope)
        assert scope.cancelled_caught
        assert belongings.readers() == set()
    assert script.count("cancel") == cancels
    [note] = notes
    assert ("has ended: cancelled" if cancels else "wait again") in note


async def test_wait_for_around_a_wait_ends_it(template, belongings):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(template.wait_until_ready(on_log=lambda event: None), 0.1)
    assert belongings.readers() == set()


async def test_a_timeout_while_one_address_after_the_other_is_tried_leaves_no_connection(named, key):
    host = named(0, deaf=["127.0.0.2", "127.0.0.3"])
    belongings = Belongings()
    async with AsyncSuperserve(api_key=key, base_url=host.url) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.4):
                await AsyncTemplate.list(client=client)
        assert not isinstance(caught.value, SandboxError)
        assert belongings.left() == set()


async def test_a_failing_sibling_in_a_group_ends_a_wait(template, belongings):
    async def fail():
        await asyncio.sleep(0.1)
        raise LookupError

    async def wait_while_another_fails():
        async with asyncio.TaskGroup() as group:
            group.create_task(template.wait_until_ready(on_log=lambda event: None, poll_interval_s=0.01))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        await wait_while_another_fails()
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert belongings.readers() == set()


async def test_a_timeout_of_the_callers_own_inside_a_callback_is_the_callers(template):
    async def impatient(event):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError) as caught:
        await template.wait_until_ready(on_log=impatient, poll_interval_s=0.01, timeout_s=PATIENCE_S)
    assert not isinstance(caught.value, SandboxError)


async def test_a_callback_that_hangs_ends_with_the_waits_time(template):
    async def hang(event):
        await asyncio.Event().wait()

    with pytest.raises(SandboxTimeoutError, match=BUILD_ID):
        await template.wait_until_ready(on_log=hang, poll_interval_s=0.01, timeout_s=0.2)


async def test_a_cancelled_callback_is_cancelled_with_its_wait(template):
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(event):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(template.wait_until_ready(on_log=hang, poll_interval_s=0.01))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_a_cancelled_wait_may_cancel_its_build_first(serve, key):
    def cancel_build(peer, _request):
        script.then(build=["cancelled"])
        peer.send(reply(204))

    script = Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)], cancel=[cancel_build])
    wire = serve(script)
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        seen = asyncio.Event()

        async def see(event):
            seen.set()

        waiting = asyncio.create_task(template.wait_until_ready(on_log=see, cancel_on_interrupt=True))
        await seen.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
    assert caught.value.__notes__ == [f"Build {BUILD_ID} of template {TEMPLATE_ID} has ended: cancelled."]
    assert script.count("cancel") == 1


async def test_breaking_out_of_an_iterator_without_closing_it_leaves_nothing_for_long(template, belongings):
    async for _event in template.iter_build_logs():
        break
    async with asyncio.timeout(PATIENCE_S):
        while belongings.readers():  # noqa: ASYNC110 - nobody tells when it ends
            await asyncio.sleep(0.001)


async def test_an_abandoned_wait_ends_with_its_loop(serve, key, belongings):
    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)]))

    def abandon() -> None:
        async def main() -> None:
            client = AsyncSuperserve(api_key=key, base_url=wire.url)
            template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
            seen = asyncio.Event()
            waiting = asyncio.create_task(template.wait_until_ready(on_log=lambda event: seen.set()))
            await seen.wait()
            assert not waiting.done()

        asyncio.run(main())

    await asyncio.to_thread(abandon)
    wire.until(lambda: wire.open_connections == 0)


async def test_plain_callbacks_let_other_tasks_have_their_turn(serve, key):
    # A long log, all of it there at once, and a callback that takes its time.
    lines = [{**LINE, "timestamp": f"2026-05-01T10:00:01.{number:06}Z"} for number in range(60)]
    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + chunk(sse(*lines)))]))
    turns: list[int] = []
    seen: list[object] = []

    def dawdle(event):
        seen.append(event)
        time.sleep(0.005)

    async def others():
        while len(seen) < 60:
            turns.append(len(seen))
            await asyncio.sleep(0)

    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        waiting = asyncio.create_task(template.wait_until_ready(on_log=dawdle, poll_interval_s=0.01))
        await others()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert len(set(turns)) > 10


# Without a signal


def test_a_thread_that_cannot_be_started_costs_a_wait_its_log_alone(serve, key, monkeypatch, caplog):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "superserve-log":
            raise RuntimeError("can't start new thread")
        start(thread)

    wire = serve(Script(build=["building", "ready"]))
    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        reason = "cannot read the log in the background: can't start new thread"
        assert template.wait_until_ready(on_log=print, poll_interval_s=0.01).status == "ready"
        assert reason in caplog.text
        with pytest.raises(SandboxError, match=reason):
            template.stream_build_logs(on_event=print)
        monkeypatch.undo()


@pytest.mark.parametrize("started", [True, False])
def test_an_interrupt_while_the_thread_is_started_leaves_no_thread(
    serve, key, belongings, monkeypatch, started
):
    start = threading.Thread.start

    def interrupted(thread):
        is_readers = thread.name == "superserve-log"  # the server starts threads, too
        if started or not is_readers:
            start(thread)
        if is_readers:
            raise KeyboardInterrupt

    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)]))
    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                template.wait_until_ready(on_log=print)
        # One that had begun ends by itself.
        belongings.wait_for_readers()


def test_breaking_out_of_an_iterator_ends_its_reading_at_once(serve, key, belongings):
    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)]))
    with Superserve(api_key=key, base_url=wire.url) as client:
        for _event in Template.connect(TEMPLATE_ID, client=client).iter_build_logs():
            assert belongings.readers() == {"superserve-log"}
            break
        assert belongings.readers() == set()


def test_an_interrupt_within_a_callback_comes_out_as_it_is(serve, key, belongings):
    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + EVENT)]))

    def interrupt(event):
        signal.raise_signal(signal.SIGINT)

    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        with pytest.raises(KeyboardInterrupt) as caught:
            template.wait_until_ready(on_log=interrupt, poll_interval_s=0.01)
        assert belongings.readers() == set()
    assert caught.value.__notes__ == [GO_ON["sync"]]


def test_a_callback_that_overruns_gets_what_was_read_before_the_wait_ends(serve, key, monkeypatch):
    wire = serve(Script(build=["building"], logs=[stall(STREAM_HEAD + chunk(sse(LINE, LINE, LINE)))]))
    seen = []

    def overrun(event):
        seen.append(event)
        monkeypatch.setattr(_clock, "monotonic", lambda: time.monotonic() + len(seen) * PATIENCE_S)

    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        with pytest.raises(SandboxTimeoutError):
            template.wait_until_ready(on_log=overrun, poll_interval_s=0.01, timeout_s=PATIENCE_S)
    assert len(seen) == 3


@pytest.mark.parametrize("kind", [TimeoutError, LookupError])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"])
def test_what_a_signal_handler_raises_is_not_taken_for_an_error_of_the_socket(serve, key, kind, begun):
    # TimeoutError is what the usual handler of SIGALRM raises, and what a socket raises whose time is over.
    def handler(_number: int, _frame: object) -> None:
        raise kind("from the handler")

    def answer(peer: Peer, request: Request) -> None:
        peer.send(begun)
        interrupt(peer, request)

    wire = serve(Script(build=[answer]))
    with Superserve(api_key=key, base_url=wire.url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        with (
            pytest.raises(kind, match="from the handler") as caught,
            interrupted_after(PATIENCE_S, handler),
        ):
            template.wait_until_ready(timeout_s=PATIENCE_S)
        assert caught.value.__notes__ == [GO_ON["sync"]]


class Handler:
    """Ways to handle a signal."""

    def method(self, _number: int, _frame: object) -> None:
        raise TimeoutError("from the handler")

    __call__ = method


@pytest.mark.parametrize("handler", [Handler().method, Handler(), functools.partial(Handler.method, None)])
def test_a_signal_handler_that_raises_while_connecting_is_not_taken_for_a_refusal(deaf, key, handler):
    with (
        Superserve(api_key=key, base_url=deaf.url, timeout_s=PATIENCE_S) as client,
        pytest.raises(TimeoutError, match="from the handler"),
        interrupted_after(0.1, handler),
    ):
        Template.list(client=client)


def test_an_interrupted_call_leaves_the_calls_of_other_threads_alone(serve, key):
    release = threading.Event()

    def slow(peer, _request):
        peer.wait(release)
        peer.send(reply(json=[]))

    wire = serve(slow)
    with Superserve(api_key=key, base_url=wire.url) as client:
        results: list[object] = []
        other = threading.Thread(target=lambda: results.append(Template.list(client=client)))
        other.start()
        wire.until(lambda: len(wire.requests) == 1)
        wire.then(interrupt)
        with pytest.raises(InterruptError), interrupted_after(PATIENCE_S):
            Template.list(client=client)
        wire.then(reply(json=[]))
        assert Template.list(client=client) == []
        release.set()
        other.join()
        assert results == [[]]
        # The interrupted pool is gone with its last user; the new one has one connection.
        wire.until(lambda: wire.open_connections == 1)
