"""The synchronous and the asynchronous classes have the same names, arguments, defaults and documentation."""

import inspect
import re
from pathlib import Path

import pytest

from superserve import (
    AsyncBuild,
    AsyncCommandSession,
    AsyncFileStream,
    AsyncSandbox,
    AsyncSuperserve,
    AsyncTemplate,
    Build,
    CommandSession,
    FileStream,
    Sandbox,
    Superserve,
    Template,
)
from superserve._async.commands import AsyncCommands
from superserve._async.files import AsyncFiles
from superserve._async.sandboxes import AsyncSandboxes
from superserve._async.templates import AsyncTemplates
from superserve._http import connections_async, connections_sync, tasks_async, tasks_sync
from superserve._sync.commands import Commands
from superserve._sync.files import Files
from superserve._sync.sandboxes import Sandboxes
from superserve._sync.templates import Templates

PAIRS = [
    (AsyncTemplate, Template),
    (AsyncSuperserve, Superserve),
    (AsyncTemplates, Templates),
    (AsyncSandbox, Sandbox),
    (AsyncSandboxes, Sandboxes),
    (AsyncCommands, Commands),
    (AsyncCommandSession, CommandSession),
    (AsyncFiles, Files),
    (AsyncFileStream, FileStream),
    (AsyncBuild, Build),
]
# What may go without its name, as in `read("/x")`.
PLACED = {
    "self",
    "cls",
    "template_id",
    "spec",
    "specs",
    "build_id",
    "sandbox_id",
    "timeout_seconds",
    "command",
    "path",
    "content",
    "source",
    "target",
    "local",
    "remote",
    "port",
    "name",
}
# The same, although it has a default.
PLACED_OPTIONS = {"build_id", "signal", "size", "timeout_s"}
# Names that Python itself spells differently.
SPELLED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def members(kind):
    """Return the public members of a class, as they are written in it."""
    return {
        name: member
        for name, member in vars(kind).items()
        if not name.startswith("_") or name in ("__init__", *SPELLED, *SPELLED.values())
    }


def function(member):
    if isinstance(member, property):
        return member.fget
    return getattr(member, "__func__", member)


def synchronous(text):
    """Return an asynchronous signature or documentation as its synchronous half has it."""
    renamed = re.sub(r"\bAsync(?=[A-Z])(?!Template only)", "", str(text)).replace("_async", "_sync")
    # Of two that have become the same, a union has one.
    return re.sub(r"( \| [\w.]+\[\w+\])\1", r"\1", renamed)


@pytest.mark.parametrize(("asynchronous", "plain"), PAIRS)
def test_both_halves_have_the_same_members_in_the_same_order(asynchronous, plain):
    assert [SPELLED.get(name, name) for name in members(asynchronous)] == list(members(plain))


@pytest.mark.parametrize(("asynchronous", "plain"), PAIRS)
def test_both_halves_take_the_same_arguments(asynchronous, plain):
    others = members(plain)
    for name, member in members(asynchronous).items():
        other = others[SPELLED.get(name, name)]
        assert type(other) is type(member), name
        if not callable(function(member)):
            continue
        ours, theirs = inspect.signature(function(member)), inspect.signature(function(other))
        assert [str(parameter) for parameter in theirs.parameters.values() if parameter.name != "self"] == [
            synchronous(parameter) for parameter in ours.parameters.values() if parameter.name != "self"
        ], name
        if not inspect.isasyncgenfunction(function(member)):
            assert str(theirs.return_annotation) == synchronous(ours.return_annotation), name


@pytest.mark.parametrize(("asynchronous", "plain"), PAIRS)
def test_every_option_has_to_be_named(asynchronous, plain):
    for kind in (asynchronous, plain):
        for name, member in members(kind).items():
            if name.startswith("_") or isinstance(member, property) or not callable(function(member)):
                continue
            for parameter in inspect.signature(function(member)).parameters.values():
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                    allowed = PLACED if parameter.default is parameter.empty else PLACED_OPTIONS
                    assert parameter.name in allowed, f"{name}({parameter})"


@pytest.mark.parametrize(
    ("asynchronous", "plain"), [(connections_async, connections_sync), (tasks_async, tasks_sync)]
)
def test_what_the_hand_written_half_imports_is_in_the_other_half(asynchronous, plain):
    for shell in (Path(__file__).parents[2] / "superserve" / "_async").glob("*.py"):
        for imported in re.findall(
            rf"from {re.escape(asynchronous.__name__)} import ([^(\n]+|\([^)]+\))", shell.read_text()
        ):
            for name in re.findall(r"\w+", imported):
                assert hasattr(plain, name), f"{shell.name} imports {name}"


@pytest.mark.parametrize(
    ("whole", "door"),
    [
        (Template, Templates),
        (AsyncTemplate, AsyncTemplates),
        (Sandbox, Sandboxes),
        (AsyncSandbox, AsyncSandboxes),
    ],
)
def test_the_doors_of_a_client_are_the_class_methods_without_a_connection(whole, door):
    connection = {"api_key", "base_url", "sandbox_url", "client"}
    factories = {
        name: getattr(whole, name) for name, member in vars(whole).items() if isinstance(member, classmethod)
    }
    assert factories.keys() == {name for name in members(door) if name != "__init__"}
    for name, factory in factories.items():
        offered = inspect.signature(getattr(door, name)).parameters
        assert [str(parameter) for key, parameter in offered.items() if key != "self"] == [
            str(parameter)
            for key, parameter in inspect.signature(factory).parameters.items()
            if key not in connection
        ], name
