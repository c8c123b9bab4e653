"""How a build is waited for: when to poll next, what to bear with, and when to give up. No I/O.

The pollers of one client share a `Pace`: their polls are spread out, and when the server says that it is too much, all
of them go slower.
"""

import math
import random
import time
from typing import Final

from superserve import _http
from superserve.errors import (
    BuildError,
    ConflictError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
)
from superserve.types import TemplateBuildInfo, TemplateBuildStatus

OUTAGE_S: Final = 60.0
"""Seconds that a wait goes on without one good answer."""

TAIL_QUIET_S: Final = (0.5, 0.5, 1.0, 1.5)
"""After the build's end: how long the log may be silent on one connection before the next is tried."""

TAIL_S: Final = 60.0
"""After the build's end: how long a log that never falls silent is read."""

# The row follows the log's end within about a second: polling then is quick for a while, whatever the interval.
_HURRY_S: Final = 5.0
_HURRIED_DELAYS_S: Final = (0.05, 0.1, 0.2)

_SLOWEST_DELAY_S: Final = 60.0
_SPREAD: Final = 0.1


class Pace:
    """How fast the pollers of one client go, as a group. Safe to share between threads: it only holds numbers."""

    def __init__(self) -> None:
        self.last_answer = time.monotonic()
        self._slowdown = 1.0
        self._slowed_at = 0.0
        self._held_until = 0.0

    def delay(self, interval_s: float) -> float:
        """Return the seconds until a poller's next poll, given the interval it was asked to keep."""
        slowed = min(interval_s * self._slowdown, max(interval_s, _SLOWEST_DELAY_S))
        spread = slowed * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - not a secret
        held = self._held_until - time.monotonic()
        # Those held back together must not come back together.
        return spread if held <= 0 else held + random.uniform(0, spread)  # noqa: S311 - not a secret

    def answered(self) -> None:
        """Take note of a good answer: after a slowdown, go a little faster again."""
        self.last_answer = time.monotonic()
        self._slowdown = max(1.0, self._slowdown * 0.98)

    def limited(self, retry_after_s: float | None) -> None:
        """Take note that the server said it is too much: once for all answers of the same second."""
        now = time.monotonic()
        self._held_until = max(self._held_until, now + min(retry_after_s or 0.0, _SLOWEST_DELAY_S))
        if now - self._slowed_at >= 1.0:
            self._slowed_at = now
            self._slowdown = min(2 * self._slowdown, _SLOWEST_DELAY_S)


class Wait:
    """One wait for one build.

    Attributes:
        build_id: The build waited for, once it is known which.
        seen: The build's status at the last poll.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        template_id: str,
        poll_interval_s: float,
        timeout_s: float | None = None,
        cancels: bool = False,
    ) -> None:
        self.build_id: str | None = None
        self.seen: TemplateBuildStatus | None = None
        self._pace = pace
        self._template_id = template_id
        self._interval_s = poll_interval_s
        self._timeout_s = timeout_s
        self._cancels = cancels
        now = time.monotonic()
        self._deadline = None if timeout_s is None else now + timeout_s
        self._last_answer = now
        self._hurried_at: float | None = None
        self._hurried_polls = 0

    def call_options(self, timeout_s: float) -> _http.Options:
        """Return what a single poll may take: one attempt, as the wait itself is what tries again."""
        return _http.Options(timeout_s=self.bounded(timeout_s), attempts=1)

    def at_most(self, seconds: float) -> float:
        """Return `seconds`, or what is left of this wait's time if that is less; negative if it is over."""
        return seconds if self._deadline is None else min(seconds, self._deadline - time.monotonic())

    def bounded(self, seconds: float) -> float:
        """Return `seconds`, or what is left of this wait's time if that is less; raise if it is over."""
        left = self.at_most(math.inf)
        if left <= 0:
            raise self.timed_out()
        return min(seconds, left)

    def answered(self) -> None:
        """Take note of a good answer."""
        self._last_answer = time.monotonic()
        self._pace.answered()

    def failed(self, error: SandboxError) -> None:
        """Bear with an error that may pass; raise any other, and the last one of an outage that lasts too long."""
        self.bounded(0.0)
        match error:
            case RateLimitError():
                self._pace.limited(error.retry_after)
                # As long as the server answers somebody, the others are only waiting in line.
                last_answer = max(self._last_answer, self._pace.last_answer)
            case SandboxConnectionError() | SandboxTimeoutError() | ServerError():
                last_answer = self._last_answer
            case _:
                raise error
        if time.monotonic() - last_answer >= OUTAGE_S:
            error.add_note(f"no good answer for {OUTAGE_S:g} s. {self.how_to_go_on()}")
            raise error

    def hurry(self) -> None:
        """Take note of a hint that the build has ended: for a few seconds the polls come quickly."""
        now = time.monotonic()
        if self._hurried_at is None or now - self._hurried_at >= _HURRY_S:
            self._hurried_at = now
            self._hurried_polls = 0

    def pause(self) -> float:
        """Return the seconds until the next poll, within this wait's time."""
        delay = self._pace.delay(self._interval_s)
        if self._hurried_at is not None and time.monotonic() - self._hurried_at < _HURRY_S:
            quick = _HURRIED_DELAYS_S[min(self._hurried_polls, len(_HURRIED_DELAYS_S) - 1)]
            self._hurried_polls += 1
            delay = min(delay, quick)
        return self.bounded(delay)

    def how_to_go_on(self) -> str:
        """Return how to find the build again, for whoever stops waiting for it."""
        if self.build_id is None:
            return f"The build may go on; find it with Template.connect({self._template_id!r}).list_builds()."
        return (
            f"The build goes on; wait again with "
            f"Template.connect({self._template_id!r}).wait_until_ready(build_id={self.build_id!r})."
        )

    def timed_out(self) -> SandboxTimeoutError:
        """Return the error for a wait whose time is over."""
        build = f"build {self.build_id}" if self.build_id else "the newest build"
        status = f"was {self.seen}" if self.seen else "had no known status"
        message = f"{build} of template {self._template_id} {status} after {self._timeout_s:g} s"
        return SandboxTimeoutError(message if self._cancels else f"{message}. {self.how_to_go_on()}")


def raise_unless_ready(build: TemplateBuildInfo) -> None:
    """Raise what a build that has ended other than ready stands for."""
    if build.status is TemplateBuildStatus.FAILED:
        raise BuildError.parse(build.error_message, build_id=build.id, template_id=build.template_id)
    if build.status is TemplateBuildStatus.CANCELLED:
        reason = f": {build.error_message}" if build.error_message else ""
        raise ConflictError(
            f"build {build.id} of template {build.template_id} was cancelled{reason}; rebuild() starts another"
        )
