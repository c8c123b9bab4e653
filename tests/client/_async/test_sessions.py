"""Commands that are talked to while they run."""

import json
import math
import threading

import httpcore
import pytest

from superserve import (
    CommandOutput,
    CommandStartError,
    CommandStream,
    OutcomeUnknownError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ValidationError,
)
from superserve._async import command_session, exec_connection
from tests.talk import SANDBOX_ID, TOKEN, Close, talking
from tests.wire import envelope, reply

OUT, ERR = CommandStream.STDOUT, CommandStream.STDERR


def echo(talk):
    talk.send(b"\x01" + talk.receive_input())
    talk.exit()


def exits(talk):
    talk.exit(3)


def waits(talk):
    while not isinstance(talk.receive(), Close):
        pass


async def test_the_websocket_is_asked_for_as_the_contract_says(box):
    sandbox, wire = await box(talking(exits))
    async with await sandbox.commands.spawn("x") as session:
        await session.wait()
    [request] = wire.requests
    assert (request.method, request.target) == ("GET", "/exec/connect")
    assert request.headers["sec-websocket-protocol"] == f"superserve.exec.v1, token.{TOKEN}"
    assert request.headers["sec-websocket-version"] == "13"
    assert request.headers["x-superserve-sandbox-id"] == sandbox.id
    assert "sec-websocket-extensions" not in request.headers
    assert "x-api-key" not in request.headers


async def test_the_first_frame_says_what_to_run_and_no_more(box):
    starts = []

    def script(talk):
        starts.append(talk.start)
        talk.exit()

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        await session.wait()
    async with await sandbox.commands.spawn(
        ["a", "b"], cwd="/tmp", env={"A": ""}, timeout_seconds=0.5
    ) as session:
        await session.wait()
    assert starts == [
        {"command": "x"},
        {"command": "a", "args": ["b"], "working_dir": "/tmp", "env": {"A": ""}, "timeout_s": 1},
    ]


async def test_what_is_written_reaches_the_command(box):
    sandbox, _ = await box(talking(echo))
    async with await sandbox.commands.spawn("cat") as session:
        await session.stdin.write("é")
        await session.stdin.write(b"\xff\x00")
        await session.stdin.write(memoryview(b"z"))
        await session.stdin.close()
        await session.stdin.close()
        outputs = [output async for output in session]
    assert outputs == [CommandOutput(OUT, "é".encode() + b"\xff\x00z")]


async def test_output_comes_piece_by_piece_and_is_exact(box):
    def script(talk):
        for frame in (b"\x01\xc3", b"\x02e\x00", b"\x01\xa9"):
            talk.send(frame)
        talk.exit(3)

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        outputs = [output async for output in session]
        result = await session.wait()
    assert outputs == [CommandOutput(OUT, b"\xc3"), CommandOutput(ERR, b"e\x00"), CommandOutput(OUT, b"\xa9")]
    assert (result.stdout, result.stderr, result.exit_code) == ("é", "e\x00", 3)


async def test_s33_the_end_is_told_each_time_that_it_is_asked_for(box):
    sandbox, wire = await box(talking(exits))
    async with await sandbox.commands.spawn("x") as session:
        first = await session.wait()
        assert await session.wait() == first
    assert await session.wait() == first
    wire.until(lambda: wire.open_connections == 0)


async def test_s33_waiting_can_be_given_up_and_taken_up_again(box):
    def script(talk):
        assert talk.receive() == b"\x00go"
        talk.exit(3)

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        with pytest.raises(SandboxTimeoutError):
            await session.wait(timeout_s=0.01)
        await session.stdin.write(b"go")
        assert (await session.wait(timeout_s=20)).exit_code == 3


@pytest.mark.parametrize("signal", ["INT", "SIGTERM", "HUP", "SIGQUIT"])
async def test_signals_are_sent_by_their_whole_name(box, signal):
    said = []

    def script(talk):
        said.append(talk.receive())
        talk.exit(130)

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        await session.kill(signal)
        assert (await session.wait()).exit_code == 130
        await session.kill(signal)
    assert [json.loads(frame) for frame in said] == [
        {"type": "signal", "name": f"SIG{signal.removeprefix('SIG')}"}
    ]


@pytest.mark.parametrize("signal", ["KILL", "SIGKILL", "USR1", "9", "", "sigint", 9, None])
async def test_s32_surprise_15_signals_that_the_server_drops_are_refused(box, signal):
    sandbox, _ = await box(talking(waits))
    async with await sandbox.commands.spawn("x") as session:
        with pytest.raises(ValidationError, match="signal"):
            await session.kill(signal)


