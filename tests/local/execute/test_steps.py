"""What the steps of a build really do, and what its log shows of them."""

import asyncio
import os
import re
import signal

import pytest

from superserve.local._machines.jobs import Step
from superserve.local._machines.processes import Limits


async def test_output_arrives_on_the_stream_it_was_written_to(builds):
    log = await builds.run("echo hello; echo oops >&2")
    assert log.text("stdout") == "hello\n"
    assert log.text("stderr") == "oops\n"


async def test_signals_that_the_server_was_started_to_ignore_reach_steps(builds):
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        log = await builds.run("sh -c 'kill -QUIT $$'; echo $?")
    finally:
        signal.signal(signal.SIGQUIT, before)
    assert log.text("stdout").splitlines()[-1] == "131"


async def test_the_log_tells_the_course_of_the_build(builds):
    log = await builds.run(
        "true", Step(workdir="/app"), Step(user=("app", False)), start_cmd="sleep 1000", ready_cmd="true"
    )
    lines = log.of("system")
    assert "isolated" in lines[0]
    assert "base image python:3.11 is not pulled: steps run with this machine's programs" in lines
    course = [re.sub(r"\(.*s\)", "(T)", line) for line in lines[lines.index("Starting build environment") :]]
    assert course == [
        "Starting build environment",
        "Step 1/4", "Set MARKER", "Step 1/4 completed (T)",
        "Step 2/4", "$ true", "Step 2/4 completed (T)",
        "Step 3/4", "$ mkdir -p /app", "Working directory: /app", "Step 3/4 completed (T)",
        "Step 4/4", "$ mkdir -p /home/app", "User: app", "only USER and HOME say so, no other user is switched to",
        "Step 4/4 completed (T)",
        "Running start command: sleep 1000",
        "Waiting for template to be ready: true", "Template is ready",
        "Saving template",
    ]  # fmt: skip


async def test_environment_and_folder_carry_over_to_later_steps(builds):
    log = await builds.run(
        Step(env=("GREETING", "hello world")),
        Step(workdir="/srv/app"),
        "pwd; echo $GREETING; echo kept > file",
        Step(workdir="sub/../other"),
        Step(env=("GREETING", "bye")),
        "pwd; echo $GREETING; cat ../file",
    )
    first, greeting, second, bye, kept = log.text("stdout").splitlines()
    assert first.endswith("/srv/app")
    assert second == f"{first}/other"
    assert (greeting, bye, kept) == ("hello world", "bye", "kept")


async def test_a_folder_among_the_machines_programs_can_be_worked_in(builds):
    log = await builds.run(Step(workdir="/usr/src/app"), "echo kept > file; cat file; command -v env")
    assert log.text("stdout") == "kept\n/usr/bin/env\n"


async def test_builds_at_the_same_time_and_later_ones_share_no_files(builds):
    steps = (Step(workdir="/app"), "ls; touch seen; echo done")
    first, second = await asyncio.gather(builds.run(*steps), builds.run(*steps))
    third = await builds.run(*steps)
    assert [log.text("stdout") for log in (first, second, third)] == ["done\n"] * 3


async def test_a_user_step_changes_names_and_home_but_not_the_user(builds):
    log = await builds.run(
        "echo $USER; id -u", Step(user=("app", True)), "echo $USER; id -u; cd; pwd; touch file"
    )
    before, uid, after, uid_after, home = log.text("stdout").splitlines()
    assert (before, after) == ("root", "app")
    assert uid == uid_after == str(os.getuid())
    assert home.endswith("/home/app")


async def test_steps_see_nothing_of_the_servers_environment(builds, monkeypatch, processes):
    monkeypatch.setenv("SUPERSERVE_API_KEY", "the-secret")
    log = await builds.run("env; tr '\\0' '\\n' < /proc/$PPID/environ")
    assert "the-secret" not in log.text("stdout")
    names = {line.partition("=")[0] for line in log.text("stdout").splitlines()}
    given = {"PATH", "HOME", "USER", "TERM", "LANG", "SHELL", "MARKER"}
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert given <= names <= given | of_the_shell | {"TMPDIR", "LC_CTYPE", "LD_LIBRARY_PATH"}


async def test_values_of_env_steps_are_not_logged(builds):
    log = await builds.run(Step(env=("TOKEN", "the-secret")), "test ${#TOKEN} = 10")
    assert "Set TOKEN" in log.of("system")
    assert not any("the-secret" in text for _, text in log.events)


async def test_an_environment_name_ends_at_its_equals_sign(builds):
    log = await builds.run(Step(env=("A=B", "C")), "echo $A")
    assert log.text("stdout") == "B=C\n"


async def test_long_commands_are_cut_in_the_log_and_run_whole(builds):
    log = await builds.run("echo " + "x" * 100_000)
    assert "$ echo " + "x" * 251 + "…" in log.of("system")
    assert log.text("stdout") == "x" * 100_000 + "\n"


