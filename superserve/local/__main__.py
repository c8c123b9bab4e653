"""The command `python -m superserve.local`: serve until Ctrl-C, or run one command with a server of its own."""

import argparse
import contextlib
import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeAlias

import superserve
from superserve.local import LocalServer, StateError
from superserve.local._app.arguments import check_seconds
from superserve.local._app.terminal import show_log

Handler: TypeAlias = Callable[[int, FrameType | None], None]

PROGRAM = "python -m superserve.local"
COMMAND_NOT_RUNNABLE = 126
COMMAND_NOT_FOUND = 127
KILLED_BY_SIGNAL = 128


class Failure(Exception):  # noqa: N818 - it is not raised to whom calls main
    """Nothing can be served or run.

    Attributes:
        reason: Why, for people.
        exit_code: What the command exits with.
    """

    def __init__(self, reason: str, exit_code: int, *, about: str, usage: str = "") -> None:
        super().__init__(f"{usage}{about}: {reason}")
        self.reason = reason
        self.exit_code = exit_code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leave it to the caller to print it."""
        raise Failure(message, 2, about=f"{self.prog}: error", usage=self.format_usage())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    _fill_streams()
    try:
        return serve(arguments)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.exit_code


def serve(arguments: Sequence[str] | None = None, *, program: str = PROGRAM) -> int:
    """Run the command line under a name, and return the exit code.

    Raises:
        Failure: The arguments are wrong, or nothing can be served or run.
    """
    parser = _parser(program)
    options = parser.parse_args(arguments)
    if options.tunnel and not options.official:
        parser.error("--tunnel needs --official")
    if options.drain and options.action == "run":
        parser.error("--drain does not go with run: its server stops when COMMAND has ended")
    if options.action not in {None, "run"}:
        parser.error(
            f"{options.action!r} is not a subcommand: the only one is run, as in {program} run -- COMMAND ..."
            if program == PROGRAM
            else f"{options.action!r} is no option"
        )
    try:
        server = LocalServer(
            port=options.port,
            api_key=options.api_key,
            execute=options.execute,
            isolation=options.isolation,
            python=options.python,
            speed=options.speed,
            limits=not options.no_limits,
            state=options.state,
        )
    except ValueError as error:
        parser.error(str(error))
    try:
        if options.action == "run":
            return _run(server, options)
        return _serve(server, options)
    except KeyboardInterrupt:
        return KILLED_BY_SIGNAL + signal.SIGINT
    except (OSError, StateError, NotImplementedError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise Failure(str(reason or error), 1, about=parser.prog) from error


def _fill_streams() -> None:
    """Replace closed streams (`>&-`) with streams that lead nowhere. Otherwise files would get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # It gets the lowest free number, which is that of the stream.
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, "w" if number else "r", closefd=False))


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        parents=[_options()],
        usage="%(prog)s [options]" + (" [run [options] -- COMMAND ...]" if program == PROGRAM else ""),
        description="A stand-in of the Superserve server on 127.0.0.1. Prints its address and key as export lines, logs "
        "requests to stderr, and serves until Ctrl-C.",
        allow_abbrev=False,
    )
    parser.set_defaults(
        action=None,
        port=0,
        api_key=None,
        execute=False,
        isolation="auto",
        python=None,
        speed=1.0,
        no_limits=False,
        state=None,
        json=False,
        json_logs=False,
        official=False,
        tunnel=False,
        drain=0.0,
    )
    parser.add_argument(
        "--drain",
        type=_seconds,
        metavar="SECONDS",
        help="on SIGTERM, let open requests go on for this time and refuse new ones; the real server waits 15 s "
        "(default: 0, stop at once)",
    )
    parser.add_argument("--version", action="version", version=f"superserve {superserve.__version__}")
    # With a subparser for run, argparse would refuse another word with a list of one choice.
    parser.add_argument(
        "action",
        nargs=argparse.REMAINDER,
        action=_Run,
        metavar="run",
        help="run one command with SUPERSERVE_BASE_URL and SUPERSERVE_API_KEY set to a server of its own; "
        "see run --help",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        return check_seconds("it", float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _Run(argparse.Action):
    """Parses what follows the first options: `run`, its own options, and a command."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,  # noqa: ARG002 - as inherited
    ) -> None:
        words = list(values or ())
        if not words:
            return
        namespace.action = words.pop(0)
        # Unknown options are reported first: the word may be the value of one.
        if namespace.action != "run":
            return
        run = _run_parser(parser.prog)
        run.parse_args(words, namespace)
        if namespace.command[:1] == ["--"]:
            del namespace.command[0]
        if not namespace.command:
            run.error("there is no COMMAND to run")


def _run_parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{program} run",
        parents=[_options()],
        usage="%(prog)s [options] [--] COMMAND ...",
        description="Start a server, run COMMAND with SUPERSERVE_BASE_URL and SUPERSERVE_API_KEY set, stop the server, "
        "and exit with the command's code. Requests are logged only with --json-logs.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="the command; everything after its first word belongs to it",
    )
    return parser


def _options() -> argparse.ArgumentParser:
    # Options may come before and after `run`: one that is missing after it must not undo one before it.
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)

    def flag(name: str, meaning: str) -> None:
        options.add_argument(name, action="store_true", default=argparse.SUPPRESS, help=meaning)

    options.add_argument("--port", type=int, metavar="PORT", help="port to listen on (default: a free one)")
    options.add_argument(
        "--api-key", metavar="KEY", help="the key that clients must send (default: a random one)"
    )
    flag("--execute", "run build steps as processes of this machine (default: simulate builds)")
    options.add_argument(
        "--isolation",
        choices=("auto", "none"),
        metavar="KIND",
        help="none: run commands of sandboxes as plain processes, whose absolute paths are this machine's (default: auto, "
        "which isolates them with bwrap or unshare, and refuses commands if neither works)",
    )
    options.add_argument(
        "--python",
        metavar="PATH",
        help="the interpreter that build steps and commands of sandboxes find as python (default: this machine's)",
    )
    options.add_argument(
        "--speed", type=float, metavar="N", help="shorten every wait N times (default: 1, at most 10000)"
    )
    flag(
        "--official",
        "also answer for the real service's addresses, as the HTTPS proxy of a program with an official SDK",
    )
    flag("--tunnel", "with --official: also connect that program to all other hosts (default: refuse them)")
    flag("--no-limits", "no rate limits, quotas and team caps")
    options.add_argument(
        "--state", metavar="FILE", help="keep templates, builds and keys in FILE (default: only in memory)"
    )
    flag("--json", "print the address and the key as a line of JSON, instead of export lines")
    flag("--json-logs", "log each request as a line of JSON")
    return options


def _serve(server: LocalServer, options: argparse.Namespace) -> int:
    stopping = threading.Event()
    drain_s = 0.0

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal drain_s
        if stopping.is_set():
            # Asked again, while requests may still go on.
            server.stop()
        elif number == signal.SIGTERM:
            drain_s = options.drain
        stopping.set()

    show_log(sys.stderr, as_json=options.json_logs)
    with _handle_signals(dict.fromkeys(_ending_signals(), stop)), server:
        removed, added = _environment(server, options)
        if options.json:
            print(json.dumps({"environment": added, "unset": removed}))
        else:
            if removed:
                print(f"unset {' '.join(removed)}")
            for name, value in added.items():
                print(f"export {name}={shlex.quote(value)}")
        if not options.json_logs:
            # A browser sends nobody the part after the #. A file that stderr goes to is not as private.
            key = f"#key={server.api_key}" if sys.stderr.isatty() else ""
            print(
                f"Status page: {server.base_url}/{key}\nCtrl-C stops the server.", file=sys.stderr, flush=True
            )
        _end_stdout()
        stopping.wait()
        server.stop(drain_s=drain_s)
    if sys.stderr.isatty():
        print(file=sys.stderr)  # for the prompt: the terminal has written ^C on this line
    return 0


def _ending_signals() -> Iterator[int]:
    yield from (signal.SIGINT, signal.SIGTERM)
    # The terminal was closed. Under nohup that is ignored.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        yield signal.SIGHUP


def _end_stdout() -> None:
    """Close stdout, so that a reader such as `eval "$(python -m superserve.local &)"` goes on."""
    sys.stdout.flush()
    if not sys.stdout.isatty():
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _run(server: LocalServer, options: argparse.Namespace) -> int:
    command: list[str] = options.command
    if options.json_logs:
        show_log(sys.stderr, as_json=True)
    with server:
        program = shutil.which(command[0])
        if program is None:
            raise _explain_missing(command[0])
        children: list[subprocess.Popen[bytes]] = []
        early: list[int] = []

        def leave_to_command(_signal: int, _frame: FrameType | None) -> None:
            """Do nothing: the terminal also sends Ctrl-C to the command, which decides how to react."""

        def pass_on(number: int, _frame: FrameType | None) -> None:
            if children:
                children[0].send_signal(number)
            else:
                early.append(number)

        with _handle_signals({signal.SIGINT: leave_to_command, signal.SIGTERM: pass_on}):
            removed, added = _environment(server, options)
            inherited = {name: value for name, value in os.environ.items() if name not in removed}
            try:
                child = subprocess.Popen([program, *command[1:]], env={**inherited, **added})  # noqa: S603 - the user's own
            except OSError as error:
                raise Failure(_reason(program, error), COMMAND_NOT_RUNNABLE, about=command[0]) from error
            children.append(child)
            for number in early:
                children[0].send_signal(number)
            code = children[0].wait()
    return code if code >= 0 else KILLED_BY_SIGNAL - code


def _explain_missing(word: str) -> Failure:
    """Return why a word cannot be run as a program, with the exit code that shells have for it."""
    path = Path(word)
    if path.name == word or not path.exists():
        return Failure("command not found", COMMAND_NOT_FOUND, about=word)
    reason = "is a directory" if path.is_dir() else "is not executable; chmod +x makes it executable"
    return Failure(reason, COMMAND_NOT_RUNNABLE, about=word)


def _reason(program: str, error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        return "is not a program for this machine; a script starts with a line such as #!/bin/sh"
    # The program exists: the interpreter in its first line does not.
    if error.errno == errno.ENOENT and Path(program).exists():
        return "the interpreter in its first line does not exist"
    return error.strerror or str(error)


@contextlib.contextmanager
def _handle_signals(handlers: dict[int, Handler]) -> Iterator[None]:
    """Handle some signals with other handlers for a while."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(server: LocalServer, options: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """Return the variables that a program must not have, and those that it needs to find the server."""
    if options.official:
        # Official SDKs find the data plane only by the control plane's address.
        return ["SUPERSERVE_BASE_URL"], server.official_environment(tunnel=options.tunnel)
    return [], {"SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": server.api_key}


if __name__ == "__main__":
    sys.exit(main())
