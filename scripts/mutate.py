"""Change the SDK in thousands of small ways, one at a time, and count how many changes the tests notice.

Runs mutmut with the settings in pyproject.toml, and prints a score for each module and for all. Arguments are the
mutants to try, such as "superserve._wait*"; without any, all of them. What was tried before is tried again only if its
function has changed; delete mutants/ to begin anew. Exits with 1 if the score of all is below the bound.

`mutmut results` lists what survived, `mutmut show NAME` shows it.
"""

import os
import subprocess
import sys
from collections import Counter, defaultdict

BOUND = 0.85
NOTICED = ("killed", "timeout")
NOT_TRIED = "not checked"


def main() -> int:
    """Run mutmut, print the scores, and return the exit code."""
    # As many at once as there are CPUs would let waits time out that must not.
    at_once = max(1, (os.cpu_count() or 1) // 2)
    ran = subprocess.run(["mutmut", "run", f"--max-children={at_once}", *sys.argv[1:]], check=False)
    if ran.returncode:
        return ran.returncode
    modules = results()
    total = sum(modules.values(), Counter[str]())
    for name, counts in [*sorted(modules.items()), ("all", total)]:
        tried = counts.total() - counts[NOT_TRIED]
        if tried:
            print(f"{name:<32}{noticed(counts):>6} of {tried:>5} noticed{score(counts):>8.1%}")
    return 0 if score(total) >= BOUND else 1


def results() -> dict[str, Counter[str]]:
    """Return how many mutants of each module have come to what."""
    listed = subprocess.run(
        ["mutmut", "results", "--all", "true"], check=True, capture_output=True, text=True
    )
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for line in listed.stdout.splitlines():
        mutant, _, status = line.strip().partition(": ")
        # Such as superserve._wait.xǁWaitǁpause__mutmut_3.
        modules[mutant.rpartition(".")[0]][status] += 1
    return modules


def noticed(counts: Counter[str]) -> int:
    """Return how many mutants were noticed: by a test that failed, or because the tests came to no end."""
    return sum(counts[status] for status in NOTICED)


def score(counts: Counter[str]) -> float:
    """Return the share of mutants that were noticed, of those that were tried."""
    return noticed(counts) / max(1, counts.total() - counts[NOT_TRIED])


if __name__ == "__main__":
    sys.exit(main())
