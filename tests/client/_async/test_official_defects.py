"""What the official SDK gets wrong (S1 to S44) and no other module is about; the others have its number in their names.

`tests/unit/test_named_after.py` sees to it that each number has a test.
"""

import json

import httpcore
import httpx
import pytest
import respx

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    CommandStartError,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)
from superserve._async import commands
from superserve._http import policy, retry
from tests.conftest import KEY
from tests.patience import given_time
from tests.talk import SANDBOX_ID, handle, sandbox_row, talking
from tests.wire import STREAM_HEAD, chunk, envelope, head, reply, sse, stall

API = "https://api.superserve.test"
END = {"exit_code": 0, "finished": True}
RAN = {"stdout": "", "stderr": "", "exit_code": 0}


def streamed(*events):
    return STREAM_HEAD + b"".join(chunk(sse(event)) for event in events) + chunk(b"")


# --- results ----------------------------------------------------------------------------------------------------------


class Posting:
    """A callback that sends output on, and cannot."""

    def __init__(self, error):
        self.error = error

    def __call__(self, _piece):
        raise self.error


@pytest.mark.parametrize("how", [{}, {"input": ""}, {"encoding": None}])
@pytest.mark.parametrize(
    "error",
    [
        json.JSONDecodeError("mine", "x", 0),
        RuntimeError("mine"),
        httpx.ReadTimeout("mine"),
        httpcore.ReadError("mine"),
        SandboxError("mine"),
        OSError("mine"),
        TimeoutError("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_s11_no_error_of_a_callbacks_is_taken_for_one_of_the_connections(box, error, how):
    def script(talk):
        talk.send(b"\x01a")
        talk.receive()

    sandbox, wire = await box(talking(script) if how else stall(STREAM_HEAD + chunk(sse({"stdout": "a"}))))
    with pytest.raises(type(error), match="mine") as caught:
        await sandbox.commands.run("x", on_stdout=Posting(error), **how)
    assert caught.value is error
    wire.until(lambda: wire.open_connections == 0)


async def test_s13_an_answer_that_drips_does_not_put_off_the_deadline(box, monkeypatch):
    monkeypatch.setattr(commands, "MARGIN_S", -0.9)

    def script(peer, _request):
        peer.send(head(200, {"Content-Type": "application/json", "Content-Length": "1000000"}))
        peer.drip(b" " * 10_000, 0.001)

    sandbox, wire = await box(script)
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("x", timeout_seconds=1)
    wire.until(lambda: wire.open_connections == 0)


@given_time
async def test_s17_a_handshake_that_nobody_answers_is_given_up_after_one_dial(box, monkeypatch, *, longer):
    monkeypatch.setattr(policy, "CONNECT_TIMEOUT_S", 0.05 * longer)
    sandbox, wire = await box(stall())
    with pytest.raises(SandboxTimeoutError):
        await sandbox.commands.spawn("x")
    assert (len(wire.requests), wire.activations.count) == (1, 0)
    wire.until(lambda: wire.open_connections == 0)


@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}, {"encoding": None}])
async def test_s19_a_request_that_never_left_is_sent_again(connect, serve, how, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.0)
    dialled = []
    refused = httpcore.ConnectError("connection refused")

    def script(talk):
        talk.exit()

    answer = talking(script) if "encoding" in how else streamed(END) if how else reply(json=RAN)
    client = connect(serve(answer))
    sandbox = handle(AsyncSandbox, client)
    pool = client._sandbox_connections.pool()
    backend = pool._network_backend
    dial = backend.connect_tcp

    async def connect_tcp(*args, **options):
        dialled.append(args)
        if len(dialled) < 3:
            raise refused
        return await dial(*args, **options)

    monkeypatch.setattr(backend, "connect_tcp", connect_tcp)
    result = await sandbox.commands.run("x", **how)
    assert (result.exit_code, len(dialled)) == (0, 3)


