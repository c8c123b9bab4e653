"""Change the SDK in thousands of small ways, one at a time, and count how many changes the tests notice.

Runs mutmut with the settings in pyproject.toml, and prints a score for each module and for all. Arguments are the
mutants to try, such as "superserve._polling*"; without any, all of them, which takes hours. `--sample 800` tries so many,
chosen by chance, and tells how far their score may be from that of all. What was tried before is tried again only if
its function has changed; delete mutants/ to begin anew. Exits with 1 if the score is below the bound.

`mutmut results` lists what survived, `mutmut show NAME` shows it.
"""

import argparse
import math
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from fnmatch import fnmatch

BOUND = 0.85
NOTICED = ("killed", "timeout")
NOT_TRIED = "not checked"
PROBE = "superserve._config.x__is_printable__mutmut_*"


def main() -> int:
    """Run mutmut, print the scores, and return the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s mutate --", description=__doc__.partition("\n")[0])
    parser.add_argument("mutants", nargs="*", help='such as "superserve._polling*"; all by default')
    parser.add_argument("--sample", type=int, metavar="N", help="try N of them, chosen by chance")
    parser.add_argument("--seed", type=int, default=1, help="of the choice (default: %(default)s)")
    # As many at once as there are CPUs would let waits time out that must not.
    at_once = max(1, (os.cpu_count() or 1) // 2)
    parser.add_argument(
        "--at-once", type=int, default=at_once, help="how many at a time (default: %(default)s)"
    )
    options = parser.parse_args()
    names: list[str] = options.mutants
    if options.sample:
        names = random.Random(options.seed).sample(all_mutants(names), options.sample)
    ran = subprocess.run(["mutmut", "run", f"--max-children={options.at_once}", *names], check=False)
    if ran.returncode:
        return ran.returncode
    modules = results(names if options.sample else None)
    total = sum(modules.values(), Counter[str]())
    for name, counts in [*sorted(modules.items()), ("all", total)]:
        if tried(counts):
            print(f"{name:<32}{noticed(counts):>6} of {tried(counts):>5} noticed{score(counts):>8.1%}")
    if options.sample:
        print(f"{'of all, with a chance of 95 %,':<51}{score(total):>8.1%} ± {doubt(total):.1%}")
    return 0 if score(total) >= BOUND else 1


def all_mutants(patterns: list[str]) -> list[str]:
    """Return the names of the mutants that patterns stand for."""
    # mutmut makes them when it is to run, and only then: so let it, with a few.
    subprocess.run(["mutmut", "run", "--max-children=1", PROBE], check=True)
    names = [mutant for mutant, _ in listed()]
    return [name for name in names if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]


def listed() -> list[tuple[str, str]]:
    """Return each mutant with what it has come to."""
    told = subprocess.run(["mutmut", "results", "--all", "true"], check=True, capture_output=True, text=True)
    lines = (line.strip().partition(": ") for line in told.stdout.splitlines())
    return sorted((mutant, status) for mutant, _, status in lines if "__mutmut_" in mutant)


def results(names: Iterable[str] | None = None) -> dict[str, Counter[str]]:
    """Return how many mutants of each module, of all or of those named, have come to what."""
    wanted = None if names is None else set(names)
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, status in listed():
        if wanted is None or mutant in wanted:
            # Such as superserve._polling.xǁPaceǁnext_delay__mutmut_3.
            modules[mutant.rpartition(".")[0]][status] += 1
    return modules


def tried(counts: Counter[str]) -> int:
    """Return how many mutants have been tried."""
    return counts.total() - counts[NOT_TRIED]


def noticed(counts: Counter[str]) -> int:
    """Return how many mutants were noticed: by a test that failed, or because the tests came to no end."""
    return sum(counts[status] for status in NOTICED)


def score(counts: Counter[str]) -> float:
    """Return the share of mutants that were noticed, of those that were tried."""
    return noticed(counts) / max(1, tried(counts))


def doubt(counts: Counter[str]) -> float:
    """Return how far the score of a sample may be from that of all, in 95 of 100 samples."""
    share = score(counts)
    return 1.96 * math.sqrt(share * (1 - share) / max(1, tried(counts)))


if __name__ == "__main__":
    sys.exit(main())
