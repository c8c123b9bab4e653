# Written by scripts/unasync.py from tests/client/_async/test_commands.py. Do not edit: change that, then run `nox -s generate`.
"""What running a command sends, and what it makes of the answers."""

import math
import time
import traceback

import pytest

from superserve import (
    AuthenticationError,
    CommandBytesResult,
    CommandError,
    CommandResult,
    CommandStartError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)
from superserve._streams import output
from superserve._sync import commands
from tests.patience import given_time
from tests.talk import SANDBOX_ID, TOKEN, talking
from tests.wire import STREAM_HEAD, chunk, cut, envelope, reply, sse, stall

RAN = reply(json={"stdout": "hi\n", "stderr": "", "exit_code": 0})
END = {"exit_code": 0, "finished": True, "timestamp": "2026-05-01T12:00:00Z"}


def told(*events):
    return STREAM_HEAD + b"".join(chunk(sse(event)) for event in events) + chunk(b"")


def without_time(result):
    return {name: value for name, value in result.to_dict().items() if name != "duration_s"}


def test_a_command_is_one_request_with_what_was_given(box):
    sandbox, wire = box(RAN)
    result = sandbox.commands.run("echo hi", cwd="/tmp", env={"A": "b"}, timeout_seconds=1.2)
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


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (RAN, {}),
        (told(END), {"timeout_seconds": 99}),
        (talking(lambda talk: talk.exit()), {"input": ""}),
        (talking(lambda talk: talk.exit()), {"encoding": None}),
    ],
)
def test_a_result_says_how_long_the_command_took(box, answer, how):
    sandbox, _ = box(answer)
    before = time.monotonic()
    result = sandbox.commands.run("x", **how)
    assert 0 <= result.duration_s <= time.monotonic() - before


def test_callbacks_are_called_with_each_piece(box):
    sandbox, wire = box(told({"stdout": "a\n"}, {"stderr": "b"}, {"stdout": "c"}, END))
    out, err = [], []
    result = sandbox.commands.run("x", on_stdout=out.append, on_stderr=err.append)
    assert (out, err) == (["a\n", "c"], ["b"])
    assert (result.stdout, result.stderr, result.exit_code) == ("a\nc", "b", 0)
    assert [request.target for request in wire.requests] == ["/exec/stream"]


def test_input_goes_over_the_websocket(box):
    def script(talk):
        talk.send(b"\x01" + talk.receive_input())
        talk.exit(3)

    sandbox, wire = box(talking(script))
    result = sandbox.commands.run(["cat", "-"], input="é")
    assert isinstance(result, CommandResult)
    assert (result.stdout, result.exit_code) == ("é", 3)
    assert [request.target for request in wire.requests] == ["/exec/connect"]


def test_surprise_7_bytes_are_exact(box):
    def script(talk):
        talk.send(b"\x01\xff\x00")
        talk.send(b"\x02\xfe")
        talk.exit()

    sandbox, _ = box(talking(script))
    result = sandbox.commands.run("x", encoding=None)
    assert isinstance(result, CommandBytesResult)
    assert (result.stdout, result.stderr, result.exit_code) == (b"\xff\x00", b"\xfe", 0)


@pytest.mark.parametrize(
    ("timeout", "target"), [(60, "/exec"), (60.5, "/exec/stream"), (86_400, "/exec/stream")]
)
def test_surprise_21_what_may_be_silent_for_long_is_streamed(box, timeout, target):
    sandbox, wire = box(RAN if target == "/exec" else told(END))
    sandbox.commands.run("x", timeout_seconds=timeout)
    assert [request.target for request in wire.requests] == [target]


@pytest.mark.parametrize("timeout", [0, -1, 86_401, 5_000_000, math.inf, math.nan, True, "3", None])
def test_s16_surprise_23_a_timeout_that_cannot_be_meant_is_refused(box, timeout):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError, match="timeout_seconds"):
        sandbox.commands.run("x", timeout_seconds=timeout)
    assert wire.requests == []


