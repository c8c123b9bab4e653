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

pytest.importorskip("schemathesis", reason="needs schemathesis, which nox -s tests_slow installs")

ROOT = pathlib.Path(__file__).parent.parent.parent
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
SEED = os.environ.get("FUZZ_SEED", "1")
# A run that made fewer requests than this has a fault of its own.
ENOUGH = 6 * EXAMPLES + 300


@pytest.fixture
def fuzz(tmp_path):
    """Try the contract on a server, and give back what was written about it."""

    def fuzz(server, *options, **variables):
        environment = {
            **os.environ,
            "SUPERSERVE_BASE_URL": server.base_url,
            "SUPERSERVE_API_KEY": server.api_key,
            "FUZZ_CASES": str(ENOUGH),
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
        # Sandboxes change by themselves, and the data plane wants their tokens: tests/local has tests of those.
        command += ["--include-tag=Templates", "--include-tag=System"]
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
