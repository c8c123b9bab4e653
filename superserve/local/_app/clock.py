"""The server's clock: waits can be scaled, times of day are real."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Scales every wait of the server by `speed`: at 100, a wait of 2 s takes 20 ms.

    Times of day that are shown to clients stay real; only waits and the age of things are scaled. Where builds are
    real work, which goes no faster, their age and their time limits are real, too.
    """

    def __init__(self, speed: float, *, real_work: bool = False) -> None:
        self.speed = speed
        self._work_speed = 1.0 if real_work else speed

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)

    def age(self, since: datetime) -> float:
        """Return how old a build is, in seconds, given the time of day when it began."""
        return (self.now() - since).total_seconds() * self._work_speed

    def age_of_wait(self, since: datetime) -> float:
        """Return how long something has waited, in seconds of the server's clock, given when that began."""
        return (self.now() - since).total_seconds() * self.speed

    def limit(self, seconds: float) -> float:
        """Return how long a build that may take some seconds may really take."""
        return seconds / self._work_speed

    def real(self, seconds: float) -> float:
        """Return how long a wait of the server's clock really takes, in seconds."""
        return seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds of the server's clock."""
        await asyncio.sleep(seconds / self.speed)


def format_time(moment: datetime | None) -> str | None:
    """Write a time as rows show it: RFC 3339, whole seconds, `Z`; None stays None."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def format_time_exactly(moment: datetime) -> str:
    """Write a time as rows of sandboxes show it: RFC 3339 with as many fraction digits as it needs, at most six."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


def format_nanoseconds(since_epoch_ns: int) -> str:
    """Write a time as log events show it: RFC 3339 with as many fraction digits as it needs, at most nine."""
    seconds, fraction = divmod(since_epoch_ns, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
