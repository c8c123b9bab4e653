# Written by scripts/unasync.py from tests/client/_async/test_any_bytes.py. Do not edit: change that, then run `nox -s generate`.
"""Whatever bytes there are, and wherever an answer is cut."""

import json
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from superserve import OutcomeUnknownError
from tests.talk import talking
from tests.wire import STREAM_HEAD, chunk, cut, sse

few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def echo(talk):
    talk.send(b"\x01" + talk.receive_input())
    talk.exit()


@few
@given(data=st.binary(max_size=100_000))
def test_any_bytes_come_back_through_stdin(box, data):
    sandbox, wire = box(talking(echo))
    result = sandbox.commands.run(["cat", "-"], input=data, encoding=None)
    assert result.stdout == data
    wire.__exit__()


END = json.dumps({"exit_code": 0, "finished": True})
PIECES = ["so ", "far: é", "\u2028\x85", "!"]


@few
@given(at=st.floats(0, 1))
def test_a_stream_that_is_cut_anywhere_is_never_a_result(box, at):
    whole = STREAM_HEAD + b"".join(chunk(sse({"stdout": piece})) for piece in PIECES)
    # The last event ends with an empty line; what comes after it is the end of its chunk.
    whole += chunk(sse({"exit_code": 0, "finished": True})).removesuffix(b"\n\r\n")
    sandbox, wire = box(cut(whole[: round(at * len(whole))]))
    given = []
    with pytest.raises(OutcomeUnknownError) as caught:
        sandbox.commands.run("x", on_stdout=given.append)
    assert "".join(PIECES).startswith(caught.value.stdout)
    assert caught.value.stdout == "".join(given)
    assert len(wire.requests) == 1
    wire.__exit__()


@few
@given(at=st.floats(0, 1, exclude_max=True))
def test_a_websocket_that_is_cut_anywhere_is_never_a_result(box, at):
    def script(talk):
        sent = []
        talk.peer.send, send = sent.append, talk.peer.send
        for piece in PIECES:
            talk.send(b"\x01" + piece.encode())
        talk.send(END)
        whole = b"".join(sent)
        send(whole[: int(at * len(whole))])

    sandbox, wire = box(talking(script))
    with pytest.raises(OutcomeUnknownError) as caught:
        sandbox.commands.run("x", input="")
    assert "".join(PIECES).startswith(caught.value.stdout.rstrip("\ufffd"))
    wire.__exit__()


@few
@given(at=st.integers(0, 200))
def test_an_answer_that_is_cut_anywhere_is_never_a_result(box, at):
    body = json.dumps({"stdout": "a" * 20, "stderr": "", "exit_code": 0}).encode()
    whole = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    sandbox, wire = box(cut(whole[: at % len(whole)]))
    with pytest.raises(OutcomeUnknownError):
        sandbox.commands.run("x")
    wire.__exit__()


@few
@given(
    content=st.binary(max_size=100_000),
    name=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
    ).filter(lambda name: name not in (".", "..")),
)
def test_any_content_at_any_path_comes_back(box, content, name):
    stored = {}
    lock = threading.Lock()

    def answer(peer, request):
        [path] = request.query["path"]
        with lock:
            if request.method == "POST":
                stored[path] = request.body
                body = json.dumps({"path": path, "size": len(request.body)}).encode()
            else:
                body = stored[path]
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    sandbox, wire = box(answer)
    sandbox.files.write(f"/home/{name}", content)
    assert sandbox.files.read(f"/home/{name}") == content
    assert list(stored) == [f"/home/{name}"]
    wire.__exit__()
