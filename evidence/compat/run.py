"""Run the same steps with this SDK and the official ones, each on a local server of its own, and compare the reports.

Prints a table, and fails if something differs that EXPLAINED has no reason for. `nox -s compat` makes the environments.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
from explained import ASYNC, EXPLAINED, MAY_AGREE, SYNC, TYPESCRIPT

from superserve.local import Limits, LocalServer, TeamLimits

HERE = Path(__file__).parent
KEY = "ss_local_00000000000000000000000000000000"
# Nobody waits for the silent server longer than this.
LIMIT_S = 300

OURS = "ours"


@attrs.frozen
class Sdk:
    """An SDK in its environment."""

    name: str
    kind: str
    command: list[str] = attrs.field(hash=False)
    folder: Path


@contextlib.contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Start the servers that one driver needs, and give its environment."""
    # The quotas of an ordinary team count, its rate doesn't.
    limits = Limits(requests_per_s=1e6, burst=10**6, team=TeamLimits(requests_per_s=1e6, burst=10**6))
    with (
        LocalServer(api_key=KEY, speed=10, limits=limits) as server,
        LocalServer(api_key=KEY, limits=False, newer=True) as newer,
        LocalServer(api_key=KEY, speed=10, limits=False) as faulty,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        with socket.create_server(("127.0.0.1", 0)) as refusing:
            refusing_port = refusing.getsockname()[1]
        server.templates.add("bare")
        faulty.faults.on("GET /templates", times=2).answer(503)
        limited = {"error": {"code": "rate_limited", "message": "too many requests"}}
        faulty.faults.on("GET /templates/{id}", times=3).answer(
            429, headers={"Retry-After": "0"}, json=limited
        )
        faulty.faults.on("streamTemplateBuildLogs", times=2).cut(after_events=2)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SUPERSERVE"))
        }
        yield inherited | {
            "SUPERSERVE_BASE_URL": server.base_url,
            "SUPERSERVE_API_KEY": KEY,
            "COMPAT_NEWER_URL": newer.base_url,
            "COMPAT_FAULTY_URL": faulty.base_url,
            "COMPAT_REFUSING_URL": f"http://127.0.0.1:{refusing_port}",
            "COMPAT_SILENT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }


@contextlib.contextmanager
def sandbox_server(sdk: Sdk) -> Iterator[dict[str, str]]:
    """Start the server of the sandboxes, and give the environment: official SDKs reach it as the real addresses."""
    with LocalServer(api_key=KEY, limits=False, isolation=isolation()) as server:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SUPERSERVE"))
        }
        own = {"SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": KEY}
        official = own if sdk.kind == OURS else server.official_environment()
        yield inherited | official | {"COMPAT_PART": "sandboxes"}


def isolation() -> str:
    """Return what keeps commands apart on this machine: where nothing does, that is asked for by name."""
    from superserve.local._machines.sandboxes.spaces import find_space

    return "none" if isinstance(find_space(), str) else "auto"


def report_of(sdk: Sdk) -> dict[str, Any]:
    """Run all steps with an SDK, and return what it reported of each."""
    report = {}
    for start in (servers, lambda: sandbox_server(sdk)):
        with start() as environment:
            run = subprocess.run(
                sdk.command,
                cwd=sdk.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        if run.returncode:
            sys.exit(f"{sdk.name} broke down:\n{run.stdout}{run.stderr}")
        report |= {line["step"]: line["outcome"] for line in map(json.loads, run.stdout.splitlines())}
    return report


def brief(outcome: Any) -> str:
    """Write an outcome in few words."""
    if isinstance(outcome, dict) and "raises" in outcome:
        return " ".join(str(value) for value in outcome.values() if value is not True)
    if isinstance(outcome, list):
        return f"[{', '.join(map(brief, outcome))}]"
    if not isinstance(outcome, dict):
        return json.dumps(outcome)
    if "events" in outcome:
        return f"{outcome['events']} events, the last one {outcome['last'][1]}"
    if "status" not in outcome:
        return json.dumps(outcome)
    present = [
        name for name, value in outcome.items() if value is not None and name not in {"name", "status"}
    ]
    return f"{outcome['status']} with {len(present)} fields"


def print_table(reports: dict[Sdk, dict[str, Any]]) -> int:
    """Print what was reported, and return how many differences have no explanation."""
    (ours, own), *others = reports.items()
    rows = [["", ours.name, *(sdk.name for sdk, _ in others)]]
    notes: list[str] = []
    same = unexplained = 0
    # A reason that nothing needs any more would hide what comes later.
    stale = [
        f"{step!r} of {sdk.name}"
        for sdk, report in others
        for step, reasons in EXPLAINED.items()
        if sdk.kind in reasons and report.get(step) == own.get(step) and step not in MAY_AGREE
    ]
    for step, outcome in own.items():
        row = [step, textwrap.shorten(brief(outcome), 40, placeholder="…")]
        for sdk, report in others:
            if report.get(step) == outcome:
                same += 1
                row.append("same")
                continue
            reason = EXPLAINED.get(step, {}).get(sdk.kind)
            if reason is None:
                unexplained += 1
                reason = f"UNEXPLAINED: ours gave {outcome}, this one {report.get(step)}"
            if reason not in notes:
                notes.append(reason)
            row.append(f"{brief(report.get(step))} [{notes.index(reason) + 1}]")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    sys.stdout.write("\n" + "".join(f"[{number}] {note}\n" for number, note in enumerate(notes, start=1)))
    sys.stdout.write(
        f"\n{len(own)} steps, compared with {len(others)} other runs: {same} outcomes are the same, "
        f"{len(own) * len(others) - same - unexplained} differ by intent, {unexplained} without a reason\n"
    )
    if stale:
        sys.stdout.write(f"reasons for differences that are none: {', '.join(stale)}\n")
    return unexplained + len(stale)


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--official-python", type=Path, required=True, help="a Python that has the official SDK"
    )
    parser.add_argument(
        "--official-node",
        type=Path,
        help="a folder where npm installed the official TypeScript SDK and Node 24",
    )
    options = parser.parse_args()
    driver = str(HERE / "driver.py")
    version = subprocess.run(
        [options.official_python, "-c", "import importlib.metadata as m; print(m.version('superserve'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    sdks = [
        Sdk("ours", OURS, [sys.executable, driver], HERE),
        Sdk("ours, async", OURS, [sys.executable, driver, "async"], HERE),
        Sdk(f"Python {version}", SYNC, [str(options.official_python), driver], HERE),
        Sdk(f"Python {version}, async", ASYNC, [str(options.official_python), driver, "async"], HERE),
    ]
    if options.official_node:
        package = options.official_node / "node_modules" / "@superserve" / "sdk" / "package.json"
        version = json.loads(package.read_text())["version"]
        # Sandboxes need Node 24, which npm has as a package.
        node = options.official_node / "node_modules" / ".bin" / "node"
        command = [str(node), str(HERE / "driver.mjs")]
        sdks.append(Sdk(f"TypeScript {version}", TYPESCRIPT, command, options.official_node))
    # Each waits 30 seconds for the server that never answers, so they wait together.
    with ThreadPoolExecutor(len(sdks)) as pool:
        reports = dict(zip(sdks, pool.map(report_of, sdks), strict=True))
    return 1 if print_table(reports) else 0


if __name__ == "__main__":
    sys.exit(main())
