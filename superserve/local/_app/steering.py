"""What a test may do to a running server past its API, from other threads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, Protocol, TypeVar

from superserve.local._app.services import Resource, Services

T = TypeVar("T")
P = TypeVar("P", bound=Resource)

# How often a condition of a wait is looked at, in real seconds.
_LOOK_EVERY_S = 0.002
_SHOWN_ROWS = 10


class Running(Protocol):
    """A server that runs, seen from other threads."""

    @property
    def services(self) -> Services:
        """What its resources share."""
        ...

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the server's event loop and return its result."""
        ...


class Steering(Generic[P]):
    """The base of what changes a resource from outside."""

    def __init__(self, kind: type[P], running: Callable[[], Running]) -> None:
        self._kind = kind
        self._running = running

    def _do(self, work: Callable[[P], Coroutine[object, object, T]]) -> T:
        """Do something to the resource in the server's event loop; RuntimeError if the server does not run."""
        running = self._running()
        return running.call(work(running.services.resource(self._kind)))

    def _describe(self, noun: str, list_rows: Callable[[P], list[str]]) -> str:
        try:
            resource = self._running().services.resource(self._kind)
        except RuntimeError:
            return f"<{noun} of a server that does not run>"
        # Read from the caller's thread: whoever looks at this in a debugger may have stopped the server's.
        rows = list_rows(resource)
        return f"<{len(rows)} {noun}>" + "".join(f"\n  {row}" for row in rows[-_SHOWN_ROWS:])


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; whoever calls from another thread sets an end to the wait."""
    # Rows have no events of their own.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY_S)
