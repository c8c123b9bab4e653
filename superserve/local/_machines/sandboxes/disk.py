"""How much a sandbox has on its disk, and how much it may have: nothing in the kernel counts a folder."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator

from superserve.local._app.clock import monotonic

# Counting may take this part of the time at most.
_SHARE = 0.05
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_BLOCK_BYTES = 512


class Disk:
    """Counts what lies below a folder, and remembers it.

    Args:
        root: The folder.
        limit: Tells how many bytes may lie there.
    """

    def __init__(self, root: str, limit: Callable[[], int]) -> None:
        self.limit = limit
        self._root = root
        self._counted = 0
        # Written since by who asked whether there is room.
        self._added = 0
        self._is_busy = asyncio.Event()

    async def has_room(self, count: int) -> bool:
        """Whether so many bytes more fit; they are taken to be written then."""
        if self._counted + self._added + count > self.limit():
            # Something may have been removed.
            await self._count()
        if self._counted + self._added + count > self.limit():
            return False
        self._added += count
        return True

    async def overflow(self) -> None:
        """Return when there is more than may be, and it is still growing; else never."""
        pause_s = _FIRST_PAUSE_S
        while True:
            before, began_at = self._counted, monotonic()
            await self._count()
            if self.limit() < self._counted > before:
                return
            least_s = max(_FIRST_PAUSE_S, (monotonic() - began_at) / _SHARE)
            pause_s = least_s if self._counted != before else max(least_s, min(2 * pause_s, _LONGEST_PAUSE_S))
            await asyncio.sleep(least_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s - least_s):
                    await self._is_busy.wait()
                    pause_s = _FIRST_PAUSE_S
            self._is_busy.clear()

    def expect_growth(self) -> None:
        """Look more often again: something is run."""
        self._is_busy.set()

    async def _count(self) -> None:
        self._added = 0
        self._counted = await asyncio.to_thread(lambda: sum(_sizes(self._root)))


def _sizes(folder: str) -> Iterator[int]:
    """Yield what each file below a folder takes; what this user cannot read is not counted."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    facts = entry.stat(follow_symlinks=False)
                    # A file with several names is counted once, in parts; one with holes by what is there.
                    yield facts.st_blocks * _BLOCK_BYTES // max(facts.st_nlink, 1)
