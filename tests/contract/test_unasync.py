"""The program that writes the synchronous modules and tests from the asynchronous ones."""

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """A copy of the program, and of the packages in which it reads and writes."""
    for tree in ("superserve", "tests"):
        shutil.copytree(ROOT / tree, tmp_path / tree, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("scripts/unasync.py", "pyproject.toml"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def unasync(project, *arguments):
    return subprocess.run(
        [sys.executable, project / "scripts" / "unasync.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def append(file, text):
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_what_is_committed_is_what_the_program_writes(project):
    done = unasync(project, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_changes_nothing_and_names_each_file_that_was_edited_removed_or_added(project):
    written = project / "superserve" / "_sync"
    append(written / "client.py", "# edited\n")
    (written / "templates.py").unlink()
    (written / "extra.py").touch()
    done = unasync(project, "--check")

    assert done.returncode == 1
    assert done.stderr == "3 files differ; run `nox -s generate`\n"
    assert done.stdout.splitlines() == [
        "differs: superserve/_sync/client.py",
        "differs: superserve/_sync/templates.py",
        "stale: superserve/_sync/extra.py",
    ]
    assert not (written / "templates.py").exists()
    assert (written / "extra.py").exists()

    assert unasync(project).returncode == 0
    assert unasync(project, "--check").returncode == 0


def test_a_change_of_the_source_is_a_change_of_what_is_written(project):
    append(
        project / "superserve" / "_async" / "client.py",
        "\n\nasync def shown(client: AsyncSuperserve) -> None:\n    await client.aclose()\n",
    )

    assert unasync(project).returncode == 0
    assert (
        (project / "superserve" / "_sync" / "client.py")
        .read_text(encoding="utf-8")
        .endswith("\n\ndef shown(client: Superserve) -> None:\n    client.close()\n")
    )


@pytest.mark.parametrize(
    "line", ["import asyncio", "# awaited later", "asyncgenerator = None", "async  def two_spaces(): ..."]
)
def test_an_asynchronous_word_that_is_left_over_stops_the_program(project, line):
    source = project / "superserve" / "_async" / "client.py"
    number = source.read_text(encoding="utf-8").count("\n") + 1
    append(source, f"{line}\n")
    done = unasync(project)

    assert done.returncode == 1
    assert done.stderr.startswith(f"superserve/_async/client.py:{number}: asynchronous word left over: ")


def test_a_source_that_does_not_become_python_is_named(project):
    append(project / "superserve" / "_async" / "client.py", "def (\n")
    done = unasync(project)

    assert done.returncode == 1
    assert done.stderr.startswith("ruff cannot read what superserve/_async/client.py becomes:\n")


def test_a_rule_that_matches_nothing_stops_the_program(project):
    program = project / "scripts" / "unasync.py"
    text = program.read_text(encoding="utf-8")
    program.write_text(
        text.replace("RULES = [\n", 'RULES = [\n    ("no such word", ""),\n'), encoding="utf-8"
    )
    done = unasync(project)

    assert done.returncode == 1
    assert done.stderr == "scripts/unasync.py: these rules match nothing, remove them: no such word\n"
