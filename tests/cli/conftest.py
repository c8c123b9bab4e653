"""The command, run as a shell runs it but within this process, against the local server."""

import asyncio
import io
import json
import sys

import attrs
import pytest

from superserve._async import many
from superserve._polling import Pace
from superserve.cli import main
from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space

SPEC = """\
[templates.web]
from = "python:3.11"
steps = [{ run = "echo made" }]

[templates.broken]
from = "python:3.11"
steps = [
  { run = "echo fine" },
  { run = "exit 3" },
]
"""


@attrs.frozen
class Ran:
    """What a run of the command has left."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def error(self):
        return json.loads(self.stderr.splitlines()[-1])["error"]


@pytest.fixture(scope="session")
def _server():
    # Where nothing keeps commands apart from this machine, that is asked for by name.
    isolation = "none" if isinstance(find_space(), str) else "auto"
    with LocalServer(speed=100, limits=False, system_templates=False, isolation=isolation) as server:
        yield server


@pytest.fixture
def folder(tmp_path, cache, monkeypatch):
    """The folder that the command is run in; it has a spec file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "superserve.toml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def cache(tmp_path, environment):
    """The folder in which the command keeps what it completes."""
    (tmp_path / "cache").mkdir()
    environment.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "superserve"


@pytest.fixture
def run(folder, server, environment, monkeypatch, capsys):
    """Run the command; builds are polled as fast as the local server makes them."""
    environment.setenv("SUPERSERVE_BASE_URL", server.base_url)
    environment.setenv("SUPERSERVE_API_KEY", server.api_key)
    for name in ("CI", "GITHUB_ACTIONS"):
        environment.delenv(name, raising=False)
    monkeypatch.setattr(many, "sleep", lambda seconds: asyncio.sleep(seconds / 100))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    next_delay = Pace.next_delay
    monkeypatch.setattr(Pace, "next_delay", lambda pace, outage: next_delay(pace, outage) / 100)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run
