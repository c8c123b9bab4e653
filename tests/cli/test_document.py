"""What docs/command.md shows is understood."""

import re
import shlex
from pathlib import Path

import click
import pytest

from superserve.cli import _exits
from superserve.cli._app import root

DOCUMENT = (Path(__file__).parents[2] / "docs/command.md").read_text()
SHOWN = sorted(set(re.findall(r"^superserve (.*)$", DOCUMENT, re.MULTILINE)))


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_that_is_shown_is_understood(line):
    words = shlex.split(line)
    command: click.Command = root
    context = click.Context(root)
    while isinstance(command, click.Group) and words[0] != "--tree":
        command = command.get_command(context, words[0])
        assert command is not None, line
        del words[0]
    if command is not root:
        command.make_context("superserve", words)


def test_every_exit_code_is_explained():
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)}
    assert explained == {0, 74, 130, *(code for _, code, *_ in _exits._KINDS)}
