"""Write docs/reference/command.md from the command `superserve` itself; `--check` only compares."""

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from superserve.cli._app import root

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "command.md"
HEAD = """\
# Commands and options

[The command `superserve`](../command.md) tells what the commands have in common. This page has each command with its
options. It is written from the command itself: `superserve COMMAND --help` says the same.
"""


def commands(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    """Yield, for each command below a group, the context that knows the command and its whole name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            below = click.Context(command, info_name=name, parent=context)
            if isinstance(command, click.Group):
                yield from commands(command, below)
            else:
                yield below


def options(context: click.Context) -> list[str]:
    """Return a row of a table for each option that has a meaning."""
    records = (parameter.get_help_record(context) for parameter in context.command.get_params(context))
    cells = ([text.replace("|", "\\|") for text in record] for record in records if record and record[1])
    return [f"| `{names}` | {meaning} |" for names, meaning in cells]


def table(rows: list[str]) -> list[str]:
    """Return the lines of a table, if it has rows."""
    return ["", "| option | meaning |", "|---|---|", *rows] if rows else []


def section(context: click.Context, common: list[str]) -> Iterator[str]:
    """Yield the lines on a command: how it is called, what it does, the options that not all commands have."""
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield from ("", f"## {context.command_path}", "", "```text", f"{context.command_path} {usage}", "```")
    for paragraph in inspect.cleandoc(context.command.help or "").split("\n\n"):
        # Click leaves the lines of a paragraph with this mark as they are.
        block = paragraph.startswith("\b")
        yield from ("", "```text", *paragraph.splitlines()[1:], "```") if block else ("", paragraph)
    yield from table([row for row in options(context) if row not in common])


def page() -> str:
    """Return the whole page."""
    known = list(commands(root, click.Context(root, info_name="superserve", **root.context_settings)))
    most = next(options(context) for context in known if context.info_name == "doctor")
    without = [f"`{one.command_path}`" for one in known if not set(most) <= set(options(one))]
    lines = ["", f"All commands but {' and '.join(without)} take these options:", *table(most)]
    return HEAD + "\n".join([*lines, *(line for one in known for line in section(one, most))]) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the page is out of date"
    )
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif page() != PAGE.read_text(encoding="utf-8"):
        print(
            "docs/reference/command.md is not what the command says. Tell users in CHANGELOG.md, and run `nox -s surface`."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
