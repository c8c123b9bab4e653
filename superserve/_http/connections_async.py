"""The connections of one client: the async half. `connections_sync` has the same names."""

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
    """One pool for each event loop, made on first use and closed with the loop. There is none once `is_closed`."""

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
        """Return the pool of the running event loop."""
        return self._loop_pool()[0]

    @contextlib.asynccontextmanager
    async def lease(self, _deadline: float) -> AsyncIterator[None]:
        """Hold a slot of the pool for one call; wait until one is free."""
        async with self._loop_pool()[1]:
            yield

    async def aclose(self) -> None:
        """Close the connections of the running event loop. Later calls are refused in every loop."""
        self.is_closed = True
        # Under another kind of event loop there are no connections to close.
        with contextlib.suppress(RuntimeError):
            if found := self._of_loop.pop(asyncio.get_running_loop(), None):
                await found[2].aclose()
                # A call may have used the pool after the loop's shutdown closed it.
                await found[0].aclose()

    def _loop_pool(self) -> LoopPool:
        if self.is_closed:
            raise SandboxError("this client is closed; make another")
        loop = running_loop()
        found = self._of_loop.get(loop)
        if found is None:
            # A pool keeps its event loop alive. Drop the pools of loops that were closed without being shut down.
            # Copy the references first: other threads may open and close loops during the iteration.
            for reference in self._of_loop.keyrefs():
                if (other := reference()) is not None and other.is_closed():
                    self._of_loop.pop(other, None)
            pool = self._make_pool(CALLS_AT_ONCE)
            turns = asyncio.Semaphore(self._calls_at_once)
            found = self._of_loop[loop] = (pool, turns, _close_with_the_loop(pool))
            # Run it to its yield: when an event loop shuts down, it closes the async generators that have started.
            with contextlib.suppress(StopIteration):
                found[2].__anext__().send(None)
        return found


async def _close_with_the_loop(pool: httpcore.AsyncConnectionPool) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await pool.aclose()
