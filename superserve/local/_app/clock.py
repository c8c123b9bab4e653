"""The server's clock: waits can be scaled, times of day are real."""

import asyncio
import functools
import sys
import time
from datetime import UTC, datetime, timedelta

# Test libraries that freeze or move time (freezegun, time-machine) replace time.monotonic wherever they find it, also in
# this server's thread. They leave the function behind it alone.
if sys.platform == "win32":
    monotonic = functools.partial(time.monotonic)
    _Loop = asyncio.ProactorEventLoop
else:
    monotonic = functools.partial(time.clock_gettime, getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC))
    _Loop = asyncio.SelectorEventLoop


class UnfrozenLoop(_Loop):
    """An event loop whose timers go on while a test freezes time."""

    def time(self) -> float:
        """Return the time on the loop's own clock."""
        return monotonic()


class Clock:
    """Divides every wait of the server by `speed`: at 100, a wait of 2 s takes 20 ms.

    Times of day in answers stay real; only waits and ages are scaled. In execute mode builds do real work, which is not
    faster, so their ages and time limits are real, too.
    """

    def __init__(self, speed: float, *, real_work: bool = False) -> None:
        self.speed = speed
        self._started, self._started_at = self.now(), monotonic()
        self.work_speed = 1.0 if real_work else speed

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)

    def steady(self) -> datetime:
        """Return the time of day at the server's start plus the time since then. A test cannot change it."""
        return self._started + timedelta(seconds=monotonic() - self._started_at)

    def age(self, since: float) -> float:
        """Return the age of a build in seconds, from its start on the clock of `monotonic`."""
        return (monotonic() - since) * self.work_speed

    def age_of_wait(self, since: datetime) -> float:
        """Return the length of a wait in seconds of the server's clock, from its start on the clock of `steady`."""
        return (self.steady() - since).total_seconds() * self.speed

    def limit(self, seconds: float) -> float:
        """Return the real time limit in seconds for a build with this limit."""
        return seconds / self.work_speed

    def real(self, seconds: float) -> float:
        """Return the real length in seconds of a wait on the server's clock."""
        return seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds of the server's clock."""
        await asyncio.sleep(seconds / self.speed)


def format_time(moment: datetime | None) -> str | None:
    """Return a time in the form of rows: RFC 3339, whole seconds, `Z`. None stays None."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def format_time_exactly(moment: datetime) -> str:
    """Return a time in the form of sandbox rows: RFC 3339 with as many fraction digits as it needs, at most six."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


def format_nanoseconds(since_epoch_ns: int) -> str:
    """Return a time in the form of log events: RFC 3339 with as many fraction digits as it needs, at most nine."""
    seconds, fraction = divmod(since_epoch_ns, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
