"""The faults of builds: `server.faults.on_build(...)`."""

from collections.abc import Callable
from typing import get_args

from superserve.local._app import arguments
from superserve.local._faults.outcomes import BuildFault, FailureCode
from superserve.local._faults.registry import Aim, Fault


class BuildFaults:
    """The faults of some builds, from `server.faults.on_build(...)`. Each method sets a fault.

    Each takes `step`, counted from 1: the fault comes at the end of that step. It does not affect a build without that step.
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
        """Make a build fail, after its output up to that point.

        Args:
            code: The failure's code, such as `step_failed` or `boot_failed`.
            step: The number of the step at whose end the build fails, counted from 1. By default `step_failed` is for the
                first step, and other codes come where they belong: a build without a start_cmd or ready_cmd that could
                fail is not affected.
            exit_code: For `step_failed`, -1 to 255. Default 1.
            message: The whole error message of the build, instead of the code's.

        """
        arguments.check_one_of("code", code, get_args(FailureCode))
        return self._add("fail", BuildFault(code, step, self._template, exit_code, message), code=code)

    def hang(self, *, step: int | None = None) -> Fault:
        """Make a build hang, until the builder's limit of 15 minutes of the server's clock.

        Args:
            step: The number of the step at whose end the build hangs, counted from 1. Default: the start.

        """
        return self._add("hang", BuildFault("hang", step, self._template))

    def time_out(self, *, step: int | None = None) -> Fault:
        """Make the build too old for the queue at its next tick. Its template stays as it was.

        Args:
            step: The number of the step at whose end this happens, counted from 1. Default: the start.

        """
        return self._add("time_out", BuildFault("time_out", step, self._template))

    def lose(self, *, step: int | None = None) -> Fault:
        """Make the host forget the build, as after a restart.

        Args:
            step: The number of the step at whose end this happens, counted from 1. Default: the start.

        """
        return self._add("lose", BuildFault("lose", step, self._template))

    def _add(self, kind: str, fault: BuildFault, **options: object) -> Fault:
        options |= {name: getattr(fault, name) for name in ("step", "exit_code", "message", "template")}
        return self._add_fault(kind, fault, options, self._aim)
