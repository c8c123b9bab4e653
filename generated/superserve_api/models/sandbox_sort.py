# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

SandboxSort = Literal["created_at", "name", "status"]

SANDBOX_SORT_VALUES: set[SandboxSort] = {
    "created_at",
    "name",
    "status",
}


def check_sandbox_sort(value: str) -> SandboxSort:
    """Return the value unchanged: one that is not in SANDBOX_SORT_VALUES comes from a newer server."""
    return cast(SandboxSort, value)
