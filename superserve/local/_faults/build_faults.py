"""How builds can be made to end: `server.faults.on_build(...)`."""

from collections.abc import Callable
from typing import get_args

from superserve.local._app import arguments
from superserve.local._faults.outcomes import BuildFault, FailureCode
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
        return self._add("fail", BuildFault(code, step, self._template, exit_code, message), code=code)

    def hang(self, *, step: int | None = None) -> Fault:
        """Let nothing happen any more, until the builder's limit of 15 minutes of the server's clock.

        Args:
            step: From the end of which step on, counted from 1; by default from the start.

        """
        return self._add("hang", BuildFault("hang", step, self._template))

    def time_out(self, *, step: int | None = None) -> Fault:
        """Make the build too old for the queue with its next tick, which leaves its template as it was.

        Args:
            step: At the end of which step, counted from 1; by default at the start.

        """
        return self._add("time_out", BuildFault("time_out", step, self._template))

    def lose(self, *, step: int | None = None) -> Fault:
        """Make the host forget the build, as when it restarts.

        Args:
            step: At the end of which step, counted from 1; by default at the start.

        """
        return self._add("lose", BuildFault("lose", step, self._template))

    def _add(self, kind: str, fault: BuildFault, **options: object) -> Fault:
        options |= {name: getattr(fault, name) for name in ("step", "exit_code", "message", "template")}
        return self._add_fault(kind, fault, options, self._aim)
