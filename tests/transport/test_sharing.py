"""One client in many threads, event loops and processes; what differs between sync and async."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from superserve_api.api.templates import list_templates

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    SandboxConnectionError,
    SandboxError,
    Superserve,
    Template,
    ValidationError,
)
from superserve._async import client as async_client
from superserve._sync import client as sync_client
from tests.wire import PATIENCE_S, STREAM_HEAD, chunk, reply, sse, stall

ID = "7a3f2b8c-0000-4000-8000-000000000001"
TEMPLATE = {
    "id": ID,
    "team_id": "7a3f2b8c-0000-4000-8000-000000000002",
    "name": "my-env",
    "status": "ready",
    "vcpu": 1,
    "memory_mib": 1024,
    "disk_mib": 4096,
    "created_at": "2026-05-01T12:00:00Z",
}
BUILD = {
    "id": ID,
    "template_id": ID,
    "status": "ready",
    "build_spec_hash": "ab" * 32,
    "created_at": "2026-05-01T12:00:00Z",
}
CALLS = 40


@pytest.fixture(autouse=True)
def _clean(belongings):
    """Close the shared clients that a test leaves, then look for what else it leaves."""
    yield
    while sync_client._shared:
        sync_client._shared.popitem()[1].close()
    async_client._shared.clear()
    assert belongings.left() == set()


@pytest.fixture
def wire(serve):
    return serve(reply(json=TEMPLATE))


def run(program, **environment):
    """Run a program with all warnings as errors; return what it printed. It must print nothing else."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.strip()


def test_threads_share_one_pool(wire, key):
    def work(_):
        template = Template.connect(ID, api_key=key, base_url=wire.url)
        return template._client, template._client._connections.pool(), template.get_info().name

    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(work, range(CALLS)))
    assert len({id(client) for client, _, _ in results}) == 1
    assert len({id(pool) for _, pool, _ in results}) == 1
    assert {name for _, _, name in results} == {"my-env"}
    assert len(wire.requests) == 2 * CALLS
    assert wire.connections <= 16


def test_threads_that_come_at_once_get_one_client_and_one_pool(key):
    barrier = threading.Barrier(16)

    def work(_):
        barrier.wait(PATIENCE_S)
        client = sync_client.client_for(None, api_key=key, base_url="http://127.0.0.1:1")
        return client, client._connections.pool()

    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(work, range(16)))
    assert len(found) == 1


def test_tasks_of_one_loop_share_one_pool(wire, key):
    async def main():
        templates = [await AsyncTemplate.connect(ID, api_key=key, base_url=wire.url) for _ in range(3)]
        infos = await asyncio.gather(*(template.get_info() for template in templates for _ in range(10)))
        return {info.name for info in infos}, {
            id(template._client._connections.pool()) for template in templates
        }

    names, pools = asyncio.run(main())
    assert names == {"my-env"}
    assert len(pools) == 1


def test_a_second_event_loop_works_and_each_is_left_clean(wire, key):
    async def main():
        await AsyncTemplate.connect(ID, api_key=key, base_url=wire.url)
        return wire.open_connections

    for number in (1, 2, 3):
        assert asyncio.run(main()) == 1
        # Closed with the loop, although nobody has closed it.
        wire.until(lambda: wire.open_connections == 0)
        assert wire.connections == number


def test_one_asynchronous_client_serves_event_loops_in_several_threads(wire, key):
    client = AsyncSuperserve(api_key=key, base_url=wire.url)

    async def main():
        return (await AsyncTemplate.connect(ID, client=client)).name

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda _: asyncio.run(main()), range(16)))
    assert names == ["my-env"] * 16
    wire.until(lambda: wire.open_connections == 0)


@pytest.mark.parametrize("threads_at_once", [6, pytest.param(16, marks=pytest.mark.slow)])
def test_event_loops_that_come_and_go_in_many_threads_do_not_disturb_each_other(key, threads_at_once):
    client = AsyncSuperserve(api_key=key, base_url="http://127.0.0.1:1")
    at_once = threading.Barrier(threads_at_once)

    async def main():
        at_once.wait(PATIENCE_S)
        client._connections.pool()

    def work(_):
        for _ in range(2 * threads_at_once):
            asyncio.run(main())

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads_at_once) as threads:
            list(threads.map(work, range(threads_at_once)))
    finally:
        sys.setswitchinterval(before)


