"""Rate limits, quotas and caps: the server's own figures, adjustable."""

import math
from collections.abc import Callable

import attrs

from superserve.local._app import arguments
from superserve.local._app.clock import monotonic


@attrs.frozen
class TeamLimits:
    """What a team may use; the defaults are the server's. ValueError or TypeError for what is no limit."""

    vcpu: int = 2
    """Virtual CPUs of a template, 0 or more, as are all but the last two."""
    memory_mib: int = 2048
    """Memory of a template."""
    disk_mib: int = 8192
    """Disk of a template."""
    builds: int = 5
    """Builds in flight."""
    templates: int = 10
    """Templates that are neither deleted nor failed."""
    sandboxes: int = 50
    """Active sandboxes."""
    requests_per_s: float = 20
    """How many tokens a second the bucket gets, more than 0; each request takes one."""
    burst: int = 40
    """How many tokens the bucket holds, 1 or more."""

    def __attrs_post_init__(self) -> None:
        """Refuse what is no limit."""
        for name in ("vcpu", "memory_mib", "disk_mib", "builds", "templates", "sandboxes"):
            arguments.check_whole(name, getattr(self, name), 0)
        _check_rate(self.requests_per_s, self.burst)


@attrs.frozen
class Limits:
    """Limits per address, before the key is looked at, and those of the server's own teams.

    ValueError or TypeError for what is no limit.
    """

    requests_per_s: float = 50
    """As in `TeamLimits`."""
    burst: int = 100
    """As in `TeamLimits`."""
    team: TeamLimits = attrs.field(factory=TeamLimits)

    def __attrs_post_init__(self) -> None:
        """Refuse what is no limit."""
        _check_rate(self.requests_per_s, self.burst)
        if not isinstance(self.team, TeamLimits):
            raise TypeError(f"team must be TeamLimits(...), not {self.team!r}")


def _check_rate(requests_per_s: float, burst: int) -> None:
    arguments.check_positive("requests_per_s", requests_per_s)
    arguments.check_whole("burst", burst, 1)


@attrs.frozen
class Ticket:
    """What the rate limiter says to one request."""

    admitted: bool
    headers: list[tuple[bytes, bytes]]


class RateLimiter:
    """One token bucket per caller. Counts real seconds, whatever the server's speed: so do its clients."""

    def __init__(self, rate: float, burst: int, *, monotonic: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> Ticket:
        """Take one token of the caller's bucket, if there is one."""
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
            # Of a refusal it is the time to the next request, and not to a full bucket.
            reset = max(1, math.ceil((1 - tokens) / self._rate))
        headers = [
            (b"ratelimit-limit", b"%d" % self._burst),
            (b"ratelimit-remaining", b"%d" % math.floor(tokens)),
            (b"ratelimit-reset", b"%d" % reset),
        ]
        if not admitted:
            headers.append((b"retry-after", b"%d" % reset))
        return Ticket(admitted, headers)
