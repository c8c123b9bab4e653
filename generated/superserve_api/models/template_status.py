# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

TemplateStatus = Literal["building", "failed", "pending", "ready"]

TEMPLATE_STATUS_VALUES: set[TemplateStatus] = {
    "building",
    "failed",
    "pending",
    "ready",
}


def check_template_status(value: str) -> TemplateStatus:
    """Return the value unchanged: one that is not in TEMPLATE_STATUS_VALUES comes from a newer server."""
    return cast(TemplateStatus, value)
