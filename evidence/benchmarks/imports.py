"""What importing costs, in CPU time beyond the start of the interpreter, each in a fresh one."""

import statistics
import subprocess
import sys

from figures import Figure
from loopback import Loopback

# Command lines and tests that import a package and don't use it pay for nothing: httpx alone takes ten times as long.
SUPERSERVE_MS = 15.0

STATEMENTS = {
    "import superserve": "import superserve",
    "import superserve; superserve.Template": "import superserve; superserve.Template",
    "import superserve; superserve.AsyncTemplate": "import superserve; superserve.AsyncTemplate",
    "import httpx, httpcore, httpx_sse, attrs, for comparison": "import httpx, httpcore, httpx_sse, attrs",
}
PROGRAM = """
import time
start = time.process_time()
{}
print(time.process_time() - start)
"""


def measure(_server: Loopback, *, quick: bool) -> list[Figure]:
    """Measure each statement in turn, several times."""
    rounds = 2 if quick else 15
    for statement in STATEMENTS.values():
        _seconds(statement)  # compiles what has not been compiled
    taken: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(rounds):
        for name, statement in STATEMENTS.items():
            taken[name].append(_seconds(statement))
    return [
        Figure(
            name,
            statistics.median(seconds) * 1e3,
            "ms CPU",
            at_most=SUPERSERVE_MS if name == "import superserve" else None,
            note=f"least {min(seconds) * 1e3:.1f}",
        )
        for name, seconds in taken.items()
    ]


def _seconds(statement: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
