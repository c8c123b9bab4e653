"""What is kept of a command's output, and how its bytes become text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import CommandOutput, CommandResult, CommandStream
from superserve._streams.exec import Exit, Text
from superserve._streams.output import BytesOutput, TextOutput

OUT, ERR = CommandStream.STDOUT, CommandStream.STDERR


def out(data):
    return CommandOutput(OUT, data) if isinstance(data, bytes) else Text(OUT, data)


def err(data):
    return CommandOutput(ERR, data) if isinstance(data, bytes) else Text(ERR, data)


def test_both_streams_are_kept_apart():
    output = TextOutput(100)
    assert [output.add(piece) for piece in (out("a"), err("b"), out("c"))] == ["a", "b", "c"]
    assert (output.stdout, output.stderr, output.truncated) == ("ac", "b", False)


def test_a_character_that_comes_in_parts_is_handed_out_whole():
    output = TextOutput(100)
    assert [output.add(out(bytes([byte]))) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert output.finish() == []
    assert output.stdout == "é€"


def test_streams_do_not_share_the_parts_of_characters():
    output = TextOutput(100)
    first, second = "é".encode()
    output.add(out(bytes([first])))
    assert output.add(err(b"x")) == "x"
    assert output.add(out(bytes([second]))) == "é"


def test_s35_a_character_that_is_never_completed_reaches_the_caller_as_well():
    output = TextOutput(100)
    given = [output.add(out(b"a\xe2\x82"))]
    given += [text for _, text in output.finish()]
    assert "".join(given) == output.stdout == "a\ufffd"


@given(st.lists(st.tuples(st.sampled_from([OUT, ERR]), st.binary(max_size=8)), max_size=20))
def test_what_the_caller_is_given_is_what_is_kept(pieces):
    output = TextOutput(1000)
    given = [(stream, output.add(CommandOutput(stream, data))) for stream, data in pieces]
    given += output.finish()
    for stream, kept in ((OUT, output.stdout), (ERR, output.stderr)):
        assert "".join(text for of, text in given if of is stream) == kept
        assert kept == b"".join(data for of, data in pieces if of is stream).decode(errors="replace")


@given(st.lists(st.binary(max_size=8), max_size=20), st.integers(0, 60))
def test_bytes_are_kept_up_to_the_bound_and_handed_out_beyond_it(pieces, most):
    output = BytesOutput(most)
    assert [output.add(out(piece)) for piece in pieces] == pieces
    whole = b"".join(pieces)
    assert output.stdout == whole[:most]
    assert output.truncated == (len(whole) > most)


@given(st.lists(st.text(max_size=4), max_size=20), st.integers(0, 60))
def test_text_is_kept_up_to_the_bound_in_whole_characters(pieces, most):
    output = TextOutput(most)
    assert [output.add(out(piece)) for piece in pieces] == pieces
    whole = "".join(pieces)
    assert output.truncated == (len(whole.encode()) > most)
    assert output.stdout == whole.encode()[:most].decode(errors="ignore")


def test_what_is_kept_has_no_holes():
    output = TextOutput(3)
    for piece in (out("ab"), err("cd"), out("e"), err("f")):
        output.add(piece)
    assert (output.stdout, output.stderr, output.truncated) == ("ab", "c", True)


@pytest.mark.parametrize(
    ("code", "timeout_s", "duration_s", "timed_out"),
    [
        (124, 2, 2.01, True),
        (124, 2, 1.99, True),
        (124, 2, 0.5, False),
        (124, None, 99.0, False),
        (137, 2, 3.0, False),
    ],
)
def test_only_the_timeouts_own_code_at_its_time_is_called_a_timeout(code, timeout_s, duration_s, timed_out):
    result = TextOutput(9).result(Exit(code), timeout_s=timeout_s, duration_s=duration_s)
    assert result == CommandResult(code, "", "", False, timed_out, duration_s)
    assert not result.ok
