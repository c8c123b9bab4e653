"""How builds are stopped. That nothing is left is checked after every test of this folder."""

import asyncio
import os
import subprocess
import sys

import pytest

from superserve.local._machines.jobs import Step
from superserve.local._machines.processes import ExecuteRunner, Limits

STRAYS = "sleep 1000 & setsid sleep 1000 & (sleep 1000 &) & echo started; wait"
STUBBORN = "trap '' TERM; echo started; while :; do sleep 1; done"


async def test_cancelling_kills_the_step_and_all_it_started(builds, processes, until):
    build = await builds.start(STRAYS)
    await until(lambda: len(processes()) >= 4)
    await build.cancel()
    assert processes() == []


async def test_background_processes_end_with_the_build(builds, processes):
    await builds.run(f"({STRAYS}) & setsid sleep 1000 & echo done")
    assert processes() == []


async def test_background_processes_end_when_a_step_fails(builds, processes):
    await builds.fail("sleep 1000 & setsid sleep 1000 & exit 1")
    assert processes() == []


async def test_a_process_that_ignores_sigterm_is_killed(builds, processes):
    build = await builds.start(STUBBORN, limits=Limits(grace_s=0.1))
    await build.cancel()
    assert processes() == []


async def test_a_process_gets_sigterm_before_it_is_killed(plain_builds, tmp_path):
    farewell = tmp_path / "farewell"
    command = f"trap 'touch {farewell}; exit' TERM; echo started; while :; do sleep 0.01; done"
    build = await plain_builds.start(command, limits=Limits(grace_s=30))
    await build.cancel()
    assert farewell.exists()


async def test_a_second_cancel_does_not_leave_anything_behind(builds, processes):
    build = await builds.start(STUBBORN, limits=Limits(grace_s=0.3))
    build.task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await build.cancel()
    await build.runner.aclose()
    assert processes() == []


@pytest.mark.parametrize("turns", range(5))
async def test_a_build_can_be_cancelled_before_it_really_began(builds, turns):
    build = builds.begin("sleep 1000")
    for _ in range(turns):
        await asyncio.sleep(0)
    await build.cancel()


async def test_folders_without_rights_are_removed_too(builds, scratch_folders):
    await builds.run(
        "mkdir -p a/b/c; touch a/b/c/file; ln -s /nowhere a/link; chmod 000 a/b/c a/b a; chmod 500 ."
    )
    assert scratch_folders() == []


async def test_other_users_can_not_enter_the_scratch_folder(builds, scratch_folders):
    build = await builds.start("echo started; sleep 1000")
    (folder,) = scratch_folders()
    assert folder.stat().st_mode & 0o777 == 0o700
    await build.cancel()


# -- Servers that are killed

SERVER = """
import asyncio, sys
from superserve.local._machines.processes import ExecuteRunner
from superserve.local._machines.jobs import BuildJob, Step

class Log:
    def write(self, stream, text):
        print(text, flush=True)

marker, command, isolate = sys.argv[1:]
steps = (Step(env=("MARKER", marker)), Step(run=command))
job = BuildJob("b", "t", "python:3.11", steps, None, None, 1, 1024, 4096)
asyncio.run(ExecuteRunner(isolate=isolate == "True").run(job, Log()))
"""


@pytest.fixture(params=[False, True], ids=["plain", "isolated"])
def killed_server(request, marker, tmp_path):
    """A server that was killed in the middle of a build."""
    command = [sys.executable, "-c", SERVER, marker, STRAYS, str(request.param)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        for line in server.stdout:
            if line == "started\n":
                break
        server.kill()
    return server


async def test_nothing_runs_on_after_a_killed_server_and_the_next_build_removes_its_folder(
    killed_server, plain_builds, processes, scratch_folders, until
):
    await until(lambda: processes() == [])
    assert len(scratch_folders()) == 1
    await plain_builds.run("true")
    assert scratch_folders() == []


async def test_the_folder_of_a_running_build_is_left_alone(builds, scratch_folders):
    build = await builds.start("echo started; sleep 1000")
    folders = scratch_folders()
    await builds.run("true")
    assert scratch_folders() == folders
    await build.cancel()


async def test_folders_that_only_look_like_ours_are_left_alone(plain_builds, tmp_path):
    (tmp_path / "superserve-build-without-lock").mkdir()
    (tmp_path / "superserve-build-link").symlink_to(tmp_path)
    await plain_builds.run("true")
    (tmp_path / "superserve-build-link").unlink()
    (tmp_path / "superserve-build-without-lock").rmdir()


def test_execute_mode_says_so_where_there_are_no_posix_processes(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        with pytest.raises(NotImplementedError, match="pretend mode"):
            ExecuteRunner()


async def test_a_step_of_each_kind_ends_with_no_trace(builds):
    await builds.run("true", Step(env=("A", "B")), Step(workdir="/app"), Step(user=("app", True)))
