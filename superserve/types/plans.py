"""What is to be done, was done, and how long it took: plans, timelines, and the outcomes of many builds."""

from typing import Literal

import attrs

from superserve.errors import SandboxError
from superserve.types._value import Value
from superserve.types.templates import TemplateInfo


@attrs.frozen(slots=False)
class Plan(Value):
    """What `Template.ensure` would do for a spec, and why. To make one writes nothing."""

    action: Literal["create", "reuse", "rebuild", "replace"]
    """`replace` deletes the template of that name, and creates another."""
    reasons: tuple[str, ...] = ()
    template: TemplateInfo | None = None
    """The team's template of that name, if there is one."""
    build_id: str | None = None
    """The template's newest build, if that is to be waited for, or cancelled."""
    is_certain: bool = True
    """Whether the spec could be compared with that of the template; `ensure` replaces nothing otherwise."""

    def __str__(self) -> str:
        return f"{self.action}: {'; '.join(self.reasons)}"


@attrs.frozen(slots=False)
class TimelinePart(Value):
    """A part of a build, in the order in which they came."""

    kind: Literal["queue", "image", "environment", "step", "start", "ready", "save"]
    label: str
    """What the log said of it, such as `Step 2/3  $ make`."""
    seconds: float | None
    """How long it took; None where the log does not tell."""


@attrs.frozen(slots=False)
class BuildTimeline(Value):
    """Where the time of a build went, by its log; `str()` is a table."""

    build_id: str
    status: str
    total_s: float | None
    """Seconds from its creation to its end; None while it goes on. The service counts whole seconds."""
    parts: tuple[TimelinePart, ...] = ()
    is_complete: bool = True
    """Whether the log was there to its end: the service replays 256 events of a build that has ended."""

    @property
    def steps(self) -> tuple[TimelinePart, ...]:
        """The parts that are steps of the spec."""
        return tuple(part for part in self.parts if part.kind == "step")

    @property
    def slowest(self) -> TimelinePart | None:
        """The part that took longest."""
        return max((part for part in self.parts if part.seconds is not None), key=_seconds, default=None)

    def __str__(self) -> str:
        rows = [(_shown(part.seconds), part.kind, part.label) for part in self.parts]
        slowest = self.slowest
        lines = [
            f"{seconds:>9}  {kind:<11}  {label}{'  <- slowest' if part is slowest and len(rows) > 1 else ''}"
            for part, (seconds, kind, label) in zip(self.parts, rows, strict=True)
        ]
        gap = () if self.is_complete else ("The log was not there to its end: some times are not known.",)
        return "\n".join((*lines, f"{_shown(self.total_s):>9}  in all, {self.status}", *gap))


def _seconds(part: TimelinePart) -> float:
    return part.seconds or 0.0


def _shown(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.3f} s"


@attrs.frozen(slots=False)
class BuildOutcome(Value):
    """What became of one spec of `build_all`."""

    name: str
    action: str | None = None
    """What was done for it (see `Plan`); None if it did not come to that."""
    template: TemplateInfo | None = None
    """The template, if it is ready."""
    error: SandboxError | None = None
    """Why it is not ready: a BuildError, or whatever else went wrong."""
    seconds: float = 0.0
    """From the time it was begun."""

    @property
    def is_ready(self) -> bool:
        """Whether the template is ready."""
        return self.error is None

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.name}: ready after {self.seconds:.1f} s ({self.action})"
        return f"{self.name}: {type(self.error).__name__}: {self.error}"


@attrs.frozen(slots=False)
class BuildSummary(Value):
    """What became of all specs of `build_all`, in their order; `str()` says what failed, and why."""

    outcomes: tuple[BuildOutcome, ...] = ()

    @property
    def failed(self) -> tuple[BuildOutcome, ...]:
        """Those that are not ready."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_ready)

    @property
    def is_ready(self) -> bool:
        """Whether all are ready."""
        return not self.failed

    def __str__(self) -> str:
        ready = len(self.outcomes) - len(self.failed)
        head = f"{ready} of {len(self.outcomes)} templates are ready"
        return "\n  ".join((head, *map(str, self.failed)))


@attrs.frozen(slots=False)
class PruneOutcome(Value):
    """What became, or would become, of a template that `prune` has chosen."""

    template: TemplateInfo
    is_deleted: bool = False
    error: SandboxError | None = None
    """Why it could not be deleted: a ConflictError if sandboxes use it."""
