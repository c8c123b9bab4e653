"""Change the client in small ways, one at a time, and count how many of the changes the tests notice.

mutmut makes the changes. For each, this script runs the tests that come by the changed line, in a process of its own,
until one fails. Which tests come by where is found out first, by one run of all of them under coverage.

Everything lies in build/mutation: a copy of the project, which is what is changed, and results.jsonl. Stop it with
Ctrl-C, and go on with the same command: changes that were noticed, and those that the present tests have missed, are
not tried again. Prints what was missed as differences, then a score for each module and for all; exits with 1 if the
score is below the bound.

Left out: code outside functions, and functions with decorators but staticmethod and classmethod, which mutmut doesn't
change. A test that fails at the first run is left out too, and named.
"""

import argparse
import contextlib
import difflib
import hashlib
import importlib.util
import json
import math
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import libcst
from coverage import CoverageData
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import create_mutations

BOUND = 0.85
HERE = Path(__file__).resolve().parent.parent
WORK = HERE / "build" / "mutation"
COPY = WORK / "copy"
IMPORTED = (str(COPY), str(COPY / "generated"))
RESULTS = WORK / "results.jsonl"
PARTS = (
    "superserve",
    "generated",
    "tests",
    "docs",
    "examples",
    "scripts",
    "openapi.yaml",
    "pyproject.toml",
    "README.md",
)
# The synchronous half is the asynchronous one in other words.
CLIENT = (
    "superserve/_*.py",
    "superserve/errors.py",
    "superserve/_async",
    "superserve/_http",
    "superserve/_operations",
    "superserve/_streams",
    "superserve/types",
)
NOT_CHANGED = ("superserve/__init__.py", "superserve/__main__.py")
TESTS = (
    "tests/unit",
    "tests/client",
    "tests/transport",
    "tests/specs",
    "tests/cli",
    # They compare texts, signatures and imports, and so would notice what nobody who uses the client would.
    "--ignore=tests/unit/test_surface.py",
    "--ignore=tests/unit/test_imports.py",
    "--ignore=tests/unit/test_packaging.py",
    "--ignore=tests/unit/test_typing.py",
    # A signal that raises while coverage holds its own lock leaves it locked.
    "--ignore=tests/transport/test_interruption.py",
)
# A test that isn't marked as slow takes less than two seconds. Asserts that explain themselves take time to compile.
PYTEST_OPTIONS = (
    "-q",
    "-rfE",
    "--assert=plain",
    "--hypothesis-seed=0",
    "--timeout=20",
    "--timeout-method=thread",
)
RUN_TIMEOUT_S = 900
# A change that is noticed by none of so many, those that come by little else, counts as missed.
MOST_TESTS = 500
NOTICED = ("killed", "timeout")
# Processes that run tests are forked from one that has loaded what tests need, and has run none: most of the time that
# a test takes would go there. Nothing of the project may be in it.
PROCESSES = multiprocessing.get_context("forkserver")
LOADED = (
    "mutmut.mutation.file_mutation",  # by this file
    "coverage",
    "pytest",
    "pytest_asyncio",
    "anyio",
    "click",
    "httpx",
    "httpx_sse",
    "hypothesis",
    "pytest_httpx",
    "respx",
    "rich.console",
    "starlette.applications",
    "trustme",
    "uvicorn",
    "websockets.sync.client",
)


@dataclass(frozen=True)
class Mutant:
    """One small change: what tells it from others, where it is, and the file with it."""

    name: str
    module: str
    file: str
    lines: range
    function: range
    code: str
    difference: str


@dataclass(frozen=True)
class Result:
    """What became of a mutant: killed, timeout or survived; `tests` says which state of the tests was asked."""

    name: str
    module: str
    status: str
    by: str
    tests: str
    difference: str


