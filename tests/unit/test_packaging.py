"""What people who install or build the package are told when something does not fit."""

import ast
import pathlib
import sys
import tomllib
import types

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def test_on_an_older_python_nox_says_at_once_which_one_is_needed(monkeypatch):
    source = (ROOT / "noxfile.py").read_text()
    # An older Python has to be able to read it.
    ast.parse(source, feature_version=(3, 10))
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    monkeypatch.setattr(sys, "version", "3.10.13 (main)")
    nox, command = types.ModuleType("nox"), types.ModuleType("nox.command")
    command.CommandFailed = Exception
    # Nothing of nox is used before.
    monkeypatch.setitem(sys.modules, "nox", nox)
    monkeypatch.setitem(sys.modules, "nox.command", command)
    with pytest.raises(SystemExit) as caught:
        exec(source, {})
    assert caught.value.code == "Python 3.11 or later is needed; this nox runs on 3.10.13"


def test_the_source_distribution_has_what_users_build_and_test_with_and_no_evidence():
    sdist = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    assert not [path for path in sdist["include"] if "evidence" in path]
    assert sdist["exclude"] == ["/tests/evidence"]
    assert all((ROOT / path.lstrip("/")).exists() for path in sdist["include"])
