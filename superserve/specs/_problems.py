"""What is wrong with a spec, or may be."""

from typing import Literal

import attrs

from superserve._redact import strip_controls
from superserve.specs._places import Place
from superserve.types._value import Value


@attrs.frozen(slots=False)
class SpecProblem(Value):
    """One thing that is wrong with a spec."""

    message: str
    """What is wrong, and what would be right. Values that may be secrets are not shown."""
    severity: Literal["error", "warning"] = "error"
    """An `error` is refused by the service; a `warning` is taken, and may fail or surprise later."""
    where: str = ""
    """The part of the spec, such as `steps[2].env.key`; empty for the whole."""
    place: Place | None = None
    """Where it was written, if that is known."""

    def __str__(self) -> str:
        parts = (self.place, self.severity, self.where, self.message)
        # Keys of a file may hold anything.
        return strip_controls(": ".join(str(part) for part in parts if part))
