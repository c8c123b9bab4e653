# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

SandboxStatus = Literal[
    "active", "deleted", "failed", "migrating", "paused", "pausing", "resuming", "starting"
]

SANDBOX_STATUS_VALUES: set[SandboxStatus] = {
    "active",
    "deleted",
    "failed",
    "migrating",
    "paused",
    "pausing",
    "resuming",
    "starting",
}


def check_sandbox_status(value: str) -> SandboxStatus:
    """Return the value unchanged: one that is not in SANDBOX_STATUS_VALUES comes from a newer server."""
    return cast(SandboxStatus, value)
