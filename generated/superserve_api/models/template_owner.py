# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

TemplateOwner = Literal["all", "system", "team"]

TEMPLATE_OWNER_VALUES: set[TemplateOwner] = {
    "all",
    "system",
    "team",
}


def check_template_owner(value: str) -> TemplateOwner:
    """Return the value unchanged: one that is not in TEMPLATE_OWNER_VALUES comes from a newer server."""
    return cast(TemplateOwner, value)
