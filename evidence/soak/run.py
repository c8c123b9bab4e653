"""Soak the SDK through a proxy that lets one request in ten go wrong: 2,000 builds, then 500 sandboxes with 5,000 commands.

Every build, and every command, is made so that its outcome and all that it prints are known beforehand, and what comes
out is compared. Threads and tasks are mixed. File descriptors, threads, tasks and memory have to stay flat, those of the
server too where there are sandboxes, and nothing may be left at the end. Prints figures and a verdict for each part; exits
with 1 if anything was wrong, or if it took too long. Ten to twenty minutes; `--builds 60 --sandboxes 20` is one.
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
import tempfile
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
from journeys import BuildFigures, Journey
from sandboxes import SandboxFigures, SandboxJourney
from travel import Figures, finish

from superserve import AsyncSuperserve, Sandbox, Superserve

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

SERVER_FLAT: Final = {"server fds": 32.0, "server threads": 16.0, "server mib": 24.0}
"""The same of the process of server and proxy, which has one to three connections for each of this one's calls."""

COLD: Final = {"builds": 1000, "sandboxes": 300}
"""Journeys below which objects and memory are not judged: what is loaded and cached at first still shows."""

_SAMPLE_EVERY_S: Final = 0.5
_TENTHS: Final = 10
_SHOWN: Final = 10
_SETTLING_S: Final = 5.0


@attrs.frozen(eq=False)
class Part:
    """One part of the soak.

    Attributes:
        name: What it is made of.
        begin: Makes a journey of a client, its number, and dice of its own.
        figures: Where what is seen is counted.
        report: Prints these.
        flat: What must not grow, and by how much it may.
    """

    name: str
    begin: Callable[[Superserve | AsyncSuperserve, int, random.Random], Coroutine[object, object, Figures]]
    figures: Figures
    report: Callable[[Figures], None]
    flat: Mapping[str, float]


def begin_build(
    client: Superserve | AsyncSuperserve, number: int, dice: random.Random
) -> Coroutine[object, object, Figures]:
    """Return a journey with a template."""
    [(way, kind)] = dice.choices(list(MIX), MIX.values())
    return Journey(client, builds.make(f"soak-{number}", kind, dice), dice).travel(way)


def begin_sandbox(
    client: Superserve | AsyncSuperserve, number: int, dice: random.Random
) -> Coroutine[object, object, Figures]:
    """Return a journey with a sandbox."""
    return SandboxJourney(client, f"soak-{number}", dice).travel()


def take_sample(server_pid: int) -> dict[str, float]:
    """Return what this process holds at this moment, and the server's."""
    return {
        "fds": len(list(Path("/dev/fd").iterdir())),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "mib": _mib("self"),
        "server fds": _count(f"/proc/{server_pid}/fd"),
        "server threads": _count(f"/proc/{server_pid}/task"),
        "server mib": _mib(str(server_pid)),
    }


def _count(folder: str) -> int:
    """Return how much is in a folder; 0 where the system has none."""
    path = Path(folder)
    return len(list(path.iterdir())) if path.exists() else 0


