"""Waiting, and working in the background: the sync half. `tasks_async` has the same names."""

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
from superserve._http.transport_sync import Call, use_call
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
# How long to wait for a stopped thread to end. Only a handler of the logger can delay it.
_END_S: Final = 5.0


class Worker:
    """Work in a thread of its own that can be stopped."""

    def __init__(self) -> None:
        self._call = Call()
        self._process = os.getpid()

    def start(self, work: Callable[[], None]) -> None:
        """Start the work."""
        self._thread = threading.Thread(target=self._run, args=[work], name="superserve-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the work at once. A thread that is connecting ends after the attempt."""
        # In a forked process, thread and connection belong to the parent.
        if os.getpid() == self._process:
            self._call.cut()
            if self._call.stream is not None:
                self._thread.join(_END_S)

    def _run(self, work: Callable[[], None]) -> None:
        with use_call(self._call):
            work()


def run_until(deadline: float, work: Callable[[], T]) -> T:
    """Do `work`; each of its operations on the network ends at the deadline, on the clock of `time.monotonic`."""
    with use_call(Call(deadline)):
        return work()


def next_piece(pieces: Iterator[T], deadline: float) -> T | None:
    """Return the next piece of a response body, or None at its end."""
    with use_call(Call(deadline)):
        return next(pieces, None)


def call(callback: Callable[[Any], object], value: object) -> None:
    """Call the caller's callback."""
    _refuse_awaitable(callback(value))


class Flight:
    """An operation that one caller runs while others wait for its end."""

    def __init__(self) -> None:
        self.error: SandboxError | None = None
        self._process = os.getpid()
        # Not a threading.Event: an interrupt can leave an event locked.
        self._latch = threading.Lock()
        self._latch.acquire()

    @property
    def can_wait_here(self) -> bool:
        """Whether this process can wait for it: the operation may run in the process that this one was forked from."""
        return self._process == os.getpid()

    def land(self) -> None:
        """Wake those who wait."""
        self._latch.release()

    def wait_until_landed(self) -> None:
        """Wait until the operation has ended. It has a deadline of its own."""
        with self._latch:
            pass


def wait_for_release(lock: threading.Lock) -> None:
    """Wait until a thread has released a lock, after its connection was shut down."""
    if lock.acquire(timeout=_END_S):
        lock.release()


class Queue(Generic[T]):
    """A queue with one writer and one reader. Unlike other queues, an interrupt cannot leave it locked."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.put = self._items.put

    def get(self, timeout_s: float) -> T | None:
        """Return the next item, or None if there is none within `timeout_s`."""
        try:
            return self._items.get(timeout=min(max(timeout_s, 0.0), _LONGEST_WAIT_S))
        except queue.Empty:
            return None


def messages(response: httpx.Response) -> AbstractContextManager[Iterator[ServerSentEvent]]:
    """Return the messages of an event stream."""
    return contextlib.nullcontext(EventSource(response).iter_sse())


def deliver(callback: LogCallback, events: list[BuildLogEvent], _deadline: Deadline) -> bool:
    """Call the callback with each event. A callback cannot be stopped at the deadline."""
    for event in events:
        _refuse_awaitable(callback(event))
    return True


def _refuse_awaitable(result: object) -> None:
    if result is not None and hasattr(result, "__await__"):
        # Without close() Python warns that the coroutine was never awaited.
        getattr(result, "close", lambda: None)()
        raise ValidationError(
            "the callback returned an awaitable; use the asynchronous class, or pass a plain function"
        )
