"""Waiting, and working in the background: the async half. `tasks_sync` has the same names."""

import asyncio
import contextlib
import inspect
import math
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Generic, TypeVar

import anyio
import httpx
from httpx_sse import EventSource, ServerSentEvent

from superserve import _clock as time
from superserve._arguments import LogCallback, function
from superserve._http.event_loop import running_loop
from superserve._polling import Deadline
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent

T = TypeVar("T")

# The return type of a function without a result.
Done = Coroutine[Any, Any, None]
# The expression that returns a template's handle, for messages.
CONNECT: Final = "(await AsyncTemplate.connect({!r}))"

check_callback = function
sleep = asyncio.sleep
# How long plain callbacks may keep other tasks waiting, in seconds.
_TURN_S: Final = 0.01

Lock = asyncio.Lock


def shielded() -> contextlib.AbstractContextManager[object]:
    """Shield from anyio's cancellation, which would be raised again at every await. asyncio's own is raised once."""
    return anyio.CancelScope(shield=True)


class Worker:
    """Work in a task of its own that can be stopped.

    httpcore protects its book-keeping against anyio's cancellation, but not against asyncio's (`Task.cancel()`,
    `asyncio.timeout`, a failing TaskGroup), which can lose a connection of the pool. So a worker turns asyncio's into anyio's.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def start(self, work: Callable[[], Done], timeout_s: float = math.inf) -> asyncio.Task[None]:
        """Start the work, and return its task."""
        loop = running_loop()
        self._scope = anyio.CancelScope(deadline=loop.time() + timeout_s)
        name = "superserve-log" if timeout_s == math.inf else "superserve-call"
        self.task = loop.create_task(self._run(work), name=name)
        # If nobody looks at a task's error, asyncio logs its text, which may quote the server.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self.task

    async def stop(self) -> None:
        """Stop the work at once."""
        if self.task is not None:
            self._scope.cancel()
            with shielded():
                await asyncio.wait([self.task])

    async def _run(self, work: Callable[[], Done]) -> None:
        with self._scope:
            await work()


async def run_until(deadline: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await `work`, or raise httpx.ReadTimeout at the deadline. When cancelled, return only after `work` has ended."""
    results: list[T] = []

    async def run() -> None:
        results.append(await work())

    worker = Worker()
    task = worker.start(run, deadline - time.monotonic())
    try:
        await asyncio.wait([task])
    except BaseException:
        await worker.stop()
        raise
    task.result()
    if not results:
        raise httpx.ReadTimeout("the call's time is over")
    return results[0]


async def next_piece(pieces: AsyncIterator[T], deadline: float) -> T | None:
    """Return the next piece of a response body, or None at its end.

    Raises:
        httpx.ReadTimeout: `deadline`, on the clock of `time.monotonic`, has passed.
    """
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise httpx.ReadTimeout("nothing has come in time")
    step = anext(pieces, None).__await__()
    try:
        waited_for = step.send(None)
    except StopIteration as end:
        # It was there already, as most pieces are: no clock has to be set.
        piece: T | None = end.value
        return piece
    # Not anyio's scope, which takes twice as long. After a timeout the body is not read on, so nothing can be lost.
    timeout = asyncio.timeout(left_s)
    try:
        async with timeout:
            return await _resumed(step, waited_for)
    except TimeoutError:
        if not timeout.expired():
            raise
        raise httpx.ReadTimeout("no data came in time") from None


@types.coroutine
def _resumed(step: Generator[Any, Any, T], waited_for: object) -> Generator[Any, Any, T]:
    """Go on awaiting what has come to its first wait already."""
    while True:
        try:
            value = yield waited_for
        except BaseException as error:  # noqa: BLE001 - it is passed on
            go_on = partial(step.throw, error)
        else:
            go_on = partial(step.send, value)
        try:
            waited_for = go_on()
        except StopIteration as end:
            result: T = end.value
            return result


async def call(callback: Callable[[Any], object], value: object) -> None:
    """Call the caller's callback, and await its result if it is a coroutine."""
    result = callback(value)
    if result is not None and inspect.isawaitable(result):
        await result


class Flight:
    """An operation that one caller runs while others wait for its end."""

    def __init__(self) -> None:
        self.error: SandboxError | None = None
        self._loop = running_loop()
        self._has_landed = asyncio.Event()

    @property
    def can_wait_here(self) -> bool:
        """Whether this event loop can wait for it: the operation may run in another one."""
        return self._loop is running_loop()

    def land(self) -> None:
        """Wake those who wait."""
        self._has_landed.set()

    async def wait_until_landed(self) -> None:
        """Wait until the operation has ended. It has a deadline of its own."""
        await self._has_landed.wait()


async def wait_for_release(_lock: asyncio.Lock) -> None:
    """Do nothing: a task wakes up when its connection is closed. A thread does not, see `tasks_sync`."""


class Queue(Generic[T]):
    """A queue with one writer and one reader."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        """Add an item."""
        self._items.append(item)
        self._news.set()

    async def get(self, timeout_s: float) -> T | None:
        """Return the next item, or None if there is none within `timeout_s`."""
        if not self._items and timeout_s > 0:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
        return self._items.popleft() if self._items else None


def messages(response: httpx.Response) -> AbstractAsyncContextManager[AsyncIterator[ServerSentEvent]]:
    """Return the messages of an event stream. The caller may stop reading at any time."""
    return contextlib.aclosing(EventSource(response).aiter_sse())


async def deliver(callback: LogCallback, events: list[BuildLogEvent], deadline: Deadline) -> bool:
    """Call the callback with each event. At the deadline, cancel a callback that awaits, and return False."""
    turn_ends = time.monotonic() + _TURN_S
    for event in events:
        result = callback(event)
        if result is not None and inspect.isawaitable(result):
            timeout = asyncio.timeout(None if deadline.is_endless else deadline.left)
            try:
                async with timeout:
                    await result
            except TimeoutError:
                if not timeout.expired():
                    raise
                return False
        if time.monotonic() > turn_ends:
            await sleep(0)
            turn_ends = time.monotonic() + _TURN_S
    return True
