"""`superserve run`, `exec`, `sb` and `cp`: sandboxes, and commands and files in them."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from superserve.cli import _exits
from superserve.cli._client import connected, is_id
from superserve.cli._completion import complete_sandboxes, complete_templates
from superserve.cli._output import Output, Seconds, output_options, table

if TYPE_CHECKING:
    from superserve import CommandBytesResult, CommandResult, Sandbox, Superserve

_TAGGED_ID: Final = re.compile(r"sb-[a-z0-9]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# As in docker: other codes are those of the remote command.
OWN_FAILURE: Final = 125
# As in shells.
CANNOT_START: Final = 126
NO_SUCH_PROGRAM: Final = 127
_GONE: Final = "gone"
_POLL_S: Final = 1.0
_HOME: Final = "/home/user"
_NOT_COPIED: Final = (".git", ".venv", "node_modules", "__pycache__")
_AS_IT_IS: Final = {"ignore_unknown_options": True, "allow_interspersed_args": False}


_secret_option = click.option(
    "--secret", multiple=True, metavar="VAR=NAME", help="A secret, in the variable VAR; may be repeated."
)


def _find(client: "Superserve", name: str) -> "Sandbox":
    """Return the sandbox with a name or an id, without waking it. A name of several sandboxes is refused."""
    from superserve import ConflictError, NotFoundError, Sandbox

    if is_id(name) or _TAGGED_ID.fullmatch(name):
        return Sandbox.get(name, client=client)
    found = [info for info in client.sandboxes.list(q=name) if info.name == name]
    if not found:
        raise NotFoundError(f"there is no sandbox named {name!r}", hint="superserve sb ls shows all")
    if len(found) > 1:
        ids = ", ".join(info.id for info in found)
        raise ConflictError(f"{len(found)} sandboxes are named {name!r}: {ids}", hint="use an id instead")
    return Sandbox.get(found[0].id, client=client)


def _stream(
    sandbox: "Sandbox",
    argv: Sequence[str],
    out: Output,
    *,
    cwd: str | None,
    env: Sequence[str],
    limit: float,
    interactive: bool,
) -> int:
    """Run a command, show its output as it comes, and return its exit code."""
    variables = _read_pairs("--env", env)
    # After the name of a sandbox, click passes `--` on as an argument.
    words = list(argv[1:] if argv[0] == "--" else argv)
    given = sys.stdin.buffer.read() if interactive else None
    run = partial(
        sandbox.commands.run, words, cwd=cwd, env=variables or None, timeout_seconds=limit, input=given
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


def _read_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Parse options of the form NAME=VALUE."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not name or not separator:
            # Not shown: the value may be a secret.
            raise click.UsageError(f"{option}: expected NAME=VALUE")
        pairs[name] = value
    return pairs


def _command_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED),
        click.option("-w", "--cwd", metavar="DIR", help="The working directory; by default the template's."),
        click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="A variable; may be repeated."),
        click.option("-i", "--interactive", is_flag=True, help="Read stdin to its end, and give it to the command."),
        click.option(
            "--timeout", "limit", type=Seconds(), default=3600.0, metavar="S",
            help="Stop the command after this many seconds; 3600 by default.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(context_settings=_AS_IT_IS)
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
    help=f"Copy a folder into the sandbox, and run there; {', '.join(_NOT_COPIED)} stay behind.",
)
@_secret_option
@_command_options
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
    limit: float,
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
        with _starting(name):
            secrets = _read_pairs("--secret", secret) or None
            sandbox = Sandbox.create(name=name, from_template=template, secrets=secrets, client=client)
        try:
            if sync is not None:
                cwd = cwd or f"{_HOME}/{Path(sync).resolve().name or 'synced'}"
                sandbox.files.upload(sync, cwd, ignore=shutil.ignore_patterns(*_NOT_COPIED))
            return _stream(sandbox, command, out, cwd=cwd, env=env, limit=limit, interactive=interactive)
        finally:
            if keep:
                out.say(f"The sandbox is left running; superserve sb kill {sandbox.id} ends it.")
            else:
                _kill(sandbox, out)


@contextmanager
def _starting(name: str) -> Iterator[None]:
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


@click.command("exec", context_settings=_AS_IT_IS)
@click.argument("sandbox", shell_complete=complete_sandboxes)
@_command_options
@output_options
def exec_(
    *,
    sandbox: str,
    command: tuple[str, ...],
    cwd: str | None,
    env: tuple[str, ...],
    limit: float,
    interactive: bool,
    out: Output,
) -> int:
    """Run a command in an existing sandbox.

    SANDBOX is its name or its id. The exit code is the command's.

    \b
    Example:
      superserve exec my-box -- ls -l
    """
    with _own_failures(), connected() as client:
        return _stream(
            _find(client, sandbox), command, out, cwd=cwd, env=env, limit=limit, interactive=interactive
        )


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


@click.command()
@click.argument("source")
@click.argument("target")
@output_options
def cp(source: str, target: str, out: Output) -> None:
    """Copy a file or a folder to or from a sandbox.

    SANDBOX:/path is a path in a sandbox. Any other path is on this machine.

    \b
    Example:
      superserve cp report.txt my-box:/home/user/report.txt
    """
    there = [_split(text) for text in (source, target)]
    if (there[0] is None) == (there[1] is None):
        raise click.UsageError(
            "one of SOURCE and TARGET must be in a sandbox, such as my-box:/home/user/report.txt"
        )
    name, path = next(found for found in there if found is not None)
    with connected() as client:
        sandbox = _find(client, name)
        if there[0] is None:
            sandbox.files.upload(source, path)
        else:
            sandbox.files.download(path, target)
    out.data({"source": source, "target": target, "sandbox_id": sandbox.id}, ids=[sandbox.id])


def _split(text: str) -> tuple[str, str] | None:
    """Return the sandbox and the path of SANDBOX:/path; None for a path on this machine."""
    name, separator, path = text.partition(":")
    # A Windows drive, or an existing file, is on this machine.
    is_there = bool(separator) and path.startswith("/") and len(name) > 1 and not Path(text).exists()
    return (name, path) if is_there else None


@click.group(no_args_is_help=True)
def sb() -> None:
    """Manage sandboxes.

    \b
    Example:
      superserve sb ls
    """


@sb.command()
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", help="Only sandboxes with this metadata; may be repeated."
)
@click.option("--status", help="Only sandboxes with this status, such as active or paused.")
@output_options
def ls(where: tuple[str, ...], status: str | None, out: Output) -> None:
    """List the team's sandboxes, newest first.

    \b
    Example:
      superserve sb ls --where team=a --status active
    """
    with connected() as client:
        infos = client.sandboxes.list(metadata=_read_pairs("--where", where) or None, status=status)
    rows = [("NAME", "STATUS", "VCPU", "MIB", "CREATED", "ID")] + [
        (info.name, info.status, info.vcpu_count, info.memory_mib, info.created_at, info.id) for info in infos
    ]
    out.data(infos, table(rows), ids=[info.id for info in infos])


@sb.command()
@click.argument("name")
@click.option(
    "-t",
    "--template",
    metavar="NAME",
    shell_complete=complete_templates,
    help="What it starts from; superserve/base by default.",
)
@click.option("--timeout", "limit", type=int, metavar="S", help="Pause it after so many seconds of running.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata; may be given again.")
@_secret_option
@output_options
def create(
    *,
    name: str,
    template: str | None,
    limit: int | None,
    meta: tuple[str, ...],
    secret: tuple[str, ...],
    out: Output,
) -> None:
    """Start a sandbox, and leave it running.

    \b
    Example:
      superserve sb create my-box --meta team=a
    """
    from superserve import Sandbox

    with connected() as client, _starting(name):
        sandbox = Sandbox.create(
            name=name,
            from_template=template,
            timeout_seconds=limit,
            metadata=_read_pairs("--meta", meta) or None,
            secrets=_read_pairs("--secret", secret) or None,
            client=client,
        )
        info = sandbox.get_info()
    out.data(info, f"{info.name}  {info.id}  {info.status}", ids=[info.id])
    out.say(f"It runs until it is killed; superserve sb kill {info.id} ends it.")


@sb.command()
@click.argument("name", shell_complete=complete_sandboxes)
@output_options
def show(name: str, out: Output) -> None:
    """Show a sandbox (a name or an id). It is not woken.

    \b
    Example:
      superserve sb show my-box
    """
    with connected() as client:
        info = _find(client, name).get_info()
    lines = [f"{key:<20} {value}" for key, value in info.to_dict().items() if value is not None]
    out.data(info, "\n".join(lines), ids=[info.id])


@sb.command()
@click.argument("name", shell_complete=complete_sandboxes)
@click.option(
    "--for",
    "seconds",
    type=int,
    metavar="S",
    help="Seconds of running; by default the sandbox is never paused.",
)
@output_options
def keep(name: str, seconds: int | None, out: Output) -> None:
    """Set after what time a sandbox is paused by itself.

    \b
    Example:
      superserve sb keep my-box --for 3600
    """
    with connected() as client:
        sandbox = _find(client, name)
        sandbox.set_timeout(seconds)
        info = sandbox.get_info()
    when = "is never paused by itself" if seconds is None else f"is paused after {seconds} s of running"
    out.data(info, f"{info.name}  {info.id}  {when}", ids=[info.id])


@sb.command()
@click.argument("name", shell_complete=complete_sandboxes)
@click.option(
    "--until", metavar="STATUS", help="End when the sandbox has this status; by default, when it is gone."
)
@click.option(
    "--timeout", "limit", type=Seconds(), metavar="S", help="End after this many seconds, with exit code 124."
)
@output_options
def watch(name: str, until: str | None, limit: float | None, out: Output) -> int:
    """Print each status that a sandbox reaches. The sandbox is not woken.

    \b
    Example:
      superserve sb watch my-box --until active
    """
    from superserve import NotFoundError

    end = None if limit is None else monotonic() + limit
    shown = None
    with connected() as client:
        sandbox = _find(client, name)
        while end is None or monotonic() < end:
            try:
                status = str(sandbox.get_info().status)
            except NotFoundError:
                status = _GONE
            if status != shown:
                shown = status
                _show_status(sandbox, status, out)
            if status in {until, _GONE}:
                return 0 if until in {None, status} else _exits.NOT_FOUND
            sleep(_POLL_S)
    return _exits.TIMEOUT


def _show_status(sandbox: "Sandbox", status: str, out: Output) -> None:
    if out.as_json:
        out.line({"type": "status", "id": sandbox.id, "name": sandbox.name, "status": status})
    else:
        click.echo(status if out.quiet else f"{sandbox.name}  {sandbox.id}  {status}")
        sys.stdout.flush()


def _for_each(name: str, verb: str, help_text: str, *, asks: bool = False) -> None:
    @sb.command(name, help=help_text)
    @click.argument("names", nargs=-1, required=True, shell_complete=complete_sandboxes)
    @click.option("--yes", is_flag=True, hidden=not asks, help="Do not ask.")
    @output_options
    def command(*, names: tuple[str, ...], yes: bool, out: Output) -> None:
        with connected() as client:
            found = [_find(client, one) for one in names]
            if asks:
                out.confirm(f"{name} {', '.join(sandbox.name for sandbox in found)}", yes=yes)
            for sandbox in found:
                getattr(sandbox, name)()
        out.data(
            [{"id": sandbox.id, "name": sandbox.name, "done": verb} for sandbox in found],
            "\n".join(f"{sandbox.name}  {sandbox.id}  {verb}" for sandbox in found),
            ids=[sandbox.id for sandbox in found],
        )


_for_each("pause", "paused", "Pause sandboxes (names or ids).\n\n\b\nExample:\n  superserve sb pause my-box")
_for_each(
    "resume",
    "resumed",
    "Resume paused sandboxes (names or ids).\n\n\b\nExample:\n  superserve sb resume my-box",
)
_for_each(
    "kill",
    "killed",
    "Kill sandboxes (names or ids).\n\n\b\nExample:\n  superserve sb kill my-box --yes",
    asks=True,
)
