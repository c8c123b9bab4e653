"""schemathesis finds nothing that isn't a known difference between contract and server.

This takes seconds; `nox -s fuzz` does the same at length. FUZZ_EXAMPLES says how many requests of each kind are made up
for an operation, FUZZ_SEED which ones.
"""

import os
import pathlib
import subprocess
import sys

import pytest

from superserve.local import LocalServer
from superserve.local._machines.sandboxes.spaces import find_space

pytest.importorskip("schemathesis", reason="needs schemathesis, which nox -s tests_slow installs")

ROOT = pathlib.Path(__file__).parent.parent.parent
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
SEED = os.environ.get("FUZZ_SEED", "1")
# A run that made fewer requests than this has a fault of its own.
ENOUGH = 6 * EXAMPLES + 300


@pytest.fixture
def fuzz(tmp_path):
    """Try the contract on a server, and give back what was written about it."""

    def fuzz(server, *options, tags=("Templates", "System"), **variables):
        environment = {
            **os.environ,
            "SUPERSERVE_BASE_URL": server.base_url,
            "SUPERSERVE_API_KEY": server.api_key,
            "FUZZ_CASES": str(ENOUGH),
            # Of the sandbox that requests of the data plane are for.
            "FUZZ_SANDBOX": "none",
            "FUZZ_TOKEN": "none",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path),
            **variables,
        }
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file=tests/fuzz/schemathesis.toml",
            "run",
        ]
        command += ["openapi.yaml", f"--max-examples={EXAMPLES}", f"--seed={SEED}", "--no-color", *options]
        command += [f"--include-tag={tag}" for tag in tags]
        run = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
            check=False,
        )
        # Shown by `pytest -s`, as the long version is run.
        sys.stdout.write(run.stdout)
        assert run.returncode == 0, run.stdout
        return run.stdout

    return fuzz


def test_good_and_bad_requests_are_answered_as_the_contract_says(fuzz):
    with LocalServer(seed=1, speed=100, limits=False) as server:
        report = fuzz(server)

    assert "10 selected" in report


def test_limits_are_told_as_the_contract_says(fuzz):
    with LocalServer(seed=1, speed=100) as server:
        # An address that asks too often is refused before its key is looked at.
        report = fuzz(server, "--exclude-checks=ignored_auth,missing_required_header")

    assert "429: " in report


def test_newer_servers_answer_as_the_contract_says_with_values_that_it_does_not_know(fuzz):
    with LocalServer(seed=1, speed=100, limits=False, newer=True) as server:
        report = fuzz(server, FUZZ_NEWER="1")

    assert "newer parameters 0," in report


def test_sandboxes_are_answered_as_the_contract_says_on_both_planes(fuzz):
    isolation = "none" if isinstance(find_space(), str) else "auto"
    # At its own speed, as a token lives for an hour of the server's.
    with LocalServer(seed=1, limits=False, isolation=isolation) as server:
        # Whatever would be made up as a command is not run.
        server.commands.on("*").answer(stdout="made up\n")
        sandbox_id = server.sandboxes.add("fuzzed")
        report = fuzz(
            server,
            tags=("Sandboxes", "Exec", "Files"),
            FUZZ_SANDBOX=sandbox_id,
            FUZZ_TOKEN=server.sandboxes.token(sandbox_id),
        )

    assert "13 selected" in report
