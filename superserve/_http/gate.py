"""The gate of one client and plane: after the server has said that requests come too fast, they go through it one by one."""

import math
import random
from typing import Final

import httpx

from superserve import _clock as time
from superserve._http import policy

FIRST_RATE: Final = 20.0
"""Requests a second after the first refusal."""

SLOWEST_RATE: Final = 10.0
"""Requests a second that are left however often the server refuses."""

RISE: Final = 1.0
"""How much the rate rises each second, in requests a second."""

OPEN_RATE: Final = 200.0
"""Requests a second at which the gate stands open again: a client hardly makes more."""


class Gate:
    """When the next request may go. Safe to share between threads and tasks: it only holds numbers.

    Attributes:
        answered_at: When the server last gave an answer other than "too many", on the clock of `time.monotonic`.
        speed: How many times faster than the service it goes.
    """

    def __init__(self) -> None:
        self.answered_at = time.monotonic()
        self.speed = 1.0
        self._rate = math.inf
        self._changed_at = 0.0
        self._next_turn = 0.0

    def delay(self, deadline: float) -> float:
        """Return the seconds until the next turn, and take it, unless it would come after `deadline`."""
        if self._rate == math.inf:
            return 0.0
        now = time.monotonic()
        rate = self._rate + RISE * (now - self._changed_at)
        if rate > OPEN_RATE:
            self._rate = math.inf
            return 0.0
        turn = max(now, self._next_turn)
        if turn >= deadline:
            return turn - now
        # At uneven intervals: several clients may share the limit.
        self._next_turn = turn + random.uniform(0.5, 1.5) / rate  # noqa: S311 - not a secret
        return turn - now

    def note(self, response: httpx.Response, sent_at: float) -> None:
        """Take note of an answer to a request that was sent then: "too many" halves the rate."""
        if not policy.is_rate_limited(response):
            self.answered_at = time.monotonic()
            self.speed = policy.speed(response)
            return
        if sent_at <= self._changed_at:
            # It was under way already when the rate was halved.
            return
        now = time.monotonic()
        rate = 2 * FIRST_RATE if self._rate == math.inf else self._rate + RISE * (now - self._changed_at)
        self._rate = max(rate / 2, SLOWEST_RATE)
        self._changed_at = now
        self._next_turn = max(self._next_turn, now + 1 / self._rate)
