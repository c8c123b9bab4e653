"""Rate limits, quotas and caps, with the server's own values as defaults."""

import math
from collections.abc import Callable
from typing import NamedTuple

import attrs

from superserve.local._app import arguments
from superserve.local._app.clock import monotonic


@attrs.frozen
class TeamLimits:
    """The limits of a team. The defaults are the server's. ValueError or TypeError for an invalid value."""

    vcpu: int = 2
    """The most virtual CPUs of a template: 0 or more, as for all fields but the last two."""
    memory_mib: int = 2048
    """The most memory of a template, in MiB."""
    disk_mib: int = 8192
    """The largest disk of a template, in MiB."""
    builds: int = 5
    """The most builds in flight."""
    templates: int = 10
    """The most templates that are neither deleted nor failed."""
    sandboxes: int = 50
    """The most active sandboxes."""
    requests_per_s: float = 20
    """Tokens that the bucket gets in a second, more than 0. Each request takes one."""
    burst: int = 40
    """The most tokens in the bucket, 1 or more."""

    def __attrs_post_init__(self) -> None:
        """Refuse invalid values."""
        for name in ("vcpu", "memory_mib", "disk_mib", "builds", "templates", "sandboxes"):
            arguments.check_whole(name, getattr(self, name), 0)
        _check_rate(self.requests_per_s, self.burst)


@attrs.frozen
class Limits:
    """The limits for each address, which apply before the key is checked, and those of the server's own teams.

    ValueError or TypeError for an invalid value.
    """

    requests_per_s: float = 50
    """As in `TeamLimits`."""
    burst: int = 100
    """As in `TeamLimits`."""
    team: TeamLimits = attrs.field(factory=TeamLimits)

    def __attrs_post_init__(self) -> None:
        """Refuse invalid values."""
        _check_rate(self.requests_per_s, self.burst)
        if not isinstance(self.team, TeamLimits):
            raise TypeError(f"team must be TeamLimits(...), not {self.team!r}")


def _check_rate(requests_per_s: float, burst: int) -> None:
    arguments.check_positive("requests_per_s", requests_per_s)
    arguments.check_whole("burst", burst, 1)


class Ticket(NamedTuple):
    """The rate limiter's answer for one request."""

    admitted: bool
    headers: list[tuple[bytes, bytes]]


class RateLimiter:
    """A token bucket for each caller. It counts real seconds, whatever the server's speed, like its clients."""

    def __init__(self, rate: float, burst: int, *, monotonic: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> Ticket:
        """Take one token from the caller's bucket, if there is one."""
        now = self._monotonic()
        tokens, since = self._buckets.get(caller, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        admitted = tokens >= 1
        if admitted:
            tokens -= 1
        self._buckets[caller] = (tokens, now)
        if admitted:
            reset = math.ceil((self._burst - tokens) / self._rate)
        else:
            # After a refusal this is the time to the next token, not to a full bucket.
            reset = max(1, math.ceil((1 - tokens) / self._rate))
        headers = [
            (b"ratelimit-limit", b"%d" % self._burst),
            (b"ratelimit-remaining", b"%d" % math.floor(tokens)),
            (b"ratelimit-reset", b"%d" % reset),
        ]
        if not admitted:
            headers.append((b"retry-after", b"%d" % reset))
        return Ticket(admitted, headers)
