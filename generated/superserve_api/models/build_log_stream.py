# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

BuildLogStream = Literal["error", "stderr", "stdout", "system"]

BUILD_LOG_STREAM_VALUES: set[BuildLogStream] = {
    "error",
    "stderr",
    "stdout",
    "system",
}


def check_build_log_stream(value: str) -> BuildLogStream:
    """Return the value unchanged: one that is not in BUILD_LOG_STREAM_VALUES comes from a newer server."""
    return cast(BuildLogStream, value)
