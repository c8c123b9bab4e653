# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

SignalName = Literal["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"]

SIGNAL_NAME_VALUES: set[SignalName] = {
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGTERM",
}


def check_signal_name(value: str) -> SignalName:
    """Return the value unchanged: one that is not in SIGNAL_NAME_VALUES comes from a newer server."""
    return cast(SignalName, value)
