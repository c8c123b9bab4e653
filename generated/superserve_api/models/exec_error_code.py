# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

ExecErrorCode = Literal["bad_request", "exec_failed", "gone"]

EXEC_ERROR_CODE_VALUES: set[ExecErrorCode] = {
    "bad_request",
    "exec_failed",
    "gone",
}


def check_exec_error_code(value: str) -> ExecErrorCode:
    """Return the value unchanged: one that is not in EXEC_ERROR_CODE_VALUES comes from a newer server."""
    return cast(ExecErrorCode, value)