def test_a_template_may_be_used_in_another_event_loop_than_the_one_that_made_it(wire, key):
    template = asyncio.run(AsyncTemplate.connect(ID, api_key=key, base_url=wire.url))
    assert asyncio.run(template.get_info()).name == "my-env"


def test_an_asynchronous_client_closed_in_one_loop_is_closed_in_all(wire, key):
    client = AsyncSuperserve(api_key=key, base_url=wire.url)
    asyncio.run(client.aclose())
    with pytest.raises(SandboxError, match="this client is closed"):
        asyncio.run(AsyncTemplate.connect(ID, client=client))


def test_without_an_event_loop_the_error_says_what_is_needed(key):
    call = AsyncTemplate.connect(ID, api_key=key, base_url="http://127.0.0.1:1")
    with pytest.raises(SandboxError, match=r"needs a running event loop, such as asyncio\.run\(\) gives"):
        call.send(None)


def test_each_raw_client_is_for_functions_of_its_colour(key):
    plain, asynchronous = Superserve(api_key=key).raw, AsyncSuperserve(api_key=key).raw
    with pytest.raises(
        SandboxError, match=r"^this raw client is asynchronous; use Superserve\(\)\.raw for sync"
    ):
        list_templates.sync(client=asynchronous)
    with pytest.raises(
        SandboxError, match=r"^this raw client is synchronous; use AsyncSuperserve\(\)\.raw for"
    ):
        asyncio.run(list_templates.asyncio(client=plain))


def test_each_half_takes_clients_of_its_own_colour(key):
    with pytest.raises(ValidationError, match=r"^client: expected Superserve, got AsyncSuperserve$"):
        Template.list(client=AsyncSuperserve(api_key=key))
    with pytest.raises(ValidationError, match=r"^client: expected AsyncSuperserve, got Superserve$"):
        asyncio.run(AsyncTemplate.list(client=Superserve(api_key=key)))


async def coroutine_function(event):
    raise AssertionError("nobody awaits this")


def test_a_raw_client_takes_no_other_connections(key):
    for client in (Superserve(api_key=key), AsyncSuperserve(api_key=key)):
        with pytest.raises(SandboxError, match="shares its connections"):
            client.raw.set_async_httpx_client(httpx.AsyncClient())


class Callable:
    async def __call__(self, event):
        raise AssertionError("nobody awaits this")


@pytest.mark.parametrize("callback", [coroutine_function, Callable()])
def test_the_synchronous_half_refuses_callbacks_that_nobody_would_await(wire, key, callback):
    template = Template.connect(ID, api_key=key, base_url=wire.url)
    for call in (
        lambda: template.wait_until_ready(on_log=callback),
        lambda: template.stream_build_logs(on_event=callback),
    ):
        with pytest.raises(ValidationError) as caught:
            call()
        assert str(caught.value).endswith(
            ": is a coroutine function; use the asynchronous class, or pass a plain function"
        )
    assert len(wire.requests) == 1


async def yields(event):
    yield event


def test_both_halves_refuse_callbacks_that_would_do_nothing(wire, key):
    template = Template.connect(ID, api_key=key, base_url=wire.url)
    with pytest.raises(ValidationError, match="on_log: is a generator function"):
        template.wait_until_ready(on_log=yields)

    async def main():
        handle = await AsyncTemplate.connect(ID, api_key=key, base_url=wire.url)
        with pytest.raises(ValidationError, match="on_log: is a generator function"):
            await handle.wait_until_ready(on_log=yields)

    asyncio.run(main())
    assert len(wire.requests) == 2


def test_closing_a_client_during_a_call_ends_the_call_with_an_error_of_ours(serve, key):
    wire = serve(stall())
    client = Superserve(api_key=key, base_url=wire.url, max_attempts=1)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(Template.list, client=client)
        wire.until(lambda: len(wire.requests) == 1)
        client.close()
        # As the server sees it: the connection is gone, or it is closed by the server and the call ends then.
        for peer in wire._peers:
            peer.close()
        with pytest.raises(SandboxError):
            call.result(PATIENCE_S)


