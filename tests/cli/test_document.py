"""Commands that the documents show are understood, and those of docs/command.md work, one after another."""

import re
import shlex
from pathlib import Path

import click
import pytest

from superserve.cli import _exits
from superserve.cli._app import root
from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/command.md").read_text(encoding="utf-8")
ALL = [
    DOCUMENT,
    *(file.read_text(encoding="utf-8") for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))),
]
SHOWN = sorted(
    {
        line
        for text in ALL
        for line in re.findall(r"^(?:\$ |- run: | *)superserve ([^[\n]+)$", text, re.MULTILINE)
    }
)


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_that_is_shown_is_understood(line):
    words = shlex.split(re.split(r"\s[>|&#]", line)[0])
    command: click.Command = root
    context = click.Context(root)
    while isinstance(command, click.Group) and words[0] != "--tree":
        command = command.get_command(context, words[0])
        assert command is not None, line
        del words[0]
    if command is not root:
        command.make_context("superserve", words)


def test_the_commands_of_the_page_work_one_after_another(run, folder, environment):
    (folder / "superserve.toml").unlink()  # `init` writes it
    (folder / "Dockerfile").write_text("FROM python:3.11\n")
    (folder / "api").mkdir()
    (folder / "api" / "Dockerfile").write_text("FROM python:3.11\n")
    (folder / "report.txt").write_text("a report")
    (folder / "project").mkdir()
    (folder / ".gitignore").write_text("*.pyc\n")
    token = ""
    (folder / "program.py").write_text("print('it ran')")
    lines = DOCUMENT.partition("## Commands")[2].partition("```sh\n")[2].partition("```")[0].splitlines()
    isolation = "none" if isinstance(find_space(), str) else "auto"
    with LocalServer(speed=20, limits=False, isolation=isolation) as server:
        environment.setenv("SUPERSERVE_BASE_URL", server.base_url)
        environment.setenv("SUPERSERVE_API_KEY", server.api_key)
        for line in lines:
            # That one serves until Ctrl-C.
            if line != "superserve local up --execute":
                ran = run(*shlex.split(re.sub("--attach [0-9a-f]+", f"--attach {token}", line))[1:])
                if " -d " in line:
                    token = ran.stdout.strip()
                # Doctor also finds what is wrong with this machine.
                assert ran.code in ({0, 7} if line == "superserve doctor" else {0}), (line, ran)


def test_every_exit_code_is_explained():
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)}
    assert explained == {0, 74, 130, *(code for _, code, *_ in _exits._KINDS)}