def test_s15_the_servers_own_timeout_is_waited_for_and_told(box, monkeypatch):
    # Its clock is the only one that this needs.
    monkeypatch.setattr(output, "_SLACK_S", 2.0)
    sandbox, wire = box(reply(json={"stdout": "so far", "stderr": "", "exit_code": 124}))
    result = sandbox.commands.run("sleep 9", timeout_seconds=1)
    assert (result.exit_code, result.timed_out, result.stdout) == (124, True, "so far")
    assert wire.requests[0].json["timeout_s"] == 1


def test_surprise_4_a_program_may_exit_with_124_itself(box):
    sandbox, _ = box(reply(json={"stdout": "", "stderr": "", "exit_code": 124}))
    result = sandbox.commands.run("timeout 1 sleep 2", timeout_seconds=30)
    assert (result.exit_code, result.timed_out) == (124, False)


def test_surprise_7_what_the_server_has_cut_is_said_to_be_cut(box):
    sandbox, _ = box(reply(json={"stdout": "a", "stderr": "b", "exit_code": 0, "truncated": True}))
    assert (sandbox.commands.run("x")).truncated


def test_output_is_kept_up_to_a_bound_of_the_callers(box):
    sandbox, _ = box(told({"stdout": "abc"}, {"stdout": "def"}, END))
    given = []
    result = sandbox.commands.run("x", on_stdout=given.append, max_output_bytes=4)
    assert (result.stdout, result.truncated, given) == ("abcd", True, ["abc", "def"])


@pytest.mark.parametrize("most", [-1, 1.5, "9", True])
def test_a_bound_that_is_none_is_refused(box, most):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError, match="max_output_bytes"):
        sandbox.commands.run("x", max_output_bytes=most)
    assert wire.requests == []


def test_s43_an_argv_meets_no_shell(box):
    sandbox, wire = box(RAN)
    sandbox.commands.run(["echo", "$HOME; rm -rf /", ""])
    sandbox.commands.run(("pwd",))
    assert [request.json for request in wire.requests] == [
        {"command": "echo", "args": ["$HOME; rm -rf /", ""], "timeout_s": 30},
        {"command": "env", "args": ["--", "pwd"], "timeout_s": 30},
    ]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("", "command: must not be empty, got ''"),
        ("  ", "command: must not be empty, got '  '"),
        ([], "command: must not be empty"),
        ([""], "command[0]: must not be empty, got ''"),
        (["a=b"], "command: a program with '=' in its name cannot be run without arguments"),
        (["a", 1], "command[1]: expected a string, got int"),
        (["a", "\0"], "command[1]: must not contain a NUL character"),
        ("\ud800", "command: must not contain half of a surrogate pair"),
        (b"true", "command: expected a string for the shell or a sequence of strings, got bytes"),
        (None, "command: expected a string for the shell or a sequence of strings, got NoneType"),
        ({"a"}, "command: expected a string for the shell or a sequence of strings, got set"),
    ],
)
def test_s25_what_cannot_be_run_is_refused(box, command, text):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError) as caught:
        sandbox.commands.run(command)
    assert str(caught.value) == text
    assert wire.requests == []


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"A=B": "c"}, "env: a variable's name must not contain '='; pass the value separately"),
        ({"": "c"}, "env: a variable's name: must not be empty, got ''"),
        ({"A": 1}, "env['A']: expected a string, got int"),
        ({1: "a"}, "env: a variable's name: expected a string, got int"),
        ({"A": "\0"}, "env['A']: must not contain a NUL character"),
        ({"A": "\ud800"}, "env['A']: must not contain half of a surrogate pair"),
        ([("A", "b")], "env: expected a dict of strings, got list"),
    ],
)
def test_an_environment_that_cannot_be_is_refused(box, env, text):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError) as caught:
        sandbox.commands.run("x", env=env)
    assert str(caught.value) == text
    assert wire.requests == []


