"""How a request is repeated: the only module that imports `backoff`.

It is imported when there is something to repeat, because backoff brings asyncio along.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable, Generator

import backoff
import httpx

from superserve._http.policy import Repeatable, retry_after

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 30.0

_log = logging.getLogger("superserve")


def delays(deadline: float | None = None) -> Generator[float, Repeatable, None]:
    """Yield the seconds to wait after each failure that is sent in: Retry-After, else backoff with full jitter.

    Ends when the next wait would pass `deadline` (of `time.monotonic`): what is known by then is the result.
    """
    ceiling = FIRST_DELAY_S
    failure = yield 0.0  # backoff's convention: the first value only starts the generator
    while True:
        asked = None if failure.response is None else retry_after(failure.response)
        delay = min(random.uniform(0, ceiling) if asked is None else asked, LONGEST_DELAY_S)  # noqa: S311 - no secret
        if deadline is not None and time.monotonic() + delay >= deadline:
            return
        _log.info("%s; again in %.1f s", _told(failure), delay)
        failure = yield delay
        ceiling *= 2


def _told(failure: Repeatable) -> str:
    # Of an error the kind only: its text may quote the server, which may quote what it was sent.
    result = failure.result
    came_to = result.status_code if isinstance(result, httpx.Response) else type(result).__name__
    return f"{result.request.method} {result.request.url}: {came_to}"


def repeat(
    attempt: Callable[[], httpx.Response], failed: Repeatable, *, attempts: int, deadline: float
) -> httpx.Response:
    """Go on after a first attempt that failed, up to so many attempts in all; raise the last one's Repeatable."""
    first = [failed]

    # No jitter of backoff's (it would shorten Retry-After) and no logger (its lines hold the exception's text).
    @backoff.on_exception(delays, Repeatable, max_tries=attempts, jitter=None, logger=None, deadline=deadline)
    def repeated() -> httpx.Response:
        if first:
            raise first.pop()
        return attempt()

    return repeated()


async def repeat_async(
    attempt: Callable[[], Awaitable[httpx.Response]], failed: Repeatable, *, attempts: int, deadline: float
) -> httpx.Response:
    """Do what `repeat` does, for a coroutine function."""
    first = [failed]

    @backoff.on_exception(delays, Repeatable, max_tries=attempts, jitter=None, logger=None, deadline=deadline)
    async def repeated() -> httpx.Response:
        if first:
            raise first.pop()
        return await attempt()

    return await repeated()
