"""The connections of one client, the sync half. `connections_async` has the same names."""

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
    """One pool a process, made when it is first needed, and anew after a fork or an interrupt; none once `is_closed`."""

    def __init__(
        self, make_pool: Callable[[int], httpcore.ConnectionPool], calls_at_once: int = CALLS_AT_ONCE
    ) -> None:
        self.is_closed = False
        self._calls_at_once = calls_at_once
        self._make_pool = make_pool
        self.begin()
        begin_after_fork(self)

    def begin(self) -> object:
        """Begin without a pool, and return what stood there: in a forked process it is the parent's."""
        inherited = getattr(self, "_pools", None)
        # One at most, in a list, so that it can be closed when this object is gone.
        self._pools: list[httpcore.ConnectionPool] = []
        # Not a semaphore: an interrupt in it may leave it locked.
        self._slots: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._calls_at_once):
            self._slots.put(None)
        # The threads that are in a call, each with the pool that it uses.
        self._in_use: dict[int, httpcore.ConnectionPool] = {}
        self._end = weakref.finalize(self, _close, self._pools, os.getpid())
        return inherited

    def pool(self) -> httpcore.ConnectionPool:
        """Return the pool to use here and now."""
        if self.is_closed:
            raise SandboxError("this client is closed; make another")
        if (used := self._in_use.get(threading.get_ident())) is not None:
            return used
        if not self._pools:
            # At the end of the process nobody comes any more who would close idle connections.
            self._pools.append(self._make_pool(CALLS_AT_ONCE if self._end.alive else 0))
            # Of threads that come at once, the first one's is used.
            del self._pools[1:]
        return self._pools[0]

    @contextlib.contextmanager
    def lease(self, deadline: float) -> Iterator[None]:
        """Hold the pool for one call, once it is its turn."""
        thread = threading.get_ident()
        if (outer := self._in_use.get(thread)) is not None:
            # A signal handler or an object's finalizer within a call of the same thread, which may hold the pool's lock.
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
            raise httpx.PoolTimeout("the client's calls before it took all of its time") from None
        try:
            self._in_use[thread] = self.pool()
            yield
        except httpx.HTTPError:
            raise
        except BaseException:
            # httpcore may count a connection as busy now that nobody uses. Calls of other threads go on with the old pool.
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
        """Close all connections: at once, or after the call of this thread that a signal handler interrupts."""
        self.is_closed = True
        if threading.get_ident() not in self._in_use:
            _close(self._pools, os.getpid())


def _close(pools: list[httpcore.ConnectionPool], process: int) -> None:
    while pools and process == os.getpid():
        pools.pop().close()
