"""Commands: checks of arguments, requests, and errors."""

import math
import re
import signal
from collections.abc import Mapping, Sequence
from os import fspath
from pathlib import PurePosixPath
from typing import Any, Final

import attrs
import httpx
from superserve_api.models import ExecResult

from superserve import _arguments
from superserve._http.policy import Options
from superserve._http.resend import Verdict, details, judge
from superserve._operations.operation import Operation, UnreadableError, none_if_unset, read_nothing
from superserve._redact import Redactor, replace_surrogates
from superserve._streams import sse
from superserve._streams.exec import LARGEST_EXIT_CODE, Exit, Failure, Text
from superserve._streams.output import MOST_KEPT, Output
from superserve.errors import (
    CommandError,
    CommandStartError,
    OutcomeUnknownError,
    SandboxError,
    ValidationError,
)
from superserve.types import CommandBytesResult, CommandResult, CommandStream

LONGEST_TIMEOUT_S: Final = 86_400
"""The longest timeout in seconds. The server converts it to a number that overflows after 49 days."""

LONGEST_SILENT_S: Final = 60
"""The longest timeout in seconds for `execRun`, which answers only at the command's end.

Many routers drop a connection that is silent for minutes.
"""

IF_UNKNOWN: Final = (
    "it may have run, in part or completely, and is not sent again; get_info() shows whether the sandbox was paused or is "
    "gone"
)
"""The hint of an error after which it is not known whether a command has run."""

IF_NO_SHELL: Final = "waiting takes a /bin/sh in the sandbox that the user of its commands may run; without one, try the port from a program"
"""The hint of an error after which a port cannot be waited for."""

STREAM_HEADERS: Final = {"Accept": sse.KIND, "Accept-Encoding": "identity", "Cache-Control": "no-store"}
"""The headers of a request for an event stream."""

_OF_THE_REQUEST: Final = ("command is required", "invalid JSON body")
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_PORTS: Final = range(1, 65536)
_LISTEN: Final = "0A"
# A listening port: the end of the local address, and the state. `read` and `case` are shell builtins.
_WAIT_FOR_PORT: Final = f"""\
while :; do
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ local _ state _; do
      case "$local:$state" in *:"$1":{_LISTEN}) exit 0 ;; esac
    done <"$table"
  done
  sleep 0.05 || sleep 1 || exit 1
done
"""
_SHOWN: Final = 40
_NAME_OF_VARIABLE: Final = re.compile(r"[^=\0]+")


def write_request(
    command: str | Sequence[str],
    *,
    cwd: str | PurePosixPath | None,
    env: Mapping[str, str] | None,
    timeout_s: int | None,
) -> dict[str, Any]:
    """Check the arguments of a command, and return the request's body. An argument that is None is left out."""
    request: dict[str, Any] = {"command": command}
    if isinstance(command, str):
        _arguments.text("command", command)
    else:
        request |= _write_argv(command)
    if env is not None:
        request["env"] = _checked_env(env)
    if cwd is not None:
        request["working_dir"] = _arguments.text(
            "cwd", fspath(cwd) if isinstance(cwd, PurePosixPath) else cwd
        )
    if timeout_s is not None:
        request["timeout_s"] = timeout_s
    return request


@attrs.frozen
class Answer:
    """The answer to a command that was run to its end."""

    pieces: tuple[Text, Text]
    end: Exit
    truncated: bool


def run(action: str, timeout_s: float) -> Operation[ExecResult, Answer]:
    """Describe `execRun`, POST /exec."""
    options = Options(timeout_s, 1)
    return Operation(action, _read_answer, is_repeatable=False, options=options, explain=explain)


def stream(action: str) -> Operation[object, None]:
    """Describe `execStream`, POST /exec/stream."""
    return Operation(action, read_nothing, read_nothing, is_repeatable=False, explain=explain)


def connect(action: str) -> Operation[object, None]:
    """Describe `execConnect`, GET /exec/connect."""
    return Operation(action, read_nothing, read_nothing, is_repeatable=False)


def timeout(value: object) -> int:
    """Return a timeout in whole seconds, the API's unit, rounded up."""
    seconds = math.ceil(_arguments.seconds("timeout_seconds", value))
    if seconds > LONGEST_TIMEOUT_S:
        raise ValidationError(
            f"timeout_seconds: expected at most {LONGEST_TIMEOUT_S} (a day), got {value!r}; start a longer command in the "
            "background: nohup … >log 2>&1 </dev/null &"
        )
    return seconds


def signal_name(value: object) -> str:
    """Return the name of a signal if the server sends it. The server ignores others silently."""
    name = value.name if isinstance(value, signal.Signals) else _arguments.text("signal", value)
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in _SIGNALS:
        raise ValidationError(
            f"signal: expected one of {', '.join(_SIGNALS)}, got {value!r}; close() kills the command and its children"
        )
    return name


def port(value: object) -> int:
    """Return a port's number if it is valid."""
    number = _arguments.count("port", value)
    if number not in _PORTS:
        raise ValidationError(f"port: expected an integer from 1 to {_PORTS[-1]}, got {number}")
    return number


def wait_for_port(number: int) -> list[str]:
    """Return the command that ends once something listens on a port."""
    return ["/bin/sh", "-c", _WAIT_FOR_PORT, "sh", f"{number:04X}"]


