"""How anything is polled until it has come to a state: the pace, the deadline, and what counts as an outage. No I/O."""

import logging
import math
import random
from typing import Final

from superserve import _clock as time
from superserve._http.gate import Gate
from superserve._http.policy import Options
from superserve.errors import (
    AuthenticationError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
)

_log = logging.getLogger("superserve")

OUTAGE_S: Final = 60.0
"""Seconds that polling goes on without an answer."""

OUTAGE_POLLS: Final = 5
"""How many polls there must have been in that time: while the server asks to wait, there may be only two."""

# After a hint the state changes within about a second: polls come quickly for a while, whatever the interval.
_HURRY_S: Final = 5.0
_HURRIED_DELAYS_S: Final = (0.05, 0.1, 0.2)

# However fast a local server goes.
_SHORTEST_S: Final = 0.002
_LONGEST_RETRY_S: Final = 5.0
_LONGEST_RETRY_AFTER_S: Final = 60.0
_SPREAD: Final = 0.1


class Deadline:
    """When something has to be over.

    Args:
        timeout_s: Seconds from now on; None for no end.
    """

    def __init__(self, timeout_s: float | None = None) -> None:
        self._at = math.inf if timeout_s is None else time.monotonic() + timeout_s

    @property
    def left(self) -> float:
        """The seconds that are left: infinite without an end, negative after it."""
        return self._at - time.monotonic()

    @property
    def is_endless(self) -> bool:
        """Whether there is no end."""
        return self._at == math.inf

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._at


class Pace:
    """When to poll next.

    Args:
        interval_s: Seconds between polls.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._polls = 0
        self._hurried_at = -math.inf
        self._hurried_polls = 0

    def hurry(self) -> None:
        """Take note of a hint that the state has been reached: for a few seconds the polls come quickly."""
        now = time.monotonic()
        if now - self._hurried_at >= _HURRY_S:
            self._hurried_at = now
            self._hurried_polls = 0

    def next_delay(self, outage: "Outage") -> float:
        """Return the seconds until the next poll."""
        interval = outage.scaled(self._interval_s)
        if outage.is_on:
            interval = max(min(interval, _LONGEST_RETRY_S), outage.retry_after_s)
        elif self._polls == 0:
            # Waits that began together must not go on in step.
            interval *= random.uniform(_SPREAD, 1)  # noqa: S311 - not a secret
        if time.monotonic() - self._hurried_at < _HURRY_S and not outage.retry_after_s:
            quick = _HURRIED_DELAYS_S[min(self._hurried_polls, len(_HURRIED_DELAYS_S) - 1)]
            self._hurried_polls += 1
            interval = min(interval, quick)
        self._polls += 1
        return interval * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - not a secret


class Outage:
    """How long polls have failed, and when that is too long.

    Args:
        gate: The gate of the client that polls: it knows when the server last answered a call.

    Attributes:
        is_on: Whether the last poll has failed.
        is_too_long: Whether it has lasted so long that polling ends.
        retry_after_s: Seconds that the server asked to wait.
    """

    def __init__(self, gate: Gate) -> None:
        self.is_on = False
        self.is_too_long = False
        self.retry_after_s = 0.0
        self._gate = gate
        self._since = self._asked_at = time.monotonic()
        self._failures = 0
        self._answers = 0

    def scaled(self, interval_s: float) -> float:
        """Return a poll interval as it fits the speed of the server, which is more than 1 where it is a local one."""
        return min(interval_s, max(interval_s / self._gate.speed, _SHORTEST_S))

    def ask(self, timeout_s: float) -> Options:
        """Return what the next poll may take: one attempt, as polling itself is what tries again."""
        self._asked_at = time.monotonic()
        return Options(timeout_s, attempts=1)

    def end(self) -> None:
        """Take note of an answer."""
        self.is_on = False
        self.retry_after_s = 0.0
        self._failures = 0
        self._answers += 1

    def bears(self, error: SandboxError) -> bool:
        """Take note of a poll that failed, and return whether polling goes on."""
        if not self.is_on:
            self.is_on = True
            self._since = self._asked_at
        self._failures += 1
        since = self._since
        match error:
            case RateLimitError():
                self.retry_after_s = min(error.retry_after or 0.0, _LONGEST_RETRY_AFTER_S)
                # As long as the server answers other calls, this one is only waiting in line.
                since = max(since, self._gate.answered_at)
            case SandboxConnectionError() | SandboxTimeoutError() | ServerError():
                pass
            case AuthenticationError(code="auth_failed") if self._answers:
                # The key was good a moment ago: the platform says this, too, when it cannot look keys up.
                pass
            case _ if type(error) is not SandboxError or not _is_odd(error.status_code):
                return False
        self.is_too_long = time.monotonic() - since >= OUTAGE_S and self._failures >= OUTAGE_POLLS
        if not self.is_too_long:
            _log.info("%s; the wait goes on", error)
        return not self.is_too_long


def _is_odd(status: int | None) -> bool:
    # Of a proxy: an answer cut short or a page in its place, "request timeout", "too early".
    return status is not None and (200 <= status < 300 or status in (408, 425))  # noqa: PLR2004 - 2xx
