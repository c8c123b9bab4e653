"""The conformance suite can be pointed at a server that it knows nothing of: here, one in another process's place."""

import os
import pathlib
import subprocess
import sys

import httpx

from superserve.local import Limits, LocalServer, TeamLimits

ROOT = pathlib.Path(__file__).parent.parent


def test_the_suite_runs_on_any_server_and_leaves_nothing_behind():
    # The quotas of an ordinary team are enough; its rate is not waited for here.
    fast = Limits(requests_per_s=10_000, burst=10_000, team=TeamLimits(requests_per_s=10_000))
    with LocalServer(speed=100, limits=fast) as server:
        environment = {
            **os.environ,
            "CONFORMANCE_BASE_URL": server.base_url,
            "CONFORMANCE_API_KEY": server.api_key,
            "CONFORMANCE_OTHER_API_KEY": server.add_team().api_key,
            "CONFORMANCE_SPEED": "100",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance"]
        command += ["-k", "template or list or get or delete or team or cancel"]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        left = httpx.get(f"{server.base_url}/templates", headers={"X-API-Key": server.api_key}).json()

    assert run.returncode == 0, run.stdout + run.stderr
    assert f"conformance of {server.base_url}" in run.stdout
    assert " 0 broken, " in run.stdout
    assert "not checked delete-4    " in run.stdout
    assert server.api_key not in run.stdout
    assert [row["name"] for row in left if not row["name"].startswith("superserve/")] == []
