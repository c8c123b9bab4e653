r"""Simulates builds: it pulls no image and runs no command, but ends as the real build probably would.

Every phase takes 10 ms of the server's clock, so equal specs give equal logs. The outcome depends on the spec:

- Base image: an upper-case repository or stray spaces fail with `bad_reference`; a repository that starts with
  `nosuch/` or contains `does-not-exist` fails with `image_pull_failed`; `fails/<code>` fails with any other code, such
  as `fails/boot_failed`, when a build would; anything else is there.
- `run` steps are read by `shell`: `exit N`, `false`, `true`, `echo TEXT`, `sleep TIME`, `set -e` and `sh -c "..."`, joined by
  `&&`, `||`, `;` and newlines, do what they say, each line with its own time; anything else succeeds and prints nothing.
  A step whose status isn't 0 fails as it would: `step_failed: step 2/3 failed after 10ms: exited with code 3`.
  `sleep` takes its time on the server's clock, and counts toward the step's 10 minutes.
- `start_cmd` is never checked, as on the server. A `ready_cmd` whose status isn't 0 by the reading above fails with
  `ready_cmd_failed`, at once and not after 10 minutes.
"""

import asyncio
import re
import shlex
from typing import TYPE_CHECKING

from superserve.local._app.clock import Clock
from superserve.local._machines import jobs
from superserve.local._machines.jobs import (
    START_CMD_WAIT_S,
    STEP_LIMIT_S,
    BuildFailed,
    BuildJob,
    Log,
    Step,
    format_command,
    format_duration,
)

if TYPE_CHECKING:
    from superserve.local._machines.shell import Outcome

PHASE_S = 0.01

_REFERENCE = (
    r"(?:(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+(?=:[0-9]+/))(?::[0-9]+)?/)?"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@sha256:[0-9a-f]{64})?"
)


class PretendRunner:
    """Simulates builds by reading their specs."""

    kills_on_cancel = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self, job: BuildJob, log: Log) -> None:
        """Write the log of the build, and end as it would."""
        await self._pull(job, log)
        log.write("system", jobs.BOOTING)
        await self._clock.sleep(PHASE_S)
        _fail_if_asked(job, "boot_failed")
        for number, step in enumerate(job.steps, start=1):
            await self._step(number, len(job.steps), step, log)
        _fail_if_asked(job, "build_failed")
        await self._start(job, log)
        log.write("system", jobs.SAVING)
        await self._clock.sleep(PHASE_S)
        _fail_if_asked(job, "snapshot_failed")

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""

    async def _pull(self, job: BuildJob, log: Log) -> None:
        log.write("system", jobs.format_pull(job.from_))
        await self._clock.sleep(PHASE_S)
        reference = re.fullmatch(_REFERENCE, job.from_)
        if reference is None:
            raise BuildFailed.with_code("bad_reference")
        repository = reference["repository"]
        if repository.startswith("nosuch/") or "does-not-exist" in repository:
            raise BuildFailed.with_code("image_pull_failed")
        _fail_if_asked(job, "image_too_large", "unsupported_platform", "image_unsafe", "image_pull_failed")
        log.write("system", jobs.IMAGE_READY)

    async def _step(self, number: int, count: int, step: Step, log: Log) -> None:
        # The shell's grammar is not needed at the server's start.
        from superserve.local._machines.shell import Outcome, read_command

        log.write("system", f"Step {number}/{count}")
        outcome = Outcome()
        for command in _commands(step):
            log.write("system", format_command(command))
        if step.run is not None:
            outcome = read_command(step.run)
        elif (line := jobs.format_step(step)) is not None:
            log.write("system", line)
        duration_s = min(PHASE_S + outcome.duration_s, STEP_LIMIT_S)
        await self._print(outcome, duration_s, log)
        duration = format_duration(duration_s)
        if duration_s >= STEP_LIMIT_S:
            detail = "exec stream: deadline_exceeded: context deadline exceeded"
            raise BuildFailed.at_step(number, count, duration, detail)
        if outcome.status:
            raise BuildFailed.at_step(number, count, duration, f"exited with code {outcome.status}")
        log.write("system", f"Step {number}/{count} completed ({duration})")

    async def _print(self, outcome: "Outcome", duration_s: float, log: Log) -> None:
        """Write each line of output at its time, and return at the end of the step."""
        now_s = 0.0
        for output in outcome.output:
            at_s = min(PHASE_S + output.at_s, duration_s)
            if at_s > now_s:
                await self._clock.sleep(at_s - now_s)
                now_s = at_s
            if at_s >= STEP_LIMIT_S:
                return
            log.write(output.stream, output.text)
            # Without a turn of the loop, the log would drop events that its readers cannot read in time.
            await asyncio.sleep(0)
        if duration_s > now_s:
            await self._clock.sleep(duration_s - now_s)

    async def _start(self, job: BuildJob, log: Log) -> None:
        if job.start_cmd is not None:
            log.write("system", jobs.format_start(job.start_cmd))
            await self._clock.sleep(START_CMD_WAIT_S)
        _fail_if_asked(job, "start_cmd_failed")
        if job.ready_cmd is not None:
            log.write("system", jobs.format_ready(job.ready_cmd))
            await self._clock.sleep(PHASE_S)
            from superserve.local._machines.shell import read_command

            if read_command(job.ready_cmd).status:
                raise BuildFailed.with_code("ready_cmd_failed")
            log.write("system", jobs.READY)
        _fail_if_asked(job, "ready_cmd_failed")


def _fail_if_asked(job: BuildJob, *codes: str) -> None:
    """Fail with one of the codes if the base image is named after it."""
    for code in codes:
        if job.from_ == f"fails/{code}":
            raise BuildFailed.with_code(code)


def _commands(step: Step) -> list[str]:
    """Return the commands of a step, as the log shows them."""
    if step.run is not None:
        return [step.run]
    if step.workdir is not None:
        path = shlex.quote(step.workdir or "/")
        return [f"mkdir -p {path}", f"chown -R $(id -u) {path}"]
    if step.user is None:
        return []
    name, sudo = step.user
    grant = [f"echo '{name} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{name}"] if sudo else []
    return [f"id -u {name} || adduser --disabled-password --gecos '' {name}", *grant]
