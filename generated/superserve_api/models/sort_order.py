# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

SortOrder = Literal["asc", "desc"]

SORT_ORDER_VALUES: set[SortOrder] = {
    "asc",
    "desc",
}


def check_sort_order(value: str) -> SortOrder:
    """Return the value unchanged: one that is not in SORT_ORDER_VALUES comes from a newer server."""
    return cast(SortOrder, value)
