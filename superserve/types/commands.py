"""The results and the output of commands in a sandbox."""

from enum import StrEnum
from typing import Generic, TypeVar

import attrs

from superserve.types._value import Value

Text = TypeVar("Text", str, bytes)


@attrs.frozen(slots=False)
class _Ended(Value, Generic[Text]):
    """The result of a command. It exists only if the sandbox reported the command's end."""

    exit_code: int
    """0 to 255; 128 + n if signal n killed the command, 124 if its timeout did."""
    stdout: Text
    stderr: Text
    truncated: bool
    """Whether some output is missing here: there was more than is kept."""
    timed_out: bool
    """Whether the timeout stopped the command: it exited with 124, not before that time. A program may do so by itself."""
    duration_s: float
    """Seconds from sending the command until its end was known."""

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0


@attrs.frozen(slots=False)
class CommandResult(_Ended[str]):
    """The result of a command with text output. Bytes that are not UTF-8 are replaced with U+FFFD."""


@attrs.frozen(slots=False)
class CommandBytesResult(_Ended[bytes]):
    """The result of a command that was run with `encoding=None`: its output is bytes."""


class CommandStream(StrEnum):
    """A stream that a command writes to."""

    STDOUT = "stdout"
    STDERR = "stderr"


@attrs.frozen(slots=False)
class CommandOutput(Value):
    """A piece of a command's output: the result of one read, so not always whole lines or characters."""

    stream: CommandStream
    data: bytes
