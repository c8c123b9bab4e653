"""A running command that the caller can send input and signals to."""

import math
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpcore

from superserve import _arguments
from superserve import _clock as time
from superserve._async.exec_connection import AsyncExecConnection
from superserve._http.responses import reason
from superserve._http.tasks_async import call
from superserve._operations import exec as operations
from superserve._redact import Redactor
from superserve._streams import exec as messages
from superserve._streams.exec import Event, Exit, Failure
from superserve._streams.output import BytesOutput, TextOutput
from superserve.errors import (
    OutcomeUnknownError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ValidationError,
)
from superserve.types import CommandOutput, CommandResult, CommandStream

Callbacks = Mapping[CommandStream, Callable[[Any], object]]
"""A callback for each piece of a stream's output: str or bytes."""

MARGIN_S: Final = 10.0
"""Seconds after a command's timeout in which its end must arrive."""


class AsyncCommandInput:
    """The standard input of a running command."""

    def __init__(self, session: "AsyncCommandSession") -> None:
        self._session = session
        self._is_closed = False

    async def write(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send input. A string is sent as UTF-8.

        Waits, without a limit, while the program does not read.

        Raises:
            ValidationError: `data` has another type, or the input is closed.
            SandboxConnectionError: The command has ended, or the connection broke.
        """
        if self._is_closed:
            raise ValidationError("stdin: is closed; nothing more can be written to it")
        for frame in messages.stdin_frames(operations.input_bytes("data", data)):
            await self._session._send(frame)

    async def close(self) -> None:
        """Close the input: after the input sent so far, the program reads end of file. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            await self._session._send(messages.stdin_close_frame(), after_the_end=False)


class AsyncCommandSession:
    """A running command in a sandbox, started with `sandbox.commands.spawn`, and the connection to it.

    Iterating yields the output as `CommandOutput`, as bytes; `wait` returns the result. Use it as a context manager: leaving
    the block closes the connection, and the server then kills the command and all its children.

    Only one caller at a time may iterate or wait; others may write and `kill` meanwhile. Up to 64 MiB of output are read
    ahead. Then the server has to wait, and after 10 s of waiting it kills the command.

    Attributes:
        stdin: The command's standard input: `write` and `close`.

    Example:
        >>> from superserve import AsyncSandbox
        >>> async with await AsyncSandbox.create(name="my-box") as sandbox:
        ...     async with await sandbox.commands.spawn("cat") as session:
        ...         await session.stdin.write("hello")
        ...         await session.stdin.close()
        ...         result = await session.wait()
        >>> print(result.stdout)
        hello
    """

    def __init__(
        self,
        connection: AsyncExecConnection,
        *,
        action: str,
        redactor: Redactor,
        output: TextOutput | BytesOutput,
        callbacks: Callbacks,
        timeout_s: int | None,
    ) -> None:
        self.stdin = AsyncCommandInput(self)
        self._connection = connection
        self._action = action
        self._redactor = redactor
        self._output = output
        self._callbacks = callbacks
        self._timeout_s = timeout_s
        self._began_at = time.monotonic()
        self._lasted_s = 0.0
        self._end: Exit | SandboxError | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'running' if self._end is None else 'ended'}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[CommandOutput]:
        while self._end is None:
            for event in await self._next(math.inf):
                yield event
        self._exit()

    async def kill(self, signal: str = "SIGTERM") -> None:
        """Send a signal to the command and all its children. Nothing happens if the command has ended.

        The signal is delivered after input that the program has not read yet. `close` always kills.

        Args:
            signal: SIGINT, SIGTERM, SIGHUP or SIGQUIT, with or without SIG. The server sends no others.

        Raises:
            ValidationError: `signal` is another one.
        """
        frame = messages.signal_frame(operations.signal_name(signal))
        await self._send(frame, after_the_end=False, soon=True)

    async def wait(self, timeout_s: float | None = None) -> CommandResult:
        """Wait until the command has ended, and return its result. Later calls return it at once.

        Without a timeout, here or in `spawn`, this waits as long as the command runs. The server ends it after 12 h.

        Args:
            timeout_s: Seconds after which to give up waiting, more than 0. The command keeps running. Default: no limit.

        Raises:
            SandboxTimeoutError: `timeout_s` has passed.
            CommandStartError: The command could not be started.
            OutcomeUnknownError: The connection ended before the end of the command arrived.
        """
        checked = _arguments.optional(_arguments.seconds, "timeout_s", timeout_s)
        until = math.inf if checked is None else time.monotonic() + checked
        while self._end is None:
            await self._next(until - time.monotonic())
            if self._end is None and time.monotonic() >= until:
                raise SandboxTimeoutError(
                    f"the command has not ended within {checked:g} s",
                    action=self._action,
                    hint="it is still running; wait() again, or kill() it",
                )
        end = self._exit()
        if not isinstance(self._output, TextOutput):
            raise ValidationError("wait: this session returns bytes, not text")
        return self._output.result(end, timeout_s=self._timeout_s, duration_s=self._lasted_s)

    async def close(self) -> None:
        """Close the connection. The server kills the command if it still runs. May be called twice."""
        if self._end is None:
            self._settle(
                operations.unknown("the session was closed before its end", self._action, self._output)
            )
        await self._connection.aclose()

    async def _next(self, timeout_s: float) -> list[CommandOutput]:
        """Take the output that has come within a time, pass it to the callbacks, and note the end."""
        left = math.inf if self._timeout_s is None else self._timeout_s + MARGIN_S - self._age()
        events = await self._connection.get(max(0.0, min(timeout_s, left)))
        outputs = [event for event in events if isinstance(event, CommandOutput)]
        for event in outputs:
            await self._hand_over(event.stream, self._output.add(event))
        if events and isinstance(events[-1], Exit | Failure):
            await self._take_end(events[-1])
        elif not events and self._end is None and (self._connection.is_over or left <= 0):
            reason = "the connection was closed" if self._connection.is_over else "its end is overdue"
            await self._take_end(Failure(reason, None, has_started=True))
        return outputs

    async def _take_end(self, end: Event) -> None:
        for stream, rest in self._output.finish():
            await self._hand_over(stream, rest)
        if isinstance(end, Failure):
            self._settle(operations.read_failure(end, self._action, self._output, self._redactor))
        elif isinstance(end, Exit):
            self._settle(end)
        await self._connection.aclose()

    def _settle(self, end: Exit | SandboxError) -> None:
        if self._end is None:
            self._end = end
            self._lasted_s = self._age()

    def _exit(self) -> Exit:
        if isinstance(self._end, SandboxError):
            raise self._end
        if self._end is None:
            raise OutcomeUnknownError("it has not ended", action=self._action)
        return self._end

    def _age(self) -> float:
        return time.monotonic() - self._began_at

    async def _hand_over(self, stream: CommandStream, piece: str | bytes) -> None:
        callback = self._callbacks.get(stream)
        if callback is not None and piece:
            await call(callback, piece)

    async def _send(self, frame: str | bytes, *, after_the_end: bool = True, soon: bool = False) -> None:
        try:
            await (self._connection.send_soon(frame) if soon else self._connection.send(frame))
        except httpcore.NetworkError as error:
            if after_the_end:
                raise SandboxConnectionError(
                    f"cannot write its input: {reason(error)}",
                    action=self._action,
                    hint="wait() returns its result",
                ) from error