def test_a_client_closed_between_two_attempts_says_so(serve, key):
    wire = serve(reply(503))
    client = Superserve(api_key=key, base_url=wire.url)

    def refuse(peer, _request):
        client.close()
        peer.send(reply(503))

    wire.then(refuse)
    # Depending on how far the closing has come when the answer arrives.
    with pytest.raises(
        SandboxError,
        match=r"this client (was closed during the call|is closed)|the connection to the server broke",
    ):
        Template.list(client=client)


def test_an_asynchronous_client_closed_between_two_attempts_says_so(serve, key):
    wire = serve(reply(503))

    async def main():
        loop = asyncio.get_running_loop()
        client = AsyncSuperserve(api_key=key, base_url=wire.url)

        def refuse(peer, _request):
            asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(PATIENCE_S)
            peer.send(reply(503))

        wire.then(refuse)
        await AsyncTemplate.list(client=client)

    with pytest.raises(
        SandboxError, match=r"this client (was closed during the call|is closed; make another)$"
    ):
        asyncio.run(main())


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarms")
def test_what_a_signal_handler_raises_comes_out_of_a_call_as_it_is(serve, key):
    def interrupt(_signal, _frame):
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise RuntimeError("mine")

    def answer(peer, _request):
        signal.setitimer(signal.ITIMER_REAL, 0.01, 10.0)
        peer.stall()

    wire = serve(answer)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with (
            Superserve(api_key=key, base_url=wire.url) as client,
            pytest.raises(RuntimeError, match=r"^mine$"),
        ):
            Template.list(client=client)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wire.until(lambda: wire.open_connections == 0)


PROGRAM = """
import asyncio, contextlib, gc, os, sys
from superserve import AsyncTemplate, Template
{}
gc.collect()
"""


def test_a_program_that_closes_nothing_ends_without_warnings(wire, key):
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    assert run(PROGRAM.format(f"print(Template.connect('{ID}').get_info().name)"), **settings) == "my-env"
    main = f"print(asyncio.run(AsyncTemplate.connect('{ID}')).name)"
    assert run(PROGRAM.format(main), **settings) == "my-env"
    wire.until(lambda: wire.open_connections == 0)


AT_THE_END = {
    "a function registered for the end": f"""
import atexit
made = []
atexit.register(lambda: print(made[0].get_info().name))
made.append(Template.connect('{ID}'))
""",
    "a finalizer": f"""
class Environment:
    def __init__(self):
        self.me, self.template = self, Template.connect('{ID}')
    def __del__(self):
        print(self.template.get_info().name, flush=True)
gc.set_threshold(10**6)
gc.collect = lambda: None
Environment()
""",
    "a thread that goes on after the main one": f"""
import threading
async def main():
    while threading.main_thread().is_alive():
        await asyncio.sleep(0.01)
    print((await AsyncTemplate.connect('{ID}')).name)
threading.Thread(target=lambda: asyncio.run(main())).start()
""",
    "the clean-up of an asynchronous generator": f"""
import warnings
# httpx uses generators, too, and asyncio warns of those that begin so late.
warnings.simplefilter("ignore", ResourceWarning)
async def environment():
    template = await AsyncTemplate.connect('{ID}')
    try:
        yield template
    finally:
        # More than there can be at once.
        infos = await asyncio.gather(*[template.get_info() for _ in range(40)])
        print(*{{info.name for info in infos}})
async def main():
    await anext(abandoned)
abandoned = environment()
asyncio.run(main())
""",
}


@pytest.mark.parametrize("program", AT_THE_END.values(), ids=AT_THE_END)
def test_who_cleans_up_at_the_end_is_served_all_the_same(wire, key, program):
    # By address: asyncio looks names up in a thread, and there are no new ones then.
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    assert run(PROGRAM.format(program), **settings) == "my-env"
    wire.until(lambda: wire.open_connections == 0)


