"""The outcomes that a fault can give a build."""

from typing import Literal

import attrs

from superserve.local._app import arguments
from superserve.local._machines.jobs import BuildFailed, BuildJob

FailureCode = Literal[
    "bad_reference",
    "boot_failed",
    "build_failed",
    "image_pull_failed",
    "image_too_large",
    "image_unsafe",
    "ready_cmd_failed",
    "snapshot_failed",
    "start_cmd_failed",
    "step_failed",
    "unsupported_platform",
]
BuildOutcome = FailureCode | Literal["hang", "lose", "time_out"]
"""A failure code, or: hang until the builder's limit, be lost by the host, be too old for the queue."""


@attrs.frozen
class BuildFault:
    """How a build ends, and when."""

    outcome: BuildOutcome
    step: int | None
    """The step, counted from 1, at whose end it happens; None for the usual place of the outcome."""
    template: str | None
    """The name or id of the template; None for any."""
    exit_code: int | None = None
    message: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse an invalid combination."""
        if self.step is not None:
            arguments.check_whole("step", self.step, 1)
        if self.exit_code is not None and (self.outcome != "step_failed" or self.message is not None):
            raise ValueError("exit_code is only for step_failed without a message")
        if self.exit_code is not None:
            arguments.check_whole("exit_code", self.exit_code, -1, 255)
        if self.message is not None:
            arguments.check_text("message", self.message)

    def fits(self, job: BuildJob, name: str) -> bool:
        """Whether a build gets as far as this."""
        if self.template is not None and self.template not in {job.template_id, name}:
            return False
        if self.at_step is not None:
            return self.at_step <= len(job.steps)
        if self.outcome == "start_cmd_failed":
            return job.start_cmd is not None
        return self.outcome != "ready_cmd_failed" or job.ready_cmd is not None

    @property
    def at_step(self) -> int | None:
        """The step at whose end it happens, if there is one."""
        return 1 if self.step is None and self.outcome == "step_failed" else self.step

    def failure(self, count: int, duration: str) -> BuildFailed:
        """Return the failure for this outcome, in a template with `count` steps."""
        if self.message is not None:
            return BuildFailed(self.message)
        if self.outcome == "step_failed":
            detail = f"exited with code {1 if self.exit_code is None else self.exit_code}"
            return BuildFailed.at_step(self.at_step or 1, count, duration, detail)
        return BuildFailed.with_code(self.outcome)
