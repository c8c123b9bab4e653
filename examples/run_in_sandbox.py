"""Build a template, start a sandbox from it, and use that: commands, files, an interactive session, pause and resume.

Without an account, on a local server that really runs the commands, in seconds:

    python -m nox -s demo

On the real service, where the build takes minutes:

    export SUPERSERVE_API_KEY=ss_live_...
    python examples/run_in_sandbox.py
"""

import contextlib
import secrets
import sys
import tempfile
import time
from pathlib import Path

from superserve import (
    AuthenticationError,
    CommandError,
    CommandStartError,
    FileNotFoundInSandboxError,
    Sandbox,
    SandboxError,
    Superserve,
    Template,
)

NAME = f"sdk-demo-{secrets.token_hex(3)}"

# What a shell says of a program that Ctrl-C has ended.
INTERRUPTED = 130

COUNT = "for n in 1 2 3; do echo $GREETING, $n of 3; sleep 0.3; done; echo done >&2"
# It says so when it is interrupted, which an interactive program would do.
LISTEN = "trap 'echo interrupted; exit 130' INT; while read -r line; do echo \"heard: $line\"; done"


def run_commands(sandbox: Sandbox) -> None:
    """Run commands: one that prints as it goes, one that fails, one that takes too long, one that isn't there."""
    title("Run a command, and print its output as it comes")
    result = sandbox.commands.run(
        COUNT, on_stdout=lambda text: show("|", text), on_stderr=lambda text: show("!", text)
    )
    row("exit code", result.exit_code)

    title("A program and its arguments, without a shell")
    row("stdout", sandbox.commands.run(["printf", "%s ", "$HOME", "*"]).stdout)

    title("A command that fails is a result, too")
    result = sandbox.commands.run("ls /nowhere")
    row("exit code", result.exit_code)
    row("stderr", result.stderr.strip())
    with contextlib.suppress(CommandError):
        sandbox.commands.run("exit 3", check=True)
        raise AssertionError("check=True makes it an error")

    title("One that takes too long is stopped, and what it printed is there")
    result = sandbox.commands.run("echo begun; sleep 60", timeout_seconds=1)
    row("timed out", result.timed_out)
    row("stdout", result.stdout.strip())

    title("One that cannot be started is an error")
    try:
        sandbox.commands.run(["no-such-program", "--help"])
    except CommandStartError as error:
        row("CommandStartError", error.message)


def use_files(sandbox: Sandbox) -> None:
    """Write a file, have a program in the sandbox change it, and read it again."""
    title("Write a file, let a program change it, read it")
    sandbox.files.write("/home/user/notes/poem.txt", "roses are red\n")
    sandbox.commands.run("echo 'violets are blue' >> poem.txt", cwd="/home/user/notes", check=True)
    row("read", repr(sandbox.files.read_text("/home/user/notes/poem.txt")))
    for info in sandbox.files.list("/home/user/notes"):
        row(info.name, f"{info.kind}, {info.size} bytes, mode {info.mode:04o}")
    try:
        sandbox.files.read("/home/user/notes/novel.txt")
    except FileNotFoundInSandboxError as error:
        row("missing", error.path)


def talk(sandbox: Sandbox) -> None:
    """Talk to a command while it runs, and interrupt it as Ctrl-C would."""
    title("Talk to a command")
    with sandbox.commands.spawn(LISTEN, timeout_seconds=30) as session:
        for line in ("hello", "goodbye"):
            session.stdin.write(f"{line}\n")
        heard = b""
        for output in session:
            heard += output.data
            if b"goodbye" in heard:
                break
        session.kill("SIGINT")
        result = session.wait()
    for line in result.stdout.splitlines():
        show("|", line)
    row("exit code", result.exit_code)
    shouted = sandbox.commands.run(["sh", "-c", "tr a-z A-Z"], input="read me aloud").stdout
    row("through a pipe", shouted)


def copy_folders(sandbox: Sandbox) -> None:
    """Copy a folder into the sandbox and out of it again."""
    title("Copy a folder in, and out again")
    with tempfile.TemporaryDirectory() as here:
        folder = Path(here, "project")
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "main.sh").write_text("echo from a file of this machine > ../made.txt\n")
        (folder / "README").write_text("a project\n")
        sandbox.files.upload(folder, "/home/user/project")
        sandbox.commands.run(["sh", "main.sh"], cwd="/home/user/project/src", check=True)
        sandbox.files.download("/home/user/project", Path(here, "back"))
        for path in sorted(Path(here, "back").rglob("*")):
            if path.is_file():
                row(path.relative_to(Path(here, "back")).as_posix(), path.read_text().strip())


def sleep_and_wake(sandbox: Sandbox) -> None:
    """Pause the sandbox, and let a command wake it."""
    title("Pause, and resume")
    sandbox.pause()
    row("status", sandbox.get_info().status)
    sandbox.resume()
    row("status", sandbox.get_info().status)
    row("still there", sandbox.files.read_text("/home/user/notes/poem.txt").splitlines()[0])


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}", flush=True)


def row(label: str, value: object) -> None:
    """Print a value with its label before it."""
    print(f"   {label:<20}{value}", flush=True)


def show(mark: str, text: str) -> None:
    """Print output, marked at its left."""
    for line in text.splitlines():
        print(f"   {mark} {line}", flush=True)


def main() -> None:
    """Show what templates are for."""
    started = time.monotonic()
    with Superserve() as client:
        print(f"Superserve at {client.base_url}", flush=True)
        title("Build a template")
        template = Template.create(
            name=NAME,
            from_="python:3.11",
            steps=[{"env": {"key": "GREETING", "value": "Hello"}}],
            client=client,
        )
        try:
            row("status", template.wait_until_ready().status)
            title("Start a sandbox from it")
            with Sandbox.create(name=NAME, from_template=template, client=client) as sandbox:
                row("id", sandbox.id)
                run_commands(sandbox)
                use_files(sandbox)
                talk(sandbox)
                copy_folders(sandbox)
                sleep_and_wake(sandbox)
        finally:
            template.delete()
    print(f"\nDone in {time.monotonic() - started:.1f} s; nothing is left behind.")


if __name__ == "__main__":
    try:
        main()
    except AuthenticationError as error:
        sys.exit(f"{error}\nWithout an account: python -m nox -s demo")
    except SandboxError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
