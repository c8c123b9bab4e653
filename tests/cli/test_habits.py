"""The habits of the command: what goes where, what it exits with, what it never does."""

import codecs
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import click
import pytest

from superserve import Template, errors
from superserve.cli import NEEDED, _exits, main
from superserve.cli._app import root

pty = pytest.importorskip("pty", reason="terminals are those of POSIX")

COMMAND = [sys.executable, "-m", "superserve"]
# How long a terminal is waited for: only a failing test takes so long.
PATIENCE_S = 60


def commands(group=root, path=()):
    """Yield all commands with their paths."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())
# They hand everything over to the command of the local server.
PASSED_ON = {("local", "up"), ("local", "run")}


@pytest.mark.parametrize("path", sorted(COMMANDS.keys() - PASSED_ON), ids=" ".join)
def test_every_command_takes_json_quiet_and_color(path):
    options = {name for parameter in COMMANDS[path].params for name in parameter.opts}
    assert {"--json", "-q", "--color"} <= options


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_that_runs(path, run, folder, server, monkeypatch):
    help_text = COMMANDS[path].help
    [example] = re.findall(r"Example:\n\s+(superserve .*)", help_text)
    assert example.startswith(f"superserve {' '.join(path)}")
    if path in PASSED_ON or ">" in example:
        # Through a shell, with the command of this Python.
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "superserve").write_text(f'#!/bin/sh\nexec {sys.executable} -m superserve "$@"\n')
        (bin_folder / "superserve").chmod(0o755)
        (folder / "Dockerfile").write_text("FROM python:3.11\n")
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder)}
        done = subprocess.run(
            ["/bin/sh", "-c", example], check=False, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return
    if path == ("template", "init"):
        (folder / "superserve.toml").unlink()
    elif path[0] == "template" and path[-1] not in {"build", "check", "plan"}:
        assert run("template", "build", "web").code == 0
    elif path[0] in {"cp", "exec", "run", "sb"}:
        server.templates.add("superserve/base")
        (folder / "report.txt").write_text("all is well")
        if path[-1] != "create":
            assert run("sb", "create", "my-box").code == 0
        if path[-1] == "resume":
            assert run("sb", "pause", "my-box").code == 0
    import shlex

    ran = run(*shlex.split(example)[1:])
    assert ran.code == 0, ran.stderr


def test_the_list_of_commands_and_the_tree_are_the_commands_there_are(run):
    shown = [line.split("  ")[0] for line in run("--tree").stdout.splitlines()]
    assert [
        tuple(line.split()[1 : 1 + len(path)]) for line, path in zip(shown, COMMANDS, strict=True)
    ] == list(COMMANDS)
    text = run("--help").stdout
    assert all(re.search(rf"^  {name}\b", text, re.MULTILINE) for name in {path[0] for path in COMMANDS})


GROUPS = [(), *sorted({path[:1] for path in COMMANDS if len(path) > 1})]


@pytest.mark.parametrize("path", [*GROUPS, *COMMANDS], ids=" ".join)
def test_every_help_fits_into_80_columns_and_nothing_in_it_is_cut(path, run):
    if path in PASSED_ON:
        return
    lines = run(*path, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and "Usage" not in line]


def test_a_slip_is_answered_with_what_was_meant(run):
    ran = run("template", "buil")
    assert (ran.code, ran.stdout) == (2, "")
    assert "'build'" in ran.stderr
    assert run("template", "build", "--jsn").code == 2
    assert run().code == 2
    assert run("template").code == 2
    assert run("--version").stdout.startswith("superserve ")


def test_all_errors_have_one_shape_in_json(run, environment):
    keys = {"category", "code", "message", "hint", "retryable", "retry_after", "request"}
    assert set(run("template", "show", "nobody", "--json").error) == keys
    assert set(run("template", "show", "--json").error) == keys
    assert set(run("template", "build", "--json").error) == keys
    environment.setenv("SUPERSERVE_API_KEY", "wrong")
    ran = run("template", "ls", "--json")
    assert set(ran.error) == keys
    assert (ran.code, ran.stdout, ran.error["category"]) == (4, "", "auth")


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__])
def test_every_error_has_its_exit_code(kind):
    code = {
        "BuildError": 1, "BuildCancelledError": 1, "ValidationError": 2, "SpecError": 2, "NotFoundError": 3,
        "FileNotFoundInSandboxError": 3, "AuthenticationError": 4, "ConflictError": 5, "SandboxNotRunningError": 5,
        "RateLimitError": 6, "SandboxTimeoutError": 124,
    }.get(kind.__name__, 7)  # fmt: skip
    error = kind.__new__(kind)
    errors.SandboxError.__init__(error, "x")
    assert _exits.exit_code(error) == code


def test_an_address_where_nobody_is_exits_7(run, environment):
    environment.setenv("SUPERSERVE_BASE_URL", "http://127.0.0.1:9")
    ran = run("template", "plan", "web", "--json")
    assert (ran.code, ran.error["category"], ran.error["retryable"]) == (7, "network", True)


def test_keys_are_never_shown(run, environment, server):
    secret = "ss_live_0123456789abcdef0123456789abcdef"
    environment.setenv("SUPERSERVE_API_KEY", secret)
    for arguments in (
        ["doctor"],
        ["template", "ls"],
        ["api", "GET", "/templates", "-i"],
        ["template", "ls", "--json"],
    ):
        ran = run(*arguments)
        assert secret not in ran.stdout + ran.stderr


def test_what_the_server_says_cannot_steer_the_terminal(run, server):
    server.templates.add("a\x1b[2Jb", status="failed", error_message="x\x1b]0;title\x07y")
    for arguments in (["ls"], ["show", Template.list()[0].id]):
        ran = run("template", *arguments)
        assert "\x1b" not in ran.stdout + ran.stderr
        assert "ab" in ran.stdout


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "click", None)
    assert main(["--help"]) == 2
    assert capsys.readouterr() == ("", f"{NEEDED}\n")


def test_help_loads_neither_the_sdk_nor_anything_to_draw_with():
    program = (
        "import sys\nfrom superserve.cli import main\nmain(['--help'])\n"
        "print(*sorted(set(sys.modules) & {'httpx', 'attr', 'rich', 'yaml', 'superserve.types', 'asyncio', 'ssl'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_build_in_a_pipe_loads_nothing_to_draw_with(run):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        del sys.modules[name]
    assert run("template", "build", "web").code == 0
    assert "rich" not in sys.modules


def test_completion_prints_a_script_for_each_shell(run):
    for shell in ("bash", "zsh", "fish"):
        assert "_SUPERSERVE_COMPLETE" in run("completion", shell).stdout


def completed(words, incomplete):
    from click.shell_completion import ShellComplete

    return [
        item.value for item in ShellComplete(root, {}, "superserve", "_X").get_completions(words, incomplete)
    ]


def test_names_are_completed_from_the_file_and_from_the_service(run, environment):
    assert completed(["template", "build"], "w") == ["web"]
    assert completed(["template", "build", "-f", "superserve.toml", "-f", "none.toml"], "w") == []
    assert run("template", "build", "web").code == 0
    assert completed(["template", "show"], "w") == ["web"]
    environment.setenv("SUPERSERVE_BASE_URL", "http://127.0.0.1:9")
    assert completed(["template", "show"], "w") == []


def test_names_of_the_service_are_asked_for_once_in_30_seconds(run, server, environment, cache):
    server.templates.add("web")
    other = server.templates.add("other")
    assert completed(["template", "show"], "") == ["other", "web"]
    assert completed(["template", "rm", "web"], "o") == ["other"]
    assert completed(["template", "logs"], other[:8]) == [other]
    assert len(server.requests.to("listTemplates")) == 1
    [file] = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert server.api_key not in file.name + file.read_text()
    for age in (31, -5):
        os.utime(file, (time.time() - age,) * 2)
        assert completed(["template", "show"], "w") == ["web"]
    assert len(server.requests.to("listTemplates")) == 3
    # Another key may see other names.
    environment.setenv("SUPERSERVE_API_KEY", server.add_team().api_key)
    assert completed(["template", "show"], "") == []


@pytest.mark.parametrize("spoil", [lambda cache: cache.write_text(""), lambda cache: cache.mkdir(0o500)])
def test_names_are_completed_where_nothing_can_be_kept(run, server, cache, spoil):
    server.templates.add("web")
    spoil(cache)
    assert completed(["template", "show"], "") == ["web"]


def test_what_is_kept_and_cannot_be_read_is_asked_for_again(run, server, cache):
    server.templates.add("web")
    completed(["template", "show"], "")
    [file] = cache.iterdir()
    file.write_text("{")
    assert completed(["template", "show"], "") == ["web"]


def test_names_of_sandboxes_and_of_what_they_start_from_are_completed(run, server):
    server.templates.add("superserve/base")
    assert run("sb", "create", "my-box").code == 0
    for words in (["exec"], ["sb", "show"], ["sb", "kill", "x"], ["sb", "pause"]):
        assert completed(words, "my") == ["my-box"]
    assert completed(["run", "-t"], "superserve/") == ["superserve/base"]


def test_paths_of_a_sandbox_are_completed_after_its_name(run, server, folder):
    server.templates.add("superserve/base")
    (folder / "my-file").write_text("")
    (folder / "my-folder").mkdir()
    assert run("sb", "create", "my-box").code == 0
    assert run("exec", "my-box", "--", "mkdir", "-p", "/tmp/a/sub").code == 0
    assert run("exec", "my-box", "--", "touch", "/tmp/a/some").code == 0
    assert completed(["cp"], "my") == ["my-box:", "my-file", "my-folder/"]
    assert completed(["cp"], "my-box:") == ["my-box:/"]
    assert completed(["cp"], "my-box:/tmp/a") == ["my-box:/tmp/a/"]
    assert completed(["cp", "x"], "my-box:/tmp/a/s") == ["my-box:/tmp/a/some", "my-box:/tmp/a/sub/"]
    # From what is kept.
    server.requests.clear()
    assert completed(["cp", "x"], "my-box:/tmp/a/su") == ["my-box:/tmp/a/sub/"]
    assert len(server.requests) == 0
    assert completed(["cp"], "nobody:/tmp/") == []
    assert completed(["cp"], "my-box:/nowhere/") == []
    [info] = run("sb", "ls", "--json").json
    assert completed(["cp"], f"{info['id']}:/tmp/a/so") == [f"{info['id']}:/tmp/a/some"]
    # The shell itself completes these.
    assert completed(["cp"], "./m") == ["./m"]
    assert completed(["cp"], "zz") == ["zz"]


def test_completing_a_path_wakes_no_sandbox(run, server):
    server.templates.add("superserve/base")
    assert run("sb", "create", "my-box").code == 0
    assert run("sb", "pause", "my-box").code == 0
    assert completed(["cp"], "my-box:/tmp/") == []
    assert run("sb", "show", "my-box", "--json").json["status"] == "paused"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cp", "my-box", ":", "/tmp/a/s"], ["/tmp/a/some", "/tmp/a/sub/"]),
        (["cp", "my-box", ":"], ["/"]),
        (["cp", "here", "my"], ["my-box:"]),
        (["cp", "my-box:/tmp/a/so"], ["my-box:/tmp/a/some"]),
        (["template", "sho"], ["show"]),
    ],
)
def test_bash_completes_paths_that_it_takes_for_several_words(run, server, folder, words, found):
    server.templates.add("superserve/base")
    assert run("sb", "create", "my-box").code == 0
    assert run("exec", "my-box", "--", "mkdir", "-p", "/tmp/a/sub").code == 0
    assert run("exec", "my-box", "--", "touch", "/tmp/a/some").code == 0
    # What is kept is there at once, however slow the machine is.
    completed(["cp"], "my")
    completed(["cp"], "my-box:/tmp/a/")
    (folder / "script").write_text(run("completion", "bash").stdout)
    (folder / "superserve").write_text(f'#!/bin/sh\nexec {sys.executable} -m superserve "$@"\n')
    (folder / "superserve").chmod(0o755)
    program = f"""
        compopt() {{ :; }}
        . ./script
        COMP_WORDS=(superserve {" ".join(words)})
        COMP_CWORD={len(words)}
        _superserve_completion ./superserve
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == found, done.stderr


