"""Polling until a state is reached: the pace, the deadline, and what counts as an outage. No I/O."""

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
"""Seconds without an answer after which polling ends."""

OUTAGE_POLLS: Final = 5
"""The fewest polls before polling ends: if the server asks to wait, there may be only two in that time."""

# After a hint the state usually changes within a second: polls come quickly for a while, whatever the interval.
_HURRY_S: Final = 5.0
_HURRIED_DELAYS_S: Final = (0.05, 0.1, 0.2)

# The shortest interval, however fast a local server runs.
_SHORTEST_S: Final = 0.002
_LONGEST_RETRY_S: Final = 5.0
_LONGEST_RETRY_AFTER_S: Final = 60.0
_SPREAD: Final = 0.1


class Deadline:
    """The end of an operation.

    Args:
        timeout_s: Seconds from now; None for no deadline.
    """

    def __init__(self, timeout_s: float | None = None) -> None:
        self._at = math.inf if timeout_s is None else time.monotonic() + timeout_s

    @property
    def left(self) -> float:
        """The seconds that are left: infinite without a deadline, negative after it."""
        return self._at - time.monotonic()

    @property
    def is_endless(self) -> bool:
        """Whether there is no deadline."""
        return self._at == math.inf

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._at


class Pace:
    """Decides when to poll next.

    Args:
        interval_s: Seconds between polls.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._polls = 0
        self._hurried_at = -math.inf
        self._hurried_polls = 0

    def hurry(self) -> None:
        """Poll quickly for a few seconds: something hints that the state has been reached."""
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
            # Waits that began together must not poll in step.
            interval *= random.uniform(_SPREAD, 1)  # noqa: S311 - not a secret
        if time.monotonic() - self._hurried_at < _HURRY_S and not outage.retry_after_s:
            quick = _HURRIED_DELAYS_S[min(self._hurried_polls, len(_HURRIED_DELAYS_S) - 1)]
            self._hurried_polls += 1
            interval = min(interval, quick)
        self._polls += 1
        return interval * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - not a secret


class Outage:
    """Decides how long failed polls are tolerated.

    Args:
        gate: The client's gate, which knows when the server last answered any call.

    Attributes:
        is_on: Whether the last poll failed.
        is_too_long: Whether the outage has lasted too long, so that polling ends.
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
        """Return a poll interval for the server's speed, which is more than 1 for a fast local server."""
        return min(interval_s, max(interval_s / self._gate.speed, _SHORTEST_S))

    def ask(self, timeout_s: float) -> Options:
        """Return the options of the next poll: one attempt, because polling itself tries again."""
        self._asked_at = time.monotonic()
        return Options(timeout_s, attempts=1)

    def end(self) -> None:
        """Record an answer."""
        self.is_on = False
        self.retry_after_s = 0.0
        self._failures = 0
        self._answers += 1

    def tolerates(self, error: SandboxError) -> bool:
        """Record a failed poll, and return whether polling goes on."""
        if not self.is_on:
            self.is_on = True
            self._since = self._asked_at
        self._failures += 1
        since = self._since
        match error:
            case RateLimitError():
                self.retry_after_s = min(error.retry_after or 0.0, _LONGEST_RETRY_AFTER_S)
                # As long as the server answers other calls, this poll only waits in a queue.
                since = max(since, self._gate.answered_at)
            case SandboxConnectionError() | SandboxTimeoutError() | ServerError():
                pass
            case AuthenticationError(code="auth_failed") if self._answers:
                # The key worked a moment ago. The platform also gives this answer when it cannot look keys up.
                pass
            case _ if type(error) is not SandboxError or not _is_odd(error.status_code):
                return False
        self.is_too_long = time.monotonic() - since >= OUTAGE_S and self._failures >= OUTAGE_POLLS
        if not self.is_too_long:
            _log.info("%s; the wait goes on", error)
        return not self.is_too_long


def _is_odd(status: int | None) -> bool:
    # Answers of a proxy: a truncated answer, an HTML page, "request timeout", "too early".
    return status is not None and (200 <= status < 300 or status in (408, 425))  # noqa: PLR2004 - 2xx
