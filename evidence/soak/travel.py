"""What the soak's journeys have in common: sync and async from one source, calls made again until they are answered.

A journey is a coroutine function. Where the client is synchronous, what it awaits is a result already, so that it never
really waits: `finish` drives it to its end in a plain thread.
"""

import asyncio
import inspect
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, TypeVar

import attrs

from superserve import (
    AsyncSuperserve,
    OutcomeUnknownError,
    RateLimitError,
    SandboxConnectionError,
    SandboxTimeoutError,
    ServerError,
    Superserve,
)

T = TypeVar("T")

PASSING: Final = (
    OutcomeUnknownError,
    RateLimitError,
    SandboxConnectionError,
    SandboxTimeoutError,
    ServerError,
)
"""What a single call may end with although nothing is wrong with it: the way to the server is bad."""

TRIES: Final = 12
PAUSE_S: Final = 0.1


class WrongError(Exception):
    """Something came out that is not what it had to be."""


@attrs.define
class Figures:
    """What has been seen."""

    longest_s: float = 0.0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    raised: Counter[str] = attrs.field(factory=Counter)

    def add(self, other: "Figures") -> None:
        """Count in what was seen elsewhere."""
        for name in attrs.fields_dict(type(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name == "longest_s" else mine + theirs)


class Traveller:
    """Makes the calls of a journey with a client of either colour."""

    def __init__(self, client: Superserve | AsyncSuperserve, dice: random.Random, figures: Figures) -> None:
        self.figures = figures
        self._client = client
        self._dice = dice
        self._is_async = isinstance(client, AsyncSuperserve)
        self._sleep = asyncio.sleep if self._is_async else time.sleep

    async def _persist(
        self, call: Callable[..., Awaitable[T] | T], *arguments: object, **options: object
    ) -> T:
        """Make a call until it has an answer, as people do."""
        for left in reversed(range(TRIES)):
            try:
                return await self._now(call(*arguments, **options))
            except PASSING as error:
                self._note(call.__name__, error)
                if not left:
                    raise
            await self._now(self._sleep(PAUSE_S))
        raise AssertionError

    async def _now(self, value: Awaitable[T] | T) -> T:
        return await value if inspect.isawaitable(value) else value

    def _note(self, call: str, error: Exception) -> None:
        self.figures.raised[f"{call}: {type(error).__name__}"] += 1


def finish(journey: Coroutine[object, object, T]) -> T:
    """Return the result of a journey that has nothing to wait for in an event loop."""
    try:
        journey.send(None)
    except StopIteration as end:
        return end.value
    journey.close()
    raise RuntimeError("a synchronous journey must not wait")
