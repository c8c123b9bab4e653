"""The gate of one client and plane. After a 429, requests go through it one at a time, at a limited rate."""

import math
import random
from typing import Final

import httpx

from superserve import _clock as time
from superserve._http import policy

FIRST_RATE: Final = 20.0
"""Requests a second after the first refusal."""

SLOWEST_RATE: Final = 10.0
"""The lowest rate, in requests a second: further refusals do not lower it."""

RISE: Final = 1.0
"""Increase of the rate each second, in requests a second."""

OPEN_RATE: Final = 200.0
"""The rate at which the gate is open again, in requests a second. A client rarely makes more."""


class Gate:
    """Decides when the next request may go. Threads and tasks can share it: it only holds numbers.

    Attributes:
        answered_at: When the server last answered with anything but 429, on the clock of `time.monotonic`.
        speed: How many times faster than the service the server runs. Only a local server has a speed other than 1.
    """

    def __init__(self) -> None:
        self.answered_at = time.monotonic()
        self.speed = 1.0
        self._rate = math.inf
        self._changed_at = 0.0
        self._next_turn = 0.0

    def delay(self, deadline: float) -> float:
        """Return the seconds until the next turn, and take that turn unless it would come after `deadline`."""
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
        # The intervals vary: several clients may share the limit.
        self._next_turn = turn + random.uniform(0.5, 1.5) / rate  # noqa: S311 - not a secret
        return turn - now

    def note(self, response: httpx.Response, sent_at: float) -> None:
        """Read an answer to a request that was sent at `sent_at`. A 429 halves the rate."""
        if not policy.is_rate_limited(response):
            self.answered_at = time.monotonic()
            self.speed = policy.speed(response)
            return
        if sent_at <= self._changed_at:
            # This request was already under way when the rate was halved.
            return
        now = time.monotonic()
        rate = 2 * FIRST_RATE if self._rate == math.inf else self._rate + RISE * (now - self._changed_at)
        self._rate = max(rate / 2, SLOWEST_RATE)
        self._changed_at = now
        self._next_turn = max(self._next_turn, now + 1 / self._rate)
