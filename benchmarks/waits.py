"""How soon a wait ends once the build has, and what waiting costs."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from calls import API_KEY
from figures import Figure
from loopback import BUILD_ID, TEMPLATE_ID, Loopback

from superserve import AsyncSuperserve, AsyncTemplate, BuildLogEvent, Superserve, Template, TemplateInfo

# The poll interval is the default, 2 s.
WITH_LOG_S = 0.3
# Seconds to measure for, by number of waiters: a lone one polls only every 2 s.
WINDOWS_S = {1: 20.0, 10: 15.0, 100: 10.0, 1_000: 10.0}
QUICK_WINDOWS_S = {100: 3.0}
# A waiter among 1,000 may cost at most so much more than one among 10.
NEAR_CONSTANT = 1.5


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
    costs = {
        waiters: asyncio.run(_cost(server, waiters, window_s))
        for waiters, window_s in (QUICK_WINDOWS_S if quick else WINDOWS_S).items()
    }
    figures += [figure for figure, _ in costs.values()]
    if not quick:
        ratio = costs[1_000][1] / costs[10][1]
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


async def _cost(server: Loopback, waiters: int, window_s: float) -> tuple[Figure, float]:
    """Return the figure for so many waiters, and the CPU seconds that one of them takes a minute."""
    async with AsyncSuperserve(api_key=API_KEY, base_url=server.url("endless")) as client:
        template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
        tasks = [
            asyncio.create_task(_until_cancelled(template.wait_until_ready(build_id=BUILD_ID)))
            for _ in range(waiters)
        ]
        # Past the first polls, which all come at once and open the connections.
        await asyncio.sleep(2.0)
        polls = server.requests()
        start, cpu_start = time.perf_counter(), time.process_time()
        await asyncio.sleep(window_s)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        polls = server.requests() - polls
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
    cost = cpu / seconds * 60 / waiters
    note = f"{cpu / max(1, polls) * 1e6:.0f} µs a poll, {polls / seconds / waiters * 60:.1f} polls a minute"
    return Figure(f"CPU of each of {waiters:,} async waiters", cost * 1e3, "ms a minute", note=note), cost


async def _until_cancelled(wait: Awaitable[object]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await wait
