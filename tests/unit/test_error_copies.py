"""Errors outlive the process that they were raised in: they are copied and pickled with all that they say."""

import copy
import pickle
import sys
from types import SimpleNamespace

import pytest

from superserve import CommandResult, errors

FAILED = "step_failed: step 2/3 failed after 41ms: exited with code 1"


class Special(errors.BuildError):
    """An error of a program's own, with other arguments."""

    def __init__(self, *, reason):
        super().__init__("step_failed", reason, "b", "t")


def noted(error):
    error.add_note("The build goes on.")
    return error


def limited():
    error = errors.RateLimitError("slow down", status_code=429, code="rate_limited")
    error.retry_after = 2.0
    return error


def failed():
    error = errors.BuildError.parse(FAILED, build_id="b", template_id="t")
    error.template_name, error.command, error.log_tail = "my-env", "make", ("a", "b")
    return error


def unknown():
    error = errors.OutcomeUnknownError("lost")
    error.stdout, error.stderr = b"so far", b""
    return error


RESULT = CommandResult(3, "a", "b", False, False, 0.5)

MAKERS = [
    lambda: errors.SandboxError("m", action="get it", code="c", headers={"A": "b"}, request_id="r", hint="h"),
    lambda: errors.NotFoundError("gone", status_code=404),
    lambda: errors.SandboxTimeoutError("too late"),
    lambda: errors.BuildCancelledError("cancelled", "b", "t"),
    lambda: errors.BuildError.parse(None, build_id="b", template_id="t"),
    lambda: noted(errors.BuildError("", "m", "b", "t", detail="d")),
    lambda: noted(Special(reason="it broke")),
    limited,
    failed,
    unknown,
    lambda: errors.CommandError("it exited with 3", RESULT, action="run 'x'"),
]
COPIES = [copy.copy, copy.deepcopy] + [
    lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("copied", COPIES)
def test_an_error_is_copied_with_all_that_it_says(make, copied, monkeypatch):
    # Tests are no modules that can be imported, as pickle does.
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(Special=Special))
    error = make()
    other = copied(error)
    assert type(other) is type(error)
    assert other is not error
    assert vars(other) == vars(error)
    assert (other.args, str(other), repr(other)) == (error.args, str(error), repr(error))
