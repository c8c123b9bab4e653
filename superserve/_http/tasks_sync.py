"""Waiting, and working beside the caller, the sync half. `tasks_async` has the same names."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Generic, TypeAlias, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent

from superserve._arguments import LogCallback, plain_function
from superserve._http.transport_sync import Call, during
from superserve._polling import Deadline
from superserve.errors import SandboxError, ValidationError
from superserve.types import BuildLogEvent

T = TypeVar("T")

Done: TypeAlias = None
CONNECT: Final = "Template.connect({!r})"

check_callback = plain_function
Lock = threading.Lock
sleep = time.sleep
shielded = contextlib.nullcontext

_LONGEST_WAIT_S: Final = 86_400.0
# How long to wait for a thread that has been told to end: nothing holds it up but a handler of the logger.
_END_S: Final = 5.0


class Worker:
    """Work in a thread of its own, which can be stopped."""

    def __init__(self) -> None:
        self._call = Call()
        self._process = os.getpid()

    def start(self, work: Callable[[], None]) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, args=[work], name="superserve-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it at once; while it makes a connection, after that."""
        # Forked: thread and connection are the parent's.
        if os.getpid() == self._process:
            self._call.cut()
            if self._call.stream is not None:
                self._thread.join(_END_S)

    def _run(self, work: Callable[[], None]) -> None:
        with during(self._call):
            work()


def run_until(deadline: float, work: Callable[[], T]) -> T:
    """Do work, each of whose operations on the network ends at the deadline, of `time.monotonic`, at the latest."""
    with during(Call(deadline)):
        return work()


def next_piece(pieces: Iterator[T], deadline: float) -> T | None:
    """Return the next piece of what comes over the network, or None at its end."""
    with during(Call(deadline)):
        return next(pieces, None)


def call(callback: Callable[[Any], object], value: object) -> None:
    """Call what the caller has given."""
    _refuse_awaitable(callback(value))


class Flight:
    """Something that one does while others wait for it to be done."""

    def __init__(self) -> None:
        self.error: SandboxError | None = None
        self._process = os.getpid()
        # Not an event: an interrupt in one may leave it locked.
        self._latch = threading.Lock()
        self._latch.acquire()

    @property
    def is_of_here(self) -> bool:
        """Whether it can be waited for here: who does it may have stayed in the process that this was forked from."""
        return self._process == os.getpid()

    def land(self) -> None:
        """Let the others go on."""
        self._latch.release()

    def landed(self) -> None:
        """Wait until it is done, which whoever does it has a deadline for."""
        with self._latch:
            pass


def wait_for_release(lock: threading.Lock) -> None:
    """Wait until a thread whose connection has been shut down holds a lock no more."""
    if lock.acquire(timeout=_END_S):
        lock.release()


class Queue(Generic[T]):
    """What one puts in and another takes out. An interrupt cannot leave it locked, as it can other kinds."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.put = self._items.put

    def get(self, timeout_s: float) -> T | None:
        """Return the next item, or None when there is none for so long."""
        try:
            return self._items.get(timeout=min(max(timeout_s, 0.0), _LONGEST_WAIT_S))
        except queue.Empty:
            return None


def messages(response: httpx.Response) -> AbstractContextManager[Iterator[ServerSentEvent]]:
    """Return the messages of an event stream."""
    return contextlib.nullcontext(EventSource(response).iter_sse())


def deliver(callback: LogCallback, events: list[BuildLogEvent], _deadline: Deadline) -> bool:
    """Hand events to the caller; nothing can end what a callback does."""
    for event in events:
        _refuse_awaitable(callback(event))
    return True


def _refuse_awaitable(result: object) -> None:
    if result is not None and hasattr(result, "__await__"):
        # A coroutine that is not closed warns that it was never awaited.
        getattr(result, "close", lambda: None)()
        raise ValidationError(
            "the callback returned something to await; use the asynchronous class, or pass a plain function"
        )
