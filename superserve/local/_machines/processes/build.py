"""The course of one build: its steps, then start_cmd and ready_cmd, with the lines of the log."""

import asyncio
import posixpath
import shlex

from superserve.local._machines import jobs
from superserve.local._machines.interpreter import USUAL_PATH
from superserve.local._machines.jobs import (
    BuildFailed,
    BuildJob,
    Log,
    Step,
    format_command,
    format_duration,
)
from superserve.local._machines.processes.isolation import Isolation
from superserve.local._machines.processes.limits import Limits
from superserve.local._machines.processes.machine import Command, Exit, Machine
from superserve.local._machines.scratch import Scratch


class _StepError(Exception):
    """A step failed. The argument is the detail of its message."""


class Build:
    """Carries out one job on a machine of its own. Its steps change user, folder and environment."""

    def __init__(
        self,
        job: BuildJob,
        log: Log,
        *,
        machine: Machine,
        isolation: Isolation,
        scratch: Scratch,
        limits: Limits,
    ) -> None:
        self._job = job
        self._log = log
        self._machine = machine
        self._isolation = isolation
        self._scratch = scratch
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._user = "root"
        self._workdir = "/"
        self._env: dict[str, str] = {}

    async def run(self) -> None:
        """Return when the build is ready; raise BuildFailed if it failed."""
        for line in self._isolation.describe(self._scratch):
            self._say(line)
        self._say(f"base image {self._job.from_} is not pulled: steps run with this machine's programs")
        await self._boot()
        for number, step in enumerate(self._job.steps, 1):
            await self._run_step(number, step)
        if self._job.start_cmd:
            await self._run_start_cmd(self._job.start_cmd)
        if self._job.ready_cmd:
            await self._run_ready_cmd(self._job.ready_cmd)
        self._say(jobs.SAVING)

    def _say(self, text: str) -> None:
        self._log.write("system", text)

    async def _boot(self) -> None:
        self._say(jobs.BOOTING)
        problem = await self._machine.boot(self._limits.boot_s)
        if problem:
            self._say(problem)
            raise BuildFailed.with_code("boot_failed")

    # -- Steps

    async def _run_step(self, number: int, step: Step) -> None:
        count = len(self._job.steps)
        self._say(f"Step {number}/{count}")
        started = self._now()
        try:
            await self._carry_out(step)
        except _StepError as error:
            raise BuildFailed.at_step(
                number, count, format_duration(self._now() - started), str(error)
            ) from None
        self._say(f"Step {number}/{count} completed ({format_duration(self._now() - started)})")

    async def _carry_out(self, step: Step) -> None:
        if step.run is not None:
            self._say(format_command(step.run))
            ended = await self._machine.run(self._shell(step.run), self._limits.step_s)
            if ended != Exit(0):
                raise _StepError(ended.detail)
        elif step.env is not None:
            name, value = step.env
            # As in a real environment: a name ends at its first "=".
            name, _, value = f"{name}={value}".partition("=")
            self._env[name] = value
            self._say_done(Step(env=(name, value)))
        elif step.workdir is not None:
            self._workdir = make_absolute(self._workdir, step.workdir)
            await self._make_folder(self._workdir, f"create workdir {self._workdir}")
            self._say_done(Step(workdir=self._workdir))
        elif step.user is not None:
            self._user, _ = step.user
            await self._make_folder(self._home(), f"ensure user {self._user}")
            self._say_done(step)
            self._say("only USER and HOME say so, no other user is switched to")

    def _say_done(self, step: Step) -> None:
        line = jobs.format_step(step)
        if line is not None:
            self._say(line)

    async def _make_folder(self, path: str, purpose: str) -> None:
        self._say(format_command(f"mkdir -p {shlex.quote(path)}"))
        command = Command(["mkdir", "-p", "--", self._path(path)], self._base_environment(), self._path("/"))
        ended = await self._machine.run(command, self._limits.step_s)
        if ended != Exit(0):
            raise _StepError(f"{purpose}: {ended.detail}")

    # -- The environment of a command

    def _shell(self, command: str) -> Command:
        return Command(
            ["/bin/sh", "-c", command], {**self._base_environment(), **self._env}, self._path(self._workdir)
        )

    def _base_environment(self) -> dict[str, str]:
        # Nothing from the server's own environment: it contains keys and tokens.
        return {
            "PATH": USUAL_PATH,
            "HOME": self._path(self._home()),
            "USER": self._user,
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "SHELL": "/bin/sh",
            **self._isolation.variables(self._scratch),
        }

    def _home(self) -> str:
        return "/root" if self._user == "root" else f"/home/{self._user}"

    def _path(self, inside: str) -> str:
        return self._isolation.path(self._scratch, inside)

    # -- start_cmd and ready_cmd

    async def _run_start_cmd(self, command: str) -> None:
        self._say(jobs.format_start(command))
        started = self._now()

        def tell(ended: asyncio.Future[Exit]) -> None:
            if not ended.cancelled():
                duration = format_duration(self._now() - started)
                self._say(f"start_cmd ended after {duration} (not checked): {ended.result().detail}")

        # As on the real service, the end of start_cmd is not a failure: ready_cmd decides whether it works.
        self._machine.launch(self._shell(command)).add_done_callback(tell)
        await asyncio.sleep(self._limits.start_wait_s)

    async def _run_ready_cmd(self, command: str) -> None:
        self._say(jobs.format_ready(command))
        end = self._now() + self._limits.ready_s
        while (left := end - self._now()) > 0:
            ended = await self._machine.run(self._shell(command), min(self._limits.probe_s, left))
            if ended == Exit(0):
                self._say(jobs.READY)
                return
            self._say(f"ready_cmd: {ended.detail}")
            await asyncio.sleep(max(0.0, min(self._limits.probe_pause_s, end - self._now())))
        raise BuildFailed.with_code("ready_cmd_failed")


def make_absolute(workdir: str, path: str) -> str:
    """Return `path` relative to `workdir`, without `..` and double slashes."""
    return "/" + posixpath.normpath(posixpath.join(workdir, path)).lstrip("/")


def list_workdirs(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the absolute paths of the folders in which these steps work."""
    path = "/"
    return tuple(path := make_absolute(path, step.workdir) for step in steps if step.workdir is not None)