@pytest.mark.parametrize(
    "answer",
    [
        reply(429, "too many connections\n", content_type="text/plain", headers={"Retry-After": "7"}),
        reply(429, json=envelope("rate_limited", "Slow down."), headers={"Retry-After": "7"}),
    ],
)
async def test_s19_what_the_server_says_of_when_to_come_again_is_heeded(box, monkeypatch, answer):
    asked = []
    monkeypatch.setattr(retry, "delay_s", lambda failures, wanted: asked.append((failures, wanted)) or 0.0)
    sandbox, wire = await box(answer, answer, reply(json=RAN))
    assert (await sandbox.commands.run("x")).ok
    assert asked == [(1, 7.0), (2, 7.0)]
    assert len(wire.requests) == 3


# --- snapshots --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(404, json=envelope("not_found", "no such snapshot")), NotFoundError),
        (reply(409, json=envelope("conflict", "the snapshot is being made")), ConflictError),
        (reply(410, json=envelope("gone", "the snapshot is gone")), SandboxError),
        (reply(503, json=envelope("host_capacity", "its host is full")), ServerError),
        (stall(), SandboxTimeoutError),
    ],
)
@given_time
async def test_s24_surprise_16_a_snapshot_that_starts_nothing_is_an_error_of_ours_and_asked_for_once(
    serve, connect, monkeypatch, answer, kind, *, longer
):
    from superserve._operations import sandboxes

    monkeypatch.setattr(sandboxes, "_SLOW_START_S", 0.0)
    wire = serve(answer)
    with pytest.raises(kind) as caught:
        await AsyncSandbox.create(
            name="box", from_snapshot=SANDBOX_ID, client=connect(wire, timeout_s=0.2 * longer)
        )
    assert type(caught.value).__module__.removesuffix(".errors") == "superserve"
    assert [request.json for request in wire.requests] == [{"name": "box", "from_snapshot": SANDBOX_ID}]


# --- errors -----------------------------------------------------------------------------------------------------------


def refused(status, text="no\n"):
    return reply(status, text, content_type="text/plain")


def ran(**fields):
    return reply(json={**RAN, **fields})


def file(data):
    return reply(200, data)


ROWS = {
    "upgrade refused, 401": (lambda box: box.commands.spawn("x"), refused(401)),
    "upgrade refused, 429": (lambda box: box.commands.spawn("x"), refused(429)),
    "HTML instead of a result": (lambda box: box.commands.run("x"), reply(200, "<html>")),
    "nothing instead of a result": (lambda box: box.commands.run("x"), reply(204)),
    "an event that is a number": (
        lambda box: box.commands.run("x", timeout_seconds=99),
        STREAM_HEAD + chunk(b"data: 5\n\n"),
    ),
    "stdout is null": (lambda box: box.commands.run("x"), ran(stdout=None)),
    "metadata is null": (lambda box: box.get_info(), reply(json=sandbox_row(metadata=None))),
    "half a pair in a command": (lambda box: box.commands.run("\ud800"), ran()),
    "half a pair in an argument": (lambda box: box.commands.run(["x", "\ud800"]), ran()),
    "half a pair in a variable": (lambda box: box.commands.run("x", env={"A": "\ud800"}), ran()),
    "half a pair in a folder": (lambda box: box.commands.run("x", cwd="/\ud800"), ran()),
    "half a pair in the input": (lambda box: box.commands.run("x", input="\ud800"), ran()),
    "half a pair in a path": (lambda box: box.files.read("/\ud800"), file(b"")),
    "half a pair in a file": (lambda box: box.files.write("/x", "\ud800"), file(b"")),
    "half a pair in metadata": (lambda box: box.update(metadata={"a": "\ud800"}), reply(204)),
    "bytes that are no text": (lambda box: box.files.read_text("/x"), file(b"\xff")),
}


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("row", ROWS)
async def test_s25_only_errors_of_this_library_come_out(box, row):
    call, answer = ROWS[row]
    sandbox, _ = await box(answer)
    with pytest.raises(SandboxError):
        await call(sandbox)


async def test_s25_a_status_that_is_new_spoils_no_answer(serve, connect):
    new = sandbox_row("archived", preview_access="team")
    wire = serve(reply(json=[new, sandbox_row()]), reply(json=new))
    client = connect(wire)
    assert [info.status for info in await client.sandboxes.list()] == ["archived", "active"]
    assert (await client.sandboxes.get(SANDBOX_ID)).preview_access == "team"


