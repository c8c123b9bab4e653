"""Commands in a sandbox."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, overload

import httpcore
from superserve_api.api.exec_ import exec_run, exec_stream
from superserve_api.models import ExecRequest

from superserve import _arguments
from superserve import _clock as time
from superserve._async.command_session import MARGIN_S, AsyncCommandSession, Callbacks
from superserve._async.exec_connection import AsyncExecConnection
from superserve._async.exec_stream import SILENCE_S, AsyncExecStream
from superserve._http.responses import reason
from superserve._http.tasks_async import Worker, call, check_callback, shielded
from superserve._operations import exec as operations
from superserve._operations.exec import LONGEST_SILENT_S
from superserve._streams import exec as messages
from superserve._streams.exec import Exit, Failure
from superserve._streams.output import TIMED_OUT, BytesOutput, TextOutput
from superserve.errors import (
    CommandError,
    CommandStartError,
    OutcomeUnknownError,
    SandboxConnectionError,
    SandboxTimeoutError,
)
from superserve.types import CommandBytesResult, CommandResult, CommandStream

if TYPE_CHECKING:
    from superserve._async.sandboxes import AsyncSandbox

DEFAULT_TIMEOUT_S: Final = 30.0


class AsyncCommands:
    """Runs commands in a sandbox: `sandbox.commands`.

    Commands run as the user of the template's last `user` step, else as root, in its working directory, with the
    template's and the sandbox's environment. A call returns when every process that the command started has closed its
    output, not when the command itself exits. To leave a process in the background, use `nohup … >log 2>&1 </dev/null &`.

    A paused sandbox is first woken with one `activateSandbox` (POST /sandboxes/{sandbox_id}/activate). The same call
    renews an access token that is too old. With `wake=False`, SandboxNotRunningError is raised instead.

    A command that was certainly not run (429, or no connection) is sent again after a pause, five times in all. A command
    that may have run is never sent again: OutcomeUnknownError is raised, with the output so far.
    """

    def __init__(self, sandbox: "AsyncSandbox") -> None:
        self._sandbox = sandbox

    @overload
    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PurePosixPath | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        on_stdout: Callable[[str], object] | None = None,
        on_stderr: Callable[[str], object] | None = None,
        input: str | bytes | bytearray | memoryview | None = None,
        check: bool = False,
        max_output_bytes: int | None = None,
        encoding: str = "utf-8",
        wake: bool = True,
    ) -> CommandResult: ...

    @overload
    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PurePosixPath | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        on_stdout: Callable[[bytes], object] | None = None,
        on_stderr: Callable[[bytes], object] | None = None,
        input: str | bytes | bytearray | memoryview | None = None,
        check: bool = False,
        max_output_bytes: int | None = None,
        encoding: None,
        wake: bool = True,
    ) -> CommandBytesResult: ...

    async def run(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PurePosixPath | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_S,
        on_stdout: Callable[[Any], object] | None = None,
        on_stderr: Callable[[Any], object] | None = None,
        input: str | bytes | bytearray | memoryview | None = None,
        check: bool = False,
        max_output_bytes: int | None = None,
        encoding: str | None = "utf-8",
        wake: bool = True,
    ) -> CommandResult | CommandBytesResult:
        r"""Run a command to its end, and return its result. A command that fails is not an error.

        Calls `execRun` (POST /exec); with callbacks, or for more than 60 s, `execStream` (POST /exec/stream); with `input`,
        or for bytes, `execConnect` (the WebSocket /exec/connect). Sent once; see the class for when it is sent again.

        Args:
            command: A command line for the sandbox's `/bin/sh`, or a list of a program and its arguments, run without a
                shell. (A list of one program is started by `env`, which exits with 127 if there is no such program.)
            cwd: The working directory. Default: the template's.
            env: Variables, added to those of the sandbox.
            timeout_seconds: Seconds after which the server kills the command and all its children, more than 0, up to a day,
                rounded up to whole seconds. Default 30. The result then has `timed_out` set, and the output so far.
            on_stdout: Called with each piece of output, in the caller's own thread or task. A coroutine function
                (AsyncSandbox only) is awaited. Nothing is read during the call, so a slow callback may delay the command.
                An exception of the callback stops the command and is raised.
            on_stderr: The same for stderr. The order of pieces of the two streams is only approximate.
            input: Content for the command's standard input. Default: none, the command reads end of file.
            check: Whether to raise CommandError if the exit code is not 0.
            max_output_bytes: The most bytes of output to keep in the result, of both streams together. More is dropped, and
                the result has `truncated` set. Callbacks get all output. Default 10 MiB; without callbacks and `input`,
                and up to 60 s, the server keeps at most 8 MiB, counted as JSON.
            encoding: By default output is text, with U+FFFD for bytes that are not UTF-8. None returns bytes.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            CommandStartError: The command could not be started.
            CommandError: The command failed, and `check` is set.
            OutcomeUnknownError: It is not known whether the command ran, or how it ended.
            SandboxNotRunningError: The sandbox cannot be woken, or `wake` is False.
            ValidationError: An argument is wrong.

        Example:
            >>> from superserve import AsyncSandbox
            >>> async with await AsyncSandbox.create(name="my-box") as sandbox:
            ...     result = await sandbox.commands.run("echo hello; exit 3")
            ...     same = await sandbox.commands.run(["sort", "-u"], input="b\na\nb\n")
            >>> print(result.stdout.strip(), result.exit_code, same.stdout.split())
            hello 3 ['a', 'b']
        """
        timeout_s = operations.timeout(timeout_seconds)
        request = operations.write_request(command, cwd=cwd, env=env, timeout_s=timeout_s)
        is_text = operations.encoding(encoding)
        most = operations.max_output_bytes(max_output_bytes)
        _arguments.flag("check", check)
        _arguments.flag("wake", wake)
        callbacks = _callbacks(on_stdout, on_stderr)
        data = None if input is None else operations.input_bytes("input", input)
        action = f"run {operations.describe(command)} in sandbox {self._sandbox.id}"
        result: CommandResult | CommandBytesResult
        if not is_text:
            output = BytesOutput(most)
            session = await self._connect(request, action, output, callbacks, timeout_s, wake=wake)
            end = await _talk(session, data or memoryview(b""))
            result = output.result(end, timeout_s=timeout_s, duration_s=session._lasted_s)
        elif data is not None:
            session = await self._connect(request, action, TextOutput(most), callbacks, timeout_s, wake=wake)
            await _talk(session, data)
            result = await session.wait()
        elif callbacks or timeout_s > LONGEST_SILENT_S:
            result = await self._stream(request, action, TextOutput(most), callbacks, timeout_s, wake=wake)
        else:
            result = await self._run(request, action, TextOutput(most), timeout_s, wake=wake)
        operations.check_result(result, action, check=check)
        return result

    async def spawn(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | PurePosixPath | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        on_stdout: Callable[[str], object] | None = None,
        on_stderr: Callable[[str], object] | None = None,
        max_output_bytes: int | None = None,
        wake: bool = True,
    ) -> AsyncCommandSession:
        """Start a command to send it input and signals while it runs, with `execConnect` (the WebSocket /exec/connect).

        The command has no terminal: most programs then buffer their output in blocks. The server does not confirm the start,
        so the session's first read or `wait` raises the error of a command that could not be started.

        Args:
            command: As for `run`.
            cwd: As for `run`.
            env: As for `run`.
            timeout_seconds: As for `run`. Default: no limit, until the server ends the session after 12 h.
            on_stdout: Called with each piece of output, as text, while the session is iterated or waited for.
            on_stderr: The same for stderr.
            max_output_bytes: As for `run`, for the result of `wait`.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            SandboxNotRunningError: The sandbox cannot be woken, or `wake` is False.
            ValidationError: An argument is wrong.
        """
        timeout_s = None if timeout_seconds is None else operations.timeout(timeout_seconds)
        request = operations.write_request(command, cwd=cwd, env=env, timeout_s=timeout_s)
        output = TextOutput(operations.max_output_bytes(max_output_bytes))
        _arguments.flag("wake", wake)
        callbacks = _callbacks(on_stdout, on_stderr)
        action = f"run {operations.describe(command)} in sandbox {self._sandbox.id}"
        return await self._connect(request, action, output, callbacks, timeout_s, wake=wake)

    async def _wait_for_port(self, port: int, timeout_s: float, *, wake: bool) -> None:
        number = operations.port(port)
        action = f"wait for port {number} of sandbox {self._sandbox.id}"
        try:
            result = await self.run(
                operations.wait_for_port(number), timeout_seconds=timeout_s, wake=wake, cwd="/"
            )
        except CommandStartError as error:
            error.action, error.hint = action, operations.IF_NO_SHELL
            raise
        except OutcomeUnknownError as error:
            error.action, error.hint = action, "waiting again is safe"
            raise
        if result.exit_code == TIMED_OUT:
            # The loop itself never ends with this code.
            raise SandboxTimeoutError(f"nothing listens on it within {timeout_s:g} s", action=action)
        if not result.ok:
            raise CommandError(
                result.stderr.strip() or f"exited with {result.exit_code}", result, action=action
            )

    async def _run(
        self, request: dict[str, Any], action: str, output: TextOutput, timeout_s: int, *, wake: bool
    ) -> CommandResult:
        began_at = time.monotonic()
        operation = operations.run(action, timeout_s + MARGIN_S)
        body = ExecRequest.from_dict(request)
        answer = await self._sandbox._data.call(
            operation, lambda raw: exec_run.asyncio_detailed(client=raw, body=body), wake=wake
        )
        for piece in answer.pieces:
            output.add(piece)
        lasted_s = time.monotonic() - began_at
        return output.result(answer.end, timeout_s=timeout_s, duration_s=lasted_s, truncated=answer.truncated)

    async def _stream(
        self,
        request: dict[str, Any],
        action: str,
        output: TextOutput,
        callbacks: Callbacks,
        timeout_s: int,
        *,
        wake: bool,
    ) -> CommandResult:
        operation = operations.stream(action)
        arguments = exec_stream.request_arguments(body=ExecRequest.from_dict(request))
        response = await self._sandbox._data.open(
            operation,
            arguments,
            headers=lambda _token: operations.STREAM_HEADERS,
            timeout_s=timeout_s + MARGIN_S,
            silence_s=SILENCE_S,
            wake=wake,
        )
        began_at = time.monotonic()
        stream = AsyncExecStream(response, began_at + timeout_s + MARGIN_S)
        end: Exit | Failure = Failure("the stream ended without the command's end", None, has_started=True)
        try:
            operations.check_event_stream(response, operation.action, output)
            async with aclosing(stream.read()) as events:
                async for event in events:
                    if isinstance(event, (Exit, Failure)):
                        end = event
                        break
                    text = output.add(event)
                    callback = callbacks.get(event.stream)
                    if callback is not None:
                        called_at = time.monotonic()
                        await call(callback, text)
                        stream.until += time.monotonic() - called_at
        finally:
            with shielded():
                await response.aclose()
        if isinstance(end, Failure):
            raise operations.read_failure(end, action, output, self._sandbox._data.redactor)
        return output.result(end, timeout_s=timeout_s, duration_s=time.monotonic() - began_at)

    async def _connect(
        self,
        request: dict[str, Any],
        action: str,
        output: TextOutput | BytesOutput,
        callbacks: Callbacks,
        timeout_s: int | None,
        *,
        wake: bool,
    ) -> AsyncCommandSession:
        start = messages.start_frame(request)
        response = await self._sandbox._data.upgrade(operations.connect(action), wake=wake)
        connection = AsyncExecConnection(response)
        try:
            session = AsyncCommandSession(
                connection,
                action=action,
                redactor=self._sandbox._data.redactor,
                output=output,
                callbacks=callbacks,
                timeout_s=timeout_s,
            )
            await connection.send(start)
        except BaseException as error:
            await connection.aclose()
            if isinstance(error, httpcore.NetworkError):
                raise operations.unknown(f"the connection broke: {reason(error)}", action, output) from error
            raise
        return session


def _callbacks(
    on_stdout: Callable[[Any], object] | None, on_stderr: Callable[[Any], object] | None
) -> Callbacks:
    given = {CommandStream.STDOUT: on_stdout, CommandStream.STDERR: on_stderr}
    for stream, callback in given.items():
        if callback is not None:
            check_callback(f"on_{stream}", callback)
    return {stream: callback for stream, callback in given.items() if callback is not None}


async def _talk(session: AsyncCommandSession, data: memoryview) -> Exit:
    """Write all input while reading the output, and return the end of the command."""

    async def write() -> None:
        try:
            await session.stdin.write(data)
            await session.stdin.close()
        except SandboxConnectionError:
            # The command ended without reading all of it, or the reader of its output gets the same error.
            pass

    writer = Worker()
    async with session:
        try:
            writer.start(write)
            while session._end is None:
                await session._next(math.inf)
        finally:
            await writer.stop()
        return session._exit()