@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}, {"on_stdout": print}])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, 'resolve "x": executable file not found in PATH\n'),
        (500, 'internal: chdir to cwd ("/missing"): no such file or directory\n'),
    ],
)
def test_s1_a_command_that_cannot_start_is_an_error(box, how, status, body):
    sandbox, wire = box(reply(status, body, content_type="text/plain; charset=utf-8"))
    with pytest.raises(CommandStartError) as caught:
        sandbox.commands.run(["x", "y"], **how)
    assert body.strip() in str(caught.value)
    assert caught.value.status_code == status
    assert len(wire.requests) == 1


def test_s1_an_error_event_is_no_result_and_keeps_the_output(box):
    sandbox, _ = box(told({"stdout": "a"}, {"error": "gone", "code": "exec_failed", "finished": True}))
    with pytest.raises(CommandStartError, match="gone") as caught:
        sandbox.commands.run("x", timeout_seconds=99)
    assert (caught.value.code, caught.value.stdout) == ("exec_failed", "a")


def test_s1_an_answer_without_an_exit_code_is_no_success(box):
    sandbox, wire = box(reply(json={"stdout": "a", "stderr": ""}))
    with pytest.raises(OutcomeUnknownError, match="exit_code"):
        sandbox.commands.run("x")
    assert len(wire.requests) == 1


def test_s2_no_piece_of_output_is_lost_without_a_word(box):
    pieces = (
        b'data: {"stdout":"a\\n"}\n\n'
        + 'data: {"stdout":"b\x85c"}\n\n'.encode()
        + 'data: {"stdout":"d\u2028e"}\n\n'.encode()
        + b'data: {"stdout":\ndata: "f"}\n\n'
        + b": keepalive\n\n"
    )
    sandbox, _ = box(
        STREAM_HEAD + chunk(pieces) + chunk(b'data: {"stdout":"g\n\n') + chunk(sse(END)) + chunk(b"")
    )
    given = []
    with pytest.raises(OutcomeUnknownError, match="cannot be understood") as caught:
        sandbox.commands.run("x", on_stdout=given.append)
    assert given == ["a\n", "b\x85c", "d\u2028e", "f"]
    assert caught.value.stdout == "".join(given)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", r"the stream of its output broke: \S"),
        (chunk(sse({"stdout": "so far"})), r"the stream of its output broke: \S"),
        (chunk(sse({"stdout": "so far"})) + chunk(b""), "the stream ended without the command's end"),
        (
            chunk(sse({"stdout": "so far"})) + chunk(b'data: {"exit_code":0,"finished":true}'),
            r"the stream of its output broke: \S",
        ),
    ],
    ids=["nothing", "cut between chunks", "ended in order", "cut in the last event"],
)
def test_surprise_2_the_end_of_the_stream_is_not_the_end_of_the_command(box, body, why):
    sandbox, wire = box(cut(STREAM_HEAD + body))
    with pytest.raises(
        OutcomeUnknownError, match=f"^could not run 'x' in sandbox {SANDBOX_ID}: {why}"
    ) as caught:
        sandbox.commands.run("x", timeout_seconds=99)
    assert caught.value.stdout in ("", "so far")
    assert len(wire.requests) == 1


def test_s14_the_end_of_the_command_is_not_waited_beyond(box):
    sandbox, wire = box(stall(STREAM_HEAD + chunk(sse({"stdout": "a"}, END))))
    assert (sandbox.commands.run("x", timeout_seconds=99)).stdout == "a"
    wire.until(lambda: wire.open_connections == 0)


