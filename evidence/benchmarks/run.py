"""Measure the SDK against plain httpx in the same run: prints a table and writes evidence/benchmarks/results/<time>.json.

Everything runs on loopback, against servers that this program starts and stops. Figures are ratios where they can be:
absolute times depend on the machine. Takes a few minutes; `--quick` takes about half of one and says less. With
OFFICIAL_PYTHON in the environment, a Python that has the official SDK (`nox -s compat` leaves one in
.nox/compat/tmp/official), that one's memory is measured, too.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import attrs
import calls
import imports
import local_server
import log_events
import loopback
import memory
import sandboxes
import waits
from figures import Figure, missed, table

RESULTS = Path(__file__).parent / "results"

SECTIONS: dict[str, Callable[..., list[Figure]]] = {
    "imports": imports.measure,
    "calls": calls.measure,
    "logs": log_events.measure,
    "memory": memory.measure,
    "sandboxes": sandboxes.measure,
    "waits": waits.measure,
    "local server": local_server.measure,
}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter waits")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this section (repeatable)")
    parser.add_argument("--output", type=Path, help="the JSON file to write")
    arguments = parser.parse_args()
    start = time.monotonic()
    sections: dict[str, list[Figure]] = {}
    with loopback.running() as server:
        for name in arguments.only or SECTIONS:
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            sections[name] = SECTIONS[name](server, quick=arguments.quick)
    print(table(sections))
    for name in missed(sections):
        print(f"target not reached: {name}")
    path = arguments.output or RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_report(sections, quick=arguments.quick), indent=1) + "\n")
    print(f"\n{time.monotonic() - start:.0f} s; written to {path}")


def _report(sections: dict[str, list[Figure]], *, quick: bool) -> dict[str, object]:
    return {
        "quick": quick,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {
            name: version(name) for name in ("httpx", "httpcore", "httpx-sse", "attrs", "websockets")
        },
        "sections": {
            name: [{**attrs.asdict(figure), "reached": figure.reached} for figure in figures]
            for name, figures in sections.items()
        },
    }


if __name__ == "__main__":
    main()
