"""`superserve run` and `exec`: commands in sandboxes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from superserve.cli import _detached, _exits
from superserve.cli._client import connected, find_sandbox
from superserve.cli._completion import complete_sandboxes, complete_templates
from superserve.cli._interrupts import is_pressed_again
from superserve.cli._output import Output, Seconds, output_options

if TYPE_CHECKING:
    from superserve import CommandBytesResult, CommandResult, Sandbox

# As in docker: other codes are those of the remote command.
OWN_FAILURE: Final = 125
# As in shells.
CANNOT_START: Final = 126
NO_SUCH_PROGRAM: Final = 127
_HOME: Final = "/home/user"
_NOT_COPIED: Final = (".git", ".venv", "node_modules", "__pycache__")
_USUAL_LIMIT_S: Final = 3600.0
_DAY_S: Final = 86_400.0


secret_option = click.option(
    "--secret", multiple=True, metavar="VAR=NAME", help="A secret, in the variable VAR; may be repeated."
)


class _Words(click.Command):
    """A command that runs another one, whose words are kept as they are: what follows its first one is not for this command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, with `--` before the other command if it is not there."""
        for number, word in enumerate(args):
            if word == "--":
                break
            try:
                before, _, _ = self.make_parser(ctx).parse_args(args[: number + 1])
            except click.UsageError:
                # This option's value comes next, or it is none: then that is told below.
                continue
            if isinstance(before.get("command"), list | tuple) and before["command"]:
                args = [*args[:number], "--", *args[number:]]
                break
        return super().parse_args(ctx, args)


def _stream(
    sandbox: "Sandbox",
    words: Sequence[str],
    out: Output,
    *,
    cwd: str | None = None,
    env: Sequence[str] = (),
    limit: float | None,
    interactive: bool = False,
) -> int:
    """Run a command, show its output as it comes, and return its exit code."""
    variables = read_pairs("--env", env)
    given = sys.stdin.buffer.read() if interactive else None
    run = partial(
        sandbox.commands.run,
        words,
        cwd=cwd,
        env=variables or None,
        timeout_seconds=limit or _USUAL_LIMIT_S,
        input=given,
    )
    result: CommandResult | CommandBytesResult
    if out.as_json or sys.stdout.isatty():
        result = run(on_stdout=_writer("stdout", out), on_stderr=_writer("stderr", out))
    else:
        # A file or a pipe gets the bytes: not all output is text.
        result = run(on_stdout=_copier(sys.stdout), on_stderr=_copier(sys.stderr), encoding=None)
    if out.as_json:
        out.line({"exit_code": result.exit_code, "timed_out": result.timed_out})
    return result.exit_code


def _writer(stream: str, out: Output) -> Callable[[str], None]:
    def write(piece: str) -> None:
        if out.as_json:
            out.line({"stream": stream, "text": piece})
        else:
            click.echo(piece, nl=False, err=stream == "stderr")

    return write


def _copier(stream: TextIO) -> Callable[[bytes], None]:
    def copy(piece: bytes) -> None:
        stream.buffer.write(piece)
        stream.buffer.flush()

    return copy


def read_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Parse options of the form NAME=VALUE."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not name or not separator:
            # Not shown: the value may be a secret.
            raise click.UsageError(f"{option}: expected NAME=VALUE")
        pairs[name] = value
    return pairs


def _command_options(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.argument("command", nargs=-1, required=required, type=click.UNPROCESSED),
            click.option("-w", "--cwd", metavar="DIR", help="The working directory; by default the template's."),
            click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated."),
            click.option("-i", "--interactive", is_flag=True, help="Read stdin to its end, and give it to the command."),
            click.option(
                "--timeout", "limit", type=Seconds(), metavar="S",
                help="Stop the command after this many seconds; 3600 by default.",
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


@click.command(cls=_Words)
@click.option(
    "-t",
    "--template",
    metavar="NAME",
    shell_complete=complete_templates,
    help="What the sandbox starts from; superserve/base by default.",
)
@click.option("--name", default="superserve-run", show_default=True, help="The sandbox's name.")
@click.option("--keep", is_flag=True, help="Leave the sandbox running.")
@click.option(
    "--sync",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Copy a folder into the sandbox, and run there; "
    f"{', '.join(_NOT_COPIED)}, and what its .superserveignore names, stay behind.",
)
@secret_option
@_command_options(required=True)
@output_options
def run(
    *,
    command: tuple[str, ...],
    template: str | None,
    name: str,
    keep: bool,
    sync: str | None,
    secret: tuple[str, ...],
    cwd: str | None,
    env: tuple[str, ...],
    limit: float | None,
    interactive: bool,
    out: Output,
) -> int:
    """Run a command in a new sandbox.

    The sandbox is killed afterwards. The exit code is the command's.

    \b
    Example:
      superserve run -- python3 -c "print('hello')"
    """
    from superserve import Sandbox

    with _own_failures(), connected() as client:
        with starting(name):
            secrets = read_pairs("--secret", secret) or None
            sandbox = Sandbox.create(name=name, from_template=template, secrets=secrets, client=client)
        try:
            if sync is not None:
                from superserve.cli._cp import upload

                cwd = cwd or f"{_HOME}/{Path(sync).resolve().name or 'synced'}"
                upload(sandbox, Path(sync), cwd, out, never=_NOT_COPIED)
            return _stream(sandbox, command, out, cwd=cwd, env=env, limit=limit, interactive=interactive)
        finally:
            if keep:
                out.say(f"The sandbox is left running; superserve sb kill {sandbox.id} ends it.")
            else:
                _kill(sandbox, out)


@contextmanager
def starting(name: str) -> Iterator[None]:
    """Say what may be left where Ctrl-C comes before the sandbox is known."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(f"A sandbox named {name} may have been started; superserve sb ls shows it.")
        raise


