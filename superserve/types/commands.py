"""Commands in a sandbox, as people receive what became of them."""

from enum import StrEnum
from typing import Generic, TypeVar

import attrs

from superserve.types._value import Value

Text = TypeVar("Text", str, bytes)


@attrs.frozen(slots=False)
class _Ended(Value, Generic[Text]):
    """A command that has ended. Only a sandbox that said so makes one of these."""

    exit_code: int
    """0 to 255; 128 + n if signal n killed it, 124 if its timeout did."""
    stdout: Text
    stderr: Text
    truncated: bool
    """Whether some of the output is missing here: there was more than is kept."""
    timed_out: bool
    """Whether it was stopped by its timeout: it ended with 124, and not before that time. A program may do so itself."""
    duration_s: float
    """Seconds from when it was sent until its end was known."""

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.exit_code == 0


@attrs.frozen(slots=False)
class CommandResult(_Ended[str]):
    """What became of a command whose output is text: bytes that are not UTF-8 are U+FFFD in it."""


@attrs.frozen(slots=False)
class CommandBytesResult(_Ended[bytes]):
    """What became of a command that was run with `encoding=None`: its output is what it wrote, byte by byte."""


class CommandStream(StrEnum):
    """Where a command writes to."""

    STDOUT = "stdout"
    STDERR = "stderr"


@attrs.frozen(slots=False)
class CommandOutput(Value):
    """A piece of a command's output: what one read gave, so not always whole lines or characters."""

    stream: CommandStream
    data: bytes
