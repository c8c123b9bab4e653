"""What can be written to a file: as which pieces it is sent, whether a second time, and why not."""

import io

import pytest

from superserve import SandboxError, ValidationError
from superserve._sources import PIECE, source

KINDS = "a string, bytes, a path on this machine, a file opened with 'rb', or an iterable of bytes"
LONG = bytes(range(256)) * (PIECE // 256) + b"the rest"


class Pipe:
    """What can be read, once."""

    def __init__(self, *pieces):
        self._pieces = [*pieces, b""]

    def read(self, size):
        assert size == PIECE
        return self._pieces.pop(0)


@pytest.mark.parametrize("content", ["é", "é".encode(), bytearray("é".encode()), memoryview("é".encode())])
def test_what_is_short_and_in_memory_is_sent_as_one_with_its_size(content):
    made = source("content", content)
    assert (made.whole(), made.size) == ("é".encode(), 2)


def test_what_is_long_is_sent_in_pieces_of_one_size(tmp_path):
    (tmp_path / "x").write_bytes(LONG)
    for content in (LONG, tmp_path / "x", io.BytesIO(LONG), Pipe(LONG[:PIECE], LONG[PIECE:])):
        made = source("content", content)
        assert made.whole() is None
        assert [*made] == [LONG[:PIECE], LONG[PIECE:]]
        assert made.size == (None if isinstance(content, Pipe) else len(LONG))
    assert source("content", LONG[:PIECE]).whole() == LONG[:PIECE]


def test_a_file_counts_from_where_it_stands_and_is_sent_again_from_there():
    file = io.BytesIO(b"abcdef")
    file.seek(2)
    made = source("content", file)
    assert (made.size, file.tell()) == (4, 2)
    assert [*made] == [*made] == [b"cdef"]
    file.seek(10)
    assert source("content", file).size == 0


def test_a_list_is_sent_again():
    made = source("content", [b"a", bytearray(b"b")])
    assert [*made] == [*made] == [b"a", b"b"]


@pytest.mark.parametrize("once", [lambda: Pipe(b"a"), lambda: iter([b"a"])])
def test_what_can_be_read_only_once_is_not_sent_again(once):
    made = source("content", once())
    assert [*made] == [b"a"]
    with pytest.raises(SandboxError) as caught:
        next(iter(made))
    assert str(caught.value) == (
        "content: must be sent again, and it could be read only once; "
        "pass bytes, a path, or a file that can seek"
    )


@pytest.mark.parametrize("content", [Pipe("a"), ["a"], iter(["a"])])
def test_pieces_of_text_are_refused_by_name(content):
    with pytest.raises(ValidationError, match=r"^content: expected pieces of bytes, got str$"):
        next(iter(source("content", content)))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("\ud800", "content: must not contain half of a surrogate pair"),
        (io.StringIO("a"), "content: the file is opened as text; open it with 'rb'"),
        (5, f"content: expected {KINDS}, got int"),
    ],
)
def test_what_has_no_bytes_is_refused_with_what_is_wanted(content, text):
    with pytest.raises(ValidationError) as caught:
        source("content", content)
    assert str(caught.value) == text


def test_a_path_to_what_is_no_file_is_refused_with_what_it_is(tmp_path):
    for path, what in ((tmp_path, "is a directory"), (tmp_path / "x", "is missing")):
        with pytest.raises(ValidationError) as caught:
            source("content", path)
        assert str(caught.value) == f"content: {str(path)!r} {what}"


def test_a_file_that_goes_away_before_it_is_read_is_told(tmp_path):
    path = tmp_path / "x"
    path.touch()
    made = source("content", path)
    path.unlink()
    with pytest.raises(ValidationError) as caught:
        next(iter(made))
    assert str(caught.value) == f"content: cannot read {str(path)!r}: No such file or directory"


def test_a_path_that_the_system_refuses_to_look_at_is_told(tmp_path):
    name = "x" * 300
    with pytest.raises(ValidationError, match=rf"^content: .*{name}"):
        source("content", tmp_path / name)