@pytest.mark.parametrize("key", ["ss_live\nsecret", "ss_live_secret\u00e9", "ss_live secret"])
async def test_s26_a_key_that_cannot_be_sent_is_not_shown(key):
    with pytest.raises(ValidationError) as caught:
        AsyncSuperserve(api_key=key, base_url=API)
    assert "secret" not in f"{caught.value!s}{caught.value!r}"


async def test_s28_of_a_refusal_no_more_is_read_than_an_error_needs(box):
    def script(peer, _request):
        peer.send(head(404, {"Content-Type": "text/plain", "Content-Length": str(2**40)}))
        while not peer._wire.closing.is_set():
            peer.send(b"x" * 65_536)

    sandbox, wire = await box(script)
    for call in (
        lambda: sandbox.files.read("/x", max_bytes=1024),
        lambda: sandbox.files.download_dir("/x"),
        lambda: sandbox.commands.run("x", timeout_seconds=99),
        lambda: sandbox.commands.spawn("x"),
    ):
        with pytest.raises(NotFoundError) as caught:
            await call()
        assert len(str(caught.value)) < 2_000
    wire.until(lambda: wire.open_connections == 0)


@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}])
async def test_s28_an_answer_that_has_no_end_is_not_kept(box, how, monkeypatch):
    monkeypatch.setattr(policy, "ANSWER_LIMIT", 1_000_000)

    def script(peer, _request):
        peer.send(STREAM_HEAD if how else head(200, {"Content-Type": "application/json"}))
        peer.send(b"fffffffffff\r\ndata: " if how else b'{"stdout": "')
        while not peer._wire.closing.is_set():
            peer.send(b"x" * 65_536)

    sandbox, wire = await box(script)
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("x", **how)
    wire.until(lambda: wire.open_connections == 0)


async def test_s30_calls_without_a_client_share_a_connection(serve, environment):
    wire = serve(reply(json=[]))
    environment.setenv("SUPERSERVE_API_KEY", KEY)
    environment.setenv("SUPERSERVE_BASE_URL", wire.url)
    for _ in range(5):
        assert await AsyncSandbox.list() == []
    assert (len(wire.requests), wire.connections) == (5, 1)


async def test_s31_an_error_event_without_finished_keeps_its_code(box):
    sandbox, _ = await box(streamed({"stdout": "a"}, {"error": "the sandbox is gone", "code": "gone"}))
    with pytest.raises(OutcomeUnknownError, match="the sandbox is gone") as caught:
        await sandbox.commands.run("x", on_stdout=str)
    assert (caught.value.code, caught.value.stdout) == ("gone", "a")


async def test_s31_an_error_knows_the_request_and_the_answer(box):
    sandbox, _ = await box(
        reply(403, json=envelope("forbidden", "not yours"), headers={"X-Request-Id": "r-1", "X-A": "b"})
    )
    with pytest.raises(SandboxError) as caught:
        await sandbox.files.read("/home/x")
    error = caught.value
    assert (error.status_code, error.code, error.request_id, error.headers["x-a"]) == (
        403,
        "forbidden",
        "r-1",
        "b",
    )
    assert "/home/x" in str(error)
    assert SANDBOX_ID in str(error)


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_backoff")
async def test_s37_an_upgrade_that_is_refused_for_now_is_asked_for_again_and_wakes_nothing(box):
    full = refused(429, "too many connections to sandbox\n")
    sandbox, wire = await box(full, full, talking(lambda talk: talk.exit(3)))
    async with await sandbox.commands.spawn("x") as session:
        assert (await session.wait()).exit_code == 3
    assert (len(wire.requests), wire.activations.count) == (3, 0)
    sandbox, wire = await box(full)
    with pytest.raises(RateLimitError):
        await sandbox.commands.spawn("x")
    assert wire.activations.count == 0


@pytest.mark.usefixtures("no_backoff")
async def test_s37_a_connection_that_cannot_be_made_wakes_nothing(key):
    with respx.mock(assert_all_mocked=True) as router:
        router.get(f"{API}/exec/connect").mock(side_effect=httpx.ConnectError("no such host"))
        async with AsyncSuperserve(api_key=key, base_url=API) as client:
            with pytest.raises(SandboxConnectionError):
                await handle(AsyncSandbox, client).commands.spawn("x")
        assert {call.request.method for call in router.calls} == {"GET"}


