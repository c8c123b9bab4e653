"""What type checkers say of programs that use the package: mypy --strict and pyright find the same slips."""

import json
import subprocess
import sys

import pytest

# Lines with a slip end so; none of the others has one.
WRONG = "  # wrong"
PROGRAM = """\
from typing import assert_never

import superserve
from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    BuildCancelledError,
    BuildLogStream,
    BuildStep,
    ConflictError,
    EnvStep,
    EnvStepDict,
    EnvStepValue,
    EnvStepValueDict,
    RunStep,
    RunStepDict,
    Superserve,
    Template,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
    UserStepDict,
    UserStepValueDict,
    WorkdirStepDict,
)
from superserve import Nope  # wrong


def names() -> None:
    superserve.Tempalte  # wrong
    superserve.errors.BuildErorr  # wrong
    version: str = superserve.__version__
    error: type[ConflictError] = BuildCancelledError
    info: TemplateInfo = superserve.Template.connect("x").get_info()
    info.nmae  # wrong
    print(version, error)


async def both_halves(client: AsyncSuperserve) -> None:
    template: AsyncTemplate = await client.templates.connect("x")
    Superserve().templates.connect("x").wait_until_ready(poll_interval_s="1")  # wrong
    await template.wait_until_ready(on_log=print, timeout_s=1)
    Template.create(name="x")  # wrong


def steps_in_place() -> None:
    Template.create(name="x", from_="y", steps=[{"run": "make"}, RunStep("make"), {"workdir": "/app"}])
    Template.create(name="x", from_="y", steps=[{"env": {"key": "A", "value": "1"}}, {"user": {"name": "app"}}])
    Template.create(name="x", from_="y", steps=[{"rnu": "x"}])  # wrong
    Template.create(name="x", from_="y", steps=[{"run": 1}])  # wrong
    Template.create(name="x", from_="y", steps=[{"env": {"key": "A"}}])  # wrong
    Template.create(name="x", from_="y", steps=[{"run": "make", "workdir": "/app"}])  # wrong
    Template.create(name="x", from_="y", steps=["make"])  # wrong


def steps_of_a_variable() -> None:
    run: RunStepDict = {"run": "make"}
    value: EnvStepValueDict = {"key": "A", "value": "1"}
    env: EnvStepDict = {"env": value}
    user_value: UserStepValueDict = {"name": "app", "sudo": True}
    user: UserStepDict = {"user": user_value}
    workdir: WorkdirStepDict = {"workdir": "/app"}
    mixed: list[BuildStep] = [run, env, user, workdir, EnvStep(EnvStepValue("A", "1")), {"run": "make"}]
    mixed.append({"workdir": "/app"})
    mixed.append({"wrokdir": "/app"})  # wrong
    Template.create(name="x", from_="y", steps=mixed)
    alike = [run]
    Template.create(name="x", from_="y", steps=alike)
    typed = [RunStep("make"), RunStep("make test")]
    Template.create(name="x", from_="y", steps=typed)


def a_template_status(status: TemplateStatus) -> str:
    match status:
        case TemplateStatus.PENDING | TemplateStatus.BUILDING:
            return "wait"
        case TemplateStatus.READY | TemplateStatus.FAILED:
            return "done"
        case _:
            assert_never(status)  # wrong


def a_build_status(status: TemplateBuildStatus) -> str:
    if status is TemplateBuildStatus.PENDING or status is TemplateBuildStatus.BUILDING:
        return "wait"
    if status is TemplateBuildStatus.SNAPSHOTTING:
        return "wait"
    if status == TemplateBuildStatus.READY or status == TemplateBuildStatus.FAILED:
        return "done"
    if status == TemplateBuildStatus.CANCELLED:
        return "done"
    assert_never(status)  # wrong


def a_stream(stream: BuildLogStream) -> str:
    match stream:
        case BuildLogStream.STDOUT | BuildLogStream.STDERR:
            return "output"
        case BuildLogStream.SYSTEM | BuildLogStream.ERROR:
            return "words"
        case _:
            assert_never(stream)  # wrong


def a_status_with_a_default(status: TemplateStatus) -> str:
    match status:
        case TemplateStatus.READY:
            return "done"
        case _:
            return status
"""
SLIPS = [number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith(WRONG)]


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def run(path, *command):
    """Run a checker on a program, away from this project's settings."""
    return subprocess.run(
        [sys.executable, "-m", *command, path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    ).stdout


@pytest.mark.slow
def test_mypy_finds_each_slip_and_nothing_else(program):
    pytest.importorskip("mypy", reason="mypy is not installed")
    said = run(program, "mypy", "--strict", "--output=json", "--cache-dir=cache")
    errors = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert sorted({error["line"] for error in errors if error["severity"] == "error"}) == SLIPS, said


@pytest.mark.slow
def test_pyright_finds_each_slip_and_nothing_else(program):
    pytest.importorskip("pyright", reason="pyright is not installed")
    said = run(program, "pyright", "--outputjson", f"--pythonpath={sys.executable}")
    errors = [error for error in json.loads(said)["generalDiagnostics"] if error["severity"] == "error"]
    assert sorted({error["range"]["start"]["line"] + 1 for error in errors}) == SLIPS, said
