# Written by scripts/unasync.py from superserve/_async/commands.py. Do not edit: change that, then run `nox -s generate`.
"""Commands in a sandbox."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, overload

import httpcore
import httpx
from superserve_api.api.exec_ import exec_run, exec_stream
from superserve_api.models import ExecRequest

from superserve import _clock as time
from superserve._http.responses import reason
from superserve._http.tasks_sync import Worker, call, check_callback, shielded
from superserve._operations import exec as operations
from superserve._operations.exec import LONGEST_SILENT_S
from superserve._streams import exec as messages
from superserve._streams.exec import Exit, Failure, NoEventError
from superserve._streams.output import TIMED_OUT, BytesOutput, TextOutput
from superserve._sync.command_session import MARGIN_S, Callbacks, CommandSession
from superserve._sync.exec_connection import ExecConnection
from superserve._sync.exec_stream import SILENCE_S, ExecStream
from superserve.errors import CommandError, SandboxConnectionError, SandboxTimeoutError
from superserve.types import CommandBytesResult, CommandResult, CommandStream

if TYPE_CHECKING:
    from superserve._sync.sandboxes import Sandbox

DEFAULT_TIMEOUT_S: Final = 30.0


class Commands:
    """Runs commands in a sandbox: `sandbox.commands`.

    They run as the user of the template's last `user` step, else as root, in its working directory, with its environment
    and the sandbox's. The answer is there when everything that the command has started has closed its output, not when
    the command itself has ended: what is to go on in the background needs `nohup … >log 2>&1 </dev/null &`.

    A sandbox that is paused is woken first, with one `activateSandbox` (POST /sandboxes/{sandbox_id}/activate), as it is
    when its access token has become too old; `wake=False` has SandboxNotRunningError raised instead.

    What may have run is never run again by itself: OutcomeUnknownError is raised, with the output so far.
    """

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox

    @overload
    def run(
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
    def run(
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

    def run(
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
        r"""Run a command to its end, and return what became of it; a command that fails is no error.

        Calls `execRun` (POST /exec); with callbacks, or for more than 60 s, `execStream` (POST /exec/stream); with
        `input`, or for bytes, `execConnect` (the WebSocket /exec/connect). Once: see the class for when it is sent again.

        Args:
            command: A line for the sandbox's `/bin/sh`, or a program and its arguments, which no shell ever sees. (A
                program without arguments is started by `env`, which exits with 127 if there is none.)
            cwd: Where to run it, instead of the template's working directory.
            env: Variables on top of those of the sandbox.
            timeout_seconds: Seconds after which the server kills it and all its children, more than 0 and up to a day;
                rounded up to whole seconds. Default 30. The result then says `timed_out`, and has the output so far.
            on_stdout: Called with each piece of output, in the caller's own thread or task. A coroutine function
                (AsyncSandbox only) is awaited. While it runs nothing more is read, and the command may have to wait. What
                it raises stops the command and is raised.
            on_stderr: The same for the other stream. In which order pieces of the two come is only roughly known.
            input: What the command reads from its standard input; by default that is at its end.
            check: Whether to raise CommandError if it exits with something other than 0.
            max_output_bytes: How many bytes of output are kept for the result, of both streams together; the rest is
                dropped, and the result says `truncated`. Callbacks get all of it. Default 10 MiB; without callbacks and
                `input`, and up to 60 s, the server keeps 8 MiB at most, counted as JSON.
            encoding: By default output is text, in which what is not UTF-8 becomes U+FFFD. None gives bytes.
            wake: Whether to wake the sandbox if it is paused.

        Raises:
            CommandStartError: It could not be started.
            CommandError: It failed, with `check`.
            OutcomeUnknownError: It is not known what became of it.
            SandboxNotRunningError: The sandbox cannot be woken, or is not to be.
            ValidationError: An argument is wrong.

        Example:
            >>> from superserve import Sandbox
            >>> with Sandbox.create(name="my-box") as sandbox:
            ...     result = sandbox.commands.run("echo hello; exit 3")
            ...     same = sandbox.commands.run(["sort", "-u"], input="b\na\nb\n")
            >>> print(result.stdout.strip(), result.exit_code, same.stdout.split())
            hello 3 ['a', 'b']
        """
        timeout_s = operations.timeout(timeout_seconds)
        request = operations.write_request(command, cwd=cwd, env=env, timeout_s=timeout_s)
        is_text = operations.encoding(encoding)
        most = operations.max_output_bytes(max_output_bytes)
        callbacks = _callbacks(on_stdout, on_stderr)
        action = f"run {operations.describe(command)} in sandbox {self._sandbox.id}"
        result: CommandResult | CommandBytesResult
        if not is_text:
            output = BytesOutput(most)
            session = self._connect(request, action, output, callbacks, timeout_s, wake=wake)
            end = _talk(session, operations.input_bytes("input", input or b""))
            result = output.result(end, timeout_s=timeout_s, duration_s=session._lasted_s)
        elif input is not None:
            data = operations.input_bytes("input", input)
            session = self._connect(request, action, TextOutput(most), callbacks, timeout_s, wake=wake)
            _talk(session, data)
            result = session.wait()
        elif callbacks or timeout_s > LONGEST_SILENT_S:
            result = self._stream(request, action, TextOutput(most), callbacks, timeout_s, wake=wake)
        else:
            result = self._run(request, action, TextOutput(most), timeout_s, wake=wake)
        operations.checked_result(result, action, check=check)
        return result

    def spawn(
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
    ) -> CommandSession:
        """Start a command that is talked to while it runs, with `execConnect` (the WebSocket /exec/connect).

        It has no terminal: most programs then print their output by blocks. The server says nothing of its start, so a
        command that could not be started is an error of the session's first read or `wait`.

        Args:
            command: As for `run`.
            cwd: As for `run`.
            env: As for `run`.
            timeout_seconds: As for `run`, but without one it may run until the server ends the session, after 12 h.
            on_stdout: Called with each piece of output, as text, when the session is waited for or iterated.
            on_stderr: The same for the other stream.
            max_output_bytes: As for `run`, for the result of `wait`.
            wake: Whether to wake the sandbox if it is paused.

        Raises:
            SandboxNotRunningError: The sandbox cannot be woken, or is not to be.
            ValidationError: An argument is wrong.
        """
        timeout_s = None if timeout_seconds is None else operations.timeout(timeout_seconds)
        request = operations.write_request(command, cwd=cwd, env=env, timeout_s=timeout_s)
        output = TextOutput(operations.max_output_bytes(max_output_bytes))
        callbacks = _callbacks(on_stdout, on_stderr)
        action = f"run {operations.describe(command)} in sandbox {self._sandbox.id}"
        return self._connect(request, action, output, callbacks, timeout_s, wake=wake)

    def _wait_for_port(self, port: int, timeout_s: float, *, wake: bool) -> None:
        number = operations.port(port)
        result = self.run(operations.wait_for_port(number), timeout_seconds=timeout_s, wake=wake, cwd="/")
        action = f"wait for port {number} of sandbox {self._sandbox.id}"
        if result.exit_code == TIMED_OUT:
            # Nothing in that loop ends so by itself.
            raise SandboxTimeoutError(f"nothing listens there within {timeout_s:g} s", action=action)
        if not result.ok:
            raise CommandError(
                result.stderr.strip() or f"exited with {result.exit_code}", result, action=action
            )

    def _run(
        self, request: dict[str, Any], action: str, output: TextOutput, timeout_s: int, *, wake: bool
    ) -> CommandResult:
        began_at = time.monotonic()
        operation = operations.run(action, timeout_s + MARGIN_S)
        body = ExecRequest.from_dict(request)
        answer = self._sandbox._data.call(
            operation, lambda raw: exec_run.sync_detailed(client=raw, body=body), wake=wake
        )
        for piece in answer.pieces:
            output.add(piece)
        lasted_s = time.monotonic() - began_at
        return output.result(answer.end, timeout_s=timeout_s, duration_s=lasted_s, truncated=answer.truncated)

    def _stream(
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
        response = self._sandbox._data.open(
            operation,
            arguments,
            headers=lambda _token: operations.STREAM_HEADERS,
            timeout_s=timeout_s + MARGIN_S,
            silence_s=SILENCE_S,
            wake=wake,
        )
        began_at = time.monotonic()
        stream = ExecStream(response, began_at + timeout_s + MARGIN_S)
        end: Exit | Failure | None = None
        try:
            operations.check_event_stream(response, operation.action, output)
            with closing(stream.read()) as events:
                for event in events:
                    if isinstance(event, Exit | Failure):
                        end = event
                        break
                    text = output.add(event)
                    callback = callbacks.get(event.stream)
                    if callback is not None:
                        called_at = time.monotonic()
                        call(callback, text)
                        stream.until += time.monotonic() - called_at
        except NoEventError as error:
            raise operations.unknown(f"what it says cannot be understood: {error}", action, output) from error
        except httpx.HTTPError as error:
            raise operations.unknown(
                f"the stream of its output broke: {reason(error)}", action, output
            ) from error
        finally:
            with shielded():
                response.close()
        redactor = self._sandbox._data.redactor
        if end is None:
            raise operations.unknown("the stream ended without the command's end", action, output)
        if isinstance(end, Failure):
            raise operations.read_failure(end, action, output, redactor)
        return output.result(end, timeout_s=timeout_s, duration_s=time.monotonic() - began_at)

    def _connect(
        self,
        request: dict[str, Any],
        action: str,
        output: TextOutput | BytesOutput,
        callbacks: Callbacks,
        timeout_s: int | None,
        *,
        wake: bool,
    ) -> CommandSession:
        start = messages.start_frame(request)
        response = self._sandbox._data.upgrade(operations.connect(action), wake=wake)
        connection = ExecConnection(response)
        try:
            session = CommandSession(
                connection,
                action=action,
                redactor=self._sandbox._data.redactor,
                output=output,
                callbacks=callbacks,
                timeout_s=timeout_s,
            )
            connection.send(start)
        except BaseException as error:
            connection.close()
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


def _talk(session: CommandSession, data: memoryview) -> Exit:
    """Write all input while the output is taken, and return how the command has ended."""

    def write() -> None:
        try:
            session.stdin.write(data)
            session.stdin.close()
        except SandboxConnectionError:
            # The command did not wait for all of it, or the one who reads its output hears the same.
            pass

    writer = Worker()
    with session:
        try:
            writer.start(write)
            while session._end is None:
                session._next(math.inf)
        finally:
            writer.stop()
        return session._exit()
