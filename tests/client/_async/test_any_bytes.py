"""Whatever bytes there are, and wherever an answer is cut."""

import json
import os
import threading

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from superserve import CommandStream, OutcomeUnknownError, SandboxConnectionError
from tests.talk import talking
from tests.wire import STREAM_HEAD, chunk, cut, head, reset, sse

# `nox -s tests_slow` tries more.
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "30"))

few = settings(
    max_examples=max(EXAMPLES // 2, 1),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


# --- there and back ---------------------------------------------------------------------------------------------------


def echo(talk):
    talk.send(b"\x01" + talk.receive_input())
    talk.exit()


@few
@given(data=st.binary(max_size=100_000))
async def test_any_bytes_come_back_through_stdin(box, data):
    sandbox, wire = await box(talking(echo))
    result = await sandbox.commands.run(["cat", "-"], input=data, encoding=None)
    assert result.stdout == data
    wire.__exit__()


@few
@given(
    written=st.lists(st.binary(max_size=2000), max_size=8),
    said=st.lists(
        st.tuples(st.sampled_from(CommandStream), st.binary(min_size=1, max_size=2000)), max_size=8
    ),
    fragments=st.integers(1, 3),
)
async def test_any_bytes_in_any_pieces_go_both_ways(box, written, said, fragments):
    heard = []

    def script(talk):
        heard.append(talk.receive_input())
        for stream, data in said:
            talk.send((b"\x01" if stream is CommandStream.STDOUT else b"\x02") + data, fragments=fragments)
        talk.exit(7)

    sandbox, wire = await box(talking(script))
    async with await sandbox.commands.spawn("x") as session:
        for data in written:
            await session.stdin.write(data)
        await session.stdin.close()
        outputs = [(output.stream, output.data) async for output in session]
        assert (await session.wait()).exit_code == 7
    assert heard == [b"".join(written)]
    assert outputs == said
    wire.__exit__()


@few
@given(
    content=st.binary(max_size=100_000),
    folders=st.lists(names, max_size=2),
    name=names,
    atomic=st.booleans(),
)
@example(content=b"", folders=["a b"], name="%2e%2e", atomic=False)
@example(content=b"\r\n", folders=[], name="?a=b&c#d;e", atomic=True)
async def test_any_content_at_any_path_comes_back(box, content, folders, name, atomic):
    stored = {}
    lock = threading.Lock()

    def answer(peer, request):
        with lock:
            if request.path == "/exec":
                source, target = request.json["args"][-2:]
                stored[target] = stored.pop(source)
                body = b'{"stdout":"","stderr":"","exit_code":0}'
            elif request.method == "POST":
                [path] = request.query["path"]
                stored[path] = request.body
                body = json.dumps({"path": path, "size": len(request.body)}).encode()
            else:
                body = stored[request.query["path"][0]]
        peer.send(head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}) + body)

    sandbox, wire = await box(answer)
    path = "/".join(["/home", *folders, name])
    await sandbox.files.write(path, content, atomic=atomic)
    assert await sandbox.files.read(path) == content
    assert list(stored) == [path]
    wire.__exit__()


# --- cut --------------------------------------------------------------------------------------------------------------

PIECES = ["so ", "far: é", "\u2028\x85", "!"]


def stream_of(pieces):
    """Return the stream of a command that has succeeded, and at which byte each piece is complete."""
    whole, ends = STREAM_HEAD, []
    for piece in pieces:
        whole += chunk(sse({"stdout": piece}))
        # What follows the event's empty line is the end of the chunk.
        ends.append(len(whole) - 2)
    # The last event ends with an empty line, which is left out here.
    return whole + chunk(sse({"exit_code": 0, "finished": True})).removesuffix(b"\n\r\n"), ends


async def check_stream(box, pieces, at, end=cut):
    """Cut a stream at a byte: what came before it is heard and kept, and there is no result."""
    whole, ends = stream_of(pieces)
    sandbox, wire = await box(end(whole[:at]))
    given = []
    with pytest.raises(OutcomeUnknownError) as caught:
        await sandbox.commands.run("x", on_stdout=given.append)
    heard = "".join(piece for piece, complete_at in zip(pieces, ends, strict=True) if complete_at <= at)
    assert caught.value.stdout == "".join(given)
    if end is cut:
        assert caught.value.stdout == heard
    else:
        # A reset takes away what has come and was not read yet.
        assert heard.startswith(caught.value.stdout)
    assert (len(wire.requests), wire.activations.count) == (1, 0)
    wire.__exit__()


