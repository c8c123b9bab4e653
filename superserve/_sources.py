"""Content to write to a file of a sandbox: pieces of bytes that can be counted and, usually, sent again."""

import io
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from superserve.errors import SandboxError, ValidationError

PIECE: Final = 256 * 1024
"""Bytes to read and send at once."""

_KINDS: Final = "a string, bytes, a path on this machine, a file opened with 'rb', or an iterable of bytes"


class Readable(Protocol):
    """A file opened for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        ...


Content = str | bytes | bytearray | memoryview | os.PathLike[str] | Readable | Iterable[bytes]
"""The content that `files.write` accepts."""

AsyncContent = Content | AsyncIterable[bytes]
"""The same in async code."""


class Source:
    """Bytes to send. Iterate over it, in sync or async code, to get them from the start.

    Attributes:
        size: The number of bytes, if it is known.
    """

    size: int | None = None

    def whole(self) -> bytes | None:
        """Return all bytes if they are few and in memory: then the request can declare their number."""
        return None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, from the start.

        Raises:
            SandboxError: The bytes could be read only once, and have been read.
        """
        raise NotImplementedError

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the bytes in async code."""
        for piece in self:
            yield piece


def source(argument: str, content: object, kind: type = Iterable) -> Source:
    """Return the source for some content.

    Args:
        argument: The argument's name, for errors.
        content: The content that the caller passed.
        kind: Which iterables are allowed: AsyncIterable allows both kinds.

    Raises:
        ValidationError: The content has no bytes.
    """
    if isinstance(content, str):
        try:
            return _Buffer(memoryview(content.encode()))
        except UnicodeEncodeError:
            raise ValidationError(f"{argument}: must not contain half of a surrogate pair") from None
    if isinstance(content, os.PathLike):
        return LocalFile(argument, Path(content))
    if isinstance(content, io.TextIOBase):
        raise ValidationError(f"{argument}: the file is opened as text; open it with 'rb'")
    # Before the check for `read`, which is a coroutine function if an async library has opened the file.
    if kind is AsyncIterable and isinstance(content, AsyncIterable):
        return _AwaitedPieces(argument, content)
    if callable(getattr(content, "read", None)):
        return _OpenFile(argument, content)  # type: ignore[arg-type]  # what it reads is checked
    try:
        # This includes arrays. Iterating over an array would give numbers.
        view = memoryview(content)  # type: ignore[arg-type]  # raises TypeError without a buffer
    except TypeError:
        # Iterating over a dict would send its keys.
        if isinstance(content, Iterable) and not isinstance(content, Mapping):
            return _Pieces(argument, content)
        raise ValidationError(f"{argument}: expected {_KINDS}, got {type(content).__name__}") from None
    return _Buffer(view)


class LocalFile(Source):
    """A file of this machine. It is opened for each attempt."""

    def __init__(self, argument: str, path: Path) -> None:
        self._argument = argument
        self._path = path
        try:
            if not path.is_file():
                what = (
                    "a directory" if path.is_dir() else "not a regular file" if path.exists() else "missing"
                )
                raise ValidationError(f"{argument}: {str(path)!r} is {what}")
            self.size = path.stat().st_size
        except OSError as error:
            raise unreadable(argument, path, error) from error

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes of the file."""
        try:
            with self._path.open("rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    yield piece
        except OSError as error:
            raise unreadable(self._argument, self._path, error) from error


class _Buffer(Source):
    def __init__(self, view: memoryview) -> None:
        self._data = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self.size = len(self._data)

    def whole(self) -> bytes | None:
        return None if len(self._data) > PIECE else self._data.tobytes()

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), PIECE):
            yield bytes(self._data[start : start + PIECE])


class _OpenFile(Source):
    """A file that the caller opened: read from its position, and again from there if it can seek."""

    def __init__(self, argument: str, file: BinaryIO) -> None:
        self._argument = argument
        self._file = file
        self._start: int | None = None
        self._is_used = False
        try:
            self._start = file.tell()
            self.size = max(0, file.seek(0, os.SEEK_END) - self._start)
            file.seek(self._start)
        except (AttributeError, OSError, ValueError):
            # Pipes and sockets have no position.
            self._start = None

    def __iter__(self) -> Iterator[bytes]:
        if self._start is not None:
            self._file.seek(self._start)
        elif self._is_used:
            raise _gone(self._argument)
        self._is_used = True
        while piece := self._file.read(PIECE):
            yield _checked(self._argument, piece)


class _Pieces(Source):
    def __init__(self, argument: str, pieces: Iterable[object]) -> None:
        self._argument = argument
        self._pieces = pieces
        self._is_used = False

    def __iter__(self) -> Iterator[bytes]:
        iterator = iter(self._pieces)
        # A list can be iterated again. An iterator returns itself, and is used up.
        if self._is_used and iterator is self._pieces:
            raise _gone(self._argument)
        self._is_used = True
        for piece in iterator:
            yield _checked(self._argument, piece)


class _AwaitedPieces(Source):
    def __init__(self, argument: str, pieces: AsyncIterable[object]) -> None:
        self._argument = argument
        self._pieces = pieces
        self._is_used = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        iterator = aiter(self._pieces)
        if self._is_used and iterator is self._pieces:
            raise _gone(self._argument)
        self._is_used = True
        async for piece in iterator:
            yield _checked(self._argument, piece)


def unreadable(argument: str, path: Path, error: OSError) -> ValidationError:
    """Return the error for a file of this machine that cannot be read."""
    return ValidationError(f"{argument}: cannot read {str(path)!r}: {error.strerror or error}")


def _checked(argument: str, piece: object) -> bytes:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise ValidationError(f"{argument}: expected pieces of bytes, got {type(piece).__name__}")
    return bytes(piece)


def _gone(argument: str) -> SandboxError:
    return SandboxError(
        f"{argument}: must be sent again, and it could be read only once",
        hint="pass bytes, a path, or a file that can seek",
    )