def input_bytes(argument: str, data: object) -> memoryview:
    """Return input as bytes: the UTF-8 of a string, or the content of a buffer."""
    if isinstance(data, str):
        return memoryview(_encoded(argument, data))
    try:
        return memoryview(data).cast("B")  # type: ignore[arg-type]  # raises TypeError without a buffer
    except TypeError:
        raise ValidationError(f"{argument}: expected a string or bytes, got {type(data).__name__}") from None


def encoding(value: object) -> bool:
    """Whether the output is text."""
    if value is None:
        return False
    if not isinstance(value, str) or value.lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise ValidationError(f"encoding: expected 'utf-8', or None for bytes, got {value!r}")
    return True


def max_output_bytes(value: object) -> int:
    """Return the number of bytes of output to keep."""
    if value is None:
        return MOST_KEPT
    return 0 if value == 0 and not isinstance(value, bool) else _arguments.count("max_output_bytes", value)


def check_result(result: CommandResult | CommandBytesResult, action: str, *, check: bool) -> None:
    """Raise if `check` is set and the command failed.

    Raises:
        CommandError: The exit code is not 0.
    """
    if check and not result.ok:
        why = " (its timeout has passed)" if result.timed_out else ""
        raise CommandError(f"it exited with {result.exit_code}{why}", result, action=action)


def read_failure(failure: Failure, action: str, output: Output[Any], redactor: Redactor) -> SandboxError:
    """Return the error for an end without an exit code."""
    words = redactor.quote(failure.message) or "the server gives no reason"
    if failure.has_started:
        return unknown(words, action, output, code=failure.code)
    error = CommandStartError(words, action=action, code=failure.code)
    error.stdout, error.stderr = output.stdout, output.stderr
    return error


def unknown(
    message: str, action: str, output: Output[Any], *, code: str | None = None
) -> OutcomeUnknownError:
    """Return the error for a command whose outcome is not known."""
    error = OutcomeUnknownError(message, action=action, code=code, hint=IF_UNKNOWN)
    error.stdout, error.stderr = output.stdout, output.stderr
    return error


def explain(error: SandboxError) -> SandboxError:
    """Return the error for a refused or lost request to run a command."""
    if judge(error) is Verdict.UNKNOWN:
        return OutcomeUnknownError(error.message, hint=IF_UNKNOWN, **details(error))
    if _is_start_failure(error):
        return CommandStartError(error.message, **details(error))
    return error


def describe(command: str | Sequence[str]) -> str:
    """Return the first word of a command for messages. The rest may be long, and hold secrets."""
    words = command.split(maxsplit=1) if isinstance(command, str) else command
    # A line may begin with an assignment, whose value may be a secret.
    name, has_value, _ = words[0].partition("=")
    shown = f"{name}=…" if has_value else name
    return repr(shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…")


def check_event_stream(response: httpx.Response, action: str, output: Output[Any]) -> None:
    """Raise if an answer is not an event stream. The command may have run."""
    if not sse.is_event_stream(response):
        raise unknown("the server's answer is not an event stream", action, output)


def _read_answer(answer: ExecResult) -> Answer:
    if abs(answer.exit_code) > LARGEST_EXIT_CODE:
        raise UnreadableError("it has an invalid exit code")
    pieces = (
        Text(CommandStream.STDOUT, replace_surrogates(answer.stdout)),
        Text(CommandStream.STDERR, replace_surrogates(answer.stderr)),
    )
    return Answer(pieces, Exit(answer.exit_code), none_if_unset(answer.truncated) or False)


def _is_start_failure(error: SandboxError) -> bool:
    # The errors of the agent that starts the command. Requests are valid here.
    match error.status_code:
        case 400:
            return error.code in (None, "bad_request") and error.message not in _OF_THE_REQUEST
        case 500:
            return error.code == "exec_failed" or error.message.startswith("internal: ")
    return False


def _encoded(argument: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValidationError(f"{argument}: must not contain half of a surrogate pair") from None


def _write_argv(argv: object) -> dict[str, Any]:
    if not isinstance(argv, Sequence) or isinstance(argv, bytes | bytearray | memoryview):
        raise ValidationError(
            f"command: expected a string for the shell or a sequence of strings, got {type(argv).__name__}"
        )
    if not argv:
        raise ValidationError("command: must not be empty")
    program = _arguments.text("command[0]", argv[0])
    arguments = [
        _arguments.text(f"command[{index}]", word, may_be_empty=True)
        for index, word in enumerate(argv[1:], start=1)
    ]
    if arguments:
        return {"command": program, "args": arguments}
    # Without arguments, the API takes the command for a shell command line.
    if "=" in program:
        raise ValidationError("command: a program with '=' in its name cannot be run without arguments")
    return {"command": "env", "args": ["--", program]}


def _checked_env(env: object) -> dict[str, str]:
    if not isinstance(env, Mapping):
        raise ValidationError(f"env: expected a dict of strings, got {type(env).__name__}")
    checked = {}
    for key, value in env.items():
        name = _arguments.text("env: a variable's name", key)
        if not _NAME_OF_VARIABLE.fullmatch(name):
            # Not shown: a caller who writes "TOKEN=..." here has put the secret into the name.
            raise ValidationError("env: a variable's name must not contain '='; pass the value separately")
        checked[name] = _arguments.text(f"env[{name!r}]", value, may_be_empty=True)
    return checked
