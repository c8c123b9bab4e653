"""The benchmarks run and say something. What they say depends on the machine, and is no test's business."""

import json
import math
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "evidence" / "benchmarks"


# Not `waits`, which waits for builds.
@pytest.mark.parametrize("section", ["imports", "calls", "logs", "memory", "local server"])
def test_a_section_of_the_benchmarks_runs_and_writes_its_figures(tmp_path, section):
    output = tmp_path / "figures.json"
    command = [
        sys.executable,
        str(BENCHMARKS / "run.py"),
        "--quick",
        f"--only={section}",
        f"--output={output}",
    ]
    table = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout

    figures = json.loads(output.read_text())["sections"][section]
    assert figures
    for figure in figures:
        assert figure["name"] in table
        assert math.isfinite(figure["value"])
        assert figure["value"] > 0


@pytest.fixture(scope="module")
def figures():
    spec = spec_from_file_location("figures", BENCHMARKS / "figures.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_figure_tells_whether_it_reaches_its_target(figures):
    assert figures.Figure("calls", 1.15, "x", at_most=1.15).reached is True
    assert figures.Figure("calls", 1.16, "x", at_most=1.15).reached is False
    assert figures.Figure("rate", 0.64, "x", at_least=0.65).reached is False
    assert figures.Figure("memory", 30, "MiB").reached is None


def test_figures_that_miss_their_targets_are_named(figures):
    missed = figures.Figure("calls", 2.0, "x", at_most=1.15)
    sections = {"calls": [missed, figures.Figure("lists", 1.5, "x", at_most=2.0)]}

    assert list(figures.missed(sections)) == ["calls"]
    assert "NOT REACHED" in figures.table(sections)
