"""What is read out of shell commands: never a failure where a shell would not fail, and each line in its time."""

import shutil
import subprocess

import pytest

from superserve.local._machines.jobs import BuildJob, Step
from superserve.local._machines.pretend import PretendRunner
from superserve.local._machines.shell import read_command
from tests.local.run_bodies import BODIES


def printed(text, stream="stdout"):
    return [output.text for output in read_command(text).output if output.stream == stream]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("set -e\n# don't keep the wheels\npip install numpy", 0),
        ("pip install numpy  # it's enough", 0),
        ("cat > /etc/motd <<EOF\nit's here\nEOF", 0),
        ("cat > /run.sh <<'EOF'\nset -e\nexit 1\nEOF\nchmod +x /run.sh", 0),
        ("cat <<EOF > f && exit 4\nexit 1\nEOF", 4),
        ("apt-get update || \\\n    exit 1", 0),
        ("false && \\\n    exit 3", 1),
        ("true && \\\nexit 3", 3),
        ("if [ ! -f /x ]; then exit 1; else exit 2; fi", 0),
        ("while true; do exit 1; done", 0),
        ("for name in a b; do exit 1; done", 0),
        ("case $(uname -m) in x86_64) exit 1;; *) exit 2;; esac", 0),
        ("die() { echo no; exit 1; }\ndie", 0),
        ("false() { :; }\nfalse", 0),
        ('X="$(printf "%s" "it\'s")"', 0),
        ("false; exit", 1),
        ("false; exit $?", 1),
        ("make; exit $code", 0),
        ("[ -f /x ] && exit 1", 0),
        ("test -f /x || exit 1", 0),
        ("! grep -q x /etc/passwd", 0),
        ("! true", 1),
        ("(exit 3)", 3),
        ("(exit 3) || true", 0),
        ("sleep 1 & exit 5", 5),
        ("set -e; false; true", 1),
        ("set -euo pipefail; false || true; true", 0),
        ("set -o errexit\nfalse\ntrue", 1),
        ("set -e; set +e; false; true", 0),
        ("bash -ec 'false; true'", 1),
        ("echo unterminated '", 0),
        ("fi", 0),
        ("( " * 5000, 0),
        ("(" * 3000 + "exit 3" + ")" * 3000, 0),
        ("true && " * 2000 + "exit 3", 3),
    ],
)
def test_a_command_has_the_status_that_is_certain(text, status):
    assert read_command(text).status == status


@pytest.mark.parametrize(
    ("text", "stdout"),
    [
        ("echo hi 2>&1", ["hi"]),
        ("echo hi >/dev/null", []),
        ("echo hi 2>/dev/null", ["hi"]),
        ("echo one \\\n    and two", ["one and two"]),
        ("echo 'one\ntwo'", ["one\ntwo"]),
        ("echo -n hi", ["hi"]),
        ("cat <<EOF\necho no\nEOF\necho yes", ["yes"]),
        ("cat <<EOF && echo yes\necho no\nEOF", ["yes"]),
        ("if true; then echo no; fi; echo yes", ["yes"]),
        ("echo $HOME", []),
        ("echo *", []),
        ("{ echo a; echo b; } >&2", []),
        ("echo 'it'\"'s\"", ["it's"]),
        ("# echo no\necho yes # echo no", ["yes"]),
    ],
)
def test_what_is_certain_is_printed(text, stdout):
    assert printed(text) == stdout


def test_a_group_prints_where_it_is_sent():
    assert printed("{ echo a; echo b; } >&2", "stderr") == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("sleep 2", 2),
        ("sleep 1m", 60),
        ("sleep 0.5s", 0.5),
        (".", 0),
        ("sleep 1h 1s", 3601),
        ("false && sleep 9", 0),
        ("sh -c 'sleep 2'; sleep 1", 3),
    ],
)
def test_sleeping_takes_its_time(text, seconds):
    assert read_command(text).duration_s == seconds


def test_each_line_has_its_time():
    outcome = read_command("echo a; sleep 3; echo b >&2; sh -c 'sleep 1; echo c'")

    assert [(output.at_s, output.text) for output in outcome.output] == [(0, "a"), (3, "b"), (4, "c")]


class Diary:
    """A clock and a log in one: notes how long was slept before what was written."""

    def __init__(self):
        self.now_s = 0.0
        self.lines = []

    async def sleep(self, seconds):
        self.now_s += seconds

    def write(self, stream, text):
        if stream != "system":
            self.lines.append((round(self.now_s, 3), text))


async def run(command):
    diary = Diary()
    job = BuildJob("b", "t", "debian:12", (Step(run=command),), None, None, 1, 1024, 4096)
    try:
        await PretendRunner(diary).run(job, diary)
    finally:
        diary.lines = [(round(at_s - diary.lines[0][0], 3), text) for at_s, text in diary.lines]
    return diary.lines


async def test_output_comes_when_it_is_printed():
    assert await run("echo a; sleep 3; echo b; sleep 1m") == [(0, "a"), (3, "b")]


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_no_body_of_a_usual_image_fails():
    # One shell for all: each body is read by itself.
    for body in BODIES:
        checked = subprocess.run(["sh", "-n"], input=body, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, (body, checked.stderr)
        assert read_command(body).status == 0, body


def test_the_bodies_are_sixty_and_all_are_read():
    assert len(set(BODIES)) >= 60


def test_long_lists_are_read_to_their_end_whatever_is_redirected_in_them():
    echoes = [f"echo {number}{' >&2' if number % 2 else ''}" for number in range(1000)]
    output = read_command(" && ".join(echoes)).output
    assert [each.text for each in output] == [str(number) for number in range(1000)]
    assert {each.stream for each in output[::2]} == {"stdout"}
    assert {each.stream for each in output[1::2]} == {"stderr"}
