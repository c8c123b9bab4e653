"""How a request is repeated: the only module that imports `backoff`."""

import logging
import random
from collections.abc import Callable, Generator
from typing import Final, ParamSpec, TypeVar

import backoff
import httpx

from superserve import _clock as time
from superserve._http.policy import Repeatable

FIRST_DELAY_S: Final = 0.1
"""Seconds that the first delay takes at most; each further one may take twice as long."""

LONGEST_DELAY_S: Final = 30.0
"""Seconds that a delay takes at most, whatever the server asks for: a mistaken header must not stop a program."""

LEAST_S: Final = 0.1
"""Seconds that an attempt needs: with less left, what is known already is told."""

_log = logging.getLogger("superserve")

P = ParamSpec("P")
T = TypeVar("T")


def delay_s(failures: int, retry_after_s: float | None) -> float:
    """Return the seconds to wait after so many failures: full jitter, on top of what the server asked for."""
    ceiling = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 32), LONGEST_DELAY_S)
    if retry_after_s is not None:
        # Those that were refused together must not come back together.
        ceiling = max(ceiling, min(1.0, retry_after_s / 2))
    return min(retry_after_s or 0.0, LONGEST_DELAY_S) + random.uniform(0, ceiling)  # noqa: S311 - not a secret


def repeating(*, attempts: int, deadline: float) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that repeats a function, or coroutine function, while it raises `Repeatable`.

    Args:
        attempts: How often it is called in all.
        deadline: When no further attempt is begun, on the clock of `time.monotonic`.
    """
    # No jitter of backoff's (it would shorten Retry-After) and no logger (its lines hold the exception's text).
    return backoff.on_exception(
        _delays, Repeatable, max_tries=attempts, jitter=None, logger=None, deadline=deadline
    )


def _delays(deadline: float) -> Generator[float, Repeatable, None]:
    """Yield the seconds to wait after each failure that is sent in; end when the next attempt would come too late."""
    failures = 0
    failure = yield 0.0  # backoff's convention: the first value only starts the generator
    while True:
        failures += 1
        delay = delay_s(failures, failure.retry_after_s)
        if time.monotonic() + delay >= deadline - LEAST_S:
            return
        _log.info("%s; again in %.1f s", _describe(failure), delay)
        failure = yield delay


def _describe(failure: Repeatable) -> str:
    # Of an error the kind only: its text may quote the server, which may quote what it was sent.
    result = failure.result
    came_to = result.status_code if isinstance(result, httpx.Response) else type(result).__name__
    return f"{result.request.method} {result.request.url}: {came_to}"
