# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

PreviewAccessPolicy = Literal["private", "public"]

PREVIEW_ACCESS_POLICY_VALUES: set[PreviewAccessPolicy] = {
    "private",
    "public",
}


def check_preview_access_policy(value: str) -> PreviewAccessPolicy:
    """Return the value unchanged: one that is not in PREVIEW_ACCESS_POLICY_VALUES comes from a newer server."""
    return cast(PreviewAccessPolicy, value)