# With a terminal


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *arguments, columns=100):
        self.process, self._end = pty.fork()
        if self.process == 0:
            os.environ.update(COLUMNS=str(columns), TERM="xterm")
            os.execv(sys.executable, [*COMMAND, *arguments])
        self.text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def _read(self):
        """Read what is there, or wait for a moment; return False once the command has ended and all is read."""
        if not select.select([self._end], [], [], 0.05)[0]:
            return True
        try:
            found = os.read(self._end, 65536)
        except OSError:
            return False
        self.text += self._decode(found)
        return bool(found)

    def read_until(self, pattern):
        """Read until a pattern is there, and return the text so far."""
        end = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.text) and time.monotonic() < end:
            if not self._read():
                break
        assert re.search(pattern, self.text), self.text
        return self.text

    def type(self, text):
        os.write(self._end, text.encode())

    def wait(self):
        """Return what the command exits with."""
        end = time.monotonic() + PATIENCE_S
        while (has_more := self._read()) and time.monotonic() < end:
            pass
        if has_more:
            os.kill(self.process, signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        os.close(self._end)
        assert not has_more, self.text
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_shows_the_build_while_it_goes_on(run):
    terminal = Terminal("template", "build", "web")
    text = terminal.read_until(r"web  [0-9a-f-]{36}  ready")
    assert terminal.wait() == 0
    assert "Step 1/1  $ echo made" in text
    assert "✓" in text


def test_ctrl_c_stops_watching_and_says_how_to_come_back(run, server):
    server.builds.hold()
    terminal = Terminal("template", "build", "web")
    terminal.read_until("web: create")
    terminal.read_until("waiting|queued")
    terminal.type("\x03")
    terminal.read_until("Ctrl-C again now cancels")
    assert terminal.wait() == 130
    assert "superserve template cancel web" in terminal.text
    [build] = run("template", "show", "web", "--json").json["builds"]
    assert build["status"] in {"pending", "building"}
    server.builds.release()


def test_ctrl_c_twice_cancels(run, server):
    server.builds.hold()
    terminal = Terminal("template", "build", "web")
    terminal.read_until("waiting|queued")
    terminal.type("\x03")
    terminal.read_until("Ctrl-C again now cancels")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert "is cancelled" in terminal.text
    [build] = run("template", "show", "web", "--json").json["builds"]
    assert build["status"] == "cancelled"
    server.builds.release()


def test_a_terminal_is_asked_before_something_is_deleted(run, server):
    server.templates.add("old")
    terminal = Terminal("template", "rm", "old")
    terminal.read_until(r"Delete template old\? \[y/N\]")
    terminal.type("n\r")
    assert terminal.wait() == 5
    terminal = Terminal("template", "rm", "old")
    terminal.read_until(r"\[y/N\]")
    terminal.type("y\r")
    assert terminal.wait() == 0
    assert run("template", "ls", "--json").json == []


def test_ctrl_c_twice_cancels_several(run, server):
    server.builds.hold()
    terminal = Terminal("template", "build", "--all")
    terminal.read_until("0 of 2 have ended")
    terminal.read_until("broken +(waiting for the log|build queued)")
    terminal.type("\x03")
    terminal.read_until("Ctrl-C again now cancels")
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert "is cancelled" in terminal.text
    server.builds.release()


def test_several_are_drawn_together_and_failures_told_in_full(run):
    terminal = Terminal("template", "build", "--all", columns=60)
    terminal.read_until("1 of 2 templates are ready")
    assert terminal.wait() == 1
    assert "ready (create)" in terminal.text
    assert "superserve template logs broken shows the whole log" in terminal.text.replace("\r\n", "")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_showing_a_detached_command_and_twice_ends_it(run, server, times):
    server.templates.add("superserve/base")
    assert run("sb", "create", "box").code == 0
    token = run("exec", "box", "-d", "-q", "--", "sh", "-c", "echo begun; sleep 1000").stdout.strip()
    terminal = Terminal("exec", "box", "--attach", token)
    terminal.read_until("begun")
    terminal.type("\x03")
    terminal.read_until("Ctrl-C again now ends the command")
    if times == 2:
        terminal.type("\x03")
    assert terminal.wait() == 130
    assert f"superserve exec box --attach {token} shows it" in terminal.text
    assert ("The command goes on" in terminal.text) is (times == 1)
    # Its first process is asked for, as attaching would wait for a command that goes on.
    alive = run("exec", "box", "--", "sh", "-c", f"[ -e /tmp/.superserve-exec/{token}/code ]; echo $?").stdout
    assert alive == "1\n" or times == 2
    if times == 2:
        assert run("exec", "box", "--attach", token).code == 143


@pytest.mark.parametrize("moment", ["loading", "ending"])
def test_ctrl_c_while_modules_are_loaded_or_after_the_end_is_no_traceback(tmp_path, moment):
    # In place of the real thing, a module that interrupts its own process.
    interrupt = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    if moment == "loading":
        (tmp_path / "click.py").write_text(f"{interrupt}import time\ntime.sleep(20)\n")
    program = "import sys\nfrom superserve.cli import main\n"
    if moment == "ending":
        program += "import atexit, os, signal\natexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    program += "sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_job_that_ignores_ctrl_c_goes_on_ignoring_it(run):
    program = "import signal, sys\nfrom superserve.cli import main\nmain()\nsys.exit(signal.getsignal(signal.SIGINT) != signal.SIG_IGN)"
    done = shell(f"trap '' INT; {sys.executable} -c '{program}' --version")
    assert (done.returncode, done.stderr) == (0, "")


# Streams that are not what they should be


def shell(line, **environment):
    program = f"{sys.executable} -m superserve"
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("superserve ", f"{program} ", 1)],
        check=False, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "stderr"),
    [
        ("superserve api GET /templates | true", 0, ""),
        ("superserve template ls >&-", 0, ""),
        ("superserve template show nobody 2>&-", 3, ""),
        ("superserve template rm web <&-", 5, "superserve: this would delete template web"),
        ("superserve template ls >/dev/full", 74, "superserve: the output cannot be written: No space left"),
        ("superserve --help >/dev/full", 74, "superserve: the output cannot be written: No space left"),
        ("superserve template ls --json >/dev/full", 74, '{"error": {"category": "output"'),
        ("superserve template show nobody 2>/dev/full", 3, ""),
    ],
)
def test_streams_that_are_closed_or_full_are_no_traceback(run, server, line, code, stderr):
    server.templates.add("web")
    done = shell(line)
    assert (done.returncode, done.stderr[: len(stderr)] or "") == (code, stderr)
    assert "Traceback" not in done.stderr
    if not stderr:
        assert done.stderr == ""


