"""Changing a running server without its API, from other threads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Generic, Protocol, TypeVar

from superserve.local._app.services import Resource, Services

T = TypeVar("T")
P = TypeVar("P", bound=Resource)

# How often a wait checks its condition, in real seconds.
_LOOK_EVERY_S = 0.002
_SHOWN_ROWS = 10


class Running(Protocol):
    """A running server, seen from other threads."""

    @property
    def services(self) -> Services:
        """The objects that its resources share."""
        ...

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the server's event loop and return its result."""
        ...


class Steering(Generic[P]):
    """The base class of objects that change a resource from outside."""

    def __init__(self, kind: type[P], running: Callable[[], Running]) -> None:
        self._kind = kind
        self._running = running

    def _do(self, work: Callable[[P], Coroutine[object, object, T]]) -> T:
        """Run work on the resource in the server's event loop; RuntimeError if the server does not run."""
        running = self._running()
        return running.call(work(running.services.resource(self._kind)))

    def _describe(self, noun: str, list_rows: Callable[[P], list[str]]) -> str:
        try:
            resource = self._running().services.resource(self._kind)
        except RuntimeError:
            return f"<{noun} of a server that does not run>"
        # Read in the caller's thread: in a debugger, the server's thread may be suspended.
        rows = list_rows(resource)
        return f"<{len(rows)} {noun}>" + "".join(f"\n  {row}" for row in rows[-_SHOWN_ROWS:])


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds. The caller in the other thread limits the wait."""
    # Rows have no events of their own.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY_S)