async def test_leaving_hangs_up_which_kills_the_command(box):
    ends = []

    def script(talk):
        ends.append(talk.receive())

    sandbox, wire = await box(talking(script))
    async with await sandbox.commands.spawn("sleep 99") as session:
        pass
    wire.until(lambda: wire.open_connections == 0)
    assert isinstance(ends[0], Close)
    with pytest.raises(OutcomeUnknownError, match="closed"):
        await session.wait()


async def test_what_a_body_raises_comes_out_and_the_command_is_killed(box):
    sandbox, wire = await box(talking(waits))
    with pytest.raises(ZeroDivisionError):
        async with await sandbox.commands.spawn("x"):
            raise ZeroDivisionError
    wire.until(lambda: wire.open_connections == 0)


async def test_s1_a_command_that_could_not_start_is_an_error_with_its_code(box):
    def script(talk):
        talk.send('{"error":"the command failed to run","code":"exec_failed","finished":true}')
        talk.close(1011)

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        with pytest.raises(CommandStartError, match="failed to run") as caught:
            await session.wait()
    assert caught.value.code == "exec_failed"


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda talk: talk.close(1000, "bridge closed"), r"the connection was closed \(1000 bridge closed\)"),
        (lambda talk: talk.close(1011), r"the connection was closed \(1011\)"),
        (lambda talk: talk.peer.reset(), r"the connection broke: \S"),
        (lambda talk: talk.peer.close(), "the connection was closed;"),
        (lambda talk: talk.send('{"finished":true}'), "the command ended without an exit code"),
        (lambda talk: talk.send("bye"), "its messages cannot be understood: "),
        (lambda talk: talk.peer.send(b"\xff\xff\xff\xff"), "its messages cannot be understood: "),
    ],
    ids=["closed in order", "closed for an error", "reset", "gone", "no exit code", "no JSON", "no frame"],
)
async def test_surprise_2_an_end_without_an_exit_code_is_no_result(box, end, why):
    def script(talk):
        talk.send(b"\x01so far")
        talk.receive()
        end(talk)

    sandbox, wire = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        await session.stdin.write(b"go")
        with pytest.raises(
            OutcomeUnknownError, match=f"^could not run 'x' in sandbox {SANDBOX_ID}: {why}"
        ) as caught:
            await session.wait()
    assert (caught.value.stdout, caught.value.stderr) == ("so far", "")
    assert len(wire.requests) == 1


async def test_s34_long_messages_and_those_in_fragments_are_taken(box):
    def script(talk):
        talk.send(b"\x01" + b"x" * 3_000_000)
        talk.send(b"\x02abc", fragments=3)
        talk.exit()

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        result = await session.wait()
    assert (len(result.stdout), result.stderr) == (3_000_000, "abc")


async def test_s35_writing_after_the_end_is_an_error(box):
    sandbox, _ = await box(talking(exits))
    async with await sandbox.commands.spawn("x") as session:
        await session.wait()
        with pytest.raises(SandboxConnectionError, match="input"):
            await session.stdin.write(b"x")
        await session.stdin.close()
        with pytest.raises(ValidationError, match="closed"):
            await session.stdin.write(b"x")


async def test_pings_are_answered_while_nobody_reads(box):
    def script(talk):
        talk.ping(b"are you there")
        assert talk.receive_pong() == b"are you there"
        talk.exit()

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        assert (await session.wait()).ok


async def test_a_silent_connection_is_given_up(box, monkeypatch):
    monkeypatch.setattr(exec_connection, "SILENCE_S", 0.05)
    sandbox, _ = await box(talking(waits))
    async with await sandbox.commands.spawn("x") as session:
        with pytest.raises(OutcomeUnknownError, match="no message for"):
            await session.wait()


async def test_s35_callbacks_get_text_when_the_session_is_waited_for(box):
    def script(talk):
        for frame in (b"\x01\xc3", b"\x01\xa9", b"\x02e", b"\x01\xe2\x82"):
            talk.send(frame)
        talk.exit()

    sandbox, _ = await box(talking(script))
    out, err = [], []
    async with await sandbox.commands.spawn("x", on_stdout=out.append, on_stderr=err.append) as session:
        result = await session.wait()
    assert "".join(out) == result.stdout == "é\ufffd"
    assert err == ["e"]