def _mib(process: str) -> float:
    """Return the memory in use; 0 where the system does not tell it."""
    path = Path("/proc", process, "statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if path.exists() else 0.0


class Soak:
    """One run of one part: what is to be done, what has been seen, and what was wrong."""

    def __init__(self, part: Part, count: int, *, seed: int, server_pid: int) -> None:
        self.part = part
        self.figures = part.figures
        self.problems: list[str] = []
        self.samples: list[list[dict[str, float]]] = [[] for _ in range(_TENTHS)]
        self.done = 0
        self.count = count
        self._seed = seed
        self._server_pid = server_pid
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._under_way: dict[int, float] = {}
        for number in range(count):
            self._jobs.put(number)

    async def run(self, url: str, api_key: str) -> None:
        """Do all jobs, in threads and tasks that share one client of each colour."""
        before = take_sample(self._server_pid)
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
        return [f"{self.part.name} {job} for {now - start:.0f} s" for job, start in jobs]

    def _work(self, client: Superserve) -> None:
        while (number := self._next()) is not None:
            try:
                self._add(finish(self._journey(client, number)))
            except Exception:  # noqa: BLE001 - whatever it is, it is what this program looks for
                self._add_problem(number, "sync")
            finally:
                self._end(number)

    async def _work_async(self, client: AsyncSuperserve) -> None:
        while (number := self._next()) is not None:
            try:
                self._add(await self._journey(client, number))
            except Exception:  # noqa: BLE001 - whatever it is, it is what this program looks for
                self._add_problem(number, "async")
            finally:
                self._end(number)

    def _journey(
        self, client: Superserve | AsyncSuperserve, number: int
    ) -> Coroutine[object, object, Figures]:
        return self.part.begin(client, number, random.Random(f"{self._seed} {number}"))

    def _next(self) -> int | None:
        try:
            number = self._jobs.get_nowait()
        except queue.Empty:
            return None
        self._under_way[number] = time.monotonic()
        return number

    def _add(self, figures: Figures) -> None:
        with self._lock:
            self.figures.add(figures)

    def _add_problem(self, number: int, colour: str) -> None:
        self.problems.append(f"{colour}, {self.part.name} {number}\n{traceback.format_exc(limit=-4)}")

    def _end(self, number: int) -> None:
        with self._lock:
            self.done += 1
        del self._under_way[number]

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            tenth = min(self.done * _TENTHS // self.count, _TENTHS - 1)
            self.samples[tenth].append(take_sample(self._server_pid))

    async def _expect_nothing_left(self, before: Mapping[str, float]) -> None:
        until = time.monotonic() + _SETTLING_S
        while True:
            gc.collect()
            now = take_sample(self._server_pid)
            left = {
                name: (before[name], now[name])
                for name in ("fds", "threads", "tasks")
                if now[name] > before[name]
            }
            if not left or time.monotonic() > until:
                break
            await asyncio.sleep(_SAMPLE_EVERY_S)
        self.problems += [f"{name} before and after: {held}" for name, held in left.items()]

    def medians(self, tenth: int) -> dict[str, float] | None:
        """Return what was held in one tenth of the run; None if that was too short to look."""
        samples = self.samples[tenth]
        return (
            {name: statistics.median(sample[name] for sample in samples) for name in self.part.flat}
            if samples
            else None
        )

    def growth(self) -> list[str]:
        """Return what was not flat."""
        first, last = self.medians(0), self.medians(_TENTHS - 1)
        if first is None or last is None:
            return []
        is_warm = self.count >= COLD[self.part.name]
        return [
            f"{name} grew from {first[name]:g} to {last[name]:g}"
            for name, most in self.part.flat.items()
            if last[name] - first[name] > most and (is_warm or not name.endswith(("objects", "mib")))
        ]


@attrs.frozen
class Served:
    """The process of server and proxy.

    Attributes:
        addresses: Where both are, and the key.
        temporary: Its folder for temporary files.
    """

    process: "subprocess.Popen[str]"
    addresses: Mapping[str, str]
    temporary: str

    def left(self) -> list[str]:
        """Return what is left of sandboxes, once none should be."""
        found = Sandbox.list(base_url=self.addresses["direct"], api_key=self.addresses["api_key"])
        until = time.monotonic() + _SETTLING_S
        while (children := self._children()) and time.monotonic() < until:
            time.sleep(0.1)
        return [f"left behind: sandbox {info.id} {info.name}, {info.status}" for info in found] + [
            f"left behind: {len(children)} processes of the server"
        ] * bool(children)

    def end(self) -> Mapping[str, object]:
        """End it, and return the proxy's tally."""
        told, _ = self.process.communicate(timeout=30)
        return json.loads(told)

    def files_left(self) -> list[str]:
        """Return what is left of it, once it has ended."""
        return [f"left behind: {path}" for path in Path(self.temporary).iterdir()]

    def _children(self) -> list[str]:
        tasks = Path("/proc", str(self.process.pid), "task").glob("*/children")
        return [pid for task in tasks for pid in task.read_text().split()]


@contextmanager
def served(options: argparse.Namespace) -> Iterator[Served]:
    """Run server and proxy in a process of their own."""
    command = [sys.executable, str(Path(__file__).with_name("proxy.py"))]
    command += [f"--seed={options.seed}", f"--rate={options.rate}", f"--isolation={options.isolation}"]
    with (
        tempfile.TemporaryDirectory() as temporary,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": temporary},
        ) as process,
    ):
        try:
            yield Served(process, json.loads(process.stdout.readline()), temporary)
        finally:
            process.kill()


def main() -> int:
    """Run, report, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--builds", type=int, default=2000, help="templates to build (default: 2000)")
    parser.add_argument(
        "--sandboxes", type=int, default=500, help="sandboxes, with ten commands each (default: 500)"
    )
    parser.add_argument("--seconds", type=float, default=1200, help="each part may take (default: 1200)")
    parser.add_argument(
        "--rate",
        type=float,
        default=0.12,
        help="of requests to spoil (default: 0.12, as some answers end before it strikes)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of journeys and faults (default: 1)")
    parser.add_argument("--isolation", default="auto", help="of sandboxes, as for the server (default: auto)")
    options = parser.parse_args()
    parts = {
        Part("builds", begin_build, BuildFigures(), report_builds, FLAT): options.builds,
        Part(
            "sandboxes", begin_sandbox, SandboxFigures(), report_sandboxes, FLAT | SERVER_FLAT
        ): options.sandboxes,
    }
    return max([run(part, count, options) for part, count in parts.items() if count])


def run(part: Part, count: int, options: argparse.Namespace) -> int:
    """Run and report one part, and return the exit code."""
    # The last resort, if even this program's own event loop is stuck.
    faulthandler.dump_traceback_later(options.seconds + 30, exit=True)
    start = time.monotonic()
    with served(options) as server:
        soak = Soak(part, count, seed=options.seed, server_pid=server.process.pid)

        async def bounded() -> None:
            running = asyncio.create_task(soak.run(server.addresses["url"], server.addresses["api_key"]))
            await asyncio.wait({running}, timeout=options.seconds)
            if not running.done():
                print(f"verdict: WRONG, {part.name} not done within {options.seconds:g} s")
                show_what_hangs(soak)
                os._exit(1)
            await running

        asyncio.run(bounded())
        problems = soak.problems + soak.growth() + server.left()
        tally = server.end()
        problems += server.files_left()
        report(soak, tally, seconds=time.monotonic() - start)
    faulthandler.cancel_dump_traceback_later()
    for problem in problems[:_SHOWN]:
        print(f"\nwrong: {problem}")
    print(
        f"\nverdict, {part.name}: {f'WRONG, {len(problems)} problems' if problems else 'right'}", flush=True
    )
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
    print(f"{soak.done} {soak.part.name}, {seconds:.0f} s; the slowest took {figures.longest_s:.0f} s")
    print(f"outcomes: {_counts(figures.outcomes)}")
    print(
        f"proxy: {tally['requests']} requests ({tally['streams']} streams, {tally['sockets']} sockets) "
        f"over {tally['connections']} connections"
    )
    print(f"faults: {struck} ({struck / tally['requests']:.1%}): {_counts(faults)}")
    print(f"raised to the caller, and borne with as the message says: {_counts(figures.raised)}")
    soak.part.report(figures)
    flat = soak.part.flat
    print(f"\n{'':>8}{''.join(f'{name:>15}' for name in flat)}   (medians)")
    for tenth in range(_TENTHS):
        if (held := soak.medians(tenth)) is not None:
            print(
                f"{tenth + 1:>7}."
                + "".join(f"{held[name]:>15.{int(name.endswith('mib'))}f}" for name in flat)
            )


def report_builds(figures: Figures) -> None:
    """Print what was seen of builds and their logs."""
    assert isinstance(figures, BuildFigures)
    print(
        f"builds: {figures.builds}; logs: {figures.logs} read, {figures.events} events; {figures.missing} more are "
        f"missing before {figures.flags} events that say so, {figures.needless} of them needlessly; {figures.dropped} "
        f"were dropped by the server after the first {builds.REPLAYED_EVENTS} of a log; {figures.logs_without_end} logs "
        f"lack their last {figures.lost} events, and a warning says so"
    )


def report_sandboxes(figures: Figures) -> None:
    """Print what was seen of commands and files."""
    assert isinstance(figures, SandboxFigures)
    print(
        f"{figures.commands} commands, each ran as often as its caller was told; of those whose outcome is not known "
        f"or was not waited for, {figures.ran_unknown} ran; {figures.files} files written and read"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} {count}" for name, count in sorted(Counter(counts).items(), key=lambda c: -c[1])
    )


if __name__ == "__main__":
    sys.exit(main())
