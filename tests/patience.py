"""Times in tests that must be over in the end, but not before something has happened."""

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

LONGER = (1, 10)
LONGEST = 50


def given_time(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test again with longer times if it fails: a machine that stops for seconds may use up a short one.

    The test has a parameter `longer`, by which it multiplies its times.
    """
    failures = (Exception, pytest.fail.Exception)

    async def wait(**fixtures: Any) -> None:
        for longer in LONGER:
            with contextlib.suppress(*failures):
                await test(**fixtures, longer=longer)
                return
        await test(**fixtures, longer=LONGEST)

    def run(**fixtures: Any) -> None:
        for longer in LONGER:
            with contextlib.suppress(*failures):
                test(**fixtures, longer=longer)
                return
        test(**fixtures, longer=LONGEST)

    patient = functools.wraps(test)(wait if inspect.iscoroutinefunction(test) else run)
    asked_for = inspect.signature(test)
    fixtures = [parameter for name, parameter in asked_for.parameters.items() if name != "longer"]
    patient.__signature__ = asked_for.replace(parameters=fixtures)  # type: ignore[attr-defined]
    return patient
