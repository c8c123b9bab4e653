"""The machines of sandboxes. Each is made on first use."""

import asyncio
import contextlib
import posixpath
import shutil
import sys
from collections.abc import Mapping

from superserve.local._machines.interpreter import Interpreter
from superserve.local._machines.sandboxes.guest import Guest, Lost
from superserve.local._machines.sandboxes.spaces import Space, Unisolated, find_space, make_folders
from superserve.local._machines.scratch import Scratch, sweep
from superserve.local._resources.sandbox_rows import SandboxRow
from superserve.local._resources.templates import TemplateRow
from superserve.local._store.store import Table


class Machines:
    """The machines of one server's sandboxes.

    Args:
        isolation: `auto` or `none`.
        rows: The sandboxes.
        templates: Their templates.
        images: The files of the templates' builds.
        python: The interpreter that their commands find as `python`.
    """

    def __init__(
        self,
        isolation: str,
        rows: Table[SandboxRow],
        templates: Table[TemplateRow],
        images: Mapping[str, Scratch],
        python: Interpreter | None = None,
    ) -> None:
        self._isolation = isolation
        self._rows = rows
        self._templates = templates
        self._images = images
        self._python = python
        self.env_vars: dict[str, Mapping[str, str]] = {}
        """The variables of `create`. They are kept in the machine's memory only, as on the real server."""
        self.space: Space | str | None = None
        """The space for the machines, or why there is none; None before the first try."""
        self._guests: dict[str, Guest] = {}
        self._making = asyncio.Lock()
        self._endings: set[asyncio.Task[None]] = set()

    async def of(self, row: SandboxRow) -> Guest | str:
        """Return the machine of a sandbox, or why there is none."""
        found = self._guests.get(row.id)
        if found is not None:
            return found
        if sys.platform != "linux":
            return "commands of sandboxes run on Linux only: elsewhere, answer them with server.commands"
        if self.space is None:
            if self._isolation == "none":
                self.space = Unisolated(self._python)
            else:
                await asyncio.to_thread(sweep)
                self.space = await asyncio.to_thread(find_space, self._python)
        if isinstance(self.space, str):
            return (
                f"commands cannot be isolated from this machine: {self.space}; install bubblewrap, or use "
                "isolation='none' (--isolation none) for commands without isolation"
            )
        async with self._making:
            # Another request may have been faster.
            if row.id not in self._guests:
                home, _, workdir, _ = self.surroundings(row)
                image = self._images.get(row.template_id)
                scratch = await asyncio.to_thread(_make_files, image, home, workdir)
                if self._rows.get(row.id) is None:
                    await asyncio.to_thread(scratch.remove)
                    raise Lost
                self._guests[row.id] = Guest(self.space, scratch)
            return self._guests[row.id]

    def surroundings(self, row: SandboxRow) -> tuple[str, str, str, dict[str, str]]:
        """Return the home, user, working directory and variables of a sandbox's commands, as its template set them."""
        home, user, workdir = "/home/user", "user", ""
        variables: dict[str, str] = {}
        template = self._templates.get(row.template_id)
        for step in template.spec.steps if template else ():
            if step.env is not None:
                variables[step.env[0]] = step.env[1]
            elif step.workdir is not None:
                workdir = posixpath.normpath(posixpath.join("/", workdir, step.workdir))
            elif step.user is not None:
                user, home = step.user[0], f"/home/{step.user[0]}"
        return home, user, workdir or home, variables | dict(self.env_vars.get(row.id, {}))

    async def freeze(self, sandbox_id: str) -> None:
        """Stop the processes of a sandbox."""
        guest = self._guests.get(sandbox_id)
        if guest is not None:
            with contextlib.suppress(Lost):
                await guest.freeze()

    async def thaw(self, sandbox_id: str) -> None:
        """Resume the processes of a sandbox."""
        guest = self._guests.get(sandbox_id)
        if guest is not None:
            with contextlib.suppress(Lost):
                await guest.thaw()

    async def end(self, sandbox_id: str) -> None:
        """End everything in a sandbox; returns when nothing of it is left."""
        self.env_vars.pop(sandbox_id, None)
        guest = self._guests.pop(sandbox_id, None)
        if guest is not None:
            # In a task of its own: the client may hang up.
            await asyncio.shield(self._end_later(guest))

    def reset(self) -> None:
        """End all, without waiting for it."""
        guests, self._guests = self._guests, {}
        self.env_vars.clear()
        for guest in guests.values():
            self._end_later(guest)

    async def aclose(self) -> None:
        """End all; returns when nothing of them is left."""
        self.reset()
        await asyncio.gather(*self._endings)

    def _end_later(self, guest: Guest) -> "asyncio.Task[None]":
        ending = asyncio.create_task(guest.stop())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending


def _make_files(image: Scratch | None, *folders: str) -> Scratch:
    """Return the files of a new sandbox: those of its template's build, and those of any image."""
    scratch = Scratch()
    if image is not None:
        # What cannot be copied is not a file, or could not be read in the sandbox either.
        with contextlib.suppress(OSError):
            shutil.copytree(image.root, scratch.root, symlinks=True, dirs_exist_ok=True)
    make_folders(scratch, *folders)
    return scratch