@given_time
def test_s13_surprise_22_keepalives_do_not_put_off_the_deadline(box, monkeypatch, *, longer):
    monkeypatch.setattr(commands, "MARGIN_S", -1 + 0.1 * longer)

    def script(peer, _request):
        peer.send(STREAM_HEAD + chunk(sse({"stdout": "a"})))
        peer.drip(chunk(b": keepalive\n\n") * 10_000, 0.001)

    sandbox, wire = box(script)
    with pytest.raises(OutcomeUnknownError) as caught:
        sandbox.commands.run("x", timeout_seconds=1, on_stdout=print)
    assert caught.value.stdout == "a"
    wire.until(lambda: wire.open_connections == 0)


@given_time
def test_the_time_of_callbacks_is_the_callers_own(box, monkeypatch, *, longer):
    monkeypatch.setattr(commands, "MARGIN_S", -1 + 0.1 * longer)
    sandbox, _ = box(told(*[{"stdout": "a"}] * 4, END))
    result = sandbox.commands.run("x", timeout_seconds=1, on_stdout=lambda _: time.sleep(0.04 * longer))
    assert result.stdout == "aaaa"


RAISED = ValueError("mine")


def fails(_text):
    raise RAISED


def hear(talk):
    talk.send(b"\x01a")
    talk.receive()


@pytest.mark.parametrize("how", [{}, {"input": ""}, {"encoding": None}])
def test_s11_what_a_callback_raises_comes_out_and_stops_the_command(box, how):
    sandbox, wire = box(talking(hear) if how else stall(STREAM_HEAD + chunk(sse({"stdout": "a"}))))
    with pytest.raises(ValueError, match="mine") as caught:
        sandbox.commands.run("x", on_stdout=fails, **how)
    assert caught.value is RAISED
    wire.until(lambda: wire.open_connections == 0)


@pytest.mark.parametrize("callback", [3, "print"])
def test_what_cannot_be_called_is_refused(box, callback):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError, match="on_stderr"):
        sandbox.commands.run("x", on_stderr=callback)
    assert wire.requests == []


@pytest.mark.parametrize("how", [{}, {"encoding": None}])
@pytest.mark.parametrize(
    "wrong", [{"check": 1}, {"check": "no"}, {"wake": None}, {"wake": []}, {"input": 5}, {"input": False}]
)
def test_a_wrong_option_of_a_command_is_refused_before_it_is_sent(box, how, wrong):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError, match=f"^{next(iter(wrong))}: expected"):
        sandbox.commands.run("x", **how, **wrong)
    assert wire.requests == []


def test_a_wrong_flag_of_a_session_or_a_wait_is_refused(box):
    sandbox, wire = box(RAN)
    for call in (lambda: sandbox.commands.spawn("x", wake=1), lambda: sandbox.wait_for_port(80, wake=1)):
        with pytest.raises(ValidationError, match=r"^wake: expected True or False, got int"):
            call()
    assert wire.requests == []


def test_check_raises_what_a_failed_command_came_to(box):
    sandbox, _ = box(reply(json={"stdout": "a", "stderr": "no such thing", "exit_code": 3}))
    with pytest.raises(CommandError) as caught:
        sandbox.commands.run("secret-word x", check=True)
    assert str(caught.value) == f"could not run 'secret-word' in sandbox {SANDBOX_ID}: it exited with 3"
    assert (caught.value.result.exit_code, caught.value.result.stderr) == (3, "no such thing")


@pytest.mark.parametrize("encoding", ["latin-1", "", 3])
def test_output_is_text_in_utf_8_or_bytes(box, encoding):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError, match="encoding"):
        sandbox.commands.run("x", encoding=encoding)
    assert wire.requests == []


def test_s3_what_may_have_run_is_not_run_again(box):
    for answer in (
        reply(502, "sandbox unreachable\n", content_type="text/plain"),
        reply(502, "<html>no</html>", content_type="text/html"),
        reply(503, "upstream connect error\n", content_type="text/plain"),
        reply(503, json=envelope("service_unavailable", "Busy.")),
        reply(504),
        reply(200, "<html>", content_type="text/html"),
        reply(204),
        cut(),
        cut(RAN[:-5]),
    ):
        for how in ({}, {"timeout_seconds": 99}):
            sandbox, wire = box(answer)
            with pytest.raises(OutcomeUnknownError, match="may have run") as caught:
                sandbox.commands.run("x", **how)
            assert "<html" not in str(caught.value)
            assert len(wire.requests) == 1
            assert wire.activations.count == 0


