# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

CreateTemplateStatus = Literal["building", "failed", "ready"]

CREATE_TEMPLATE_STATUS_VALUES: set[CreateTemplateStatus] = {
    "building",
    "failed",
    "ready",
}


def check_create_template_status(value: str) -> CreateTemplateStatus:
    """Return the value unchanged: one that is not in CREATE_TEMPLATE_STATUS_VALUES comes from a newer server."""
    return cast(CreateTemplateStatus, value)
