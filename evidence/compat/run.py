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

from superserve.local import Limits, LocalServer, TeamLimits

HERE = Path(__file__).parent
KEY = "ss_local_00000000000000000000000000000000"
# Nobody waits for the silent server longer than this.
LIMIT_S = 300

PYTHON, TYPESCRIPT = "Python", "TypeScript"
CLIENT_SIDE = "ours refuses it before it is sent, so there is no status"
GOES_ON = "it raises; ours connects again and goes on where the log was cut off"
BREAKS = "breaks in the official SDK; ours works"

# Where an official SDK reports something else than ours, and why ours does what it does.
EXPLAINED: dict[str, dict[str, str]] = {
    "wait_until_ready: on_log": {
        TYPESCRIPT: "it stops listening when the build is ready; ours reads the log to its end"
    },
    "connect to an id with a slash": {
        PYTHON: "it asks another route and breaks on the answer; ours refuses such an id",
        TYPESCRIPT: CLIENT_SIDE,
    },
    "connect to nothing": {
        PYTHON: "it asks for the list and breaks on the redirect; ours refuses such an id",
        TYPESCRIPT: CLIENT_SIDE,
    },
    "stream_build_logs: callback raises": {
        TYPESCRIPT: "it swallows the callback's error; ours is the caller's"
    },
    "wait_until_ready: callback raises": {
        PYTHON: "it swallows the callback's error; ours is the caller's",
        TYPESCRIPT: "it swallows the callback's error; ours is the caller's",
    },
    "list_builds: limit": {
        PYTHON: "the server ignores limit; ours cuts the list itself",
        TYPESCRIPT: "the server ignores limit; ours cuts the list itself",
    },
    "cancel_build: wait_until_ready": {
        PYTHON: "it makes up a status and a code; no answer of the server had them",
        TYPESCRIPT: "it makes up a status and a code; no answer of the server had them",
    },
    "a failed build: stream_build_logs": {
        PYTHON: "it doesn't know the stream `error`, which every failing build has"
    },
    "a bad name": {PYTHON: CLIENT_SIDE, TYPESCRIPT: CLIENT_SIDE},
    "steps as plain mappings": {PYTHON: BREAKS},
    "a step of two kinds": {PYTHON: BREAKS, TYPESCRIPT: CLIENT_SIDE},
    "a NUL in a command": {PYTHON: CLIENT_SIDE, TYPESCRIPT: CLIENT_SIDE},
    "no key": {
        PYTHON: "it makes up a status; nothing was asked",
        TYPESCRIPT: "it makes up a status; nothing was asked",
    },
    "a newer server: a status unknown so far": {
        PYTHON: "it breaks on a status that it doesn't know; ours passes it on"
    },
    "a log that is cut off: stream_build_logs": {PYTHON: GOES_ON, TYPESCRIPT: GOES_ON},
    "run: a folder that is not there": {
        PYTHON: "ours has a class of its own for a command that did not start"
    },
    "run: nothing": {PYTHON: CLIENT_SIDE},
    "files: none": {PYTHON: "ours has a class of its own for it, below NotFoundError"},
    "files: a relative path": {PYTHON: CLIENT_SIDE},
    "update: nothing": {PYTHON: CLIENT_SIDE},
    "preview: a port that is taken": {PYTHON: CLIENT_SIDE},
    "kill: run": {
        PYTHON: "ours says that the sandbox does not run; the official async one has closed itself"
    },
    "kill: get_info": {
        PYTHON: "it refuses to ask after kill(); ours asks, and the server says that it is gone"
    },
    "sandbox: connect to an unknown one": {
        PYTHON: "connecting wakes a sandbox; ours says that it cannot be woken"
    },
    "sandbox: without a name": {PYTHON: CLIENT_SIDE},
    "nobody answers the call": {
        PYTHON: "ours has a class of its own for it, below SandboxError",
        TYPESCRIPT: "ours has a class of its own for it, below SandboxError",
    },
}


@attrs.frozen
class Sdk:
    """An SDK in its environment."""

    name: str
    language: str
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
        official = own if sdk.language == "ours" else server.official_environment()
        yield inherited | official | {"COMPAT_PART": "sandboxes"}


def isolation() -> str:
    """Return what keeps commands apart on this machine: where nothing does, that is asked for by name."""
    from superserve.local._machines.sandboxes.spaces import find_space

    return "none" if isinstance(find_space(), str) else "auto"


def report_of(sdk: Sdk) -> dict[str, Any]:
    """Run all steps with an SDK, and return what it reported of each."""
    report = {}
    # The TypeScript driver knows templates only.
    for start in (servers, *((lambda: sandbox_server(sdk),) if sdk.language != TYPESCRIPT else ())):
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
    for step, outcome in own.items():
        row = [step, textwrap.shorten(brief(outcome), 40, placeholder="…")]
        for sdk, report in others:
            if report.get(step) == outcome:
                same += 1
                row.append("same")
                continue
            reason = EXPLAINED.get(step, {}).get(sdk.language)
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
    return unexplained


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--official-python", type=Path, required=True, help="a Python that has the official SDK"
    )
    parser.add_argument(
        "--official-node", type=Path, help="a folder where the official TypeScript SDK is installed"
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
        Sdk("ours", "ours", [sys.executable, driver], HERE),
        Sdk("ours, async", "ours", [sys.executable, driver, "async"], HERE),
        Sdk(f"Python {version}", PYTHON, [str(options.official_python), driver], HERE),
        Sdk(f"Python {version}, async", PYTHON, [str(options.official_python), driver, "async"], HERE),
    ]
    if options.official_node:
        package = options.official_node / "node_modules" / "@superserve" / "sdk" / "package.json"
        version = json.loads(package.read_text())["version"]
        sdks.append(
            Sdk(
                f"TypeScript {version}", TYPESCRIPT, ["node", str(HERE / "driver.mjs")], options.official_node
            )
        )
    # Each waits 30 seconds for the server that never answers, so they wait together.
    with ThreadPoolExecutor(len(sdks)) as pool:
        reports = dict(zip(sdks, pool.map(report_of, sdks), strict=True))
    return 1 if print_table(reports) else 0


if __name__ == "__main__":
    sys.exit(main())
