"""What memory reading a long log takes, against httpx, httpx-sse and json.loads reading it, each in a fresh process.

As a program it is such a process: it reads one log and prints the most MiB that it has held before that, and at all.
It runs with any SDK that has the same names.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The official SDK's environment has not what these need.
    from figures import Figure
    from loopback import Loopback

API_KEY = "ss_benchmark_key"
TEMPLATE_ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
# The plain program forgets each event at once. Ours keeps 8 bytes of each, to find it again in a replay: 1.6 MiB of this
# log. The rest is for what has been read ahead of the caller, which is a few blocks of 64 KiB if the caller is as quick as
# the server. (With a slow caller it is 64 MiB of text at most, where the server would drop events.)
MORE_MIB = 4.0


def measure(server: "Loopback", *, quick: bool) -> "list[Figure]":
    """Measure the plain reader, ours and, if OFFICIAL_PYTHON names a Python that has it, the official SDK, in turn."""
    from figures import Figure

    count, rounds = (5_000, 1) if quick else (200_000, 5)
    url = server.url(f"log-{count}-events")
    pythons = {"plain": sys.executable, "ours": sys.executable}
    if official := os.environ.get("OFFICIAL_PYTHON"):
        pythons["official"] = official
    runs = [(name, colour) for name in pythons for colour in ("sync", "async")]
    taken: dict[tuple[str, str], list[float]] = {run: [] for run in runs}
    peaks: dict[tuple[str, str], list[float]] = {run: [] for run in runs}
    for number in range(rounds):
        for name, colour in runs:
            before, peak = _read(pythons[name], name, colour, url, number)
            taken[name, colour].append(peak - before)
            peaks[name, colour].append(peak)
    medians = {run: statistics.median(values) for run, values in taken.items()}
    figures = []
    for (name, colour), mib in medians.items():
        note = f"{count:,} events; {min(taken[name, colour]):.1f} to {max(taken[name, colour]):.1f}; "
        note += f"{statistics.median(peaks[name, colour]):.1f} MiB with the program"
        # As little as 0 is possible, where all of it fits into what importing has left.
        more = max(mib - medians["plain", colour], 0.01)
        if name == "ours":
            figures.append(
                Figure(f"more than plain, {colour}", more, "MiB", at_most=MORE_MIB, note=f"of {note}")
            )
        figures.append(Figure(f"reading a log, {name}, {colour}", max(mib, 0.01), "MiB", note=note))
    return figures


def _read(python: str, name: str, colour: str, url: str, number: int) -> tuple[float, float]:
    # Each reading is of a build of its own, which is building when it is first asked for.
    build_id = f"memory-{name}-{colour}-{number}"
    command = [python, __file__, "plain" if name == "plain" else "sdk", colour, build_id]
    environment = os.environ | {"SUPERSERVE_BASE_URL": url, "SUPERSERVE_API_KEY": API_KEY}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    before, peak = map(float, printed.split())
    return before, peak


def _plain(build_id: str) -> None:
    import json

    import httpx
    from httpx_sse import EventSource

    with httpx.Client(base_url=os.environ["SUPERSERVE_BASE_URL"], headers={"X-API-Key": API_KEY}) as http:
        http.get(f"/templates/{TEMPLATE_ID}")
        before = peak()
        with http.stream("GET", f"/templates/{TEMPLATE_ID}/builds/{build_id}/logs") as response:
            for sse in EventSource(response).iter_sse():
                json.loads(sse.data)
    print(before, peak())


async def _plain_async(build_id: str) -> None:
    import json

    import httpx
    from httpx_sse import EventSource

    async with httpx.AsyncClient(
        base_url=os.environ["SUPERSERVE_BASE_URL"], headers={"X-API-Key": API_KEY}
    ) as http:
        await http.get(f"/templates/{TEMPLATE_ID}")
        before = peak()
        async with http.stream("GET", f"/templates/{TEMPLATE_ID}/builds/{build_id}/logs") as response:
            async for sse in EventSource(response).aiter_sse():
                json.loads(sse.data)
    print(before, peak())


def _sdk(build_id: str) -> None:
    from superserve import Template

    template = Template.connect(TEMPLATE_ID)
    before = peak()
    template.stream_build_logs(on_event=_ignore, build_id=build_id)
    print(before, peak())


async def _sdk_async(build_id: str) -> None:
    from superserve import AsyncTemplate

    template = await AsyncTemplate.connect(TEMPLATE_ID)
    before = peak()
    await template.stream_build_logs(on_event=_ignore, build_id=build_id)
    print(before, peak())


def _ignore(_event: object) -> None:
    pass


def peak() -> float:
    """Return the most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which on Linux begins with what the parent held.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    _, reader, colour, build_id = sys.argv
    if colour == "sync":
        (_plain if reader == "plain" else _sdk)(build_id)
    else:
        asyncio.run((_plain_async if reader == "plain" else _sdk_async)(build_id))