async def test_s36_a_command_that_is_too_long_is_refused_before_anything_is_sent(box):
    sandbox, wire = await box(talking(exits))
    with pytest.raises(ValidationError, match="script"):
        await sandbox.commands.spawn("x" * 5_000_000)
    assert wire.requests == []


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (reply(400, "no\n", content_type="text/plain"), "ValidationError", "no [400]"),
        (
            reply(403, "no\n", content_type="text/plain"),
            "AuthenticationError",
            "no [403]; activate() gets another access token",
        ),
        (
            reply(404, "404 page not found\n", content_type="text/plain"),
            "NotFoundError",
            "404 page not found [404]; check base_url= or SUPERSERVE_BASE_URL",
        ),
        (reply(502, "<html>no</html>", content_type="text/html"), "ServerError", "Bad Gateway [502]"),
        (
            reply(200, "hi"),
            "SandboxError",
            "the server sent a success with another status than this operation has [200]",
        ),
        (
            talking(exits, accept=lambda _key: "wrong"),
            "SandboxError",
            "the server's answer is not a WebSocket",
        ),
    ],
)
async def test_s37_a_refused_upgrade_wakes_nothing_and_has_run_nothing(box, answer, kind, text):
    sandbox, wire = await box(answer)
    with pytest.raises(SandboxError) as caught:
        await sandbox.commands.spawn("x")
    assert type(caught.value).__name__ == kind
    assert str(caught.value) == f"could not run 'x' in sandbox {SANDBOX_ID}: {text}"
    assert wire.activations.count == 0
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(401, "invalid access token\n", content_type="text/plain"),
        reply(404, json=envelope("sandbox_route_stale", "It has moved.")),
        reply(503, json=envelope("sandbox_unavailable", "It is paused.")),
        reply(503, "sandbox is paused\n", content_type="text/plain"),
    ],
)
async def test_a_sandbox_that_is_asleep_is_woken_once_for_an_upgrade(box, answer):
    sandbox, wire = await box(answer, talking(exits))
    async with await sandbox.commands.spawn("x") as session:
        assert (await session.wait()).exit_code == 3
    assert wire.activations.count == 1
    assert wire.requests[1].headers["sec-websocket-protocol"].endswith(f"token.{1:064x}")


async def test_a_caller_who_takes_nothing_lets_the_server_wait_at_the_bound(box, monkeypatch):
    monkeypatch.setattr(exec_connection, "READ_AHEAD", 100_000)

    def script(talk):
        for _ in range(100):
            talk.send(b"\x01" + b"x" * 10_000)
        talk.exit()

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        result = await session.wait()
    assert len(result.stdout) == 1_000_000


async def test_input_is_written_while_output_is_taken(box):
    def script(talk):
        # It says more than the connection holds before it takes anything.
        while (message := talk.receive()) != '{"type":"stdin_close"}':
            talk.send(b"\x01" + message[1:] * 2)
        talk.exit()

    sandbox, _ = await box(talking(script))
    data = b"0123456789" * 1_000_000
    result = await sandbox.commands.run(
        ["cat", "-"], input=data, encoding=None, max_output_bytes=math.ceil(3e7)
    )
    assert len(result.stdout) == 2 * len(data)


async def test_an_end_counts_although_nothing_can_be_answered_any_more(box, monkeypatch):
    go_on = threading.Event()

    def script(talk):
        talk.peer.wait(go_on)
        talk.ping()
        talk.exit(3)

    async def fails(*_):
        raise httpcore.WriteError("broken")

    sandbox, _ = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        monkeypatch.setattr(session._connection._stream, "write", fails)
        go_on.set()
        assert (await session.wait()).exit_code == 3


async def test_a_command_that_does_not_want_its_input_has_a_result(box):
    def script(talk):
        exits(talk)
        # A connection that is closed before its input has been read is reset, and the end may be lost with it.
        waits(talk)

    sandbox, _ = await box(talking(script))
    result = await sandbox.commands.run(["true", "-"], input=b"x" * 10_000_000)
    assert result.exit_code == 3


async def test_an_end_that_is_overdue_is_not_waited_for(box, monkeypatch):
    monkeypatch.setattr(command_session, "MARGIN_S", -0.95)
    sandbox, wire = await box(talking(waits))
    async with await sandbox.commands.spawn("x", timeout_seconds=1) as session:
        assert repr(session) == f"<{type(session).__name__} running>"
        with pytest.raises(OutcomeUnknownError, match="overdue"):
            await session.wait()
        assert repr(session) == f"<{type(session).__name__} ended>"
    wire.until(lambda: wire.open_connections == 0)