async def test_temporary_files_go_to_the_scratch_folder(builds):
    # The folder is gone after the test, or the fixture would say so; the machine's /tmp must not have it.
    log = await builds.run('dirname "$(mktemp)"; echo "${TMPDIR-/tmp}"')
    used, expected = log.text("stdout").splitlines()
    assert used == expected


async def test_bytes_that_are_not_utf8_are_replaced(builds):
    log = await builds.run(r"printf 'a\377b'; printf 'c\303' >&2")
    assert log.text("stdout") == "a\ufffdb"
    assert log.text("stderr") == "c\ufffd"


async def test_a_character_that_comes_in_two_writes_stays_whole(builds):
    log = await builds.run(r"printf 'caf\303'; sleep 0.1; printf '\251'")
    assert log.text("stdout") == "café"


async def test_a_huge_line_comes_in_reads_of_32_kib(builds):
    log = await builds.run("head -c 1000000 /dev/zero | tr '\\0' x")
    assert log.text("stdout") == "x" * 1_000_000
    assert max(map(len, log.of("stdout"))) <= 32 * 1024


async def test_much_output_on_both_streams_arrives_whole_and_in_order(builds):
    log = await builds.run("seq 20000; seq 20000 >&2")
    expected = "".join(f"{number}\n" for number in range(1, 20001))
    assert (log.text("stdout"), log.text("stderr")) == (expected, expected)


async def test_a_step_ends_when_its_command_does_whatever_it_left_running(builds):
    # Many times, because it is a race between the last output and the news of the end.
    log = await builds.run(*["sleep 1000 & echo done"] * 50)
    assert log.text("stdout") == "done\n" * 50


async def test_background_processes_of_a_step_are_there_for_later_steps(builds):
    log = await builds.run(
        Step(workdir="/app"), "sleep 1000 & echo $! > pid", "kill -0 $(cat pid) && echo there"
    )
    assert log.text("stdout") == "there\n"


# -- start_cmd and ready_cmd


async def test_ready_cmd_is_tried_until_it_succeeds(builds):
    log = await builds.run(Step(workdir="/app"), ready_cmd="echo x >> tries; test $(wc -l < tries) -ge 3")
    assert log.of("system").count("ready_cmd: exited with code 1") == 2
    assert log.of("system")[-2:] == ["Template is ready", "Saving template"]


async def test_start_cmd_runs_beside_ready_cmd_and_not_longer(builds, marker, processes):
    log = await builds.run(
        Step(workdir="/app"),
        start_cmd="echo $MARKER started; echo $$ > pid; exec sleep 1000",
        ready_cmd="kill -0 $(cat pid)",
    )
    assert log.text("stdout") == f"{marker} started\n"
    assert "Template is ready" in log.of("system")
    assert not any(line.startswith("start_cmd ended") for line in log.of("system"))
    assert processes() == []


LISTEN = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], file=open("port", "w"))
listener.accept()
"""


async def test_start_cmd_and_ready_cmd_share_a_loopback_network(builds):
    log = await builds.run(
        Step(env=("LISTEN", LISTEN)),
        Step(
            env=("CALL", "import socket; socket.create_connection(('127.0.0.1', int(open('port').read())))")
        ),
        start_cmd='python3 -c "$LISTEN"',
        ready_cmd='python3 -c "$CALL"',
    )
    assert "Template is ready" in log.of("system")


async def test_a_start_cmd_that_crashes_is_not_checked(builds):
    log = await builds.run(start_cmd="touch over; exit 7", ready_cmd="test -e over && sleep 0.1")
    assert any(re.match(r"start_cmd ended after \S+ \(not checked\): exited with code 7$", line)
               for line in log.of("system"))  # fmt: skip


async def test_a_ready_cmd_that_never_succeeds_fails_the_build(builds):
    message, log = await builds.fail(ready_cmd="exit 9", limits=Limits(ready_s=10))
    assert message == "ready_cmd_failed: ready_cmd did not succeed in time"
    assert "ready_cmd: exited with code 9" in log.of("system")


async def test_a_probe_that_hangs_is_killed_and_tried_again(builds, processes):
    log = await builds.run(
        Step(workdir="/app"),
        ready_cmd="test -e tried && exit 0; touch tried; sleep 1000",
        limits=Limits(probe_s=0.5),
    )
    assert "ready_cmd: exec stream: deadline_exceeded: context deadline exceeded" in log.of("system")
    assert "Template is ready" in log.of("system")


@pytest.mark.parametrize("speed", [1, 100])
def test_speed_makes_waits_shorter_but_not_the_time_for_work(speed):
    limits = Limits().at_speed(speed)
    assert (limits.step_s, limits.probe_s) == (600, 2)
    assert (limits.ready_s, limits.probe_pause_s, limits.start_wait_s) == (
        600 / speed,
        2 / speed,
        0.5 / speed,
    )