@dataclass(frozen=True)
class Coverage:
    """Which tests come by which line of which file."""

    tests_by_line: dict[str, dict[int, set[str]]]
    lines_by_test: Counter[str]

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that come by a change, then those of its function; of each, first what comes by little else.

        Of its function, as a constant amid a statement has no line of its own, and as coverage misses what a coroutine does
        after it was cancelled.
        """
        lines = self.tests_by_line.get(mutant.file, {})
        near, around = (
            set[str]().union(*(lines.get(line, ()) for line in where))
            for where in (mutant.lines, mutant.function)
        )
        return sorted(near | around, key=lambda test: (test not in near, self.lines_by_test[test], test))[
            :MOST_TESTS
        ]


def main() -> int:
    """Try the mutants that are not known yet, print differences and scores, and return the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s mutate --", description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", help="such as superserve/_http; the whole client by default")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="try N mutants, chosen by chance; all by default"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the choice (default: %(default)s)")
    options = parser.parse_args()
    # For processes that run tests, and those that tests start.
    os.environ["PYTHONPATH"] = os.pathsep.join(IMPORTED)
    # Two mutants of a second may have the same time and size, which is all that Python looks at.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    PROCESSES.set_forkserver_preload(list(LOADED))
    state = copy_project()
    results = known(state)
    wanted: list[str] = []
    try:
        coverage = read_coverage(state)
        places = places_of(options.paths or CLIENT)
        random.Random(options.seed).shuffle(places)
        for number, (file, index) in enumerate(places[: options.sample], 1):
            mutant = make(file, index)
            wanted.append(mutant.name)
            if mutant.name not in results:
                status, by = attempt(mutant, coverage.tests_of(mutant))
                result = Result(mutant.name, mutant.module, status, by, state, mutant.difference)
                with RESULTS.open("a", encoding="utf-8") as out:
                    print(json.dumps(asdict(result)), file=out)
                results[mutant.name] = result
                print(f"{number:>6} {status:<9}{mutant.name}", flush=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on")
    return report([results[name] for name in wanted if name in results])


def copy_project() -> str:
    """Copy the project into the working folder; return what tells this state of the tests and the client."""
    state = hashlib.sha256()
    for file in files_of(HERE):
        state.update(str(file.relative_to(HERE)).encode() + file.read_bytes())
    # Anew each time: whoever was stopped by force has left a change in it.
    shutil.rmtree(COPY, ignore_errors=True)
    for file in files_of(HERE):
        target = COPY / file.relative_to(HERE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    return state.hexdigest()[:12]


def files_of(root: Path) -> Iterator[Path]:
    """Return the files that the tests need."""
    for part in PARTS:
        path = root / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def read_coverage(state: str) -> Coverage:
    """Return which tests come by where; run them all if that isn't known for this state of them."""
    data_file = WORK / f"coverage-{state}"
    failed_file = WORK / f"failed-{state}.json"
    if not data_file.exists():
        print("running all tests once, to find out which come by where", flush=True)
        # Nothing has been changed, so nothing goes on for ever, however slow the machine is.
        options = ("-n", "auto", "--timeout=0", "--cov=superserve", "--cov-context=test", "--cov-report=")
        code, output = run_pytest(*options, "-m", "not slow", *TESTS, timeout_s=None)
        if code not in (0, 1):
            sys.exit(f"the tests could not be run:\n{output[-4000:]}")
        last_failed = COPY / ".pytest_cache" / "v" / "cache" / "lastfailed"
        failed = sorted(json.loads(last_failed.read_text(encoding="utf-8"))) if last_failed.exists() else []
        failed_file.write_text(json.dumps(failed), encoding="utf-8")
        (COPY / ".coverage").replace(data_file)
    left_out = set(json.loads(failed_file.read_text(encoding="utf-8")))
    for test in sorted(left_out):
        print(f"left out, as it fails without a change: {test}")
    data = CoverageData(str(data_file))
    data.read()
    found: dict[str, dict[int, set[str]]] = {}
    lines_by_test = Counter[str]()
    for file in data.measured_files():
        lines = found[str(Path(file).relative_to(COPY))] = {}
        for line, contexts in data.contexts_by_lineno(file).items():
            # Such as tests/unit/test_x.py::test_y|run; what is imported has none.
            lines[line] = {context.rpartition("|")[0] for context in contexts} - left_out - {""}
            lines_by_test.update(lines[line])
    return Coverage(found, lines_by_test)


def places_of(paths: Iterable[str]) -> list[tuple[str, int]]:
    """Return all mutants of files and folders: each as its file and its number there."""
    files: set[Path] = set()
    for pattern in paths:
        for path in COPY.glob(pattern.rstrip("/")):
            files.update(path.rglob("*.py") if path.is_dir() else [path])
    names = sorted(str(file.relative_to(COPY)) for file in files)
    return [
        (name, index) for name in names if name not in NOT_CHANGED for index in range(len(mutations(name)[1]))
    ]


_parsed: dict[str, tuple[libcst.Module, list]] = {}


def mutations(file: str) -> tuple[libcst.Module, list]:
    """Return a file, parsed, and what mutmut would change in its functions."""
    if file not in _parsed:
        module, found, _, _ = create_mutations(file, (COPY / file).read_text(encoding="utf-8"))
        in_functions = [
            mutation
            for mutation in found
            if isinstance(mutation.contained_by_top_level_function, libcst.FunctionDef)
        ]
        _parsed[file] = module, in_functions
    return _parsed[file]


def make(file: str, index: int) -> Mutant:
    """Make one mutant."""
    module, found = mutations(file)
    mutation = found[index]
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)

    def lines(node: libcst.CSTNode) -> range:
        position = positions.get(node)
        return range(position.start.line, position.end.line + 1) if position else range(0)

    code = module.deep_replace(mutation.original_node, mutation.mutated_node).code
    difference = "".join(
        difflib.unified_diff(
            module.code.splitlines(keepends=True), code.splitlines(keepends=True), f"a/{file}", f"b/{file}"
        )
    )
    return Mutant(
        # The same change of the same code, wherever in its file that has come to stand.
        name=f"{file}:{hashlib.sha256(code.encode()).hexdigest()[:12]}",
        module=file.removesuffix(".py").replace("/", "."),
        file=file,
        lines=lines(mutation.original_node),
        function=lines(mutation.contained_by_top_level_function),
        code=code,
        difference=difference,
    )


def known(state: str) -> dict[str, Result]:
    """Return the results that hold: what was killed stays so, what survived is tried again when tests have changed."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(encoding="utf-8") as lines:
        results = [Result(**json.loads(line)) for line in lines]
    return {result.name: result for result in results if result.status in NOTICED or result.tests == state}


def attempt(mutant: Mutant, tests: list[str]) -> tuple[str, str]:
    """Run tests on a mutant until one fails; return what came of it, and by which test."""
    if not tests:
        return "survived", "no test comes by"
    file = COPY / mutant.file
    before, times = file.read_bytes(), file.stat()
    listed = WORK / "tests.txt"
    listed.write_text("\n".join(tests), encoding="utf-8")
    try:
        file.write_text(mutant.code, encoding="utf-8")
        code, output = run_pytest("-x", f"@{listed}")
    finally:
        file.write_bytes(before)
        # Python tells by the time whether what it has compiled is still good.
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    if code is None or "+ Timeout +" in output:
        return "timeout", ""
    if code == 0:
        return "survived", f"{len(tests)} tests"
    if code != 1:
        # Such as one that can't be imported; or is it the tests that can't be run?
        code_without, output = run_pytest("-x", f"@{listed}")
        if code_without != 0:
            sys.exit(f"the tests of {mutant.name} fail without it:\n{output[-4000:]}")
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
    return "killed", failed[1] if failed else f"exit code {code}"


def run_pytest(*arguments: str, timeout_s: float | None = RUN_TIMEOUT_S) -> tuple[int | None, str]:
    """Run pytest on the copy in a process of its own; return its exit code, None if it took too long, and its words."""
    output = WORK / "output.txt"
    process = PROCESSES.Process(target=be_pytest, args=(arguments, output))
    process.start()
    try:
        process.join(timeout_s)
        ended = not process.is_alive()
    finally:
        # It leads a group, in which is what its tests have started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode if ended else None, output.read_text(encoding="utf-8", errors="replace")


def be_pytest(arguments: tuple[str, ...], output: Path) -> None:
    """Be a process that runs tests: what is known of it is its exit code and what it writes to a file."""
    import pytest

    os.setsid()
    with output.open("wb") as out:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(out.fileno(), sys.stderr.fileno())
    os.chdir(COPY)
    sys.path[:0] = IMPORTED
    found = importlib.util.find_spec("superserve")
    if found is None or found.origin != str(COPY / "superserve" / "__init__.py"):
        # Tests that ran on what is installed would notice nothing.
        print(f"not the copy is imported: {found}", flush=True)
        os._exit(99)
    code = pytest.main([*PYTEST_OPTIONS, *arguments])
    sys.stdout.flush()
    # Threads that a change has left behind are not waited for.
    os._exit(code)


def report(results: list[Result]) -> int:
    """Print what was missed, and the scores; return the exit code."""
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        modules[result.module][result.status] += 1
        if result.status not in NOTICED:
            print(f"\n{result.name}: {result.by}\n{result.difference}", end="")
    total = sum(modules.values(), Counter[str]())
    print()
    for name, counts in [*sorted(modules.items()), ("all", total)]:
        print(f"{name:<40}{noticed(counts):>6} of {counts.total():>5} noticed{score(counts):>8.1%}")
    print(", ".join(f"{count} {status}" for status, count in sorted(total.items())))
    print(f"of all changes, with a chance of 95 %: {score(total):.1%} ± {doubt(total):.1%}")
    return 0 if score(total) >= BOUND else 1


def noticed(counts: Counter[str]) -> int:
    """Return how many mutants were noticed: by a test that failed, or because the tests came to no end."""
    return sum(counts[status] for status in NOTICED)


def score(counts: Counter[str]) -> float:
    """Return the share of mutants that were noticed, of those that were tried."""
    return noticed(counts) / max(1, counts.total())


def doubt(counts: Counter[str]) -> float:
    """Return how far the score of a sample may be from that of all, in 95 of 100 samples."""
    share = score(counts)
    return 1.96 * math.sqrt(share * (1 - share) / max(1, counts.total()))


if __name__ == "__main__":
    sys.exit(main())
