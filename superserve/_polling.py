"""How a build is waited for: when to poll next, what to bear with, and when to give up. No I/O.

The pollers of one client share a `Pace`: their polls are spread out, and when the server says that it is too much, all
of them go slower.
"""

import logging
import math
import random
import time
from collections.abc import Callable
from typing import Final

from superserve._http import policy
from superserve.errors import (
    AuthenticationError,
    BuildError,
    ConflictError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
)
from superserve.types import TemplateBuildInfo, TemplateBuildStatus

_log = logging.getLogger("superserve")

INTERVAL_SCALE = 1.0
"""What every poll interval is multiplied by: the pytest plugin's server is faster than the real one."""

OUTAGE_S: Final = 60.0
"""Seconds that a wait goes on without one good answer."""

OUTAGE_POLLS: Final = 5
"""How many polls it must have made in that time: while the server asks to go slower, there may be but two."""

CANCEL_S: Final = 5.0
"""Seconds that cancelling the build of an interrupted wait may take."""

LOG_TAIL_S: Final = 2.0
"""Seconds that reading the last lines of a build that has failed may take."""

LOG_POLL_INTERVAL_S: Final = 5.0
"""Seconds between the polls of somebody who only reads a log."""

SILENCE_S: Final = 60.0
"""How long a log may be silent before its stream is opened again, where that cannot lose anything."""

TAIL_QUIET_S: Final = (0.5, 0.5, 1.0, 1.5)
"""After the build's end: how long the log may be silent on one connection before the next is tried."""

TAIL_LONG_QUIET_S: Final = 2.0
"""The same for a log so long that the next connection could not replay the rest of it."""

TAIL_S: Final = 60.0
"""After the build's end: how long a log that never falls silent is read."""

TAIL_UNANSWERED_S: Final = 5.0
"""After the build's end: how long the server may take to answer who asks for the log."""

TAIL_REFUSED_S: Final = 10.0
"""After the build's end: how long a log is asked for that is refused or breaks off."""

_CANCELLED_TAIL_S: Final = 2.0

# The row follows the log's end within about a second: polling then is quick for a while, whatever the interval.
_HURRY_S: Final = 5.0
_HURRIED_DELAYS_S: Final = (0.05, 0.1, 0.2)

_LONGEST_RETRY_S: Final = 5.0
_SLOWEST_DELAY_S: Final = 60.0
_SPREAD: Final = 0.1
# Found by trial: see test_the_group_finds_the_pace_that_the_server_bears_and_nobody_fails in tests/test_pace.py.
_STEP: Final = 1.5
_HALF_LIFE_S: Final = 30.0


class Pace:
    """How fast the pollers of one client go, as a group. Safe to share between threads: it only holds numbers."""

    def __init__(self) -> None:
        self.last_answer = time.monotonic()
        self._slowdown = 1.0
        self._slowed_at = self.last_answer
        self._held_until = self.last_answer

    def delay(self, interval_s: float) -> float:
        """Return the seconds until a poller's next poll, given the interval it was asked to keep."""
        now = time.monotonic()
        slowed = min(interval_s * self._slowdown_at(now), max(interval_s, _SLOWEST_DELAY_S))
        spread = slowed * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - not a secret
        held = self._held_until - now
        # Those held back together must not come back together.
        return spread if held <= 0 else held + random.uniform(0, spread)  # noqa: S311 - not a secret

    def answered(self) -> None:
        """Take note of a good answer: the server answers somebody."""
        self.last_answer = time.monotonic()

    def limited(self, retry_after_s: float | None) -> None:
        """Take note that the server said it is too much: once for the many that hear it at about the same time."""
        now = time.monotonic()
        self._held_until = max(self._held_until, now + min(retry_after_s or 0.0, _SLOWEST_DELAY_S))
        # The slower they go already, the longer it takes until that shows.
        if self._slowdown == 1.0 or now - self._slowed_at >= max(1.0, self._slowdown / 4):
            self._slowdown = min(_STEP * self._slowdown_at(now), _SLOWEST_DELAY_S)
            self._slowed_at = now

    def _slowdown_at(self, now: float) -> float:
        # By the clock and not by the answers: polls are delayed by up to a minute, so answers tell of the past.
        return max(1.0, self._slowdown * math.exp2((self._slowed_at - now) / _HALF_LIFE_S))


