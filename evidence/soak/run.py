"""Soak the SDK: 2,000 builds through a proxy that lets one request in ten go wrong, threads and tasks mixed.

Every build is made so that its outcome and every event of its log are known beforehand, and what comes out is compared.
File descriptors, threads, tasks and memory have to stay flat, and nothing may be left at the end. Prints figures and a
verdict; exits with 1 if anything was wrong, or if it took too long. About ten minutes; `--builds 60` half of one.
"""

import argparse
import asyncio
import faulthandler
import gc
import json
import os
import queue
import random
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import builds
from builds import Kind
from journeys import Figures, Journey, finish

from superserve import AsyncSuperserve, Superserve

# How often each way is gone, with which kind of build.
MIX: Final = {
    ("follow", Kind.READY): 24,
    ("follow", Kind.FLOODING): 8,
    ("follow", Kind.FAILING): 8,
    ("follow", Kind.UNPULLABLE): 3,
    ("stream", Kind.READY): 8,
    ("stream", Kind.FAILING): 3,
    ("iterate", Kind.READY): 8,
    ("iterate", Kind.FLOODING): 3,
    ("read late", Kind.READY): 5,
    ("read late", Kind.FLOODING): 2,
    ("rebuild", Kind.READY): 7,
    ("rebuild", Kind.FAILING): 2,
    ("cancel", Kind.ENDLESS): 7,
    ("time out", Kind.ENDLESS): 4,
    ("give up", Kind.READY): 6,
    ("give up", Kind.FAILING): 2,
}
THREADS: Final = 8
TASKS: Final = 12
# Less than the default, so that a stalled call does not hold up its worker for long.
CALL_TIMEOUT_S: Final = 5.0

FLAT: Final = {"fds": 8.0, "threads": 4.0, "tasks": 4.0, "objects": 10_000.0, "mib": 16.0}
"""How much more of each the last tenth may hold than the first, in the median.

Objects are what Python's garbage collector knows: five for each template would be too many.
"""

WARM: Final = 1000
"""Templates below which objects and memory are not judged: what is loaded and cached at first still shows."""

_SAMPLE_EVERY_S: Final = 0.5
_TENTHS: Final = 10
_SHOWN: Final = 10
_SETTLING_S: Final = 5.0


@attrs.frozen
class Job:
    """One template to build, and how."""

    number: int
    way: str
    kind: Kind


@attrs.frozen
class Sample:
    """What this process holds at one moment."""

    fds: int
    threads: int
    tasks: int
    objects: int
    mib: float

    @classmethod
    def taken(cls) -> "Sample":
        """Look at the process."""
        return cls(
            fds=len(list(Path("/dev/fd").iterdir())),
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
            objects=len(gc.get_objects()),
            mib=_mib(),
        )


