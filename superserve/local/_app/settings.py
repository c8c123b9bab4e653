"""The settings of a server."""

from pathlib import Path
from typing import NamedTuple

from superserve.local._app.limits import Limits
from superserve.local._machines.interpreter import Interpreter


class Settings(NamedTuple):
    """The checked arguments of `LocalServer`."""

    api_key: str | None
    """None for the state file's key, or a random one."""
    limits: Limits | None
    speed: float
    execute: bool
    system_templates: bool
    newer: bool
    seed: int | None
    isolation: str
    """`auto`, or `none` to run commands of sandboxes without isolation from this machine."""
    python: Interpreter | None
    """The interpreter that commands find as `python`; None for this machine's own."""
    state: Path | None
    """The file that keeps the rows; None to keep them in memory only."""

    def __str__(self) -> str:
        """Describe the differences between this server and the real one."""
        builds = "builds run on this machine" if self.execute else "simulated builds"
        limits = "real limits" if self.limits else "no limits"
        speed = f", {self.speed:g} times faster" if self.speed != 1 else ""
        return f"{builds}, {limits}{speed}"
