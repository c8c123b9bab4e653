# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

PreviewAccess = Literal["legacy_public", "private", "public"]

PREVIEW_ACCESS_VALUES: set[PreviewAccess] = {
    "legacy_public",
    "private",
    "public",
}


def check_preview_access(value: str) -> PreviewAccess:
    """Return the value unchanged: one that is not in PREVIEW_ACCESS_VALUES comes from a newer server."""
    return cast(PreviewAccess, value)
