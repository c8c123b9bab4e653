"""The example that makes templates from specs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_makes_its_templates_and_prints_their_log(server):
    environment = {**os.environ, "SUPERSERVE_BASE_URL": server.base_url, "SUPERSERVE_API_KEY": server.api_key}
    done = subprocess.run(
        [sys.executable, "examples/ensure_templates.py"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("create: there is no template 'example-numbers'\n")
    assert "== Step 2/2  $ pip install --no-cache-dir numpy" in done.stdout
    assert done.stdout.endswith("2 of 2 templates are ready\n")
