"""Commands and files where the two colours differ: callbacks that await, cancellation, threads, interrupts, many at once."""

import asyncio
import signal
import threading

import pytest
from superserve_api.models import SandboxResponse

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    OutcomeUnknownError,
    Sandbox,
    SandboxError,
    Superserve,
    ValidationError,
)
from superserve._http.planes import Access
from superserve._operations.sandboxes import read_sandbox
from tests.conftest import Belongings
from tests.talk import TOKEN, Close, sandbox_row, talking
from tests.wire import PATIENCE_S, STREAM_HEAD, chunk, envelope, head, reply, sse, stall

INFO = read_sandbox(SandboxResponse.from_dict(sandbox_row())).info
END = {"exit_code": 0, "finished": True}
TWO = STREAM_HEAD + chunk(sse({"stdout": "a"})) + chunk(sse({"stdout": "b"}, END)) + chunk(b"")


@pytest.fixture
async def async_box(serve, key):
    clients = []

    def async_box(*answers):
        wire = serve(*answers)
        clients.append(AsyncSuperserve(api_key=key, base_url=wire.url))
        return AsyncSandbox(INFO, client=clients[-1], access=Access(TOKEN)), wire

    yield async_box
    for client in clients:
        await client.aclose()


@pytest.fixture
def box(serve, key):
    clients = []

    def box(*answers):
        wire = serve(*answers)
        clients.append(Superserve(api_key=key, base_url=wire.url))
        return Sandbox(INFO, client=clients[-1], access=Access(TOKEN)), wire

    yield box
    for client in clients:
        client.close()


def says_two(talk):
    talk.send(b"\x01a")
    talk.send(b"\x01b")
    talk.exit()


def waits(talk):
    talk.send(b"\x01a")
    while not isinstance(talk.receive(), Close):
        pass


@pytest.mark.parametrize(("answer", "how"), [(TWO, {}), (talking(says_two), {"input": ""})])
async def test_s12_coroutine_functions_are_awaited_in_order(async_box, answer, how):
    sandbox, _ = async_box(answer)
    calls = []

    async def hear(text):
        calls.append(f"{text} begins")
        await asyncio.sleep(0)
        calls.append(f"{text} ends")

    await sandbox.commands.run("x", on_stdout=hear, **how)
    assert calls == ["a begins", "a ends", "b begins", "b ends"]


async def test_callbacks_run_in_the_callers_own_task(async_box):
    sandbox, _ = async_box(TWO)
    tasks = set()

    async def hear(_text):
        tasks.add(asyncio.current_task())

    await sandbox.commands.run("x", on_stdout=hear)
    assert tasks == {asyncio.current_task()}


@pytest.mark.parametrize(("answer", "how"), [(TWO, {}), (talking(says_two), {"input": ""})])
def test_callbacks_run_in_the_callers_own_thread(box, answer, how):
    sandbox, _ = box(answer)
    threads = []
    sandbox.commands.run("x", on_stdout=lambda _text: threads.append(threading.current_thread()), **how)
    assert threads == [threading.current_thread()] * 2


def test_s12_sync_code_refuses_coroutine_functions(box):
    sandbox, wire = box(TWO)

    async def hear(_text):
        pass

    with pytest.raises(ValidationError, match="coroutine function"):
        sandbox.commands.run("x", on_stdout=hear)
    assert wire.requests == []

    def begin(text):
        return hear(text)

    with pytest.raises(ValidationError, match="await"):
        sandbox.commands.run("x", on_stdout=begin)


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (stall(), {}),
        (stall(STREAM_HEAD + chunk(sse({"stdout": "a"}))), {"on_stdout": print}),
        (talking(waits), {"input": ""}),
        (talking(waits), {"encoding": None}),
    ],
    ids=["at once", "streamed", "with input", "as bytes"],
)
async def test_surprise_14_a_cancelled_command_is_hung_up_on(async_box, answer, how):
    sandbox, wire = async_box(answer)
    before = asyncio.all_tasks()
    task = asyncio.create_task(sandbox.commands.run("x", **how))
    await asyncio.to_thread(wire.until, lambda: wire.requests)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wire.until, lambda: wire.open_connections == 0)
    assert asyncio.all_tasks() == before


async def test_a_session_of_a_cancelled_task_is_hung_up_on(async_box):
    sandbox, wire = async_box(talking(waits))
    before = asyncio.all_tasks()

    async def use():
        async with await sandbox.commands.spawn("x") as session:
            await session.wait()

    task = asyncio.create_task(use())
    await asyncio.to_thread(wire.until, lambda: wire.requests)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wire.until, lambda: wire.open_connections == 0)
    assert asyncio.all_tasks() == before


async def test_waiting_that_is_cancelled_leaves_the_session_as_it_is(async_box):
    sandbox, _ = async_box(talking(lambda talk: (talk.receive(), talk.exit(3))))
    async with await sandbox.commands.spawn("x") as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.wait()
        await session.stdin.write(b"go")
        assert (await session.wait()).exit_code == 3


async def test_a_cancelled_download_gives_its_connection_back(async_box):
    sandbox, wire = async_box(stall(head(200, {"Content-Length": "100"}) + b"a"))
    task = asyncio.create_task(sandbox.files.read("/x"))
    await asyncio.to_thread(wire.until, lambda: wire.requests)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wire.until, lambda: wire.open_connections == 0)


