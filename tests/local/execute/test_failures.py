"""How steps fail, and what the build's message says."""

import re

import pytest

from superserve.local._machines.jobs import Step
from superserve.local._machines.processes import Limits, isolation, machine


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        ("exit 3", "exited with code 3"),
        ("no-such-command-at-all", "exited with code 127"),
        ("kill -9 $$", "exited with code -1"),
        ("echo 'unterminated", "exited with code 2"),
        ("exec >&- 2>&-; exit 4", "exited with code 4"),
    ],
)
async def test_a_failing_step_is_named_with_its_exit_code(builds, command, detail):
    message, log = await builds.fail("echo first", command, "echo never")
    assert message == f"step_failed: step 3/4 failed after T: {detail}"
    assert log.text("stdout") == "first\n"


async def test_a_step_that_takes_too_long_is_killed(builds):
    message, log = await builds.fail("echo before; sleep 1000", limits=Limits(step_s=0.5))
    detail = "exec stream: deadline_exceeded: context deadline exceeded"
    assert message == f"step_failed: step 2/2 failed after T: {detail}"
    assert log.text("stdout") == "before\n"


async def test_a_step_that_writes_too_much_is_stopped(builds):
    message, log = await builds.fail("yes", limits=Limits(output_bytes=1 << 20))
    detail = "exec stream: resource_exhausted: more than 1 MiB of output"
    assert message == f"step_failed: step 2/2 failed after T: {detail}"
    assert len(log.text("stdout")) <= 1 << 20


async def test_a_start_cmd_that_writes_too_much_is_cut_short_and_goes_on(builds):
    log = await builds.run(
        start_cmd="head -c 3000000 /dev/zero; touch written; exec sleep 1000",
        ready_cmd="test -e written",
        limits=Limits(output_bytes=1 << 20),
    )
    assert "Template is ready" in log.of("system")
    assert len(log.text("stdout")) <= 1 << 20


async def test_a_step_that_starts_too_many_processes_is_stopped(builds, processes):
    message, _ = await builds.fail(
        "for i in $(seq 100); do sleep 1000 & done; wait", limits=Limits(processes=20)
    )
    # The kernel's limit doesn't bind root, then the count tells; who isn't root can't fork any more.
    assert re.search(r"exec stream: resource_exhausted: more than 20 processes|exited with code \d+", message)


async def test_too_many_processes_before_ready_cmd_fail_the_build(builds, processes):
    message, log = await builds.fail(
        start_cmd="for i in $(seq 100); do sleep 1000 & done; wait",
        ready_cmd="sleep 1000",
        limits=Limits(processes=20, ready_s=30),
    )
    assert message == "ready_cmd_failed: ready_cmd did not succeed in time"
    # What ended it is the limit: without one it would have gone on.
    assert any(line.startswith("start_cmd ended") for line in log.of("system"))


async def test_a_file_larger_than_the_disk_is_not_written(builds):
    message, _ = await builds.fail("head -c 3000000 /dev/zero > file", disk_mib=2)
    assert message.startswith("step_failed: step 2/2")


async def test_a_folder_that_can_not_be_made_fails_its_step(builds):
    message, log = await builds.fail(Step(workdir="/app"), "touch file", Step(workdir="/app/file/sub"))
    assert message == "step_failed: step 4/4 failed after T: create workdir /app/file/sub: exited with code 1"
    assert "Not a directory" in log.text("stderr")


async def test_a_home_that_can_not_be_made_fails_its_step(builds):
    message, _ = await builds.fail(Step(workdir="/home"), "touch app", Step(user=("app", False)))
    assert message == "step_failed: step 4/4 failed after T: ensure user app: exited with code 1"


async def test_a_folder_that_went_away_fails_the_next_step(builds):
    message, _ = await builds.fail(Step(workdir="/app"), "rmdir ../app", "true")
    assert re.search(r"step 4/4 failed after T: start exec: .*/app: No such file or directory$", message)


async def test_a_command_with_a_nul_byte_can_not_be_started(builds):
    message, _ = await builds.fail("echo \0")
    assert message == "step_failed: step 2/2 failed after T: start exec: embedded null byte"


async def test_a_command_that_is_too_long_for_the_system_can_not_be_started(builds):
    message, _ = await builds.fail("#" * 3_000_000)
    assert message == "step_failed: step 2/2 failed after T: start exec: /bin/sh: Argument list too long"


async def test_a_step_that_kills_what_runs_it_fails_and_ends_all_the_same(builds, processes, until):
    message, _ = await builds.fail("setsid sleep 1000 & sleep 1000 &", "kill -9 $PPID; sleep 1000")
    detail = "exec stream: unavailable: the process that ran the steps is gone"
    assert message == f"step_failed: step 3/3 failed after T: {detail}"
    # Inside bwrap it is the kernel that kills, a moment after bwrap has ended.
    await until(lambda: processes() == [])


async def test_an_environment_that_does_not_start_is_a_boot_failure(builds, monkeypatch):
    runner = builds.runner()
    monkeypatch.setattr(builds, "runner", lambda limits: runner)
    monkeypatch.setattr(isolation, "_PYTHON_OPTIONS", ("-c", "raise SystemExit('no agent today')"))
    message, log = await builds.fail("true")
    assert message == "boot_failed: the build environment did not start"
    assert "no agent today" in log.text("system")


async def test_an_environment_that_does_not_answer_is_a_boot_failure(builds, monkeypatch):
    runner = builds.runner(Limits(boot_s=0.1, grace_s=0.1))
    monkeypatch.setattr(builds, "runner", lambda limits: runner)
    monkeypatch.setattr(isolation, "_PYTHON_OPTIONS", ("-c", "import time; time.sleep(1000)"))
    monkeypatch.setattr(machine, "_STOP_MARGIN_S", 0.1)
    message, log = await builds.fail("true")
    assert message == "boot_failed: the build environment did not start"
    assert "the process that runs the steps does not answer" in log.of("system")
