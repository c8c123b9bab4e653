"""The tree of commands, and how errors are reported."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from superserve.cli import _exits
from superserve.errors import SandboxError

# A summary of each command, so that --help need not load the command.
_ROOT: Final = {
    "api": ("superserve.cli._api:api", "Make one call of the API."),
    "completion": (
        "superserve.cli._completion:completion",
        "Print a script that completes this command in a shell.",
    ),
    "cp": ("superserve.cli._cp:cp", "Copy files to or from a sandbox."),
    "doctor": ("superserve.cli._doctor:doctor", "Find out why this machine cannot use the service."),
    "exec": ("superserve.cli._exec:exec_", "Run a command in an existing sandbox."),
    "local": ("superserve.cli._local:local", "Run a local server in place of the service."),
    "run": ("superserve.cli._exec:run", "Run a command in a new sandbox."),
    "sb": ("superserve.cli._sandbox:sb", "Manage sandboxes."),
    "template": ("superserve.cli._template:template", "Write, check, build and manage templates."),
}
_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _NobodyReads(Exception):  # noqa: N818 - it is no error
    """Whoever read the output has had enough. Of a BrokenPipeError, click would make an exit with 1."""


class Tree(click.Group):
    """A group that loads a command only to run it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _NobodyReads from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as inherited
        """Return the names of the commands."""
        return sorted(_ROOT)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as inherited
        """Load a command."""
        if cmd_name not in _ROOT:
            return None
        module, _, name = _ROOT[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as inherited
        """Write the list of commands, without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, meaning) for name, (_, meaning) in sorted(_ROOT.items())])


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from superserve import __version__

        click.echo(f"superserve {__version__}")
        ctx.exit()


def _print_tree(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        for line in tree(root, ctx):
            click.echo(line)
        ctx.exit()


def tree(group: click.Group, ctx: click.Context, before: str = "") -> list[str]:
    """Return a line for each command below a group."""
    lines = []
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None:
            continue
        path = f"{before} {name}".strip()
        if isinstance(command, click.Group):
            lines += tree(command, ctx, path)
        else:
            needed = [
                parameter.make_metavar(ctx)
                for parameter in command.params
                if isinstance(parameter, click.Argument)
            ]
            lines.append(f"superserve {' '.join([path, *needed]):<44}  {command.get_short_help_str(60)}")
    return lines


@click.group(cls=Tree, context_settings=_CONTEXT, no_args_is_help=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.option(
    "--tree",
    "show_tree",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_tree,
    help="Print all commands.",
)
def root() -> None:
    """Build templates, and run sandboxes from them.

    The key comes from SUPERSERVE_API_KEY, the address from SUPERSERVE_BASE_URL.
    Data goes to stdout, everything else to stderr; every command takes --json.

    \b
    Exit codes:
      0  done                           6  quota or rate: try later
      1  the build failed               7  network or server: try again
      2  usage, or a mistake in a spec  74  the output cannot be written
      3  not found                      124  out of time
      4  key or permission              125  run and exec: a failure of their own
      5  conflict, or not confirmed     130  Ctrl-C
    run and exec exit as their command does.

    \b
    Example:
      superserve template init && superserve template build --all
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return its exit code."""
    before_command = arguments[: arguments.index("--") if "--" in arguments else None]
    as_json = "--json" in before_command
    _prepare_streams()
    if "_SUPERSERVE_COMPLETE" in os.environ:
        # It says how words of bash are put together.
        import_module("superserve.cli._completion")
    try:
        result = root.main(args=list(arguments), prog_name="superserve", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        notes = getattr(error, "__notes__", getattr(error.__context__, "__notes__", ()))
        found = _exits.usage(" ".join(("interrupted.", *notes)), category="interrupted")
        _tell(_as_line(found) if as_json else "\n".join(notes))
        return _exits.INTERRUPTED
    except (click.ClickException, _exits.Refused, _exits.OwnFailure, SandboxError) as error:
        code, found, text = _explain(error)
        _tell(_as_line(found) if as_json else text)
        return code
    except (BrokenPipeError, _NobodyReads):
        # Whoever read stdout has had enough.
        _give_up_stdout()
        return _exits.NOBODY_READS
    except OSError as error:
        _give_up_stdout()
        message = f"the output cannot be written: {error.strerror or error}"
        _tell(_as_line(_exits.usage(message, category="output")) if as_json else f"superserve: {message}")
        return _exits.NOT_WRITTEN
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """Let streams that were closed (`>&-`) lead nowhere, and no character be one that cannot be written."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # It gets the lowest number that is free, which is that of the stream.
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, "w" if number else "r", closefd=False))
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _give_up_stdout() -> None:
    """Drop what is left to be written to stdout: Python would complain once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_line(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, default=str)


def _tell(text: str) -> None:
    # stderr may be closed, too.
    with contextlib.suppress(OSError):
        click.echo(text, err=True, nl=bool(text))


def _explain(error: Exception) -> tuple[int, dict[str, Any], str]:
    """Return an error's exit code, its JSON, and its text for people."""
    if isinstance(error, _exits.OwnFailure):
        return error.exit_code, *_explain(error.error)[1:]
    if isinstance(error, SandboxError):
        text = f"superserve: {_exits.text_of(error)}"
        return _exits.exit_code(error), _exits.as_dict(error), text
    if isinstance(error, _exits.Refused):
        code, category, name, message, hint = (
            _exits.CONFLICT,
            "conflict",
            "not_confirmed",
            str(error),
            error.hint,
        )
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        return _exits.USAGE, _exits.usage("a command is missing"), error.format_message()
    else:
        context = getattr(error, "ctx", None)
        code, category, name = _exits.USAGE, "usage", None
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        message = message.removesuffix(".")
        hint = f"{context.command_path} --help shows the usage" if context else None
    text = f"superserve: {message}" + (f"{' ' if message.endswith('?') else '; '}{hint}" if hint else "")
    return code, _exits.usage(message, hint=hint, category=category, code=name), text