async def test_s23_a_hundred_streams_run_at_once_and_calls_beside_them(async_box):
    everybody = threading.Barrier(100)

    def answer(peer, request):
        if request.path == "/files":
            peer.send(reply(200, b"abc"))
            return
        peer.send(STREAM_HEAD + chunk(sse({"stdout": "a"})))
        everybody.wait(PATIENCE_S)
        peer.send(chunk(sse(END)) + chunk(b""))

    sandbox, wire = async_box(answer)
    heard = []
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(sandbox.commands.run("x", on_stdout=heard.append)) for _ in range(99)]
        await asyncio.to_thread(wire.until, lambda: len(wire.requests) == 99)
        assert await sandbox.files.read("/x") == b"abc"
        runs.append(tasks.create_task(sandbox.commands.run("x", on_stdout=heard.append)))
    assert [run.result().exit_code for run in runs] == [0] * 100
    assert heard == ["a"] * 100


class Written:
    """An asynchronous iterable that can be gone through again."""

    def __init__(self, *pieces):
        self.pieces = pieces

    async def __aiter__(self):
        for piece in self.pieces:
            await asyncio.sleep(0)
            yield piece


class Opened(Written):
    """A file as async libraries open it."""

    async def read(self, _size=-1):
        raise NotImplementedError


ASLEEP = reply(503, json=envelope("sandbox_unavailable", "It is paused."))
AWAKE = reply(json=sandbox_row(access_token="b" * 64))
WRITTEN = reply(json={"path": "/x", "size": 3})


async def test_what_is_written_may_have_to_be_awaited(async_box):
    sandbox, wire = async_box(WRITTEN)
    for content in (Written(b"ab", b"", memoryview(b"c")), aiter(Written(b"abc")), Opened(b"a", b"bc")):
        await sandbox.files.write("/x", content)
    assert [request.body for request in wire.requests] == [b"abc"] * 3


async def test_s4_what_has_to_be_awaited_is_sent_again_whole_or_not_at_all(async_box):
    sandbox, wire = async_box(ASLEEP, AWAKE, WRITTEN)
    await sandbox.files.write("/x", Written(b"ab", b"c"))
    assert [request.body for request in wire.requests] == [b"abc", b"", b"abc"]
    sandbox, wire = async_box(ASLEEP, AWAKE, WRITTEN)
    with pytest.raises(SandboxError, match="read only once"):
        await sandbox.files.write("/x", aiter(Written(b"ab", b"c")))
    assert [request.body for request in wire.requests[:2]] == [b"abc", b""]


async def test_what_asynchronous_content_raises_comes_out(async_box):
    raised = OSError("mine")

    async def broken():
        yield b"a"
        raise raised

    sandbox, wire = async_box(WRITTEN)
    with pytest.raises(OSError, match="mine") as caught:
        await sandbox.files.write("/x", broken())
    assert caught.value is raised
    with pytest.raises(ValidationError, match="pieces of bytes, got str"):
        await sandbox.files.write("/x", Written("a"))
    await asyncio.to_thread(wire.until, lambda: wire.open_connections == 0)


def test_sync_code_refuses_what_has_to_be_awaited(box):
    sandbox, wire = box(WRITTEN)
    with pytest.raises(ValidationError, match="content: expected"):
        sandbox.files.write("/x", Written(b"abc"))
    assert wire.requests == []


def test_s23_a_hundred_threads_stream_at_once_and_no_connection_is_waited_for(box):
    everybody = threading.Barrier(100)

    def answer(peer, _request):
        peer.send(STREAM_HEAD + chunk(sse({"stdout": "a"})))
        everybody.wait(PATIENCE_S)
        peer.send(chunk(sse(END)) + chunk(b""))

    sandbox, _ = box(answer)
    codes = []
    threads = [
        threading.Thread(target=lambda: codes.append(sandbox.commands.run("x", on_stdout=str).exit_code))
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert codes == [0] * 100


def test_an_interrupted_command_is_hung_up_on(box):
    class InterruptError(BaseException):
        pass

    def interrupt(*_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise InterruptError

    def interrupting(answer):
        # Once the request has arrived: what interrupts an attempt to connect leaves the socket to Python.
        def begin(peer, request):
            signal.setitimer(signal.ITIMER_REAL, 0.05, 10.0)
            answer(peer, request)

        return begin

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for answer, how in (
            (stall(), {}),
            (stall(STREAM_HEAD + chunk(sse({"stdout": "a"}))), {"timeout_seconds": 99}),
            (talking(waits), {"input": b"x" * 10_000_000}),
        ):
            sandbox, wire = box(interrupting(answer))
            with pytest.raises(InterruptError):
                sandbox.commands.run("x", **how)
            wire.until(lambda wire=wire: wire.open_connections == 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    Belongings().wait_for_readers()


def test_a_session_may_be_used_by_several_threads(box):
    def echo(talk):
        talk.send(b"\x01" + talk.receive_input())
        talk.exit()

    sandbox, _ = box(talking(echo))
    with sandbox.commands.spawn("x") as session:
        writers = [
            threading.Thread(target=session.stdin.write, args=[bytes([65 + n]) * 40_000]) for n in range(5)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        session.stdin.close()
        result = session.wait()
    assert sorted(result.stdout) == sorted("ABCDE" * 40_000)


def test_a_session_that_another_thread_closes_ends_the_wait(box):
    sandbox, wire = box(talking(waits))
    with sandbox.commands.spawn("x") as session:
        closer = threading.Timer(0.02, session.close)
        closer.start()
        with pytest.raises(OutcomeUnknownError):
            session.wait()
        closer.join()
    wire.until(lambda: wire.open_connections == 0)
