"""Each known defect of the official SDK, and each known surprise, has tests that are named after it, sync and async."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PREFIX = re.compile(r"test_((?:(?:s|surprise_)\d+_)*)")


def colour(path, node):
    """Whether a test is of asynchronous code. Some of the tests of the client are plain functions in both colours."""
    if {"_async", "_sync"} & set(path.parts):
        return "_async" in path.parts
    return isinstance(node, ast.AsyncFunctionDef)


NAMES = [
    (node.name, colour(path, node))
    for path in sorted(TESTS.rglob("test_*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("kind", "last"), [("s", 44), ("surprise_", 30)])
def test_each_has_a_test_that_is_named_after_it(kind, last, is_async):
    prefixes = [found.group(1) for name, of in NAMES if of is is_async and (found := PREFIX.match(name))]
    numbers = {
        int(number)
        for prefix in prefixes
        for of_kind, number in re.findall(r"(s|surprise_)(\d+)_", prefix)
        if of_kind == kind
    }
    assert numbers == set(range(1, last + 1))