class Wait:
    """One wait for one build.

    Attributes:
        build_id: The build waited for, once it is known which.
        seen: The build's status at the last poll.
        has_ended: Whether the build is known to have ended.
        in_callback: Whether the caller's own code is running: what it raises is not ours to judge.
        turn_at: When the callbacks last let others have their turn, where they take turns.
        timeout_error: What was raised when this wait's time was over, or None.
    """

    def __init__(
        self,
        pace: Pace,
        *,
        template_id: str,
        poll_interval_s: float,
        timeout_s: float | None = None,
        cancels: bool = False,
        template_class: str = "Template",
        shown: Callable[[str], str] = str,
    ) -> None:
        self.build_id: str | None = None
        self.seen: TemplateBuildStatus | None = None
        self.has_ended = False
        self.in_callback = False
        self.timeout_error: SandboxTimeoutError | None = None
        self._pace = pace
        self._template_id = template_id
        self._template_class = template_class
        self._shown = shown
        self._interval_s = poll_interval_s * INTERVAL_SCALE
        self._timeout_s = timeout_s
        self._cancels = cancels
        self.turn_at = now = time.monotonic()
        self._deadline = math.inf if timeout_s is None else now + timeout_s
        self._asked_at = now
        self._failing_since: float | None = None
        self._failures = 0
        self._answers = 0
        self._polls = 0
        self._hurried_at = -math.inf
        self._hurried_polls = 0

    def saw(self, build: TemplateBuildInfo) -> None:
        """Take note of how the build stands."""
        self.seen = build.status
        # A newer server may have other ways for a build to end, but the time of its end says so, too.
        is_new = build.status not in TemplateBuildStatus.__members__.values()
        self.has_ended = build.status.is_terminal or (is_new and build.finalized_at is not None)

    def call_options(self, timeout_s: float) -> policy.Options:
        """Return what a single poll may take: one attempt, as the wait itself is what tries again."""
        options = policy.Options(timeout_s=self.bounded(timeout_s), attempts=1)
        self._asked_at = time.monotonic()
        return options

    def at_most(self, seconds: float) -> float:
        """Return `seconds`, or what is left of this wait's time if that is less; negative if it is over."""
        return min(seconds, self._deadline - time.monotonic())

    def bounded(self, seconds: float) -> float:
        """Return `seconds`, or what is left of this wait's time if that is less; raise if it is over."""
        self.check()
        return self.at_most(seconds)

    @property
    def is_over(self) -> bool:
        """Whether this wait's time is over."""
        return time.monotonic() >= self._deadline

    def check(self) -> None:
        """Raise if this wait's time is over."""
        if self.is_over:
            raise self.timed_out()

    def answered(self) -> None:
        """Take note of a good answer."""
        self._failing_since = None
        self._failures = 0
        self._answers += 1
        self._pace.answered()

    def failed(self, error: SandboxError) -> None:
        """Bear with an error that may pass; raise any other, and the last one of an outage that lasts too long."""
        self.check()
        if self._failing_since is None:
            self._failing_since = self._asked_at
        self._failures += 1
        since = self._failing_since
        match error:
            case RateLimitError():
                self._pace.limited(error.retry_after)
                # As long as the server answers somebody, the others are only waiting in line.
                since = max(since, self._pace.last_answer)
            case SandboxConnectionError() | SandboxTimeoutError() | ServerError():
                pass
            case SandboxError(status_code=int(status)) if type(error) is SandboxError and _is_odd(status):
                pass
            case AuthenticationError(code="auth_failed") if self._answers:
                # The key was good a moment ago: so the platform answers when it cannot look keys up.
                pass
            case _:
                raise error
        if time.monotonic() - since >= OUTAGE_S and self._failures >= OUTAGE_POLLS:
            error.add_note(f"There was no good answer for {OUTAGE_S:g} s. {self.how_to_go_on()}")
            raise error
        _log.info("%s; the wait goes on", error)

    def hurry(self) -> None:
        """Take note of a hint that the build has ended: for a few seconds the polls come quickly."""
        now = time.monotonic()
        if now - self._hurried_at >= _HURRY_S:
            self._hurried_at = now
            self._hurried_polls = 0

    def pause(self) -> float:
        """Return the seconds until the next poll, within this wait's time."""
        interval = self._interval_s
        if self._failing_since is not None:
            interval = min(interval, _LONGEST_RETRY_S)
        elif self._polls == 0:
            # Waits that began together must not go on in step.
            interval *= random.uniform(_SPREAD, 1)  # noqa: S311 - not a secret
        if time.monotonic() - self._hurried_at < _HURRY_S:
            quick = _HURRIED_DELAYS_S[min(self._hurried_polls, len(_HURRIED_DELAYS_S) - 1)]
            self._hurried_polls += 1
            interval = min(interval, quick)
        self._polls += 1
        return self.bounded(self._pace.delay(interval))

    @property
    def is_to_be_cancelled(self) -> bool:
        """Whether the build is to be cancelled when it is no longer waited for."""
        return self._cancels and self.build_id is not None and not self.has_ended

    def how_to_go_on(self) -> str:
        """Return what has become of the build, or how to find it again, for whoever stops waiting for it."""
        template = f"{self._template_class}.connect({self._template_id!r})"
        if self._template_class.startswith("Async"):
            template = f"(await {template})"
        if self.build_id is None:
            said = f"The build may go on; find it with {template}.list_builds()."
        elif self.has_ended:
            said = f"Build {self.build_id} of template {self._template_id} has ended: {self.seen}."
        else:
            said = (
                f"The build goes on; wait again with {template}.wait_until_ready(build_id={self.build_id!r})."
            )
        return self._shown(said)

    def timed_out(self) -> SandboxTimeoutError:
        """Return the error for a wait whose time is over."""
        build = f"build {self.build_id}" if self.build_id else "the newest build"
        seen = f"; it was {self.seen}" if self.seen else ""
        waiting = f"waiting for {build} of template {self._template_id}"
        message = f"{waiting} timed out after {self._timeout_s:g} s{seen}"
        self.timeout_error = SandboxTimeoutError(self._shown(message))
        return self.timeout_error

    def tell(self, error: BaseException, said: str) -> None:
        """Add to an error what has become of the build: to our own as its hint, to another's as a note."""
        if isinstance(error, SandboxTimeoutError) and error is self.timeout_error:
            error.hint = said[0].lower() + said[1:].rstrip(".")
        else:
            error.add_note(said)

    def is_left_by(self, error: BaseException) -> bool:
        """Whether an error ends the wait while the build goes on: an interruption, or the end of the wait's time."""
        return self.in_callback or error is self.timeout_error or not isinstance(error, SandboxError)


