"""Plans, the timeline of a build, and the outcomes of operations on many templates."""

from typing import Literal

import attrs

from superserve.errors import SandboxError
from superserve.types._value import Value
from superserve.types.templates import TemplateInfo


@attrs.frozen(slots=False)
class Plan(Value):
    """What `Template.ensure` would do for a spec, and why. Making a plan changes nothing."""

    action: Literal["create", "reuse", "rebuild", "replace"]
    """`replace` deletes the template with that name, and creates another."""
    reasons: tuple[str, ...] = ()
    template: TemplateInfo | None = None
    """The team's template with that name, if there is one."""
    build_id: str | None = None
    """The template's newest build, if `ensure` would wait for it or cancel it."""
    is_certain: bool = True
    """Whether the spec could be compared with the template's. If not, `ensure` does not replace the template."""

    def __str__(self) -> str:
        return f"{self.action}: {'; '.join(self.reasons)}"


@attrs.frozen(slots=False)
class TimelinePart(Value):
    """A part of a build. Parts are in the order in which they ran."""

    kind: Literal["queue", "image", "environment", "step", "start", "ready", "save"]
    label: str
    """The log's name for the part, such as `Step 2/3  $ make`."""
    seconds: float | None
    """Duration in seconds; None if the log does not say."""


@attrs.frozen(slots=False)
class BuildTimeline(Value):
    """How long each part of a build took, from its log. `str()` returns a table."""

    build_id: str
    status: str
    total_s: float | None
    """Seconds from the build's creation to its end; None while it runs. The service counts whole seconds."""
    parts: tuple[TimelinePart, ...] = ()
    is_complete: bool = True
    """Whether the log was complete: the service replays only 256 events of a build that has ended."""

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
        gap = () if self.is_complete else ("The log was not complete: some times are unknown.",)
        return "\n".join((*lines, f"{_shown(self.total_s):>9}  in all, {self.status}", *gap))


def _seconds(part: TimelinePart) -> float:
    return part.seconds or 0.0


def _shown(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:.3f} s"


@attrs.frozen(slots=False)
class BuildOutcome(Value):
    """The outcome of one spec of `build_all`."""

    name: str
    action: str | None = None
    """What was done for the spec (see `Plan`); None if it failed before that."""
    template: TemplateInfo | None = None
    """The template, if it is ready."""
    error: SandboxError | None = None
    """The error if the template is not ready: a BuildError, or another one."""
    seconds: float = 0.0
    """Seconds since work on the spec began."""

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
    """The outcomes of all specs of `build_all`, in their order. `str()` lists the failures with their reasons."""

    outcomes: tuple[BuildOutcome, ...] = ()

    @property
    def failed(self) -> tuple[BuildOutcome, ...]:
        """The outcomes that are not ready."""
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
    """The outcome of `prune` for one template that it has chosen. With `dry_run` nothing is deleted."""

    template: TemplateInfo
    is_deleted: bool = False
    error: SandboxError | None = None
    """Why the template could not be deleted: a ConflictError if sandboxes use it."""
