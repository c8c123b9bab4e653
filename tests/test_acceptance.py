"""What a user demands of the service, end to end, through an SDK: a sandbox's life, and a template that is really built.

These tests make the demands that the vendor's end-to-end suite makes. They import an SDK and nothing else of this
project, so that `nox -s compat` can run this file as it is with the official one, and with ours as a program that knows no
other address than the real service's. ACCEPTANCE_PYTHON, the version that the service's Python has to have, tells that
the environment leads to a service; without it a local server is started.
"""

import asyncio
import contextlib
import os
import platform
import sys
import uuid

import pytest

from superserve import (
    AsyncSandbox,
    BuildError,
    ConflictError,
    EnvStep,
    EnvStepValue,
    RunStep,
    Sandbox,
    Template,
    WorkdirStep,
)

VERSION = os.environ.get("ACCEPTANCE_PYTHON")
IMAGE = "python:3.11"
SIZES = {"vcpu": 2, "memory_mib": 2048, "disk_mib": 4096}
STEPS = [
    RunStep(run="mkdir -p /srv/app"),
    WorkdirStep(workdir="/srv/app"),
    EnvStep(env=EnvStepValue(key="GREETING", value="hello")),
    RunStep(run='echo "$GREETING from $(pwd)" > made.txt'),
]
POLL_S = 0.2
# What a start command serves that listens on port 8000 in the working directory.
GET = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/made.txt').read().decode(), end='')"


@pytest.fixture(scope="module")
def variables():
    """What an SDK has to find in the environment besides what is there."""
    if VERSION is not None:
        yield {}
        return
    from superserve._async.client import forget_shared as forget_shared_async
    from superserve._sync.client import forget_shared
    from superserve.local import LocalServer
    from superserve.local._machines.processes.isolation import Bwrap, find_isolation

    if not isinstance(find_isolation(), Bwrap):
        pytest.skip("needs bubblewrap: steps would write to this machine's folders")
    with LocalServer(execute=True, speed=100, limits=False, python=sys.executable) as server:
        yield {"SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": server.api_key}
        forget_shared(server.api_key)
        forget_shared_async(server.api_key)


@pytest.fixture(autouse=True)
def service(variables, monkeypatch):
    """Lead the SDK to the service."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def box(variables):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        box = Sandbox.create(name=fresh_name())
    yield box
    box.kill()


def fresh_name():
    return f"acceptance-{uuid.uuid4().hex[:12]}"


def test_an_async_sandbox_runs_a_command_and_keeps_a_file():
    async def live():
        box = await AsyncSandbox.create(name=fresh_name())
        try:
            assert (await box.commands.run("echo from async")).stdout == "from async\n"
            await box.files.write("/tmp/async.txt", "kept")
            return await box.files.read_text("/tmp/async.txt")
        finally:
            await box.kill()

    assert asyncio.run(live()) == "kept"


def test_a_command_gives_its_output_and_exit_code(box):
    result = box.commands.run("echo seen; echo complaint >&2")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "seen\n", "complaint\n")


def test_a_command_that_fails_gives_its_exit_code(box):
    assert box.commands.run("exit 42").exit_code == 42


def test_output_comes_while_a_command_runs(box):
    pieces = []
    result = box.commands.run("for i in 1 2 3; do echo line $i; sleep 0.1; done", on_stdout=pieces.append)
    assert "".join(pieces) == "line 1\nline 2\nline 3\n"
    assert len(pieces) > 1
    assert (result.exit_code, result.stdout) == (0, "".join(pieces))


def test_a_file_is_read_as_it_was_written(box):
    box.files.write("/home/user/round.txt", "there and back\n")
    assert box.files.read_text("/home/user/round.txt") == "there and back\n"


def test_a_new_sandbox_is_active_when_it_is_asked_for(box):
    info = box.get_info()
    assert (info.id, info.status) == (box.id, "active")


def test_the_list_has_the_sandbox(box):
    assert box.id in [info.id for info in Sandbox.list()]


def test_changed_metadata_is_kept(box):
    box.update(metadata={"owner": "acceptance"})
    assert box.get_info().metadata == {"owner": "acceptance"}


def test_a_sandbox_is_paused_and_resumed_at_once(box):
    box.commands.run("echo remembered > /tmp/before.txt")
    box.pause()
    assert box.get_info().status == "paused"
    box.resume()
    assert box.get_info().status == "active"
    assert box.files.read_text("/tmp/before.txt") == "remembered\n"


def test_the_list_has_templates_of_the_system():
    assert any(info.name.startswith("superserve/") for info in Template.list())


def test_a_template_is_built_used_and_kept_while_it_is_in_use():
    events = []
    template = Template.create(name=fresh_name(), from_=IMAGE, steps=STEPS, **SIZES)
    with contextlib.ExitStack() as stack:
        stack.callback(template.delete)
        info = template.wait_until_ready(on_log=events.append, poll_interval_s=POLL_S)
        assert (info.status, info.built_at is not None) == ("ready", True)
        assert (info.vcpu, info.memory_mib, info.disk_mib) == tuple(SIZES.values())
        assert events
        first = template.list_builds()[0]
        assert first.status == "ready"
        assert template.rebuild().build_spec_hash == first.build_spec_hash
        # The handle of an official SDK knows the first build only.
        Template.connect(template.id).wait_until_ready(poll_interval_s=POLL_S)

        box = Sandbox.create(name=fresh_name(), from_template=template)
        stack.callback(box.kill)
        assert box.commands.run("printenv GREETING").stdout == "hello\n"
        assert box.commands.run("pwd").stdout == "/srv/app\n"
        assert box.commands.run("cat /srv/app/made.txt").stdout == "hello from /srv/app\n"
        version = VERSION or platform.python_version()
        assert box.commands.run("python --version").stdout.startswith(f"Python {version}")
        with pytest.raises(ConflictError):
            template.delete()


def test_a_sandbox_has_its_own_copy_of_a_templates_files():
    template = Template.create(name=fresh_name(), from_=IMAGE, steps=STEPS)
    with contextlib.ExitStack() as stack:
        stack.callback(template.delete)
        template.wait_until_ready(poll_interval_s=POLL_S)
        one, other = (Sandbox.create(name=fresh_name(), from_template=template.name) for _ in range(2))
        stack.callback(one.kill)
        stack.callback(other.kill)
        one.files.write("/srv/app/made.txt", "changed")
        assert other.files.read_text("/srv/app/made.txt") == "hello from /srv/app\n"


def test_a_sandbox_has_its_templates_start_command_running():
    template = Template.create(
        name=fresh_name(),
        from_=IMAGE,
        steps=STEPS,
        start_cmd="python3 -m http.server --bind 127.0.0.1 8000",
        ready_cmd=f'python3 -c "{GET}"',
    )
    with contextlib.ExitStack() as stack:
        stack.callback(template.delete)
        template.wait_until_ready(poll_interval_s=POLL_S)
        box = Sandbox.create(name=fresh_name(), from_template=template)
        stack.callback(box.kill)
        assert box.commands.run(f'python3 -c "{GET}"').stdout == "hello from /srv/app\n"


def test_a_step_that_fails_is_a_build_error():
    template = Template.create(name=fresh_name(), from_=IMAGE, steps=[RunStep(run="false")])
    try:
        with pytest.raises(BuildError) as caught:
            template.wait_until_ready(poll_interval_s=POLL_S)
    finally:
        template.delete()
    assert caught.value.code == "step_failed"
