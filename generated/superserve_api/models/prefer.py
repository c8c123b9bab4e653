# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

Prefer = Literal["respond-async"]

PREFER_VALUES: set[Prefer] = {
    "respond-async",
}


def check_prefer(value: str) -> Prefer:
    """Return the value unchanged: one that is not in PREFER_VALUES comes from a newer server."""
    return cast(Prefer, value)
