"""Each known defect of the official SDK, and each known surprise, has a test that is named after it."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
# The async tests of the client stand for the sync ones, which are made from them.
NAMES = [
    node.name
    for path in sorted(TESTS.rglob("test_*.py"))
    if "_sync" not in path.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
]


PREFIX = re.compile(r"test_((?:(?:s|surprise_)\d+_)*)")


@pytest.mark.parametrize(("kind", "last"), [("s", 44), ("surprise_", 30)])
def test_each_has_a_test_that_is_named_after_it(kind, last):
    prefixes = [found.group(1) for name in NAMES if (found := PREFIX.match(name))]
    numbers = {
        int(number)
        for prefix in prefixes
        for of_kind, number in re.findall(r"(s|surprise_)(\d+)_", prefix)
        if of_kind == kind
    }
    assert numbers == set(range(1, last + 1))