def tail_s(status: TemplateBuildStatus | None) -> float:
    """Return for how many seconds the log of a build that has ended so is read, if it never falls silent."""
    # The host of a cancelled build doesn't know of that, and goes on.
    return _CANCELLED_TAIL_S if status is TemplateBuildStatus.CANCELLED else TAIL_S


def _is_odd(status: int) -> bool:
    # Somebody in between: an answer cut short or a page in its place, "request timeout", "too early".
    return 200 <= status < 300 or status in (408, 425)  # noqa: PLR2004 - 2xx


def raise_unless_ready(
    build: TemplateBuildInfo, log_tail: tuple[str, ...], shown: Callable[[str], str]
) -> None:
    """Raise what a build that has ended other than ready stands for."""
    if build.status is TemplateBuildStatus.READY:
        return
    build_id, template_id, reason = (
        shown(text) for text in (build.id, build.template_id, build.error_message or "")
    )
    if build.status is TemplateBuildStatus.FAILED:
        error = BuildError.parse(reason, build_id=build_id, template_id=template_id)
        error.log_tail = log_tail
        if log_tail:
            error.add_note("\n  ".join(("It printed last:", *log_tail)))
        raise error
    because = f": {reason}" if reason else ""
    if build.status is TemplateBuildStatus.CANCELLED:
        raise ConflictError(
            f"build {build_id} of template {template_id} was cancelled{because}",
            hint="rebuild() starts another",
        )
    raise SandboxError(
        f"build {build_id} of template {template_id} has ended as {shown(build.status)!r}{because}; this version does "
        "not know what that means: update it, or look at the template with get_info()"
    )
