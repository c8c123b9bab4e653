"""Run programs that know nothing of a local server on one, as `python -m superserve.local run --official` does for users.

These are the tests of what a user demands (tests/test_acceptance.py) with our SDK and the official Python one, the same in
TypeScript, and small programs with langchain-superserve and agno's SuperserveTools. `nox -s compat` makes the environments.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests" / "test_acceptance.py"
WANTED_PYTHON = "3.11"
# The longest takes some ten seconds; a busy machine may take much more.
LIMIT_S = 300


def main() -> int:
    """Run them all, and return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (
        ("official", "a Python that has the official SDK and pytest"),
        ("langchain", "a Python that has langchain-superserve"),
        ("agno", "a Python that has agno and the official SDK"),
    ):
        parser.add_argument(f"--{name}-python", type=Path, required=True, help=what)
    parser.add_argument(
        "--official-node",
        type=Path,
        help="a folder where npm installed the official TypeScript SDK and Node 24",
    )
    options = parser.parse_args()
    offered, version = find_python()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        # Away from this project, its settings and its fixtures.
        tests = shutil.copy(TESTS, folder)
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        pytest = ["-m", "pytest", "-v", "--no-header", "-p", "no:cacheprovider", tests]
        programs = {
            "acceptance, ours": [sys.executable, *pytest],
            "acceptance, official Python SDK": [str(options.official_python), *pytest],
            # The control plane directly, in plain HTTP, and only sandboxes through the proxy.
            "acceptance, official Python SDK with a base URL": [
                *("/bin/sh", "-c", 'SUPERSERVE_BASE_URL="$HTTPS_PROXY" exec "$0" "$@"'),
                *(str(options.official_python), *pytest),
            ],
            "langchain-superserve": [str(options.langchain_python), str(HERE / "langchain_program.py")],
            "agno's SuperserveTools": [str(options.agno_python), str(HERE / "agno_program.py")],
        }
        if options.official_node:
            node = str(options.official_node / "node_modules" / ".bin" / "node")
            acceptance = ["--test", "--test-reporter=spec", str(HERE / "acceptance.mjs")]
            programs["acceptance, official TypeScript SDK"] = [node, *acceptance]
        server = [sys.executable, "-m", "superserve.local", "--execute", "--speed", "10", "--python", offered]
        for name, program in programs.items():
            command = [*server, "run", "--official", "--", *program]
            print(f"\n== {name}\n$ {shlex.join(command)}", flush=True)
            inherited = {key: value for key, value in os.environ.items() if not key.startswith("SUPERSERVE")}
            run = subprocess.run(
                command,
                # Where Node looks for the SDK.
                cwd=options.official_node or folder,
                env={**inherited, "ACCEPTANCE_PYTHON": version},
                timeout=LIMIT_S,
                check=False,
            )
            if run.returncode:
                failed.append(name)
    print(f"\n{len(programs) - len(failed)} of {len(programs)} programs ran as they should")
    for name in failed:
        print(f"failed: {name}")
    return len(failed)


def find_python() -> tuple[str, str]:
    """Return the interpreter that sandboxes are to have, and its version: 3.11, as the tests' image says, if there is one."""
    for program in (sys.executable, f"python{WANTED_PYTHON}"):
        question = "import sys; print('%d.%d' % sys.version_info[:2])"
        found = shutil.which(program)
        asked = (
            subprocess.run([found, "-c", question], capture_output=True, text=True, check=False)
            if found
            else None
        )
        if found and asked and asked.stdout.strip() == WANTED_PYTHON:
            return found, WANTED_PYTHON
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(
        f"there is no Python {WANTED_PYTHON} on this machine: sandboxes get {version}, and the tests look for that"
    )
    return sys.executable, version


if __name__ == "__main__":
    sys.exit(main())
