"""The connections of one client, the async half. `connections_sync` has the same names."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import httpcore

from superserve._http.event_loop import running_loop
from superserve._http.policy import CALLS_AT_ONCE
from superserve.errors import SandboxError

LoopPool = tuple[httpcore.AsyncConnectionPool, asyncio.Semaphore, AsyncGenerator[None]]


class Connections:
    """One pool an event loop, made when it is first needed, closed with the loop; none once `is_closed`."""

    def __init__(
        self, make_pool: Callable[[int], httpcore.AsyncConnectionPool], calls_at_once: int = CALLS_AT_ONCE
    ) -> None:
        self.is_closed = False
        self._calls_at_once = calls_at_once
        self._make_pool = make_pool
        self._of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopPool] = (
            weakref.WeakKeyDictionary()
        )

    def pool(self) -> httpcore.AsyncConnectionPool:
        """Return the pool to use here and now."""
        return self._here()[0]

    @contextlib.asynccontextmanager
    async def lease(self, _deadline: float) -> AsyncIterator[None]:
        """Hold the pool for one call, once it is its turn."""
        async with self._here()[1]:
            yield

    async def aclose(self) -> None:
        """Close the connections of the running event loop; further calls are refused, in every loop."""
        self.is_closed = True
        # Another kind of event loop has no connections in it.
        with contextlib.suppress(RuntimeError):
            if found := self._of_loop.pop(asyncio.get_running_loop(), None):
                await found[2].aclose()
                # Calls may have gone on since that was closed with the loop.
                await found[0].aclose()

    def _here(self) -> LoopPool:
        if self.is_closed:
            raise SandboxError("this client is closed; make another")
        loop = running_loop()
        found = self._of_loop.get(loop)
        if found is None:
            # Connections keep their loop alive: those of one that was closed without being shut down are let go here.
            # Not by iterating: other threads may make and close loops meanwhile.
            for reference in self._of_loop.keyrefs():
                if (other := reference()) is not None and other.is_closed():
                    self._of_loop.pop(other, None)
            pool = self._make_pool(CALLS_AT_ONCE)
            turns = asyncio.Semaphore(self._calls_at_once)
            found = self._of_loop[loop] = (pool, turns, _close_with_the_loop(pool))
            # Run it to its yield: an event loop that shuts down closes the generators that have begun.
            with contextlib.suppress(StopIteration):
                found[2].__anext__().send(None)
        return found


async def _close_with_the_loop(pool: httpcore.AsyncConnectionPool) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await pool.aclose()