@few
@given(
    pieces=st.lists(st.text(min_size=1, max_size=20), max_size=5),
    at=st.floats(0, 1),
    end=st.sampled_from([cut, reset]),
)
async def test_a_stream_that_is_cut_anywhere_gives_the_output_so_far_and_no_result(box, pieces, at, end):
    pieces = [piece.encode(errors="replace").decode() for piece in pieces]
    await check_stream(box, pieces, round(at * len(stream_of(pieces)[0])), end)


@pytest.mark.slow
@pytest.mark.parametrize("tenth", range(10))
async def test_a_stream_that_is_cut_at_each_byte_gives_the_output_so_far_and_no_result(box, tenth):
    for at in range(tenth, len(stream_of(PIECES)[0]) + 1, 10):
        await check_stream(box, PIECES, at)


async def check_websocket(box, said, at):
    """Cut a WebSocket after a share of what comes after its handshake."""
    ends = []

    def script(talk):
        sent = []
        talk.peer.send, send = sent.append, talk.peer.send
        for stream, data in said:
            talk.send((b"\x01" if stream is CommandStream.STDOUT else b"\x02") + data)
            ends.append(len(b"".join(sent)))
        talk.send('{"exit_code":0,"finished":true}')
        whole = b"".join(sent)
        # One byte is missing at least.
        ends.append(round(at * (len(whole) - 1)))
        send(whole[: ends[-1]])

    sandbox, wire = await box(talking(script))
    out, err = [], []
    with pytest.raises(OutcomeUnknownError) as caught:
        await sandbox.commands.run("x", encoding=None, on_stdout=out.append, on_stderr=err.append)
    heard = [piece for piece, complete_at in zip(said, ends, strict=False) if complete_at <= ends[-1]]
    for stream, told, kept in (
        (CommandStream.STDOUT, out, caught.value.stdout),
        (CommandStream.STDERR, err, caught.value.stderr),
    ):
        assert b"".join(told) == kept == b"".join(data for of, data in heard if of is stream)
    assert (len(wire.requests), wire.activations.count) == (1, 0)
    wire.__exit__()


@few
@given(
    said=st.lists(st.tuples(st.sampled_from(CommandStream), st.binary(min_size=1, max_size=300)), max_size=5),
    at=st.floats(0, 1),
)
async def test_a_websocket_that_is_cut_anywhere_gives_the_output_so_far_and_no_result(box, said, at):
    await check_websocket(box, said, at)


@pytest.mark.slow
async def test_a_websocket_that_is_cut_at_each_byte_gives_the_output_so_far_and_no_result(box):
    said = [
        (CommandStream.STDOUT, "é".encode()),
        (CommandStream.STDERR, b"x" * 130),
        (CommandStream.STDOUT, b"\xff"),
    ]
    for at in range(170):
        await check_websocket(box, said, at / 170)


ANSWER = json.dumps({"stdout": "a" * 20, "stderr": "", "exit_code": 0}).encode()
PLAIN = head(200, {"Content-Type": "application/json", "Content-Length": str(len(ANSWER))}) + ANSWER
CHUNKED = (
    head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    + chunk(ANSWER[:30])
    + chunk(ANSWER[30:])
    + chunk(b"")
)


async def check_answer(box, whole, at):
    sandbox, wire = await box(cut(whole[:at]))
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("x")
    assert (len(wire.requests), wire.activations.count) == (1, 0)
    wire.__exit__()


@few
@given(whole=st.sampled_from([PLAIN, CHUNKED]), at=st.floats(0, 1))
async def test_an_answer_that_is_cut_anywhere_is_never_a_result(box, whole, at):
    await check_answer(box, whole, round(at * (len(whole) - 1)))


@pytest.mark.slow
async def test_an_answer_that_is_cut_at_each_byte_is_never_a_result(box):
    for whole in (PLAIN, CHUNKED):
        for at in range(len(whole)):
            await check_answer(box, whole, at)


@pytest.mark.usefixtures("no_backoff")
@few
@given(at=st.floats(0, 1), is_chunked=st.booleans())
async def test_a_file_that_is_cut_anywhere_is_never_read(box, at, is_chunked):
    data = bytes(range(256))
    how = {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": "256"}
    whole = head(200, how) + (chunk(data[:99]) + chunk(data[99:]) + chunk(b"") if is_chunked else data)
    sandbox, wire = await box(cut(whole[: round(at * (len(whole) - 1))]), max_attempts=1)
    with pytest.raises(SandboxConnectionError):
        await sandbox.files.read("/x")
    wire.__exit__()
