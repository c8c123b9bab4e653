"""Keeping a command's output, up to a limit, as text or as bytes. No I/O."""

import codecs
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

from superserve._streams.exec import Exit, Text
from superserve.types import CommandBytesResult, CommandOutput, CommandResult, CommandStream

T = TypeVar("T", str, bytes)

MOST_KEPT: Final = 10 * 1024 * 1024
"""Default limit of the output kept for the result: bytes of both streams together."""

TIMED_OUT: Final = 124
"""The exit code of a command that the server stopped at its timeout. A program may also exit with it by itself."""

# The clocks of two machines differ a little, in seconds.
_SLACK_S: Final = 0.05


class Output(ABC, Generic[T]):
    """The output of a command so far.

    Args:
        most: Bytes to keep, of both streams together. Text counts as UTF-8.

    Attributes:
        truncated: Whether there was more output than is kept.
    """

    def __init__(self, most: int) -> None:
        self.truncated = False
        self._left = most
        self._kept: dict[CommandStream, list[T]] = {stream: [] for stream in CommandStream}

    @property
    @abstractmethod
    def stdout(self) -> T:
        """The part of stdout that is kept."""

    @property
    @abstractmethod
    def stderr(self) -> T:
        """The part of stderr that is kept."""

    @abstractmethod
    def add(self, piece: Text | CommandOutput) -> T:
        """Add a piece, and return it as the caller wants it. It is empty while a character is incomplete."""

    def finish(self) -> list[tuple[CommandStream, T]]:
        """Return the rest of characters that were never completed: the output has ended."""
        return []

    @abstractmethod
    def _cut(self, piece: T, most: int) -> T:
        """Return as much of a piece as fits into `most` bytes."""

    def _keep(self, stream: CommandStream, piece: T, size: int) -> None:
        if self.truncated:
            return
        if size > self._left:
            # After the first lost byte nothing more is kept of either stream: what is kept has no holes.
            self.truncated = True
            piece = self._cut(piece, self._left)
        self._left -= size
        self._kept[stream].append(piece)


class TextOutput(Output[str]):
    """Output as text: bytes are decoded as UTF-8, and invalid bytes become U+FFFD."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in CommandStream}

    @property
    def stdout(self) -> str:
        """The part of stdout that is kept."""
        return "".join(self._kept[CommandStream.STDOUT])

    @property
    def stderr(self) -> str:
        """The part of stderr that is kept."""
        return "".join(self._kept[CommandStream.STDERR])

    def add(self, piece: Text | CommandOutput) -> str:
        """Add a piece, and return it as text."""
        text = piece.text if isinstance(piece, Text) else self._decoders[piece.stream].decode(piece.data)
        self._take(piece.stream, text)
        return text

    def finish(self) -> list[tuple[CommandStream, str]]:
        """Return the rest of characters that were never completed: the output has ended."""
        rests = [(stream, decoder.decode(b"", final=True)) for stream, decoder in self._decoders.items()]
        for stream, rest in rests:
            self._take(stream, rest)
        return [(stream, rest) for stream, rest in rests if rest]

    def result(
        self, end: Exit, *, timeout_s: float | None, duration_s: float, truncated: bool = False
    ) -> CommandResult:
        """Return the result of the command."""
        timed_out = _timed_out(end, timeout_s, duration_s)
        return CommandResult(
            end.code, self.stdout, self.stderr, self.truncated or truncated, timed_out, duration_s
        )

    def _take(self, stream: CommandStream, text: str) -> None:
        self._keep(stream, text, len(text) if text.isascii() else len(text.encode()))

    def _cut(self, piece: str, most: int) -> str:
        # Cut at a whole character.
        return piece.encode()[:most].decode(errors="ignore")


class BytesOutput(Output[bytes]):
    """Output as the command wrote it, in bytes."""

    @property
    def stdout(self) -> bytes:
        """The part of stdout that is kept."""
        return b"".join(self._kept[CommandStream.STDOUT])

    @property
    def stderr(self) -> bytes:
        """The part of stderr that is kept."""
        return b"".join(self._kept[CommandStream.STDERR])

    def add(self, piece: Text | CommandOutput) -> bytes:
        """Add a piece, and return its bytes."""
        data = piece.text.encode() if isinstance(piece, Text) else piece.data
        self._keep(piece.stream, data, len(data))
        return data

    def result(self, end: Exit, *, timeout_s: float | None, duration_s: float) -> CommandBytesResult:
        """Return the result of the command."""
        timed_out = _timed_out(end, timeout_s, duration_s)
        return CommandBytesResult(end.code, self.stdout, self.stderr, self.truncated, timed_out, duration_s)

    def _cut(self, piece: bytes, most: int) -> bytes:
        return piece[:most]


def _timed_out(end: Exit, timeout_s: float | None, duration_s: float) -> bool:
    return end.code == TIMED_OUT and timeout_s is not None and duration_s >= timeout_s - _SLACK_S
