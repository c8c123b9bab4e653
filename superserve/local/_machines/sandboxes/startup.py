"""What a template's commands find around them in a sandbox, and the one that runs there from the start."""

import asyncio
import contextlib
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from superserve.local._machines.jobs import READY_PROBE_LIMIT_S, Step
from superserve.local._machines.sandboxes.guest import Command, Guest, Lost, Refused

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What was ready when its template was built is ready soon: after so long it is used as it is.
_READY_LIMIT_S = 30.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


class Surroundings(NamedTuple):
    """Where the commands of a sandbox run, as whom, and with which variables.

    Attributes:
        user: The user of the template's last `user` step; None without one.
        workdir: The folder of its last `workdir` step; None without one.
        env: Its variables, and then those of the sandbox.
    """

    user: str | None
    workdir: str | None
    env: Mapping[str, str]

    @property
    def home(self) -> str:
        """The home of commands; that of root is the same as without a user."""
        return f"/home/{self.user if self.user not in (None, 'root') else 'user'}"

    @property
    def cwd(self) -> str:
        """Where commands start."""
        return self.workdir or self.home

    def layers(self, guest: Guest) -> dict[str, str]:
        """Return the variables of a command."""
        path = guest.space.search_path(guest.scratch)
        return {
            "PATH": path,
            "HOME": guest.path(self.home),
            "USER": posixpath.basename(self.home),
            **self.env,
        }


def read_surroundings(steps: Sequence[Step], env_vars: Mapping[str, str]) -> Surroundings:
    """Return what a template's steps have set, with a sandbox's own variables on top."""
    user = workdir = None
    env: dict[str, str] = {}
    for step in steps:
        if step.env is not None:
            env[step.env[0]] = step.env[1]
        elif step.workdir is not None:
            workdir = posixpath.normpath(posixpath.join("/", workdir or "", step.workdir))
        elif step.user is not None:
            user = step.user[0]
    return Surroundings(user, workdir, env | dict(env_vars))


async def start_up(guest: Guest, start_cmd: str, ready_cmd: str, surroundings: Surroundings) -> None:
    """Run a template's start_cmd, and wait until its ready_cmd says that it works; nobody is told if it doesn't.

    On the real service the process is older than the sandbox: it was there when the template was saved.
    """
    argv = ["/bin/sh", "-c", start_cmd]
    env, cwd = surroundings.layers(guest), guest.path(surroundings.cwd)
    with contextlib.suppress(Lost, Refused, OSError, TimeoutError):
        await guest.launch(argv, env=env, cwd=cwd)
        pause_s = _FIRST_PAUSE_S
        async with asyncio.timeout(_READY_LIMIT_S if ready_cmd else None):
            while ready_cmd and not await _is_ready(guest, ready_cmd, env, cwd):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _is_ready(guest: Guest, ready_cmd: str, env: Mapping[str, str], cwd: str) -> bool:
    probe: Command = await guest.spawn(
        ["/bin/sh", "-c", ready_cmd], executable=None, env=env, cwd=cwd, has_stdin=False
    )
    try:
        return not await probe.finish(READY_PROBE_LIMIT_S, _drop)
    finally:
        await probe.kill()


async def _drop(_stream: str, _data: bytes) -> None:
    """Take output that nobody wants."""
