"""A problem of a spec."""

from typing import Literal

import attrs

from superserve._redact import strip_controls
from superserve.specs._places import Place
from superserve.types._value import Value


@attrs.frozen(slots=False)
class SpecProblem(Value):
    """An error or a warning about a spec."""

    message: str
    """What is wrong, and what is expected. A value that may be a secret is not shown."""
    severity: Literal["error", "warning"] = "error"
    """The service refuses an `error`. It accepts a `warning`, which may fail or surprise later."""
    where: str = ""
    """The part of the spec, such as `steps[2].env.key`; empty for the whole."""
    place: Place | None = None
    """Where the part was written, if known."""

    def __str__(self) -> str:
        parts = (self.place, self.severity, self.where, self.message)
        # The keys of a file may contain anything.
        return strip_controls(": ".join(str(part) for part in parts if part))