@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}])
@pytest.mark.parametrize(
    "answer",
    [
        reply(401, "missing X-Access-Token header\n", content_type="text/plain"),
        reply(404, json=envelope("sandbox_route_stale", "It has moved.")),
        reply(503, json=envelope("sandbox_unavailable", "It is paused.")),
        reply(503, "sandbox is stopped\n", content_type="text/plain"),
    ],
)
def test_surprise_11_a_sandbox_is_woken_once_and_the_command_sent_again_with_the_new_token(box, how, answer):
    sandbox, wire = box(answer, told(END) if how else RAN)
    assert (sandbox.commands.run("x", **how)).ok
    assert wire.activations.count == 1
    assert [request.headers["x-access-token"] for request in wire.requests] == [TOKEN, f"{1:064x}"]

    sandbox, wire = box(answer)
    with pytest.raises(SandboxError):
        sandbox.commands.run("x", **how)
    assert wire.activations.count == 1
    assert len(wire.requests) == 2


@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(403, "no\n", content_type="text/plain"), AuthenticationError),
        (reply(404, "404 page not found\n", content_type="text/plain"), NotFoundError),
        (reply(405, "method not allowed\n", content_type="text/plain"), SandboxError),
        (reply(413, "request body too large\n", content_type="text/plain"), SandboxError),
        (reply(429, json=envelope("too_many_sandboxes", "At most 50.")), RateLimitError),
        (reply(307, headers={"Location": "/elsewhere"}), SandboxError),
    ],
)
def test_s6_what_was_refused_for_good_is_raised_at_once(box, how, answer, kind):
    sandbox, wire = box(answer)
    with pytest.raises(kind) as caught:
        sandbox.commands.run("x", **how)
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert len(wire.requests) == 1
    assert wire.activations.count == 0


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}])
@pytest.mark.parametrize(
    "answer",
    [
        reply(429, "too many connections to sandbox\n", content_type="text/plain"),
        reply(429, json=envelope("rate_limited", "Slow down.")),
    ],
)
def test_surprise_28_what_was_refused_for_now_is_sent_again(box, how, answer):
    sandbox, wire = box(answer, answer, told(END) if how else RAN)
    assert (sandbox.commands.run("x", **how)).ok
    assert len(wire.requests) == 3


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}, {"input": ""}])
def test_surprise_28_what_is_refused_for_now_five_times_is_raised(box, how):
    sandbox, wire = box(reply(429, "too many connections to sandbox\n", content_type="text/plain"))
    with pytest.raises(RateLimitError):
        sandbox.commands.run("x", **how)
    assert len(wire.requests) == 5


def test_a_port_is_waited_for_by_one_command_without_a_line_for_the_shell(box):
    sandbox, wire = box(RAN)
    sandbox.wait_for_port(8080, timeout_s=5)
    [request] = wire.requests
    assert request.json["command"] == "/bin/sh"
    assert request.json["args"][-2:] == ["sh", "1F90"]
    assert request.json["timeout_s"] == 5


def test_a_port_on_which_nothing_listens_is_a_timeout(box):
    sandbox, _ = box(reply(json={"stdout": "", "stderr": "", "exit_code": 124}))
    with pytest.raises(SandboxTimeoutError, match="nothing listens"):
        sandbox.wait_for_port(8080, timeout_s=1)


@pytest.mark.parametrize("port", [0, 65536, -1, "80", 80.0, True])
def test_what_is_no_port_is_refused(box, port):
    sandbox, wire = box(RAN)
    with pytest.raises(ValidationError, match="port"):
        sandbox.wait_for_port(port)
    assert wire.requests == []


