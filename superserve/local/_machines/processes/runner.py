"""The runner: a scratch folder and a machine for each build. Both are removed, whatever happens."""

import asyncio
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from superserve.local._machines.interpreter import Interpreter
from superserve.local._machines.jobs import BuildJob, Log
from superserve.local._machines.processes.build import Build, list_workdirs
from superserve.local._machines.processes.isolation import Isolation, Unisolated, find_isolation
from superserve.local._machines.processes.limits import Limits
from superserve.local._machines.processes.machine import Machine
from superserve.local._machines.scratch import Scratch, sweep

_T = TypeVar("_T")


class ExecuteRunner:
    """Carries out builds by running their steps as processes of this user, each build in a scratch folder.

    `speed` shortens the waits around start_cmd and ready_cmd, not the time limits of real work. With `isolate=False` bwrap is
    not used. `images` gets the files of the last successful build of each template. Steps find the interpreter
    `python` under that name. Raises NotImplementedError without POSIX processes (Windows).
    """

    kills_on_cancel = True

    def __init__(
        self,
        *,
        speed: float = 1.0,
        limits: Limits | None = None,
        isolate: bool = True,
        images: dict[str, Scratch] | None = None,
        python: Interpreter | None = None,
    ) -> None:
        if os.name != "posix":
            raise NotImplementedError("execute mode needs a POSIX system: run builds in pretend mode here")
        self._limits = (limits or Limits()).at_speed(speed)
        self._isolation: Isolation = (
            find_isolation(python) if isolate else Unisolated("bwrap is switched off", python)
        )
        self._endings: set[asyncio.Task[None]] = set()
        self._images = images
        self._swept = False

    async def run(self, job: BuildJob, log: Log) -> None:
        """Carry out one build: returning means ready, BuildFailed means failed. When cancelled, end everything."""
        if not self._swept:
            self._swept = True
            await _in_thread(sweep)
        scratch = Scratch()
        machine = None
        template_id: str | None = None
        try:
            # In a thread, because it may copy files.
            command = await _in_thread(
                lambda: self._isolation.agent_command(scratch, list_workdirs(job.steps))
            )
            machine = Machine(
                command,
                log.write,
                self._limits,
                disk_mib=job.disk_mib,
            )
            await Build(
                job, log, machine=machine, isolation=self._isolation, scratch=scratch, limits=self._limits
            ).run()
            template_id = job.template_id
        finally:
            # In a task of its own: a second cancellation must not leave processes or files behind.
            ending = asyncio.create_task(self._end(machine, scratch, template_id))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)

    async def aclose(self) -> None:
        """Wait until the last build's processes and files are gone."""
        await asyncio.gather(*self._endings)
        while self._images:
            _, image = self._images.popitem()
            await _in_thread(image.remove)

    async def _end(self, machine: Machine | None, scratch: Scratch, template_id: str | None) -> None:
        if machine is not None and not await machine.stop():
            await _in_thread(functools.partial(self._isolation.kill_strays, scratch))
        if template_id is not None and self._images is not None:
            # Sandboxes start from it until there is a newer one.
            before = self._images.get(template_id)
            self._images[template_id] = scratch
            if before is None:
                return
            scratch = before
        await _in_thread(scratch.remove)


async def _in_thread(function: Callable[[], _T]) -> _T:
    # The loop's own pool would keep its threads until the loop ends.
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, function)
