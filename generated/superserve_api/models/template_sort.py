# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

TemplateSort = Literal["built_at", "created_at", "name", "size", "status"]

TEMPLATE_SORT_VALUES: set[TemplateSort] = {
    "built_at",
    "created_at",
    "name",
    "size",
    "status",
}


def check_template_sort(value: str) -> TemplateSort:
    """Return the value unchanged: one that is not in TEMPLATE_SORT_VALUES comes from a newer server."""
    return cast(TemplateSort, value)
