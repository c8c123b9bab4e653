"""The Python that a server was told of: what commands of its templates and sandboxes find as `python`."""

import shutil
import sys
import venv

import httpx
import pytest

from superserve import RunStep, Superserve, Template
from superserve.local import LocalServer
from superserve.local.__main__ import main
from superserve.local._machines.interpreter import Interpreter
from superserve.local._machines.sandboxes.spaces import Unshared, find_space
from superserve.local._resources.sandboxes import SandboxResource
from tests.local.box import Box

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands of sandboxes run on Linux only")

TELL = "import sys; print(sys.prefix)"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An interpreter with packages of its own."""
    folder = tmp_path_factory.mktemp("python") / "a venv"
    venv.create(folder)
    return folder


@pytest.fixture(scope="module", params=["auto", "none"])
def server(request, environment):
    if request.param == "auto" and isinstance(find_space(), str):
        pytest.skip("nothing keeps commands apart on this machine")
    with LocalServer(
        speed=100,
        limits=False,
        execute=True,
        isolation=request.param,
        python=environment / "bin" / "python",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}, timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def box(server, http):
    box = Box(server, http)
    with box.http:
        yield box


@pytest.mark.parametrize("name", ["python", "python3"])
def test_commands_find_it_with_its_packages(box, environment, name):
    assert box.run(f'{name} -c "{TELL}"')["stdout"] == f"{environment}\n"


def test_programs_without_a_shell_are_found_too(box, environment):
    assert box.run("python", args=["-c", TELL])["stdout"] == f"{environment}\n"


def test_scripts_are_run_by_it(box, environment):
    script = f"printf '#!/usr/bin/env python\\n{TELL}\\n' > s.py && chmod +x s.py && ./s.py"
    assert box.run(script)["stdout"] == f"{environment}\n"


def test_commands_find_it_without_bwrap_too(environment, monkeypatch):
    program = shutil.which("unshare")
    if program is None or isinstance(find_space(), str):
        pytest.skip("unshare does not work here")
    python = environment / "bin" / "python"
    with LocalServer(limits=False, python=python) as server:
        machines = server._running().services.resource(SandboxResource).machines
        monkeypatch.setattr(machines, "space", Unshared(program, Interpreter.find(python)))
        with httpx.Client(base_url=server.base_url, headers={"X-API-Key": server.api_key}) as http:
            box = Box(server, http)
            with box.http:
                assert box.run(f'python -c "{TELL}"')["stdout"] == f"{environment}\n"
                assert "Read-only file system" in box.run("echo x >> $(command -v python)")["stderr"]


@pytest.mark.parametrize("server", ["auto"], indirect=True)
def test_commands_cannot_change_it(box):
    for place in ("$(command -v python)", '"$(python -c "import sys; print(sys.prefix)")/x"'):
        assert "Read-only file system" in box.run(f"echo x >> {place}")["stderr"]


def test_build_steps_find_it(server, environment):
    texts = []
    with Superserve(api_key=server.api_key, base_url=server.base_url) as client:
        template = Template.create(
            name="told", from_="python:3.11", steps=[RunStep(run=f'python -c "{TELL}"')], client=client
        )
        template.wait_until_ready(on_log=lambda event: texts.append(event.text.strip()))
        template.delete()
    assert str(environment) in texts


def test_it_may_be_named_by_a_script_that_chooses_one(environment, tmp_path):
    chooser = tmp_path / "chooser"
    chooser.write_text(f'#!/bin/sh\nexec "{environment}/bin/python" "$@"\n')
    chooser.chmod(0o755)
    assert (
        LocalServer(python=chooser)._settings.python
        == LocalServer(python=environment / "bin" / "python")._settings.python
    )


@pytest.mark.parametrize("path", ["/nowhere/python", shutil.which("true"), "/"])
def test_what_is_no_interpreter_is_refused(path):
    with pytest.raises(ValueError, match="python must be the path of a Python interpreter"):
        LocalServer(python=path)


def test_the_command_takes_it(environment, capfd):
    assert main(["run", "--python", f"{environment}/bin/python", "--", "true"]) == 0
    assert main(["--python", "/nowhere", "run", "--", "true"]) == 2
    assert "'/nowhere' is none" in capfd.readouterr().err