# --- over the local server's switches ---------------------------------------------------------------------------------


@pytest.fixture
def made(server, client):
    """Make a sandbox whose commands succeed without running."""
    server.templates.add("base")
    server.commands.on("*").answer(stdout="a\n", stderr="b\n", exit_code=3)

    async def made():
        return await client.sandboxes.create(name="box", from_template="base")

    return made


HOW = {
    "execRun": {},
    "execStream": {"on_stdout": str},
    "execConnect": {"input": ""},
}


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("operation", HOW)
async def test_s3_surprise_10_what_ran_behind_a_gateways_error_runs_once(server, made, operation):
    sandbox = await made()
    # A WebSocket that was refused has not begun: its first frame says what to run.
    has_run = operation != "execConnect"
    server.faults.on(operation).answer(502, body="<html>Bad Gateway</html>", handled=has_run)
    with pytest.raises(OutcomeUnknownError if has_run else ServerError) as caught:
        await sandbox.commands.run("make", **HOW[operation])
    assert "<html" not in str(caught.value)
    assert server.requests.count(operation) == 1
    assert server.requests.count("activateSandbox") == 0


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("operation", HOW)
async def test_s6_a_403_wakes_nothing(server, made, operation):
    sandbox = await made()
    server.faults.on(operation).answer(403, json=envelope("forbidden", "read only"))
    with pytest.raises(SandboxError, match="read only"):
        await sandbox.commands.run("make", **HOW[operation])
    assert server.requests.count("activateSandbox") == 0
    assert (await sandbox.commands.run("make", **HOW[operation])).exit_code == 3


async def test_s7_a_kill_that_failed_is_no_kill(server, client, made):
    sandbox = await made()
    server.faults.on("deleteSandbox").answer(500, json=envelope("internal_error", "oops"))
    with pytest.raises(ServerError):
        await sandbox.kill()
    assert (await sandbox.get_info()).status == "active"
    await sandbox.kill()
    assert await client.sandboxes.list() == []


@pytest.mark.parametrize("operation", ["execRun", "execStream"])
async def test_s1_a_result_without_an_exit_code_is_none(server, made, operation):
    sandbox = await made()
    server.faults.on(operation).answer(200, json={"stdout": "a"})
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("make", **HOW[operation])


async def test_s4_a_file_that_another_server_has_taken_is_not_written(server, made):
    sandbox = await made()
    server.faults.on("writeFile").answer(200, json={"path": "/other", "size": 1})
    with pytest.raises(OutcomeUnknownError, match="5 bytes were sent"):
        await sandbox.files.write("/home/user/x", "abcde")
    server.faults.on("writeFile").answer(200, body="<html>")
    with pytest.raises(OutcomeUnknownError):
        await sandbox.files.write("/home/user/x", "abcde")


async def test_s20_one_bad_poll_ends_no_wait(server, made):
    server.sandboxes.behave(pausing_s=5)
    sandbox = await made()
    server.faults.on("getSandbox").answer(500, json=envelope("internal_error", "oops"))
    await sandbox.pause(poll_interval_s=0.01)
    assert sandbox.status == "paused"


async def test_s42_a_download_that_breaks_off_is_told_with_its_bytes(server, made):
    sandbox = await made()
    await sandbox.files.write("/home/user/x", b"x" * 100)
    server.faults.on("readFile").cut(after_bytes=3)
    with pytest.raises(SandboxConnectionError, match="3 of 100 bytes"):
        await sandbox.files.read("/home/user/x")


async def test_s1_a_command_that_cannot_start_is_no_result_in_any_way(server, made):
    sandbox = await made()
    for operation, how in HOW.items():
        if operation == "execConnect":
            continue
        server.faults.on(operation).answer(500, body="internal: chdir: no such file or directory\n")
        with pytest.raises(CommandStartError, match="chdir"):
            await sandbox.commands.run("make", **how)
