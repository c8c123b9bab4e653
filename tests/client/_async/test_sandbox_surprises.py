"""The thirty most dangerous facts about sandboxes, where no other module is about one; others have its number in names."""

import contextlib
import json
import socket
import threading
import time

import pytest

from superserve import (
    AuthenticationError,
    CommandStartError,
    ConflictError,
    FileNotFoundInSandboxError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    SandboxConnectionError,
    ServerError,
    StorageFullError,
    ValidationError,
)
from superserve._http.tasks_async import Worker
from tests.talk import Close, talking
from tests.wire import STREAM_HEAD, chunk, envelope, reply, sse

END = {"exit_code": 0, "finished": True}
TEXT = "text/plain; charset=utf-8"


@pytest.fixture
def made(server, client):
    """Make a sandbox on the local server, whose commands print something without running."""
    server.templates.add("base")

    async def made(**answer):
        server.commands.on("*").answer(**{"stdout": "a\nb\n", "stderr": "c\n", "exit_code": 0, **answer})
        return await client.sandboxes.create(name="box", from_template="base")

    return made


# --- A. wrong results without an error --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "how"),
    [("execStream", {"on_stdout": str}), ("execConnect", {"input": ""}), ("execConnect", {"encoding": None})],
)
async def test_surprise_2_an_end_in_good_order_without_a_last_event_is_no_result(
    server, made, operation, how
):
    sandbox = await made()
    server.faults.on(operation).cut(after_events=1, clean=True)
    with pytest.raises(OutcomeUnknownError) as caught:
        await sandbox.commands.run("make", **how)
    assert caught.value.stdout + caught.value.stderr
    assert server.requests.count(operation) == 1


async def test_surprise_5_a_disk_that_is_full_is_told(server, made):
    sandbox = await made()
    server.sandboxes.behave(is_full=True)
    with pytest.raises(StorageFullError):
        await sandbox.files.write("/home/user/x", "abc")
    server.sandboxes.behave(is_full=False)
    await sandbox.files.write("/home/user/x", "abc")


async def test_surprise_7_output_at_the_servers_cap_is_said_to_be_cut_and_streams_have_none(server, made):
    server.sandboxes.behave(output_bytes=100)
    sandbox = await made(stdout="x" * 200)
    result = await sandbox.commands.run("make")
    assert (result.truncated, result.ok) == (True, True)
    assert result.stdout.count("x") < 200
    result = await sandbox.commands.run("make", timeout_seconds=61)
    assert (result.truncated, result.stdout) == (False, "x" * 200)


ODD = "a\nb\x85c\u2028d\u2029e\x0bf\x0cg\x1ch<&>\r\n"


async def test_surprise_8_characters_that_some_take_for_ends_of_lines_are_none(server, made):
    sandbox = await made(stdout=ODD)
    given = []
    result = await sandbox.commands.run("make", on_stdout=given.append)
    assert result.stdout == "".join(given) == ODD
    assert (await sandbox.commands.run("make")).stdout == ODD


async def test_surprise_8_events_may_be_framed_in_any_way_that_is_allowed(box):
    body = (
        b"\xef\xbb\xbf: keepalive\r\n\r\n"
        b'data: {"stdout":"a\xc2\x85"}\r\n\r\n'
        b'id: 7\revent: message\rdata:{"stdout":\rdata: "b"}\r\r'
        b": keepalive\n\n"
        b'data: {"stderr":"c","later":[1]}\n\n'
        b'data: {"exit_code":0,"finished":true}\r\n\r\n'
    )
    # A byte a chunk: no boundary means anything.
    pieces = b"".join(chunk(body[index : index + 1]) for index in range(len(body)))
    sandbox, _ = await box(STREAM_HEAD + pieces + chunk(b""))
    result = await sandbox.commands.run("x", timeout_seconds=99)
    assert (result.stdout, result.stderr, result.exit_code) == ("a\x85b", "c", 0)


# --- B. wrong place, wrong box, twice, never --------------------------------------------------------------------------


async def test_surprise_9_a_local_server_is_both_planes_and_nobody_else_is_asked(server, made, monkeypatch):
    sandbox = await made()
    hosts = set()
    look_up = socket.getaddrinfo

    def noting(host, *args, **options):
        hosts.add(host.decode() if isinstance(host, bytes) else host)
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", noting)
    await sandbox._client.aclose()
    async with type(sandbox._client)(api_key=server.api_key, base_url=server.base_url) as client:
        again = await client.sandboxes.connect(sandbox.id)
        await again.commands.run("make")
        await again.commands.run("make", on_stdout=str)
        await again.commands.run("make", input="")
        await again.files.write("/home/user/x", b"")
        await again.kill()
    assert hosts <= {"127.0.0.1"}


async def test_surprise_15_a_signal_is_not_held_up_by_input_that_nobody_takes(box):
    has_signalled = threading.Event()
    said = []

    def script(talk):
        # Nothing is taken until then: the input that is sent before fills the connection.
        talk.peer.wait(has_signalled)
        while not isinstance(message := talk.receive(), Close):
            if isinstance(message, str):
                said.append(json.loads(message)["name"])
                if len(said) == 2:
                    talk.exit(143)

    sandbox, wire = await box(talking(script))
    writer = Worker()
    async with await sandbox.commands.spawn("x") as session:

        async def write():
            # The command may end before it has taken all of it.
            with contextlib.suppress(SandboxConnectionError):
                await session.stdin.write(b"x" * 20_000_000)

        writer.start(write)
        await session.kill("INT")
        await session.kill("TERM")
        has_signalled.set()
        assert (await session.wait()).exit_code == 143
    await writer.stop()
    assert said == ["SIGINT", "SIGTERM"]
    wire.until(lambda: wire.open_connections == 0)


