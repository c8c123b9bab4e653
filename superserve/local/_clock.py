"""The server's clock: waits can be scaled, times of day are real."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Scales every wait of the server by `speed`: at 100, a wait of 2 s takes 20 ms.

    Times of day that are shown to clients stay real; only waits and the age of things are scaled.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)

    def age(self, since: datetime) -> float:
        """Return how many seconds of the server's clock have passed since a time of day."""
        return (self.now() - since).total_seconds() * self.speed

    def real(self, seconds: float) -> float:
        """Return how long a wait of the server's clock really takes, in seconds."""
        return seconds / self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds of the server's clock."""
        await asyncio.sleep(seconds / self.speed)


def whole_seconds(moment: datetime) -> str:
    """Write a time as template and build rows show it: RFC 3339, whole seconds, `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def nanoseconds(since_epoch_ns: int) -> str:
    """Write a time as log events show it: RFC 3339 with as many fraction digits as it needs, at most nine."""
    seconds, fraction = divmod(since_epoch_ns, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
