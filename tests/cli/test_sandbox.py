"""`superserve run`, `exec`, `sb` and `cp`, on the local server."""

import json
import subprocess
import sys

import pytest

from superserve import Sandbox
from superserve.cli import _detached, _sandbox


def _one(name):
    [info] = Sandbox.list(q=name)
    return Sandbox.get(info.id)


def write(folder, *paths):
    """Write files that contain their own paths."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


@pytest.fixture(autouse=True)
def base(server):
    """What sandboxes start from."""
    server.templates.add("superserve/base")


def test_run_shows_the_output_exits_as_its_command_and_leaves_nothing(run):
    ran = run("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.code, ran.stdout) == (3, "out\n")
    assert "err\n" in ran.stderr
    assert run("sb", "ls", "--json").json == []


def test_run_keeps_the_arguments_as_they_are(run):
    assert run("run", "-e", "A=b", "--", "printf", "%s|", "a b", "--json", "*").stdout == "a b|--json|*|"
    assert run("run", "-e", "A=b", "-w", "/tmp", "--", "sh", "-c", "echo $A").stdout == "b\n"


@pytest.mark.usefixtures("run")
def test_what_goes_through_pipes_stays_as_it_is():
    given = b"\x00\xff\xfe text\r\n" * 10_000
    command = [sys.executable, "-m", "superserve", "run", "-i", "--", "sh", "-c", "cat; printf '\\377' >&2"]
    done = subprocess.run(command, check=False, input=given, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, given, b"\xff")


def test_a_folder_comes_along_and_the_command_runs_in_it(run, tmp_path):
    write(tmp_path, "job/a.txt", "job/.git/config")
    assert run("run", "--sync", "job", "--", "ls", "-A").stdout == "a.txt\n"
    assert run("run", "--sync", "job", "-w", "/tmp/there", "--", "pwd").stdout == "/tmp/there\n"
    assert run("run", "--sync", "nothing", "--", "true").code == 2


def test_keep_sets_when_a_sandbox_is_paused(run):
    run("sb", "create", "box")
    assert run("sb", "keep", "box", "--for", "90", "--json").json["timeout_seconds"] == 90
    assert "is never paused" in run("sb", "keep", "box").stdout
    assert run("sb", "keep", "box", "--for", "0").code == 2


def test_watch_prints_each_status_until_the_one_that_is_waited_for(run, monkeypatch):
    run("sb", "create", "box")
    assert run("sb", "watch", "box", "--until", "active", "-q").stdout == "active\n"
    changes = iter([lambda box: box.pause(), lambda box: box.kill()])
    monkeypatch.setattr(_sandbox, "sleep", lambda _seconds: next(changes)(_one("box")))
    lines = [json.loads(line) for line in run("sb", "watch", "box", "--json").stdout.splitlines()]
    assert [line["status"] for line in lines] == ["active", "paused", "gone"]
    assert {(line["schema"], line["type"], line["name"]) for line in lines} == {(1, "status", "box")}


def test_watch_ends_when_the_sandbox_can_no_longer_become_what_is_waited_for(run, monkeypatch):
    run("sb", "create", "box")
    monkeypatch.setattr(_sandbox, "sleep", lambda _seconds: _one("box").kill())
    assert run("sb", "watch", "box", "--until", "paused").code == 3
    run("sb", "create", "box")
    monkeypatch.setattr(_sandbox, "sleep", lambda _seconds: None)
    assert run("sb", "watch", "box", "--until", "paused", "--timeout", "0.2").code == 124


def test_an_unknown_secret_is_the_services_to_refuse(run):
    assert run("run", "--secret", "TOKEN", "--", "true").code == 2
    assert run("sb", "create", "box", "--secret", "TOKEN=none").code not in {0, 130}


def test_a_kept_sandbox_is_told_of_with_the_command_that_ends_it(run):
    ran = run("run", "--keep", "--name", "box", "--", "true")
    assert ran.code == 0
    [info] = run("sb", "ls", "--json").json
    assert f"superserve sb kill {info['id']}" in ran.stderr


def test_a_failure_of_its_own_exits_with_125(run):
    ran = run("run", "-t", "no-such-template", "--", "true")
    assert (ran.code, ran.stdout) == (125, "")
    assert "Template not found" in ran.stderr
    assert run("exec", "nobody", "--", "true").code == 125
    assert run("exec", "--json", "nobody", "--", "true").error["category"] == "not_found"


def test_a_sandbox_by_name_from_its_start_to_its_end(run, tmp_path):
    made = run("sb", "create", "box", "--meta", "team=a", "--json").json
    assert made["status"] == "active"
    assert run("sb", "ls", "-q", "--where", "team=a").stdout == f"{made['id']}\n"
    assert run("sb", "ls", "-q", "--where", "team=b").stdout == ""
    assert "box" in run("sb", "show", "box").stdout
    (tmp_path / "here.txt").write_text("hello")
    assert run("cp", "here.txt", "box:/home/user/there.txt").code == 0
    assert run("exec", "box", "--", "cat", "/home/user/there.txt").stdout == "hello"
    assert run("cp", "box:/home/user/there.txt", "back.txt").code == 0
    assert (tmp_path / "back.txt").read_text() == "hello"
    assert run("sb", "pause", "box").code == 0
    assert run("sb", "show", "box", "--json").json["status"] == "paused"
    assert run("sb", "resume", "box").code == 0
    assert run("sb", "kill", "box").code == 5  # nobody is there to say yes
    assert run("sb", "kill", "box", "--yes").code == 0
    assert run("sb", "show", "box").code == 3


def test_a_name_that_two_have_is_refused_with_their_ids(run):
    ids = {run("sb", "create", "twin", "-q").stdout.strip() for _ in range(2)}
    ran = run("sb", "show", "twin")
    assert ran.code == 5
    assert all(sandbox_id in ran.stderr for sandbox_id in ids)
    assert run("sb", "show", min(ids)).code == 0


@pytest.mark.parametrize("paths", [("a", "b"), ("x1:/a", "y1:/b")])
def test_a_copy_is_between_here_and_a_sandbox(run, paths):
    ran = run("cp", *paths)
    assert ran.code == 2
    assert "my-box:/home/user/report.txt" in ran.stderr


def test_output_is_lines_of_json_if_that_is_asked_for(run):
    ran = run("run", "--json", "--", "sh", "-c", "echo out; exit 4")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines == [
        {"schema": 1, "stream": "stdout", "text": "out\n"},
        {"schema": 1, "exit_code": 4, "timed_out": False},
    ]
    assert ran.code == 4


def test_a_command_that_does_not_start_exits_as_in_a_shell(run):
    run("sb", "create", "box")
    assert run("exec", "box", "--", "no-such-program", "x").code == 127
    assert run("exec", "-w", "/nowhere", "box", "--", "true", "x").code == 126


@pytest.mark.parametrize(
    "words",
    [("run", "--env", "A", "--", "true"), ("sb", "ls", "--where", "A"), ("sb", "create", "x", "--meta", "A")],
)
def test_a_pair_has_a_name_and_a_value_and_the_option_is_named(run, words):
    ran = run(*words)
    assert ran.code == 2
    assert f"{next(word for word in words if word.startswith('--'))}: expected NAME=VALUE" in ran.stderr


def test_a_command_in_a_sandbox_that_is_known_by_its_id_takes_two_requests(run, server):
    sandbox_id = run("sb", "create", "box", "-q").stdout.strip()
    server.requests.clear()
    assert run("exec", sandbox_id, "--", "true").code == 0
    assert [request.operation for request in server.requests] == ["getSandbox", "execConnect"]


@pytest.mark.parametrize("arguments", [["run", "--name", "box", "--", "true"], ["sb", "create", "box"]])
def test_an_interruption_before_the_sandbox_is_known_says_what_may_be_left(run, monkeypatch, arguments):
    def interrupt(*_arguments, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(Sandbox, "create", interrupt)
    ran = run(*arguments)
    assert (ran.code, ran.stdout) == (130, "")
    assert "A sandbox named box may have been started; superserve sb ls shows it." in ran.stderr


def test_a_sandbox_that_cannot_be_killed_is_told_of_with_the_command_that_ends_it(run, server, monkeypatch):
    def fail(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Sandbox, "kill", fail)
    ran = run("run", "--", "true")
    assert ran.code == 130
    [info] = run("sb", "ls", "--json").json
    assert f"superserve sb kill {info['id']}" in ran.stderr


# Commands that go on by themselves


def test_a_detached_command_is_shown_from_its_start_and_exits_as_it_does(run):
    run("sb", "create", "box")
    ran = run(
        "exec", "box", "-d", "-e", "A=b", "-w", "/tmp", "--", "sh", "-c", "echo $A; pwd; echo err >&2; exit 7"
    )
    token = ran.stdout.strip()
    assert f"superserve exec box --attach {token} shows it" in ran.stderr
    for _ in range(2):
        shown = run("exec", "box", "--attach", token)
        assert (shown.code, shown.stdout, shown.stderr) == (7, "b\n/tmp\n", "err\n")
    lines = [json.loads(line) for line in run("exec", "--attach", token, "--json", "box").stdout.splitlines()]
    assert lines[-1] == {"schema": 1, "exit_code": 7, "timed_out": False}


def test_a_detached_command_is_followed_while_it_runs(run):
    run("sb", "create", "box")
    made = run(
        "exec",
        "box",
        "-d",
        "--json",
        "--",
        "sh",
        "-c",
        "echo begun; until [ -e /tmp/go ]; do sleep 0.05; done; echo on",
    )
    box = _one("box")
    assert made.json["sandbox_id"] == box.id
    pieces = []

    def take(piece):
        pieces.append(piece)
        box.files.write("/tmp/go", "")

    assert box.commands.run(_detached.follow(made.json["token"]), on_stdout=take).ok
    assert (pieces[0], "".join(pieces)) == ("begun\n", "begun\non\n")


@pytest.mark.parametrize(("words", "code"), [(["sh", "-c", "kill -9 $$"], 137), (["no-such-program"], 127)])
def test_a_detached_command_that_does_not_end_by_itself_has_the_code_of_a_shell(run, words, code):
    run("sb", "create", "box")
    token = run("exec", "box", "-d", "-q", "--", *words).stdout.strip()
    assert run("exec", "box", "--attach", token).code == code


def test_a_detached_command_whose_shell_was_killed_is_told_as_killed(run):
    run("sb", "create", "box")
    token = run("exec", "box", "-d", "-q", "--", "sleep", "1000").stdout.strip()
    assert _one("box").commands.run(f"kill -s KILL -- -$(cat {_detached.folder(token)}/group)").ok
    assert run("exec", "box", "--attach", token).code == 137


def test_a_detached_command_can_be_ended(run):
    run("sb", "create", "box")
    token = run("exec", "box", "-d", "-q", "--", "sleep", "1000").stdout.strip()
    assert _one("box").commands.run(_detached.end(token)).ok
    assert run("exec", "box", "--attach", token).code == 143


def test_watching_a_detached_command_can_be_limited(run):
    run("sb", "create", "box")
    token = run("exec", "box", "-d", "-q", "--", "sleep", "1000").stdout.strip()
    ran = run("exec", "box", "--attach", token, "--timeout", "1")
    assert ran.code == 124
    assert f"superserve exec box --attach {token} shows it" in ran.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["box"], 2),
        (["box", "-d"], 2),
        (["box", "--attach", "../../etc"], 2),
        (["box", "--attach", "0" * 16], 125),
        (["box", "--attach", "0" * 16, "--", "true"], 2),
        (["box", "--attach", "0" * 16, "-d"], 2),
        (["box", "-d", "-i", "--", "cat"], 2),
        (["box", "-d", "--timeout", "5", "--", "true"], 2),
        (["box", "--jsn", "--", "true"], 2),
        (["box", "-d", "-w", "/nowhere", "--", "true"], 126),
    ],
)  # fmt: skip
def test_what_cannot_be_run_or_shown_is_refused(run, words, code):
    run("sb", "create", "box")
    ran = run("exec", *words)
    assert (ran.code, ran.stdout) == (code, "")


def test_options_may_come_before_the_command_and_words_of_the_command_are_kept(run):
    run("sb", "create", "box")
    assert run("exec", "box", "-w", "/tmp", "pwd", "-P").stdout == "/tmp\n"
    assert run("exec", "-w", "/tmp", "box", "--", "pwd").stdout == "/tmp\n"
    assert run("exec", "box", "printf", "%s|", "-d", "--json", "--", "x").stdout == "-d|--json|--|x|"
    assert run("run", "printf", "%s|", "-t", "--", "x").stdout == "-t|--|x|"


# Copies


def test_a_folder_is_copied_without_what_its_ignore_file_names(run, tmp_path):
    write(tmp_path, "job/build/a.o", "job/src/b.py", "job/x.log", "job/keep.log")
    (tmp_path / "job/.superserveignore").write_text("build/\n*.log\n!keep.log\n")
    run("sb", "create", "box")
    found = ["./.superserveignore", "./keep.log", "./src/b.py"]
    ran = run("cp", "job", "box:/tmp/job", "--json")
    assert ran.json["bytes"] == sum((tmp_path / "job" / path).stat().st_size for path in found)
    listed = run("exec", "-w", "/tmp/job", "box", "--", "find", ".", "-type", "f").stdout.split()
    assert sorted(listed) == found
    assert sorted(run("run", "--sync", "job", "--", "find", ".", "-type", "f").stdout.split()) == found


def test_another_ignore_file_can_be_named(run, tmp_path):
    write(tmp_path, "job/a", "job/b")
    (tmp_path / "job/.superserveignore").write_text("a\n")
    (tmp_path / "mine").write_text("# only this\n/b\n")
    run("sb", "create", "box")
    assert run("cp", "job", "box:/tmp/job", "--ignore-file", "mine").code == 0
    assert run("exec", "box", "--", "ls", "-A", "/tmp/job").stdout == ".superserveignore\na\n"


@pytest.mark.parametrize("content", [b"\xff", b"!\n", None])
def test_an_ignore_file_that_cannot_be_read_is_named(run, tmp_path, content):
    write(tmp_path, "job/a")
    if content is not None:
        (tmp_path / "mine").write_bytes(content)
    run("sb", "create", "box")
    ran = run("cp", "job", "box:/tmp/job", "--ignore-file", "mine")
    assert ran.code == 2
    assert "mine: " in ran.stderr
    assert run("cp", "box:/tmp", "here", "--ignore-file", "mine").code == 2


def test_without_what_reads_ignore_files_it_is_named(run, tmp_path, monkeypatch):
    write(tmp_path, "job/a", "job/.superserveignore")
    run("sb", "create", "box")
    monkeypatch.setitem(sys.modules, "pathspec", None)
    assert "pip install 'superserve-client[cli]'" in run("cp", "job", "box:/tmp/job").stderr


def test_a_target_that_ends_in_a_slash_is_a_folder_to_copy_into(run, tmp_path):
    write(tmp_path, "a.txt")
    run("sb", "create", "box")
    assert run("cp", "a.txt", "box:/tmp/").code == 0
    assert run("cp", "box:/tmp/a.txt", "new/").code == 0
    assert (tmp_path / "new/a.txt").read_text() == "a.txt"


# Several


def test_ids_are_killed_without_asking_so_that_a_list_can_be_piped(run):
    for name in ("a", "b"):
        run("sb", "create", name)
    done = subprocess.run(
        ["/bin/sh", "-c", 'c="$0 -m superserve"; $c sb ls -q | xargs $c sb kill', sys.executable],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert run("sb", "ls", "--json").json == []


def test_sandboxes_are_chosen_by_their_metadata(run):
    for name in ("a", "b"):
        run("sb", "create", name, "--meta", f"team={name}")
    ran = run("sb", "pause", "--where", "team=a", "--json")
    assert [one["name"] for one in ran.json] == ["a"]
    ran = run("sb", "kill", "--where", "team=a")
    assert (ran.code, "this would kill a" in ran.stderr) == (5, True)
    assert [one["done"] for one in run("sb", "kill", "--where", "team=a", "--dry-run", "--json").json] == [
        "would be killed"
    ]
    assert run("sb", "kill", "--where", "team=a", "--yes").code == 0
    assert run("sb", "kill", "--where", "team=none").stdout == ""
    assert [one["name"] for one in run("sb", "ls", "--json").json] == ["b"]
    for words in ([], ["b", "--where", "team=b"], ["--where", "team"]):
        assert run("sb", "kill", *words).code == 2
