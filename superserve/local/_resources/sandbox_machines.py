"""The machines of sandboxes. Each is made on first use."""

import asyncio
import contextlib
import functools
import itertools
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping

from superserve.local._machines.interpreter import Interpreter
from superserve.local._machines.sandboxes.guest import Guest, Lost
from superserve.local._machines.sandboxes.spaces import Space, Unisolated, find_space, make_folders
from superserve.local._machines.sandboxes.startup import Surroundings, read_surroundings, start_up
from superserve.local._machines.scratch import Scratch, sweep
from superserve.local._resources.sandbox_behaviour import Behaviour
from superserve.local._resources.sandbox_rows import SandboxRow
from superserve.local._resources.template_spec import BuildSpec
from superserve.local._resources.templates import TemplateRow
from superserve.local._store.store import Table

_DISK_MIB = 4096


class Machines:
    """The machines of one server's sandboxes.

    Args:
        isolation: `auto` or `none`.
        rows: The sandboxes.
        templates: Their templates.
        images: The files of the templates' builds.
        behaviour: Tells how sandboxes behave now.
        python: The interpreter that their commands find as `python`.
    """

    def __init__(
        self,
        isolation: str,
        rows: Table[SandboxRow],
        templates: Table[TemplateRow],
        images: Mapping[str, Scratch],
        *,
        behaviour: Callable[[], Behaviour],
        python: Interpreter | None = None,
    ) -> None:
        self._isolation = isolation
        self._rows = rows
        self._templates = templates
        self._images = images
        self._behaviour = behaviour
        self._python = python
        self.env_vars: dict[str, Mapping[str, str]] = {}
        """The variables of `create`. They are kept in the machine's memory only, as on the real server."""
        self.space: Space | str | None = None
        """The space for the machines, or why there is none; None before the first try."""
        self._guests: dict[str, Guest] = {}
        self._making = asyncio.Lock()
        self._starts: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def of(self, row: SandboxRow) -> Guest | str:
        """Return the machine of a sandbox, or why there can be none; what its template starts has been started."""
        guest = self._guests.get(row.id) or await self._make(row)
        if isinstance(guest, Guest) and row.id in self._starts:
            await asyncio.wait([self._starts[row.id]])
        return guest

    def start(self, row: SandboxRow) -> None:
        """Let what its template starts run in a new sandbox, before anybody asks for its machine."""
        if self._spec(row).start_cmd:

            async def make() -> None:
                with contextlib.suppress(Lost):
                    await self.of(row)

            self._do(make())

    async def _make(self, row: SandboxRow) -> Guest | str:
        if sys.platform != "linux":
            return "commands of sandboxes run on Linux only: elsewhere, answer them with server.commands"
        async with self._making:
            # Another request may have come first.
            if row.id in self._guests:
                return self._guests[row.id]
            if self.space is None:
                if self._isolation == "none":
                    self.space = Unisolated(self._python)
                else:
                    await asyncio.to_thread(sweep)
                    self.space = await asyncio.to_thread(find_space, self._python)
            if isinstance(self.space, str):
                return (
                    f"commands cannot be isolated from this machine: {self.space}; install bubblewrap, or use "
                    "isolation='none' (--isolation none) for commands without isolation, whose absolute paths are this machine's"
                )
            image = self._images.get(row.template_id)
            surroundings = self.surroundings(row)
            scratch = await asyncio.to_thread(_make_files, image, surroundings.home, surroundings.cwd)
            if self._is_closed or self._rows.get(row.id) is None:
                await asyncio.to_thread(scratch.remove)
                raise Lost
            most_bytes = functools.partial(self._most_bytes, row)
            guest = Guest(self.space, scratch, most_bytes, self._behaviour().processes)
            self._guests[row.id] = guest
            spec = self._spec(row)
            if spec.start_cmd:
                # What was made up was not seen to work.
                ready_cmd = spec.ready_cmd if image is not None else ""
                start = self._starts[row.id] = self._do(
                    start_up(guest, spec.start_cmd, ready_cmd, surroundings)
                )
                start.add_done_callback(lambda _: self._starts.pop(row.id, None))
            return guest

    def surroundings(self, row: SandboxRow) -> Surroundings:
        """Return what the commands of a sandbox find, as its template set it."""
        return read_surroundings(self._spec(row).steps, self.env_vars.get(row.id, {}))

    def _spec(self, row: SandboxRow) -> BuildSpec:
        template = self._templates.get(row.template_id)
        return template.spec if template else BuildSpec("")

    def _most_bytes(self, row: SandboxRow) -> int:
        told = self._behaviour().disk_bytes
        if told is not None:
            return told
        template = self._templates.get(row.template_id)
        return (template.disk_mib if template else _DISK_MIB) << 20

    def show_files(self, row: SandboxRow, most: int) -> dict[str, object]:
        """Return the first files below where commands start, each with its size; none without a machine."""
        folder = self.surroundings(row).cwd
        guest = self._guests.get(row.id)
        found = list(itertools.islice(_walk(guest.scratch.root, folder), most + 1)) if guest else []
        return {"folder": folder, "entries": found[:most], "is_cut": len(found) > most}

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
            await asyncio.shield(self._end_later(sandbox_id, guest))

    def reset(self) -> None:
        """End all, without waiting for it."""
        guests, self._guests = self._guests, {}
        self.env_vars.clear()
        for sandbox_id, guest in guests.items():
            self._end_later(sandbox_id, guest)

    async def aclose(self) -> None:
        """End all; returns when nothing of them is left."""
        self._is_closed = True
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end_later(self, sandbox_id: str, guest: Guest) -> "asyncio.Task[None]":
        if sandbox_id in self._starts:
            self._starts[sandbox_id].cancel()
        return self._do(guest.stop())

    def _do(self, work: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _make_files(image: Scratch | None, *folders: str) -> Scratch:
    """Return the files of a new sandbox: those of its template's build, and those of any image."""
    scratch = Scratch()
    if image is not None:
        # What cannot be copied is not a file, or could not be read in the sandbox either.
        with contextlib.suppress(OSError):
            shutil.copytree(image.root, scratch.root, symlinks=True, dirs_exist_ok=True)
    make_folders(scratch, *folders)
    return scratch


def _walk(root: pathlib.Path, folder: str) -> Iterator[tuple[str, int]]:
    """Yield path and size of what is below a folder; links are not followed, which might lead out of the sandbox."""
    start = root / folder.lstrip("/")
    if not start.resolve().is_relative_to(root.resolve()):
        return
    for parent, folders, names in os.walk(start):
        folders.sort()
        for name in sorted(names):
            path = pathlib.Path(parent, name)
            with contextlib.suppress(OSError):
                yield str(path.relative_to(start)), path.lstat().st_size
