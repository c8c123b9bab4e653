"""Execute mode: builds whose steps are real processes on this machine."""

from superserve.local._execute.limits import Limits
from superserve.local._execute.runner import ExecuteRunner

__all__ = ["ExecuteRunner", "Limits"]
