"""How builds can be made to end: `server.faults.on_build(...)`."""

from collections.abc import Callable, Mapping
from typing import get_args

from superserve.local._app import arguments
from superserve.local._faults.outcomes import BuildFault, BuildOutcome, FailureCode
from superserve.local._faults.registry import Aim, Fault


class BuildFaults:
    """How some builds can end; obtained as `server.faults.on_build(...)`. Each method sets a fault.

    Each takes `step`: the end of which step, counted from 1, it comes at. A build that has no such step isn't struck.
    """

    def __init__(self, add: Callable[..., Fault], template: str | None, aim: Aim) -> None:
        self._add_fault = add
        self._template = template
        self._aim = aim

    def fail(
        self,
        code: FailureCode,
        *,
        step: int | None = None,
        exit_code: int | None = None,
        message: str | None = None,
    ) -> Fault:
        """Let a build fail, after what it printed until then.

        Args:
            code: The failure's code, such as `step_failed` or `boot_failed`.
            step: At the end of which step, counted from 1. By default `step_failed` is for the first step, and other
                codes come where they belong: a build without a start_cmd or ready_cmd that could fail isn't struck.
            exit_code: Of `step_failed`, -1 to 255; 1 by default.
            message: The whole error message of the build, for another one than the code's.

        """
        arguments.check_one_of("code", code, get_args(FailureCode))
        if exit_code is not None and (code != "step_failed" or message is not None):
            raise ValueError("exit_code is only for step_failed without a message")
        if exit_code is not None:
            arguments.check_whole("exit_code", exit_code, -1, 255)
        if message is not None:
            arguments.check_text("message", message)
        options = {"code": code, "step": step, "exit_code": exit_code, "message": message}
        return self._add(
            "fail", code, step, options, exit_code=1 if exit_code is None else exit_code, message=message
        )

    def hang(self, *, step: int | None = None) -> Fault:
        """Let nothing happen any more, until the builder's limit of 15 minutes of the server's clock.

        Args:
            step: From the end of which step on, counted from 1; by default from the start.

        """
        return self._add("hang", "hang", step, {"step": step})

    def time_out(self, *, step: int | None = None) -> Fault:
        """Make the build too old for the queue with its next tick, which leaves its template as it was.

        Args:
            step: At the end of which step, counted from 1; by default at the start.

        """
        return self._add("time_out", "time_out", step, {"step": step})

    def lose(self, *, step: int | None = None) -> Fault:
        """Make the host forget the build, as when it restarts.

        Args:
            step: At the end of which step, counted from 1; by default at the start.

        """
        return self._add("lose", "lose", step, {"step": step})

    def _add(
        self,
        kind: str,
        outcome: BuildOutcome,
        step: int | None,
        options: Mapping[str, object],
        *,
        exit_code: int = 1,
        message: str | None = None,
    ) -> Fault:
        if step is not None:
            arguments.check_whole("step", step, 1)
        fault = BuildFault(outcome, step, exit_code, message, self._template)
        return self._add_fault(kind, fault, {**options, "template": self._template}, self._aim)
