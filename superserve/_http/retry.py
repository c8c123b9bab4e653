"""How a request is repeated. No other module imports `backoff`."""

import logging
import random
from collections.abc import Callable, Generator
from typing import Final, ParamSpec, TypeVar

import backoff
import httpx

from superserve import _clock as time
from superserve._http.policy import Repeatable

FIRST_DELAY_S: Final = 0.1
"""Upper bound of the first delay in seconds. It doubles with each further delay."""

LONGEST_DELAY_S: Final = 30.0
"""Longest delay in seconds, whatever the server asks for: a wrong header must not stop a program."""

LEAST_S: Final = 0.1
"""Shortest time for an attempt, in seconds. With less time left, the last result is final."""

_log = logging.getLogger("superserve")

P = ParamSpec("P")
T = TypeVar("T")


def delay_s(failures: int, retry_after_s: float | None) -> float:
    """Return the seconds to wait after `failures` failures: full jitter, added to what the server asked for."""
    ceiling = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 32), LONGEST_DELAY_S)
    if retry_after_s is not None:
        # Requests that were refused together must not come back together.
        ceiling = max(ceiling, min(1.0, retry_after_s / 2))
    return min(retry_after_s or 0.0, LONGEST_DELAY_S) + random.uniform(0, ceiling)  # noqa: S311 - not a secret


def repeat(*, attempts: int, deadline: float) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that repeats a function, or coroutine function, while it raises `Repeatable`.

    Args:
        attempts: How often the function is called in all.
        deadline: When the last attempt may begin, on the clock of `time.monotonic`.
    """
    # backoff's own jitter would shorten Retry-After, and its log lines hold the exception's text: both are off.
    return backoff.on_exception(
        _delays, Repeatable, max_tries=attempts, jitter=None, logger=None, deadline=deadline
    )


def _delays(deadline: float) -> Generator[float, Repeatable, None]:
    """Yield the seconds to wait after each failure that is sent in; end if the next attempt would come too late."""
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
    # Only the kind of an error is logged: its text may quote the server, which may quote what it was sent.
    result = failure.result
    came_to = result.status_code if isinstance(result, httpx.Response) else type(result).__name__
    return f"{result.request.method} {result.request.url}: {came_to}"