# --- C. states and time -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_backoff")
async def test_surprise_21_a_silent_command_that_the_load_balancer_gave_up_is_in_doubt(server, made):
    server.sandboxes.behave(idle_s=5)
    sandbox = await made(after_s=6000)
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("make")
    assert server.requests.count("execRun") == 1


async def test_surprise_24_a_quota_that_keeps_a_sandbox_asleep_is_told(server, made):
    sandbox = await made()
    await sandbox.pause()
    full = envelope("too_many_sandboxes", "limit of 50")
    server.faults.on("activateSandbox").answer(429, json=full)
    with pytest.raises(RateLimitError, match="limit of 50") as caught:
        await sandbox.commands.run("make")
    assert caught.value.code == "too_many_sandboxes"
    assert server.requests.count("activateSandbox") == 1
    assert (await sandbox.commands.run("make")).ok


# --- D. wire details --------------------------------------------------------------------------------------------------

PAGE = "<html><body><h1>Oops</h1></body></html>"

BODIES = {
    "envelope": (
        reply(409, json=envelope("conflict", "wrong state")),
        ConflictError,
        "wrong state",
        "conflict",
    ),
    "envelope of a full disk": (
        reply(507, json=envelope("sandbox_storage_full", "It is full.")),
        StorageFullError,
        "It is full.",
        "sandbox_storage_full",
    ),
    "string as text": (
        reply(400, '{"error":"access denied: /proc/x"}\n', content_type=TEXT),
        ValidationError,
        "access denied: /proc/x",
        None,
    ),
    "text": (
        reply(403, "port not allowed\n", content_type=TEXT),
        AuthenticationError,
        "port not allowed",
        None,
    ),
    "Connect's": (
        reply(404, json={"code": "not_found", "message": "no such desktop"}),
        NotFoundError,
        "no such desktop",
        "not_found",
    ),
    "page": (reply(404, PAGE, content_type="text/html"), NotFoundError, "Not Found", None),
    "page as text": (reply(400, PAGE, content_type=TEXT), ValidationError, "Bad Request", None),
    "page as JSON": (
        reply(500, PAGE, content_type="application/json"),
        ServerError,
        "Internal Server Error",
        None,
    ),
    "empty": (reply(403), AuthenticationError, "Forbidden", None),
    "no error in it": (reply(400, json=[1]), ValidationError, "Bad Request", None),
}


@pytest.mark.parametrize("body", BODIES)
async def test_surprise_25_errors_of_all_shapes_are_read(box, body):
    answer, kind, message, code = BODIES[body]
    for call in (
        lambda sandbox: sandbox.files.read("/x"),
        lambda sandbox: sandbox.files.write("/x", b""),
        lambda sandbox: sandbox.commands.spawn("x"),
    ):
        sandbox, _ = await box(answer)
        with pytest.raises(kind) as caught:
            await call(sandbox)
        assert (caught.value.message, caught.value.code) == (message, code)
        assert not isinstance(caught.value, FileNotFoundInSandboxError)
        assert "<h" not in str(caught.value)


async def test_surprise_25_the_error_of_an_event_and_of_a_frame_are_read_alike(box):
    failed = {"error": "no such folder", "code": "exec_failed", "finished": True}

    def script(talk):
        talk.send(json.dumps(failed))
        talk.close(1011)

    for answer, how in (
        (STREAM_HEAD + chunk(sse(failed)) + chunk(b""), {"timeout_seconds": 99}),
        (talking(script), {"input": ""}),
    ):
        sandbox, _ = await box(answer)
        with pytest.raises(CommandStartError) as caught:
            await sandbox.commands.run("x", **how)
        assert (caught.value.message, caught.value.code) == ("no such folder", "exec_failed")


@pytest.mark.usefixtures("no_backoff")
async def test_surprise_28_a_server_that_takes_no_more_connections_is_asked_again_and_then_told(server, made):
    sandbox = await made()
    server.sandboxes.behave(connections=0)
    with pytest.raises(RateLimitError):
        await sandbox.commands.run("make")
    assert server.requests.count("execRun") > 1
    assert server.requests.count("activateSandbox") == 0
    server.sandboxes.behave(connections=1)
    assert (await sandbox.commands.run("make")).ok


async def test_surprise_30_no_name_of_a_local_server_has_to_resolve(server, made):
    sandbox = await made()
    port = server.base_url.rpartition(":")[2]
    # A browser, or curl, resolves it; nothing here does.
    assert sandbox.get_preview_url(8080) == f"http://8080-{sandbox.id}.localhost:{port}"
    for how in ({}, {"on_stdout": str}, {"input": ""}):
        await sandbox.commands.run("make", **how)
    sent = [request for request in server.requests if request.operation.startswith("exec")]
    assert {request.headers["host"] for request in sent} == {f"127.0.0.1:{port}"}
    assert {request.headers["x-superserve-sandbox-id"] for request in sent} == {sandbox.id}


async def test_surprise_5_a_writing_that_breaks_off_takes_the_old_file_with_it_unless_it_is_atomic(
    server, made
):
    sandbox = await made()
    files = sandbox.files

    def broken():
        yield b"ne"
        raise ZeroDivisionError

    await files.write("/home/user/x", b"old")
    server.commands.clear()
    with pytest.raises(ZeroDivisionError):
        await files.write("/home/user/x", broken(), atomic=True)
    assert await files.read("/home/user/x") == b"old"
    with pytest.raises(ZeroDivisionError):
        await files.write("/home/user/x", broken())
    # The server learns of it when the connection has ended.
    until = time.monotonic() + 20
    while await files.exists("/home/user/x"):
        assert time.monotonic() < until
