"""Waiting, and working beside the caller, the sync half. `tasks_async` has the same names."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Generic, TypeAlias, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent

from superserve._arguments import LogCallback, plain_function
from superserve._http.transport_sync import Call, during
from superserve._polling import Deadline
from superserve.errors import ValidationError
from superserve.types import BuildLogEvent

T = TypeVar("T")

Done: TypeAlias = None
CONNECT: Final = "Template.connect({!r})"

check_callback = plain_function
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
        result = callback(event)
        if result is not None and hasattr(result, "__await__"):
            # A coroutine that is not closed warns that it was never awaited.
            getattr(result, "close", lambda: None)()
            raise ValidationError(
                "the log callback returned something to await; use AsyncTemplate, or pass a plain function"
            )
    return True
