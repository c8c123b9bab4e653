"""What a server is started with."""

from pathlib import Path

import attrs

from superserve.local._app.limits import Limits


@attrs.frozen
class Settings:
    """The arguments of `LocalServer`, checked."""

    api_key: str | None
    """None takes the state file's, or a random one."""
    limits: Limits | None
    speed: float
    execute: bool
    system_templates: bool
    newer: bool
    seed: int | None
    isolation: str
    """`auto`, or `none` for commands of sandboxes that are not kept apart from this machine."""
    state: Path | None
    """The file that keeps the rows; None keeps them in memory."""

    def __str__(self) -> str:
        """Say how the server differs from the real one."""
        builds = "builds run on this machine" if self.execute else "simulated builds"
        limits = "real limits" if self.limits else "no limits"
        speed = f", {self.speed:g} times faster" if self.speed != 1 else ""
        return f"{builds}, {limits}{speed}"