def _kill(sandbox: "Sandbox", out: Output) -> None:
    try:
        sandbox.kill()
    except BaseException:
        out.say(f"The sandbox may be left running; superserve sb kill {sandbox.id} ends it.")
        raise


@click.command("exec", cls=_Words)
@click.argument("sandbox", shell_complete=complete_sandboxes)
@click.option(
    "-d", "--detach", is_flag=True, help="Leave the command running, and print a token for --attach."
)
@click.option(
    "--attach", "token", metavar="TOKEN", help="Show a command that was left running, from its start."
)
@_command_options(required=False)
@output_options
def exec_(
    *,
    sandbox: str,
    command: tuple[str, ...],
    detach: bool,
    token: str | None,
    cwd: str | None,
    env: tuple[str, ...],
    limit: float | None,
    interactive: bool,
    out: Output,
) -> int:
    """Run a command in an existing sandbox.

    SANDBOX is its name or its id. The exit code is the command's.

    With -d the command goes on by itself, without stdin and a limit of time. --attach shows its output from its start to its
    end, on any machine, and exits as the command does.

    \b
    Example:
      superserve exec my-box -- ls -l
    """
    if token is not None and (command or detach or cwd or env or interactive):
        raise click.UsageError("--attach takes a token, and no command or option of one")
    if token is None and not command:
        raise click.UsageError("name a command to run, or use --attach")
    if detach and (interactive or limit):
        raise click.UsageError("-d leaves the command running: it has no stdin and no --timeout")
    with _own_failures(), connected() as client:
        box = find_sandbox(client, sandbox)
        if token is not None:
            return _attach(box, sandbox, token, out, limit)
        if detach:
            return _start(box, sandbox, command, out, cwd=cwd, env=env)
        return _stream(box, command, out, cwd=cwd, env=env, limit=limit, interactive=interactive)


def _start(
    box: "Sandbox", name: str, words: Sequence[str], out: Output, *, cwd: str | None, env: Sequence[str]
) -> int:
    from superserve import CommandError

    token = _detached.new_token()
    result = box.commands.run(_detached.start(token, words), cwd=cwd, env=read_pairs("--env", env) or None)
    if not result.ok:
        raise CommandError(
            result.stderr.strip() or f"exited with {result.exit_code}", result, action="exec -d"
        )
    out.data({"sandbox_id": box.id, "token": token}, token, ids=[token])
    out.say(f"The command goes on; superserve exec {name} --attach {token} shows it.")
    return 0


def _attach(box: "Sandbox", name: str, token: str, out: Output, limit: float | None) -> int:
    from superserve import NotFoundError

    if not _detached.is_token(token):
        raise click.UsageError("--attach: expected a token that `exec -d` has printed")
    if not box.files.exists(_detached.folder(token)):
        raise NotFoundError(f"sandbox {name} has no command with the token {token}")
    way_back = f"superserve exec {name} --attach {token} shows it"
    try:
        code = _stream(box, _detached.follow(token), out, limit=limit or _DAY_S)
    except KeyboardInterrupt as error:
        if is_pressed_again("ends the command"):
            box.commands.run(_detached.end(token))
            error.add_note(f"The command was told to end (SIGTERM); {way_back}.")
        else:
            error.add_note(f"The command goes on; {way_back}.")
        raise
    if code == _exits.TIMEOUT:
        out.say(f"Exit code {code}: out of time, or the command's own; {way_back}.")
    return code


@contextmanager
def _own_failures() -> Iterator[None]:
    """Exit with 125 for errors of the SDK, and with a shell's codes for a command that cannot start."""
    from superserve import CommandStartError, SandboxError

    try:
        yield
    except CommandStartError as error:
        is_missing = error.code == "bad_request"
        raise _exits.OwnFailure(error, NO_SUCH_PROGRAM if is_missing else CANNOT_START) from error
    except SandboxError as error:
        raise _exits.OwnFailure(error, OWN_FAILURE) from error