def test_a_reader_that_has_had_enough_ends_the_command_as_in_a_shell(run, server):
    server.templates.add("superserve/base")
    # More than a pipe holds; the exit code of the first part is told on stderr.
    line = "{ superserve run -- seq 1 100000; echo $? >&2; } | head -n 1"
    done = shell(line)
    assert (done.stdout, done.stderr) == ("1\n", "141\n")
    assert run("sb", "ls", "--json").json == []


def test_what_stdout_has_no_character_for_is_written_all_the_same(run, folder):
    (folder / "superserve.toml").write_text("[templates.web]\nfrom = 'a'\nsteps = [{run = 'echo ✓'}]\n")
    assert run("template", "build", "web").code == 0
    narrow = {"PYTHONIOENCODING": "ascii"}
    assert "$ echo ?" in shell("superserve template logs web", **narrow).stdout
    assert '"text": "$ echo \\u2713"' in shell("superserve template logs web --json", **narrow).stdout


def test_an_argument_of_the_sdk_is_not_what_a_command_has(run, environment):
    environment.setenv("SUPERSERVE_API_KEY", "wrong")
    assert "check SUPERSERVE_API_KEY" in run("template", "ls").stderr
    environment.setenv("SUPERSERVE_API_KEY", "")
    assert run("template", "ls").stderr == "superserve: no API key: set SUPERSERVE_API_KEY\n"
