"""The output of a command: data to stdout, everything else to stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, Final

import click

from superserve._redact import strip_controls
from superserve.cli._exits import Refused

SCHEMA: Final = 1
"""The version of streamed JSON lines. It changes when a key is removed or changes its meaning."""

_MOST_SECONDS: Final = 1e9


class Output:
    """The output options of this run."""

    def __init__(self, *, as_json: bool, quiet: bool, color: str) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.color = {"always": True, "never": False}.get(color)

    @property
    def may_ask(self) -> bool:
        """Whether somebody can answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")

    @property
    def may_draw(self) -> bool:
        """Whether there is a terminal to draw on, and nobody has asked for less."""
        is_wanted = not self.quiet and self.color is not False and not os.environ.get("CI")
        return is_wanted and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def data(self, value: Any, text: str | None = None, *, ids: Iterable[str] = ()) -> None:
        """Write the result: as JSON, as ids only, or as text."""
        if self.as_json:
            click.echo(dumps(value, indent=2))
        elif self.quiet:
            for one in ids:
                click.echo(one)
        elif text:
            # Names and messages come from the server. They must not control the terminal.
            click.echo(strip_controls(text))

    def line(self, value: dict[str, Any]) -> None:
        """Write one JSON line of a stream."""
        click.echo(dumps({"schema": SCHEMA, **value}))

    def say(self, text: str) -> None:
        """Write a message for people."""
        click.echo(strip_controls(text), err=True)

    def confirm(self, what: str, *, yes: bool) -> None:
        """Ask before something is deleted. If nobody can answer, refuse.

        Raises:
        Refused: Nobody has confirmed.
        """
        if yes:
            return
        if not self.may_ask:
            raise Refused(
                f"this would {what}", hint="use --yes to do it, or --dry-run to see what it would do"
            )
        if not click.confirm(f"{what[0].upper()}{what[1:]}?", err=True):
            raise Refused("nothing was done", hint=None)


def dumps(value: Any, indent: int | None = None) -> str:
    """Return JSON that stdout can write; times in ISO 8601."""
    text = json.dumps(value, default=_plain, ensure_ascii=False, indent=indent)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, default=_plain, indent=indent)
    return text


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    to_dict = getattr(value, "to_dict", None)
    return str(value) if to_dict is None else to_dict()


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text in columns. The first row is the heading."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


class Seconds(click.types.FloatParamType):
    """Seconds that a clock can count, more than 0."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read them."""
        seconds = super().convert(value, param, ctx)
        # What is no number (nan) is not in between either.
        if not 0 < seconds <= _MOST_SECONDS:
            self.fail(f"{value} is not above 0 and up to {_MOST_SECONDS:.0f}", param, ctx)
        return seconds


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all commands have: --json, -q, --color. The command gets them as `out=`."""

    @click.option("--json", "as_json", is_flag=True, help="Write JSON: data to stdout, an error to stderr.")
    @click.option("-q", "--quiet", is_flag=True, help="Write only ids, or nothing.")
    @click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colours; by default on a terminal without NO_COLOR.",
    )
    @wraps(command)
    def wrapped(*args: Any, as_json: bool, quiet: bool, color: str, **kwargs: Any) -> Any:
        return command(*args, out=Output(as_json=as_json, quiet=quiet, color=color), **kwargs)

    return wrapped
