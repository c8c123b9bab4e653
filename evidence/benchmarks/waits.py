"""How soon a wait ends once the build has, and what waiting costs."""

import asyncio
import json
import random
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime

import attrs
import httpx
from calls import API_KEY, HEADERS
from figures import Figure, Stopwatch
from loopback import BUILD_ID, TEMPLATE_ID, Loopback

from superserve import AsyncSuperserve, AsyncTemplate, BuildLogEvent, Superserve, Template, TemplateInfo

# The poll interval is the default, 2 s.
WITH_LOG_S = 0.3
# Seconds to measure for, by number of waiters: a lone one polls only every 2 s.
WINDOWS_S = {1: 20.0, 10: 15.0, 100: 10.0, 1_000: 10.0}
QUICK_WINDOWS_S = {100: 3.0}
# A waiter among 1,000 may cost at most so much more than one among 10.
NEAR_CONSTANT = 1.5
PLAIN = 100

Work = Callable[[Loopback], AbstractAsyncContextManager[Callable[[], Awaitable[object]]]]


def measure(server: Loopback, *, quick: bool) -> list[Figure]:
    """Measure the delays after the row has turned ready, and the CPU time of waiters."""
    count = 5 if quick else 20
    delays = asyncio.run(_async_delays(server, count))
    if not quick:
        delays |= _sync_delays(server, count)
    figures = [
        Figure(
            f"row ready to return, {name}",
            max(values),
            "s, worst",
            at_most=WITH_LOG_S if "on_log" in name else None,
            note=f"median {statistics.median(values):.3f} s of {len(values)} at once, poll interval 2 s",
        )
        for name, values in delays.items()
    ]
    windows_s = QUICK_WINDOWS_S if quick else WINDOWS_S
    costs = {
        waiters: asyncio.run(_cost(server, _waiting, waiters, window_s))
        for waiters, window_s in windows_s.items()
    }
    figures += [cost.figure(f"CPU of each of {waiters:,} async waiters") for waiters, cost in costs.items()]
    if not quick:
        plain = asyncio.run(_cost(server, _polling, PLAIN, WINDOWS_S[PLAIN]))
        figures.append(plain.figure(f"CPU of each of {PLAIN:,} loops around httpx, for comparison"))
        ratio = costs[1_000].seconds / costs[10].seconds
        figures.append(
            Figure("a waiter among 1,000, against one among 10", ratio, "x", at_most=NEAR_CONSTANT)
        )
    return figures


def _ignore(_event: BuildLogEvent) -> None:
    pass


def _delay(info: TemplateInfo) -> float:
    # The loopback server tells there when the row has turned ready.
    assert info.built_at is not None
    return (datetime.now(UTC) - info.built_at).total_seconds()


async def _async_delays(server: Loopback, count: int) -> dict[str, list[float]]:
    async with AsyncSuperserve(api_key=API_KEY, base_url=server.url("waits")) as client:

        async def wait(*, log: bool) -> float:
            template = await AsyncTemplate.create(name="benchmark", from_="python:3.11", client=client)
            return _delay(await template.wait_until_ready(on_log=_ignore if log else None))

        async def waits(*, log: bool) -> list[float]:
            return await asyncio.gather(*(wait(log=log) for _ in range(count)))

        with_log, without = await asyncio.gather(waits(log=True), waits(log=False))
    return {"async, on_log": with_log, "async, polling only": without}


def _sync_delays(server: Loopback, count: int) -> dict[str, list[float]]:
    with (
        Superserve(api_key=API_KEY, base_url=server.url("waits")) as client,
        ThreadPoolExecutor(max_workers=2 * count) as threads,
    ):

        def wait(log: bool) -> float:
            template = Template.create(name="benchmark", from_="python:3.11", client=client)
            return _delay(template.wait_until_ready(on_log=_ignore if log else None))

        with_log = [threads.submit(wait, True) for _ in range(count)]
        without = [threads.submit(wait, False) for _ in range(count)]
        return {
            "sync, on_log": [future.result() for future in with_log],
            "sync, polling only": [future.result() for future in without],
        }


@attrs.frozen
class Cost:
    """What one of many waiters costs.

    Attributes:
        seconds: CPU seconds a minute.
        poll_s: CPU seconds a poll.
        polls: Polls a minute.
    """

    seconds: float
    poll_s: float
    polls: float

    def figure(self, name: str) -> Figure:
        """Return it as a line of the table."""
        note = f"{self.poll_s * 1e6:.0f} µs a poll, {self.polls:.1f} polls a minute"
        return Figure(name, self.seconds * 1e3, "ms a minute", note=note)


async def _cost(server: Loopback, work: Work, waiters: int, window_s: float) -> Cost:
    async with work(server) as wait:
        tasks = [asyncio.create_task(_until_cancelled(wait())) for _ in range(waiters)]
        # Past the first polls, which all come at once and open the connections.
        await asyncio.sleep(3.0)
        polls = server.requests()
        watch = Stopwatch()
        await asyncio.sleep(window_s)
        taken = watch.taken()
        polls = max(1, server.requests() - polls)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
    minutes = taken.wall / 60 * waiters
    return Cost(taken.cpu / minutes, taken.cpu / polls, polls / minutes)


@asynccontextmanager
async def _waiting(server: Loopback) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    async with AsyncSuperserve(api_key=API_KEY, base_url=server.url("endless")) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        yield lambda: template.wait_until_ready(build_id=BUILD_ID)


@asynccontextmanager
async def _polling(server: Loopback) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    async with httpx.AsyncClient(base_url=server.url("endless"), headers=HEADERS) as http:

        async def poll() -> None:
            while True:
                response = await http.get(f"/templates/{TEMPLATE_ID}/builds/{BUILD_ID}")
                if json.loads(response.raise_for_status().content)["status"] == "ready":
                    break
                await asyncio.sleep(2.0 * random.uniform(0.9, 1.1))

        yield poll


async def _until_cancelled(wait: Awaitable[object]) -> None:
    with suppress(asyncio.CancelledError):
        await wait