WITHIN_A_CALL = {
    "a finalizer": """
class Environment:
    def __init__(self):
        self.me = self
    def __del__(self):
        print(template.get_info().name)
gc.set_threshold(1)
def make():
    Environment()
""",
    "a signal handler": """
import signal
signal.signal(signal.SIGALRM, lambda *_: print(template.get_info().name))
def make():
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.001))
""",
    "a signal handler that closes the client": f"""
import signal
def close(*_):
    client.close()
    print("my-env")
signal.signal(signal.SIGALRM, close)
def make():
    global client, template
    client = Superserve()
    template = Template.connect('{ID}', client=client)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.001))
""",
}


@pytest.mark.parametrize("rounds", [30, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("program", WITHIN_A_CALL.values(), ids=WITHIN_A_CALL)
def test_a_call_amid_a_call_of_the_same_thread_does_not_hang(wire, key, program, rounds):
    program = f"""
import random
from superserve import SandboxError, Superserve
client = Superserve()
template = Template.connect('{ID}', client=client)
{program}
for _ in range({rounds}):
    try:
        make()
        for _ in range(3):
            template.get_info()
    except SandboxError as error:
        assert "closed" in str(error)
"""
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    said = run(PROGRAM.format(program), **settings).split()
    assert len(said) > rounds / 2
    assert set(said) == {"my-env"}


def test_an_asynchronous_client_can_be_left_where_asyncio_does_not_run(key):
    leaving = AsyncSuperserve(api_key=key).aclose()
    # As another kind of event loop would.
    with pytest.raises(StopIteration):
        leaving.send(None)


def test_a_call_may_be_made_where_no_thread_can_be_started(named, serve, key, monkeypatch):
    host = named(serve(reply(json=[])).port, heard="127.0.0.1")

    start = threading.Thread.start

    def refuse(thread):
        # The server starts its own elsewhere.
        if threading.current_thread() is threading.main_thread():
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch, Superserve(api_key=key, base_url=host.url) as client:
        patch.setattr(threading.Thread, "start", refuse)
        assert Template.list(client=client) == []


FORKING = f"""
template = Template.connect('{ID}')
pid = os.fork()
if pid == 0:
    try:
        names = [template.get_info().name, Template.connect('{ID}').get_info().name]
        print(names, flush=True)
    finally:
        os._exit(0)
os.waitpid(pid, 0)
print(template.get_info().name)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_connections_of_its_own(wire, key):
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    assert run(PROGRAM.format(FORKING), **settings).splitlines() == ["['my-env', 'my-env']", "my-env"]
    connections = [request.connection for request in wire.requests]
    # Parent, then three calls of the child's on one connection, then the parent on its first one.
    assert connections == [1, 2, 2, 2, 1]


FORKING_WHILE_LOCKED = """
import threading
from superserve import Superserve
client = Superserve()
held, release = threading.Event(), threading.Event()
def hold():
    with client._connections.pool()._optional_thread_lock:
        held.set()
        release.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
import warnings
with warnings.catch_warnings():
    # Newer Pythons warn of forking with threads, which is what this is about.
    warnings.simplefilter("ignore")
    pid = os.fork()
if pid == 0:
    try:
        print(len(Template.list(client=client)), flush=True)
    finally:
        os._exit(0)
os.waitpid(pid, 0)
release.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_at_a_bad_moment_does_not_hang_the_child(serve, key):
    wire = serve(reply(json=[TEMPLATE]))
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    assert run(PROGRAM.format(FORKING_WHILE_LOCKED), **settings) == "1"


FORKING_WHILE_READING = f"""
template = Template.connect('{ID}')
texts = []
with contextlib.closing(template.iter_build_logs(build_id='{ID}')) as log:
    texts.append(next(log).text)
    pid = os.fork()
    if pid == 0:
        # As the end of a process does.
        log.close()
        os._exit(0)
    os.waitpid(pid, 0)
    # The server goes on when it hears of the child's end.
    template.get_info()
    texts += [event.text for event in log]
print(texts)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_that_ends_does_not_cut_the_log_that_its_parent_reads(serve, key):
    def line(text, **fields):
        event = {
            "timestamp": "2026-05-01T10:00:01Z",
            "stream": "stdout",
            "text": text,
            "finished": False,
            "status": "",
        }
        return chunk(sse({**event, **fields}))

    forked = threading.Event()

    def answer(peer, request):
        if request.path.endswith("/logs"):
            peer.send(STREAM_HEAD + line("one"))
            peer.wait(forked)
            peer.send(line("two", finished=True, status="ready") + chunk(b""))
        elif "/builds/" in request.path:
            peer.send(reply(json={**BUILD, "status": "building"}))
        else:
            # Asked for the second time by a parent whose child has ended.
            if len([asked for asked in wire.requests if asked.path == request.path]) == 2:
                forked.set()
            peer.send(reply(json=TEMPLATE))

    wire = serve(answer)
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    assert run(PROGRAM.format(FORKING_WHILE_READING), **settings) == "['one', 'two']"
    assert len([asked for asked in wire.requests if asked.path.endswith("/logs")]) == 1


FORKING_ASYNC = f"""
async def connect():
    return await AsyncTemplate.connect('{ID}')
template = asyncio.run(connect())
pid = os.fork()
if pid == 0:
    try:
        print(asyncio.run(template.get_info()).name, flush=True)
    finally:
        os._exit(0)
os.waitpid(pid, 0)
print(asyncio.run(template.get_info()).name)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_may_run_event_loops_of_its_own(wire, key):
    settings = {"SUPERSERVE_API_KEY": key, "SUPERSERVE_BASE_URL": wire.url}
    assert run(PROGRAM.format(FORKING_ASYNC), **settings).splitlines() == ["my-env", "my-env"]


class Strange(socket.socket):
    """A socket whose errors are raised elsewhere than those of the standard library: such are gevent's."""

    is_clients = False

    def connect(self, address):
        super().connect(address)
        self.is_clients = True

    def recv(self, *arguments):
        if self.is_clients:
            raise ConnectionResetError("no more")
        return super().recv(*arguments)


def test_sockets_of_another_make_fail_like_any_other(serve, key, monkeypatch):
    wire = serve(reply(json=[]))
    monkeypatch.setattr(socket, "socket", Strange)
    with Superserve(api_key=key, base_url=wire.url) as client:
        with pytest.raises(SandboxConnectionError, match="no more"):
            Template.list(client=client)
        # They are tried again like any other, too.
        wire.until(lambda: wire.connections == 3)
    with Superserve(api_key=key, base_url="http://127.0.0.1") as client:
        monkeypatch.setattr(Strange, "connect", lambda *_: _refuse())
        with pytest.raises(SandboxConnectionError, match="no, thank you"):
            Template.list(client=client)


def _refuse():
    raise ConnectionRefusedError("no, thank you")


def test_importing_and_making_a_client_starts_nothing(key):
    program = """
import json, os, threading
from superserve import Superserve, Template
client = Superserve()
sockets = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
print(json.dumps([threading.active_count(), [name for name in sockets if name.startswith("socket:")]]))
"""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell the open files of a process")
    assert json.loads(run(program, SUPERSERVE_API_KEY=key)) == [1, []]


def test_a_connection_that_cannot_be_made_leaves_nothing(key, serve):
    wire = serve(reply(json=[]))
    wire.__exit__()
    for _ in range(5):
        with (
            pytest.raises(SandboxConnectionError),
            Superserve(api_key=key, base_url=wire.url, max_attempts=1) as client,
        ):
            Template.list(client=client)


async def test_calls_under_way_when_the_loop_is_shut_down_come_to_their_end(serve, key):
    wire = serve(reply(503), reply(503), reply(json=TEMPLATE))
    async with AsyncSuperserve(api_key=key, base_url=wire.url) as client:
        # Between two attempts, it waits for nothing of the pool's.
        call = asyncio.create_task(AsyncTemplate.connect(ID, client=client))
        await asyncio.to_thread(wire.until, lambda: len(wire.requests) == 1)
        await asyncio.gather(call, client._connections._of_loop[asyncio.get_running_loop()][2].aclose())
        assert call.result().name == "my-env"
