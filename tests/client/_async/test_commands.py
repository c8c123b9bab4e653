"""What running a command sends, and what it makes of the answers."""

import pytest

from superserve import (
    CommandBytesResult,
    CommandError,
    CommandResult,
    CommandStartError,
    OutcomeUnknownError,
    ValidationError,
)
from tests.talk import talking
from tests.wire import STREAM_HEAD, chunk, reply, sse, stall

RAN = reply(json={"stdout": "hi\n", "stderr": "", "exit_code": 0})
END = {"exit_code": 0, "finished": True, "timestamp": "2026-05-01T12:00:00Z"}


def told(*events):
    return STREAM_HEAD + b"".join(chunk(sse(event)) for event in events) + chunk(b"")


def without_time(result):
    return {name: value for name, value in result.to_dict().items() if name != "duration_s"}


async def test_a_command_is_one_request_with_what_was_given(box):
    sandbox, wire = await box(RAN)
    result = await sandbox.commands.run("echo hi", cwd="/tmp", env={"A": "b"}, timeout_seconds=1.2)
    assert without_time(result) == {
        "exit_code": 0,
        "stdout": "hi\n",
        "stderr": "",
        "truncated": False,
        "timed_out": False,
    }
    [request] = wire.requests
    assert (request.method, request.target) == ("POST", "/exec")
    assert request.json == {"command": "echo hi", "working_dir": "/tmp", "env": {"A": "b"}, "timeout_s": 2}
    assert "cookie" not in request.headers
    assert "x-api-key" not in request.headers


async def test_callbacks_are_called_with_each_piece(box):
    sandbox, wire = await box(told({"stdout": "a\n"}, {"stderr": "b"}, {"stdout": "c"}, END))
    out, err = [], []
    result = await sandbox.commands.run("x", on_stdout=out.append, on_stderr=err.append)
    assert (out, err) == (["a\n", "c"], ["b"])
    assert (result.stdout, result.stderr, result.exit_code) == ("a\nc", "b", 0)
    assert [request.target for request in wire.requests] == ["/exec/stream"]


async def test_input_goes_over_the_websocket(box):
    def script(talk):
        talk.send(b"\x01" + talk.receive_input())
        talk.exit(3)

    sandbox, wire = await box(talking(script))
    result = await sandbox.commands.run(["cat", "-"], input="é")
    assert isinstance(result, CommandResult)
    assert (result.stdout, result.exit_code) == ("é", 3)
    assert [request.target for request in wire.requests] == ["/exec/connect"]


async def test_bytes_are_exact(box):
    def script(talk):
        talk.send(b"\x01\xff\x00")
        talk.send(b"\x02\xfe")
        talk.exit()

    sandbox, _ = await box(talking(script))
    result = await sandbox.commands.run("x", encoding=None)
    assert isinstance(result, CommandBytesResult)
    assert (result.stdout, result.stderr, result.exit_code) == (b"\xff\x00", b"\xfe", 0)