def _mib() -> float:
    """Return the memory in use; 0 where the system does not tell it."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if path.exists() else 0.0


class Soak:
    """One run: what is to be done, what has been seen, and what was wrong."""

    def __init__(self, count: int, *, seed: int) -> None:
        self.figures = Figures()
        self.problems: list[str] = []
        self.samples: list[list[Sample]] = [[] for _ in range(_TENTHS)]
        self.done = 0
        self.count = count
        self._seed = seed
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._under_way: dict[Job, float] = {}
        dice = random.Random(seed)
        for number, (way, kind) in enumerate(dice.choices(list(MIX), MIX.values(), k=count)):
            self._jobs.put(Job(number, way, kind))

    async def run(self, url: str, api_key: str) -> None:
        """Do all jobs, in threads and tasks that share one client of each colour."""
        before = Sample.taken()
        sampling = asyncio.create_task(self._sample())
        with Superserve(api_key=api_key, base_url=url, timeout_s=CALL_TIMEOUT_S) as client:
            async with AsyncSuperserve(
                api_key=api_key, base_url=url, timeout_s=CALL_TIMEOUT_S
            ) as async_client:
                # Its threads are left to themselves when the time is over: then the process ends at once.
                pool = ThreadPoolExecutor(THREADS)
                loop = asyncio.get_running_loop()
                threads = [loop.run_in_executor(pool, self._work, client) for _ in range(THREADS)]
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(TASKS):
                        tasks.create_task(self._work_async(async_client))
                await asyncio.gather(*threads)
                pool.shutdown()
        sampling.cancel()
        await asyncio.wait({sampling})
        await self._expect_nothing_left(before)

    def under_way(self) -> list[str]:
        """Return what is not done yet, the oldest first."""
        now = time.monotonic()
        jobs = sorted(dict(self._under_way).items(), key=lambda item: item[1])
        return [f"{job} for {now - start:.0f} s" for job, start in jobs]

    def _work(self, client: Superserve) -> None:
        while (job := self._next()) is not None:
            try:
                self._add(finish(self._journey(client, job)))
            except Exception:  # noqa: BLE001 - whatever it is, it is what this program looks for
                self._add_problem(job, "sync")
            finally:
                self._end(job)

    async def _work_async(self, client: AsyncSuperserve) -> None:
        while (job := self._next()) is not None:
            try:
                self._add(await self._journey(client, job))
            except Exception:  # noqa: BLE001 - whatever it is, it is what this program looks for
                self._add_problem(job, "async")
            finally:
                self._end(job)

    def _journey(self, client: Superserve | AsyncSuperserve, job: Job) -> Coroutine[object, object, Figures]:
        dice = random.Random(f"{self._seed} {job.number}")
        build = builds.make(f"soak-{job.number}", job.kind, dice)
        return Journey(client, build, dice).travel(job.way)

    def _next(self) -> Job | None:
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return None
        self._under_way[job] = time.monotonic()
        return job

    def _add(self, figures: Figures) -> None:
        with self._lock:
            self.figures.add(figures)

    def _add_problem(self, job: Job, colour: str) -> None:
        self.problems.append(f"{colour} {job}\n{traceback.format_exc(limit=-4)}")

    def _end(self, job: Job) -> None:
        with self._lock:
            self.done += 1
        del self._under_way[job]

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            tenth = min(self.done * _TENTHS // self.count, _TENTHS - 1)
            self.samples[tenth].append(Sample.taken())

    async def _expect_nothing_left(self, before: Sample) -> None:
        until = time.monotonic() + _SETTLING_S
        while True:
            gc.collect()
            now = Sample.taken()
            left = {
                name: (getattr(before, name), getattr(now, name))
                for name in ("fds", "threads", "tasks")
                if getattr(now, name) > getattr(before, name)
            }
            if not left or time.monotonic() > until:
                break
            await asyncio.sleep(_SAMPLE_EVERY_S)
        self.problems += [f"{name} before and after: {held}" for name, held in left.items()]

    def medians(self, tenth: int) -> dict[str, float] | None:
        """Return what the process held in one tenth of the run; None if that was too short to look."""
        samples = [attrs.asdict(sample) for sample in self.samples[tenth]]
        return (
            {name: statistics.median(sample[name] for sample in samples) for name in FLAT}
            if samples
            else None
        )

    def growth(self) -> list[str]:
        """Return what was not flat."""
        first, last = self.medians(0), self.medians(_TENTHS - 1)
        if first is None or last is None:
            return []
        return [
            f"{name} grew from {first[name]:g} to {last[name]:g}"
            for name, most in FLAT.items()
            if last[name] - first[name] > most and (self.count >= WARM or name not in ("objects", "mib"))
        ]


@contextmanager
def served(*, seed: int, rate: float) -> Iterator[tuple[dict[str, str], Callable[[], Mapping[str, object]]]]:
    """Run server and proxy in a process of their own: yield their addresses, and what ends them and tells the tally."""
    command = [sys.executable, str(Path(__file__).with_name("proxy.py")), f"--seed={seed}", f"--rate={rate}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def end() -> Mapping[str, object]:
            told, _ = process.communicate(timeout=30)
            return json.loads(told)

        try:
            yield json.loads(process.stdout.readline()), end
        finally:
            process.kill()


def main() -> int:
    """Run, report, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--builds", type=int, default=2000, help="templates to build (default: 2000)")
    parser.add_argument("--seconds", type=float, default=1200, help="all of it may take (default: 1200)")
    parser.add_argument(
        "--rate",
        type=float,
        default=0.12,
        help="of requests to spoil (default: 0.12, as some answers end before it strikes)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of builds and faults (default: 1)")
    options = parser.parse_args()
    # The last resort, if even this program's own event loop is stuck.
    faulthandler.dump_traceback_later(options.seconds + 30, exit=True)
    start = time.monotonic()
    soak = Soak(options.builds, seed=options.seed)
    with served(seed=options.seed, rate=options.rate) as (addresses, end):

        async def bounded() -> None:
            running = asyncio.create_task(soak.run(addresses["url"], addresses["api_key"]))
            await asyncio.wait({running}, timeout=options.seconds)
            if not running.done():
                print(f"verdict: WRONG, not done within {options.seconds:g} s")
                show_what_hangs(soak)
                os._exit(1)
            await running

        asyncio.run(bounded())
        report(soak, end(), seconds=time.monotonic() - start)
    problems = soak.problems + soak.growth()
    for problem in problems[:_SHOWN]:
        print(f"\nwrong: {problem}")
    print(f"\nverdict: {f'WRONG, {len(problems)} problems' if problems else 'right'}")
    return 1 if problems else 0


def show_what_hangs(soak: Soak) -> None:
    """Print what is not done, and where it is."""
    print("\n".join(soak.under_way()), flush=True)
    for task in asyncio.all_tasks():
        task.print_stack()
    faulthandler.dump_traceback()


def report(soak: Soak, tally: Mapping[str, object], *, seconds: float) -> None:
    """Print what was seen."""
    figures = soak.figures
    faults = tally["faults"]
    struck = sum(faults.values())
    print(
        f"{soak.done} templates, {figures.builds} builds, {seconds:.0f} s; the slowest took {figures.longest_s:.0f} s"
    )
    print(f"outcomes: {_counts(figures.outcomes)}")
    print(
        f"proxy: {tally['requests']} requests ({tally['streams']} log streams) over {tally['connections']} connections"
    )
    print(f"faults: {struck} ({struck / tally['requests']:.1%}): {_counts(faults)}")
    print(f"raised to the caller, and borne with as the message says: {_counts(figures.raised)}")
    print(
        f"logs: {figures.logs} read, {figures.events} events; {figures.missing} more are missing before {figures.flags} "
        f"events that say so, {figures.needless} of them needlessly; {figures.dropped} were dropped by the server after "
        f"the first {builds.REPLAYED_EVENTS} of a log; {figures.logs_without_end} logs lack their last {figures.lost} "
        "events, and a warning says so"
    )
    print(f"\n{'':>8}{'fds':>10}{'threads':>10}{'tasks':>10}{'objects':>10}{'MiB':>10}   (medians)")
    for tenth in range(_TENTHS):
        if (held := soak.medians(tenth)) is not None:
            print(
                f"{tenth + 1:>7}."
                + "".join(f"{held[name]:>10.{1 if name == 'mib' else 0}f}" for name in FLAT)
            )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} {count}" for name, count in sorted(Counter(counts).items(), key=lambda c: -c[1])
    )


if __name__ == "__main__":
    sys.exit(main())