def test_s26_the_token_is_in_no_error(box, caplog):
    caplog.set_level(0)
    said = f"no such token: {TOKEN}\n"
    for answer in (
        reply(403, said, content_type="text/plain"),
        reply(502, said, content_type="text/plain"),
        cut(),
    ):
        for how in ({}, {"timeout_seconds": 99}, {"input": ""}):
            sandbox, _ = box(answer)
            with pytest.raises(SandboxError) as caught:
                sandbox.commands.run("x", **how)
            shown = "".join(traceback.format_exception(caught.value))
            assert TOKEN not in shown + repr(caught.value) + repr(caught.value.headers)
    assert TOKEN not in caplog.text


def test_errors_name_the_command_and_no_more_of_it(box):
    for command, name in (
        ("curl -H secret", "run 'curl' in"),
        ("TOKEN=secret curl", "run 'TOKEN=…' in"),
        (["curl", "secret"], "run 'curl' in"),
        ("x" * 100 + "secret", f"run '{'x' * 40}…' in"),
    ):
        sandbox, _ = box(cut())
        with pytest.raises(OutcomeUnknownError) as caught:
            sandbox.commands.run(command)
        assert name in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("timeout_s", [30, 90])
@pytest.mark.parametrize("why", ["no such file or directory", "permission denied"])
def test_a_port_cannot_be_waited_for_without_a_shell(box, why, timeout_s):
    text = f"internal: fork/exec /bin/sh: {why}\n"
    sandbox, _ = box(reply(500, text, content_type="text/plain"))
    with pytest.raises(CommandStartError) as caught:
        sandbox.wait_for_port(80, timeout_s)
    assert str(caught.value).startswith(
        f"could not wait for port 80 of sandbox {SANDBOX_ID}: internal: fork/exec /bin/sh: {why}"
    )
    assert "takes a /bin/sh" in caught.value.hint


def test_a_port_whose_waiting_was_cut_short_may_be_waited_for_again(box):
    sandbox, _ = box(cut())
    with pytest.raises(OutcomeUnknownError) as caught:
        sandbox.wait_for_port(80)
    assert str(caught.value).startswith(f"could not wait for port 80 of sandbox {SANDBOX_ID}")
    assert caught.value.hint == "waiting again is safe"


def test_a_port_cannot_be_waited_for_where_the_shell_cannot_look(box):
    sandbox, _ = box(reply(json={"stdout": "", "stderr": "no sleep", "exit_code": 1}))
    with pytest.raises(CommandError, match="no sleep"):
        sandbox.wait_for_port(80)


def test_an_exit_code_that_no_program_has_is_none(box):
    sandbox, _ = box(reply(json={"stdout": "", "stderr": "", "exit_code": 10**30}))
    with pytest.raises(OutcomeUnknownError, match="exit code"):
        sandbox.commands.run("x")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (5, "data: expected a string or bytes, got int"),
        (None, "data: expected a string or bytes, got NoneType"),
        (["a"], "data: expected a string or bytes, got list"),
        ("\ud800", "data: must not contain half of a surrogate pair"),
    ],
)
def test_what_is_no_input_is_refused(box, data, text):
    sandbox, _ = box(talking(lambda talk: talk.receive()))
    with sandbox.commands.spawn("x") as session:
        with pytest.raises(ValidationError, match=text):
            session.stdin.write(data)


@pytest.mark.parametrize("how", [{}, {"timeout_seconds": 99}, {"input": ""}])
def test_an_error_of_waking_the_sandbox_is_none_of_the_command(box, how):
    sandbox, wire = box(reply(503, json=envelope("sandbox_unavailable", "It is paused.")))
    raised = ServerError("internal: no", status_code=500)

    def refresh(_wake):
        raise raised

    sandbox._data.refresh = refresh
    with pytest.raises(ServerError) as caught:
        sandbox.commands.run("x", **how)
    assert caught.value is raised
    assert len(wire.requests) == 1
