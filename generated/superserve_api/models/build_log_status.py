# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

BuildLogStatus = Literal["", "cancelled", "failed", "ready"]

BUILD_LOG_STATUS_VALUES: set[BuildLogStatus] = {
    "",
    "cancelled",
    "failed",
    "ready",
}


def check_build_log_status(value: str) -> BuildLogStatus:
    """Return the value unchanged: one that is not in BUILD_LOG_STATUS_VALUES comes from a newer server."""
    return cast(BuildLogStatus, value)
