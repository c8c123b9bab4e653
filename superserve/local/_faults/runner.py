"""Builds that end as faults want, with any runner."""

import asyncio
import re
from collections.abc import Callable

from superserve.local._faults.outcomes import BuildFault
from superserve.local._faults.registry import Strike
from superserve.local._machines import jobs
from superserve.local._machines.jobs import BuildJob, Log, Runner

# The beginning of the log line after which a build can fail in this way. Other outcomes come after the first line.
_LINES = {
    "boot_failed": jobs.BOOTING,
    "build_failed": jobs.SAVING,
    "ready_cmd_failed": jobs.READY_CMD,
    "snapshot_failed": jobs.SAVING,
    "start_cmd_failed": jobs.START_CMD,
}
_COMPLETED = r"Step (?P<step>\d+)/\d+ completed \((?P<duration>.*)\)"


class FaultyRunner:
    """A runner that passes builds to another runner, and ends those that a fault strikes."""

    def __init__(
        self,
        runner: Runner,
        strike: Callable[[BuildJob], Strike[BuildFault] | None],
        *,
        lose: Callable[[str], None],
        time_out: Callable[[str], None],
    ) -> None:
        self.kills_on_cancel = runner.kills_on_cancel
        self._runner = runner
        self._strike = strike
        self._lose = lose
        self._time_out = time_out

    async def run(self, job: BuildJob, log: Log) -> None:
        """Carry out one build, up to the place where a fault strikes it."""
        strike = self._strike(job)
        if strike is None:
            await self._runner.run(job, log)
            return
        fault = strike.effect
        try:
            await self._runner.run(job, _TappedLog(log, fault))
        except _ReachedError as reached:
            duration = reached.duration
        else:
            return
        strike.land()
        match fault.outcome:
            case "hang":
                pass
            case "lose":
                self._lose(job.build_id)
            case "time_out":
                self._time_out(job.build_id)
            case _:
                raise fault.failure(len(job.steps), duration)
        # The host cancels this: at once, at the queue's next tick, or at the builder's time limit.
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Release the resources of the other runner."""
        await self._runner.aclose()


class _ReachedError(Exception):
    """The build has reached the place of the fault."""

    def __init__(self, duration: str = "") -> None:
        super().__init__(duration)
        self.duration = duration
        """The duration of the step, in words."""


class _TappedLog:
    """A log that stops the build where a fault strikes: the runner writes to the log at each event of the build."""

    def __init__(self, log: Log, fault: BuildFault) -> None:
        self._log = log
        self._line = _LINES.get(fault.outcome)
        self._step = fault.at_step
        self._reached = False

    def write(self, stream: str, text: str) -> None:
        """Write, unless the build was stopped. A stopped step gets no line of completion."""
        if self._reached:
            return
        if stream != "system":
            self._log.write(stream, text)
        elif self._step is not None:
            completed = re.fullmatch(_COMPLETED, text)
            if completed is not None and int(completed["step"]) == self._step:
                self._reached = True
                raise _ReachedError(completed["duration"])
            self._log.write(stream, text)
        else:
            self._log.write(stream, text)
            if self._line is None or text.startswith(self._line):
                self._reached = True
                raise _ReachedError
