"""The command `python -m superserve.local`: serve until Ctrl-C, or run one command against a server of its own."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TypeAlias

from superserve.local import LocalServer

Handler: TypeAlias = Callable[[int, FrameType | None], None]

COMMAND_NOT_FOUND = 127
KILLED_BY_SIGNAL = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        server = LocalServer(
            port=options.port, execute=options.execute, speed=options.speed, limits=not options.no_limits
        )
    except ValueError as error:
        parser.error(str(error))  # exits with code 2
    try:
        if options.action == "run":
            return _run(server, options.command)
        return _serve(server)
    except KeyboardInterrupt:
        return KILLED_BY_SIGNAL + signal.SIGINT
    except OSError as error:
        print(f"{parser.prog}: {error.strerror or error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--execute",
        action="store_true",
        help="run build steps as processes of this machine (default: make builds up)",
    )
    shared.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="shorten every wait N times (default: 1)"
    )
    shared.add_argument("--no-limits", action="store_true", help="no rate limits, quotas and team caps")
    shared.add_argument(
        "--port", type=int, default=0, metavar="PORT", help="port to listen on (default: a free one)"
    )
    parser = argparse.ArgumentParser(
        prog="python -m superserve.local",
        parents=[shared],
        description="A stand-in of the Superserve server on 127.0.0.1. Prints its address and key, serves until Ctrl-C.",
    )
    parser.set_defaults(action="serve")
    actions = parser.add_subparsers(metavar="run")
    run = actions.add_parser(
        "run",
        parents=[shared],
        usage="%(prog)s [options] -- COMMAND ...",
        help="run one command with SUPERSERVE_BASE_URL and SUPERSERVE_API_KEY set to a server of its own",
        description="Start a server, run COMMAND with SUPERSERVE_BASE_URL and SUPERSERVE_API_KEY set, stop the server, "
        "and exit with the command's code.",
    )
    run.add_argument("command", nargs="+", metavar="COMMAND")
    run.set_defaults(action="run")
    return parser


def _serve(server: LocalServer) -> int:
    told_to_stop = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        told_to_stop.set()

    with _handling({signal.SIGINT: stop, signal.SIGTERM: stop}), server:
        for name, value in _environment(server).items():
            print(f"export {name}={value}", flush=True)
        told_to_stop.wait()
    return 0


def _run(server: LocalServer, command: list[str]) -> int:
    with server:
        program = shutil.which(command[0])
        if program is None:
            print(f"{command[0]}: command not found", file=sys.stderr)
            return COMMAND_NOT_FOUND
        children: list[subprocess.Popen[bytes]] = []
        early: list[int] = []

        def leave_to_command(_signal: int, _frame: FrameType | None) -> None:
            """Do nothing: a terminal sends Ctrl-C to the command as well, which decides what to make of it."""

        def pass_on(number: int, _frame: FrameType | None) -> None:
            if children:
                children[0].send_signal(number)
            else:
                early.append(number)

        with _handling({signal.SIGINT: leave_to_command, signal.SIGTERM: pass_on}):
            environment = {**os.environ, **_environment(server)}
            children.append(subprocess.Popen([program, *command[1:]], env=environment))  # noqa: S603 - the user's own
            for number in early:
                children[0].send_signal(number)
            code = children[0].wait()
    return code if code >= 0 else KILLED_BY_SIGNAL - code


@contextlib.contextmanager
def _handling(handlers: dict[int, Handler]) -> Iterator[None]:
    """Handle signals in a way of our own for a while."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(server: LocalServer) -> dict[str, str]:
    return {"SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": server.api_key}


if __name__ == "__main__":
    sys.exit(main())
