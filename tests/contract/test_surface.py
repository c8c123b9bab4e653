"""A change of what users can import is told by `nox -s lint`."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("griffe")
FILE = Path(__file__).parents[2] / "scripts" / "surface.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("surface_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def surface(script):
    return script.surface()


def test_the_snapshot_has_names_parameters_defaults_and_what_is_behind_them(surface):
    for line in (
        r"def superserve\.Template\.wait_until_ready\(\*, .*poll_interval_s: float = 2\.0, .*\) -> TemplateInfo",
        r"async def superserve\.AsyncTemplate\.get_info\(\) -> TemplateInfo",
        r"superserve\.TemplateInfo\.built_at: datetime \| None = None",
        r"superserve\.SandboxStatus\.PAUSED = 'paused'",
        r"class superserve\.NotFoundError\(SandboxError\)",
        r"def superserve\._sync\.files\.Files\.exists\(.*",
        r"def superserve\.local\.Faults\.on\(.*",
    ):
        assert re.search(f"^{line}$", surface, re.MULTILINE), line
    assert "Template._" not in surface


def test_a_change_fails_the_check_which_shows_it_and_says_what_to_do(script, surface, monkeypatch, capsys):
    monkeypatch.setattr(script, "surface", lambda: surface.replace("Template.delete(", "Template.remove("))
    monkeypatch.setattr(sys, "argv", ["surface.py", "--check"])

    assert script.main() == 1

    printed = capsys.readouterr().out
    assert "\n-def superserve.Template.delete(" in printed
    assert "\n+def superserve.Template.remove(" in printed
    assert "CHANGELOG.md" in printed
