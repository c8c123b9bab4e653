"""What a command's event stream and WebSocket say, and the bytes that are sent to the latter."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import CommandOutput, CommandStream, ValidationError
from superserve._streams import exec as messages
from superserve._streams.exec import Exit, Failure, NoEventError, Text, read_frame, read_message

OUT, ERR = CommandStream.STDOUT, CommandStream.STDERR


def said(**fields):
    return read_message(json.dumps(fields))


def test_a_message_is_a_piece_of_one_of_the_streams():
    assert said(stdout="a\n", timestamp="2026-05-01T12:00:00Z") == [Text(OUT, "a\n")]
    assert said(stderr="b") == [Text(ERR, "b")]


def test_a_message_may_hold_line_separators_that_are_no_ends_of_lines():
    assert read_message('{"stdout":"a\x85b\u2028c"}') == [Text(OUT, "a\x85b\u2028c")]


def test_half_of_a_surrogate_pair_becomes_a_replacement_character():
    assert read_message(r'{"stdout":"a\ud83d"}') == [Text(OUT, "a\ufffd")]


@pytest.mark.parametrize("fields", [{}, {"stdout": None}, {"stdout": ""}, {"later": 1}, {"stdout": 5}])
def test_a_message_without_anything_known_says_nothing(fields):
    assert said(**fields) == []


def test_the_last_message_has_the_exit_code():
    assert said(finished=True, exit_code=3, timestamp="2026-05-01T12:00:00Z") == [Exit(3)]
    assert said(finished=True, exit_code="7") == [Exit(7)]


@pytest.mark.parametrize("exit_code", [None, True, "", "x", "²", 1.5, [], "9" * 5000, 10**30])
def test_an_end_without_an_exit_code_is_no_success(exit_code):
    [end] = said(finished=True, exit_code=exit_code)
    assert isinstance(end, Failure)
    assert end.has_started


def test_output_in_the_last_message_comes_before_the_end():
    assert said(stdout="a", finished=True, exit_code=0) == [Text(OUT, "a"), Exit(0)]


@pytest.mark.parametrize("code", ["bad_request", "exec_failed"])
def test_s1_a_command_that_could_not_start_has_no_exit_code(code):
    assert said(error="no such program", code=code, finished=True) == [
        Failure("no such program", code, has_started=False)
    ]
    assert read_frame(json.dumps({"error": "no such program", "code": code, "finished": True})) == [
        Failure("no such program", code, has_started=False)
    ]


def test_s31_an_error_without_finished_keeps_its_code():
    assert said(error="the sandbox is gone", code="gone") == [
        Failure("the sandbox is gone", "gone", has_started=True)
    ]


@pytest.mark.parametrize("data", ["", "{", '{"stdout":"a', "[" * 100_000, "{} {}"])
def test_a_message_that_is_no_json_is_named(data):
    with pytest.raises(NoEventError, match=r"^it is not JSON$"):
        read_message(data)


@pytest.mark.parametrize("data", ["", "5", "[]", "null", '"x"', "{", '{"stdout":"a', "[" * 100_000])
def test_a_message_that_is_no_object_is_never_passed_over(data):
    with pytest.raises(NoEventError):
        read_message(data)


def test_frames_of_bytes_are_output_and_exact():
    assert read_frame(b"\x01a\xff\x00") == [CommandOutput(OUT, b"a\xff\x00")]
    assert read_frame(b"\x02b") == [CommandOutput(ERR, b"b")]


@pytest.mark.parametrize("frame", [b"", b"\x01", b"\x07later", "{}"])
def test_frames_that_say_nothing_known_are_passed_over(frame):
    assert read_frame(frame) == []


def test_a_frame_of_text_tells_the_end():
    assert read_frame('{"exit_code":0,"finished":true}') == [Exit(0)]


@pytest.mark.parametrize("frame", ["", "5", "command exited"])
def test_a_frame_of_text_that_is_no_object_is_never_passed_over(frame):
    with pytest.raises(NoEventError):
        read_frame(frame)


def test_the_frames_to_the_server_have_just_these_bytes():
    assert messages.start_frame({"command": "é", "timeout_s": 3}) == '{"command":"é","timeout_s":3}'
    assert list(messages.stdin_frames(b"ab")) == [b"\x00ab"]
    assert messages.stdin_close_frame() == '{"type":"stdin_close"}'
    assert messages.signal_frame("SIGINT") == '{"type":"signal","name":"SIGINT"}'


def test_no_input_takes_no_frame():
    assert list(messages.stdin_frames(b"")) == []


@given(st.binary(max_size=200_000))
def test_input_is_cut_into_frames_that_old_servers_take_and_put_together_again(data):
    frames = list(messages.stdin_frames(memoryview(data)))
    assert all(frame[0] == 0 and 1 < len(frame) <= 32 * 1024 + 1 for frame in frames)
    assert b"".join(frame[1:] for frame in frames) == data


def test_s36_a_start_that_is_too_long_is_refused_before_it_is_sent():
    with pytest.raises(ValidationError, match=r"files\.write"):
        messages.start_frame({"command": "x" * messages.LONGEST_START})
