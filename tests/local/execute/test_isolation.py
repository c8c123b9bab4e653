"""What keeps steps apart from the machine, and that the log tells the truth about it."""

import os
import pathlib

import pytest

from superserve.local._machines.jobs import Step
from superserve.local._machines.processes import ExecuteRunner, isolation


async def test_workdirs_are_what_commands_call_them(isolated_builds):
    log = await isolated_builds.run(
        Step(workdir="/app"), "pwd; touch file; ls /app; cd; pwd; cd /tmp; mktemp -p ."
    )
    assert log.text("stdout").startswith("/app\nfile\n/root\n./tmp.")
    assert log.of("system")[0].startswith("isolated by bwrap: ")


async def test_nothing_but_the_scratch_folder_can_be_written(isolated_builds, tmp_path):
    log = await isolated_builds.run(
        "touch /usr/file; touch /etc/file; touch /usr/bin/env; "
        f"mkdir -p {tmp_path} && touch {tmp_path}/file; echo done"
    )
    assert log.text("stdout") == "done\n"
    assert log.text("stderr").count("cannot touch") == 3
    assert "'/usr/file': Read-only file system" in log.text("stderr")
    assert not (tmp_path / "file").exists()


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """A folder that counts as one of this machine's programs, with a file, a folder and a link in it."""
    folder = tmp_path / "machine" / "programs"
    (folder / "folder").mkdir(parents=True)
    (folder / "folder" / "file").write_text("kept\n")
    (folder / "link").symlink_to("folder/file")
    (folder.parent / "named").symlink_to(folder)
    monkeypatch.setattr(isolation, "_PROGRAMS", (*isolation._PROGRAMS, str(folder.parent.relative_to("/"))))
    return folder


async def test_a_workdir_that_is_among_the_machines_programs_is_a_writable_copy(isolated_builds, programs):
    log = await isolated_builds.run(
        Step(workdir=str(programs)), "cat link; echo more >> folder/file; touch new folder/new; cat link; ls"
    )
    assert log.text("stdout") == "kept\nkept\nmore\nfolder\nlink\nnew\n"
    assert {path.name for path in programs.rglob("*")} == {"folder", "link", "file"}
    assert (programs / "link").read_text() == "kept\n"


async def test_of_a_workdir_that_is_too_large_to_copy_only_the_folder_is_writable(
    isolated_builds, programs, monkeypatch
):
    monkeypatch.setattr(isolation, "_COPIED_BYTES", 4)
    log = await isolated_builds.run(
        Step(workdir=str(programs)), "cat link; echo more >> folder/file || touch new; ls"
    )
    assert log.text("stdout") == "kept\nfolder\nlink\nnew\n"
    assert "Read-only file system" in log.text("stderr")
    assert not (programs / "new").exists()


async def test_a_workdir_can_be_named_by_a_link(isolated_builds, programs):
    named = programs.parent / "named"
    log = await isolated_builds.run(
        Step(workdir=str(named / "app")), "touch new; pwd -P", Step(workdir=str(named)), "cat link; touch new"
    )
    assert log.text("stdout") == f"{programs}/app\nkept\n"
    assert not (programs / "app").exists()


async def test_folders_of_this_machines_programs_are_writable_workdirs(isolated_builds):
    workdirs = ["/usr/src", "/usr/local", "/etc", "/lib", "/opt/app"]
    steps = [
        step for workdir in workdirs for step in (Step(workdir=workdir), "touch superserve-test; echo $?")
    ]
    log = await isolated_builds.run(*steps)
    assert log.text("stdout").split() == ["0"] * len(workdirs)
    assert not any(is_there(workdir, "superserve-test") for workdir in workdirs)


def is_there(*path):
    return pathlib.Path(*path).exists()


async def test_how_many_processes_the_user_has_elsewhere_does_not_matter(builds):
    log = await builds.run("grep 'Max processes' /proc/self/limits")
    assert log.text("stdout").split() == process_limit().split()


def process_limit():
    lines = pathlib.Path("/proc/self/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max processes"))


async def test_there_is_no_network_but_loopback(isolated_builds):
    log = await isolated_builds.run("cat /proc/net/dev")
    interfaces = [line.split(":")[0].strip() for line in log.text("stdout").splitlines() if ":" in line]
    assert interfaces == ["lo"]


async def test_the_machines_files_and_processes_are_out_of_sight(isolated_builds, tmp_path):
    (tmp_path / "private").write_text("the-secret")
    log = await isolated_builds.run(f"cat {tmp_path}/private; ls /mnt /srv; ls /proc | grep -c '^[0-9]'")
    assert "the-secret" not in log.text("stdout")
    # bwrap's own, the agent, and what this step runs.
    assert int(log.text("stdout").splitlines()[-1]) < 8


async def test_there_are_no_capabilities(isolated_builds):
    log = await isolated_builds.run("grep -E '^(CapEff|CapBnd)' /proc/self/status")
    assert log.text("stdout").split() == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16]


async def test_programs_such_as_sudo_can_not_make_a_step_another_user(builds, processes):
    log = await builds.run("grep NoNewPrivs /proc/self/status")
    assert log.text("stdout").split() == ["NoNewPrivs:", "1"]


# -- Which isolation applies


@pytest.fixture
def bwrap_program(tmp_path, monkeypatch):
    """Puts a program called bwrap at the front of PATH."""

    def install(script):
        program = tmp_path / "bin" / "bwrap"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return install


def isolation_in_use():
    return ExecuteRunner()._isolation.describe(scratch := isolation.Scratch()), scratch.remove()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'bwrap: No permissions to create a new namespace' >&2; exit 1",
         "bwrap: No permissions to create a new namespace"),
        ("exit 5", "it exited with code 5"),
        ("exit 0", "it exited with code 0"),
        ("exec sleep 1000", "timed out"),
    ],
)  # fmt: skip
def test_a_bwrap_that_does_not_work_is_not_used_and_the_log_says_why(
    bwrap_program, monkeypatch, script, reason
):
    bwrap_program(script)
    monkeypatch.setattr(isolation, "_PROBE_LIMIT_S", 0.5)
    (first, _), _ = isolation_in_use()
    assert first.startswith("not isolated (bwrap is installed but does not work here: ")
    assert reason in first


async def test_without_bwrap_the_log_says_that_nothing_is_isolated(builds, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(builds, "_isolate", True)
    log = await builds.run(Step(workdir="/app"), "pwd")
    first, second, *_ = log.of("system")
    assert first.startswith(
        "not isolated (bwrap is not installed): steps can do all that the user who runs this"
    )
    folder = pathlib.PurePath(log.text("stdout").strip())
    assert f"lie in {folder.parent}; a command that names /app means this machine's" in second


def test_bwrap_is_told_to_share_nothing_and_to_bind_only_the_scratch_folder_writable():
    scratch = isolation.Scratch()
    command = isolation.Bwrap("/usr/bin/bwrap").agent_command(scratch, ["/usr/src/app"])
    scratch.remove()
    options = command[: command.index("--")]
    assert {"--unshare-all", "--die-with-parent", "--new-session"} <= set(options)
    writable = [options[i + 1 : i + 3] for i, option in enumerate(options) if option == "--bind"]
    assert writable == [[str(scratch.root), "/"]]
    shown = {options[i + 2] for i, option in enumerate(options) if option == "--ro-bind"}
    assert "/usr/bin" in shown
    assert not shown & {"/", "/usr", "/usr/src", "/home", "/root", "/run", "/tmp", "/var"}
