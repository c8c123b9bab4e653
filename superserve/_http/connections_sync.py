"""The connections of one client: the sync half. `connections_async` has the same names."""

import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator

import httpcore
import httpx

from superserve._http.fork import begin_after_fork
from superserve._http.policy import CALLS_AT_ONCE, time_left
from superserve.errors import SandboxError


class Connections:
    """One pool for each process, made on first use, and again after a fork or an interrupt. There is none once `is_closed`."""

    def __init__(
        self, make_pool: Callable[[int], httpcore.ConnectionPool], calls_at_once: int = CALLS_AT_ONCE
    ) -> None:
        self.is_closed = False
        self._calls_at_once = calls_at_once
        self._make_pool = make_pool
        self.begin()
        begin_after_fork(self)

    def begin(self) -> object:
        """Start without a pool, and return the old one. In a forked process the old pool belongs to the parent."""
        inherited = getattr(self, "_pools", None)
        # At most one pool. It is in a list so that the finalizer can close it.
        self._pools: list[httpcore.ConnectionPool] = []
        # Not a semaphore: an interrupt can leave a semaphore locked.
        self._slots: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._calls_at_once):
            self._slots.put(None)
        # The threads that are in a call, each with its pool.
        self._in_use: dict[int, httpcore.ConnectionPool] = {}
        self._end = weakref.finalize(self, _close, self._pools, os.getpid())
        return inherited

    def pool(self) -> httpcore.ConnectionPool:
        """Return the pool that this thread uses."""
        if self.is_closed:
            raise SandboxError("this client is closed; make another")
        if (used := self._in_use.get(threading.get_ident())) is not None:
            return used
        if not self._pools:
            # At the end of the process nothing would close idle connections, so none are kept.
            self._pools.append(self._make_pool(CALLS_AT_ONCE if self._end.alive else 0))
            # If several threads made a pool at the same time, the first one is used.
            del self._pools[1:]
        return self._pools[0]

    @contextlib.contextmanager
    def lease(self, deadline: float) -> Iterator[None]:
        """Hold a slot of the pool for one call; wait until one is free."""
        thread = threading.get_ident()
        if (outer := self._in_use.get(thread)) is not None:
            # A signal handler or a finalizer makes a call inside another call of the same thread, which may hold the pool's lock.
            with self._make_pool(0) as pool:
                self._in_use[thread] = pool
                try:
                    yield
                finally:
                    self._in_use[thread] = outer
            return
        try:
            self._slots.get(timeout=time_left(deadline))
        except queue.Empty:
            raise httpx.PoolTimeout("other calls of this client took all of the time") from None
        try:
            self._in_use[thread] = self.pool()
            yield
        except httpx.HTTPError:
            raise
        except BaseException:
            # httpcore may count an unused connection as busy now. Other threads go on with the old pool.
            self._pools.clear()
            raise
        finally:
            left = self._in_use.pop(thread, None)
            if left is not None and left not in [*self._pools, *self._in_use.values()]:
                left.close()
            self._slots.put(None)
            if self.is_closed:
                self.close()

    def close(self) -> None:
        """Close all connections: at once, or, in a signal handler, after the call that it interrupted."""
        self.is_closed = True
        if threading.get_ident() not in self._in_use:
            _close(self._pools, os.getpid())


def _close(pools: list[httpcore.ConnectionPool], process: int) -> None:
    while pools and process == os.getpid():
        pools.pop().close()
