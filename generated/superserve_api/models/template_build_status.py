# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

TemplateBuildStatus = Literal["building", "cancelled", "failed", "pending", "ready", "snapshotting"]

TEMPLATE_BUILD_STATUS_VALUES: set[TemplateBuildStatus] = {
    "building",
    "cancelled",
    "failed",
    "pending",
    "ready",
    "snapshotting",
}


def check_template_build_status(value: str) -> TemplateBuildStatus:
    """Return the value unchanged: one that is not in TEMPLATE_BUILD_STATUS_VALUES comes from a newer server."""
    return cast(TemplateBuildStatus, value)
