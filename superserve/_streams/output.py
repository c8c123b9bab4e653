"""Keeping a command's output: both streams, up to a bound, as text or as bytes. No I/O."""

import codecs
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

from superserve._streams.exec import Exit, Text
from superserve.types import CommandBytesResult, CommandOutput, CommandResult, CommandStream

T = TypeVar("T", str, bytes)

MOST_KEPT: Final = 10 * 1024 * 1024
"""Bytes of output that are kept for the result where nothing else is said, of both streams together."""

TIMED_OUT: Final = 124
"""What a command ends with that the server stops as its time is over; a program may exit with it as well."""

# The clocks of two machines count a second differently.
_SLACK_S: Final = 0.05


class Output(ABC, Generic[T]):
    """What a command has printed so far.

    Args:
        most: How many bytes are kept, of both streams together; text counts as UTF-8.

    Attributes:
        truncated: Whether more came than is kept.
    """

    def __init__(self, most: int) -> None:
        self.truncated = False
        self._left = most
        self._kept: dict[CommandStream, list[T]] = {stream: [] for stream in CommandStream}

    @property
    @abstractmethod
    def stdout(self) -> T:
        """What was kept of it."""

    @property
    @abstractmethod
    def stderr(self) -> T:
        """What was kept of it."""

    @abstractmethod
    def add(self, piece: Text | CommandOutput) -> T:
        """Take a piece, and return it as the caller wants it: empty while a character is not complete."""

    def finish(self) -> list[tuple[CommandStream, T]]:
        """Return what is left of characters that were never completed: the output has ended."""
        return []

    @abstractmethod
    def _cut(self, piece: T, most: int) -> T:
        """Return as much of a piece as so many bytes can hold."""

    def _keep(self, stream: CommandStream, piece: T, size: int) -> None:
        if self.truncated:
            return
        if size > self._left:
            # The first byte that is lost ends the keeping of both streams: what is kept has no holes.
            self.truncated = True
            piece = self._cut(piece, self._left)
        self._left -= size
        self._kept[stream].append(piece)


class TextOutput(Output[str]):
    """Output as text: bytes are decoded as UTF-8, piece by piece, and what isn't that becomes U+FFFD."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        # Where text comes, none is needed.
        self._decoders: dict[CommandStream, codecs.IncrementalDecoder] = {}

    @property
    def stdout(self) -> str:
        """What was kept of it."""
        return "".join(self._kept[CommandStream.STDOUT])

    @property
    def stderr(self) -> str:
        """What was kept of it."""
        return "".join(self._kept[CommandStream.STDERR])

    def add(self, piece: Text | CommandOutput) -> str:
        """Take a piece, and return it as text."""
        text = piece.text if isinstance(piece, Text) else self._decode(piece)
        self._take(piece.stream, text)
        return text

    def finish(self) -> list[tuple[CommandStream, str]]:
        """Return what is left of characters that were never completed: the output has ended."""
        rests = [(stream, decoder.decode(b"", final=True)) for stream, decoder in self._decoders.items()]
        for stream, rest in rests:
            self._take(stream, rest)
        return [(stream, rest) for stream, rest in rests if rest]

    def result(
        self, end: Exit, *, timeout_s: float | None, duration_s: float, truncated: bool = False
    ) -> CommandResult:
        """Return what became of the command."""
        timed_out = _timed_out(end, timeout_s, duration_s)
        return CommandResult(
            end.code, self.stdout, self.stderr, self.truncated or truncated, timed_out, duration_s
        )

    def _decode(self, piece: CommandOutput) -> str:
        decoder = self._decoders.get(piece.stream)
        if decoder is None:
            decoder = self._decoders[piece.stream] = codecs.getincrementaldecoder("utf-8")("replace")
        return decoder.decode(piece.data)

    def _take(self, stream: CommandStream, text: str) -> None:
        self._keep(stream, text, len(text) if text.isascii() else len(text.encode()))

    def _cut(self, piece: str, most: int) -> str:
        # To whole characters.
        return piece.encode()[:most].decode(errors="ignore")


class BytesOutput(Output[bytes]):
    """Output as the command wrote it."""

    @property
    def stdout(self) -> bytes:
        """What was kept of it."""
        return b"".join(self._kept[CommandStream.STDOUT])

    @property
    def stderr(self) -> bytes:
        """What was kept of it."""
        return b"".join(self._kept[CommandStream.STDERR])

    def add(self, piece: Text | CommandOutput) -> bytes:
        """Take a piece, and return its bytes."""
        data = piece.text.encode() if isinstance(piece, Text) else piece.data
        self._keep(piece.stream, data, len(data))
        return data

    def result(self, end: Exit, *, timeout_s: float | None, duration_s: float) -> CommandBytesResult:
        """Return what became of the command."""
        timed_out = _timed_out(end, timeout_s, duration_s)
        return CommandBytesResult(end.code, self.stdout, self.stderr, self.truncated, timed_out, duration_s)

    def _cut(self, piece: bytes, most: int) -> bytes:
        return piece[:most]


def _timed_out(end: Exit, timeout_s: float | None, duration_s: float) -> bool:
    return end.code == TIMED_OUT and timeout_s is not None and duration_s >= timeout_s - _SLACK_S
