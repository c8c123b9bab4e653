"""The interface between the build host and a runner: the job, the log to write to, and failures.

`pretend.PretendRunner` simulates builds; `processes.runner.ExecuteRunner` runs their steps as processes.
"""

from typing import NamedTuple, Protocol

# The longest command that a log line shows, in bytes of UTF-8.
COMMAND_SHOWN = 256

# One read of a pipe, the most that one log event contains.
READ_SIZE = 32 * 1024

# Time limits of the builder, in seconds of the server's clock.
BUILD_LIMIT_S = 15 * 60.0
STEP_LIMIT_S = 10 * 60.0
START_CMD_WAIT_S = 0.5
READY_CMD_LIMIT_S = 10 * 60.0
READY_PROBE_LIMIT_S = 2.0
READY_PROBE_PAUSE_S = 2.0

# The failures with a fixed text. `step_failed` has a text of its own, see `BuildFailed.at_step`.
FIXED_FAILURES = {
    "bad_reference": "the base image reference could not be parsed",
    "boot_failed": "the build environment did not start",
    "build_failed": "the build could not be completed",
    "image_pull_failed": "the base image could not be pulled or unpacked",
    "image_too_large": "image is too large for the requested disk_mib",
    "image_unsafe": "the base image contains entries that point outside its root",
    "ready_cmd_failed": "ready_cmd did not succeed in time",
    "snapshot_failed": "the snapshot could not be taken",
    "start_cmd_failed": "start_cmd could not be started",
    "unsupported_platform": "the base image is not built for linux/amd64",
}


class Step(NamedTuple):
    """One build step: exactly one field is set (an empty `run` or `workdir` counts as set)."""

    run: str | None = None
    env: tuple[str, str] | None = None
    """Name and value."""
    workdir: str | None = None
    user: tuple[str, bool] | None = None
    """Name, and whether the user may use sudo."""


class BuildJob(NamedTuple):
    """Everything a runner may know about a build."""

    build_id: str
    template_id: str
    from_: str
    steps: tuple[Step, ...]
    start_cmd: str | None
    ready_cmd: str | None
    vcpu: int
    memory_mib: int
    disk_mib: int


class BuildFailed(Exception):  # noqa: N818 - named like the build's status: it is an outcome, not an error
    """The build failed. `message` is the whole error_message, `"<code>: <text>"` or without a code."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @classmethod
    def with_code(cls, code: str) -> "BuildFailed":
        """Return the failure with this code and its fixed sentence."""
        return cls(f"{code}: {FIXED_FAILURES[code]}")

    @classmethod
    def at_step(cls, number: int, count: int, duration: str, detail: str) -> "BuildFailed":
        """Return the failure of one step. `number` counts from 1; `detail` is a text such as `exited with code 3`."""
        return cls(f"step_failed: step {number}/{count} failed after {duration}: {detail}")


class Log(Protocol):
    """The log of a build. It never blocks. Use it in the server's event loop."""

    def write(self, stream: str, text: str) -> None:
        """Append one event to `stdout`, `stderr` or `system`. Trailing newlines are stripped; an empty text is dropped."""


class Runner(Protocol):
    """Carries out builds, any number at a time."""

    kills_on_cancel: bool
    """Whether cancelling a build stops it. The real host is not told, and goes on."""

    async def run(self, job: BuildJob, log: Log) -> None:
        """Carry out one build: returning means ready, BuildFailed means failed.

        The host cancels the task to stop a build (time limit, cancel, shutdown). The runner must then stop at once and leave
        nothing behind. The host writes the last events itself: `ready`, or the error and `failed`, or `cancelled`.
        """

    async def aclose(self) -> None:
        """Release what outlives a build. Called once at shutdown, after every run has ended."""


def format_duration(seconds: float) -> str:
    """Return a duration in Go's form, rounded to milliseconds: `0s`, `12ms`, `3s`, `1m2.345s`, `1h0m0s`."""
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1_000:  # noqa: PLR2004 - a second
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return text


def format_command(command: str) -> str:
    """Return the log line that announces a command: `$ command`, cut at 256 bytes."""
    return f"$ {_cut(command)}"


# The builder's lines on `system`, which some programs search for.
IMAGE_READY = "Image ready"
BOOTING = "Starting build environment"
START_CMD = "Running start command: "
READY_CMD = "Waiting for template to be ready: "
READY = "Template is ready"
SAVING = "Saving template"


def format_pull(image: str) -> str:
    """Return the line that announces the pull of an image."""
    return f"Pulling image {image}"


def format_step(step: Step) -> str | None:
    """Return the line with a step's result for the following steps; None for a run step, which has none.

    The value of a variable is not in it: it may be a secret.
    """
    if step.env is not None:
        return f"Set {step.env[0]}"
    if step.workdir is not None:
        return f"Working directory: {step.workdir}"
    return f"User: {step.user[0]}" if step.user is not None else None


def format_start(command: str) -> str:
    """Return the line that announces the start command."""
    return START_CMD + _cut(command)


def format_ready(command: str) -> str:
    """Return the line that announces the ready command."""
    return READY_CMD + _cut(command)


def _cut(command: str) -> str:
    data = command.encode()
    if len(data) <= COMMAND_SHOWN:
        return command
    return f"{data[:COMMAND_SHOWN].decode(errors='ignore')}…"
