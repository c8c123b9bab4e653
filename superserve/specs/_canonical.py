"""The canonical form of a build spec, byte for byte as the service makes it: what its hash and its limit count."""

import json
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 131_071
"""Bytes of canonical JSON that a build can be started with: one argument of a Linux command line."""

# What Go's JSON escapes, and Python's doesn't.
_ESCAPED: Final = str.maketrans(
    {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
# Before version 1.22, Go wrote these two as \u0008 and \u000c; which one a server has cannot be asked.
_UNSURE: Final = "\b\f"


def canonical(build_spec: Mapping[str, Any]) -> bytes:
    """Return compact JSON of a build spec whose keys are in the API's order, without what is empty."""
    text = json.dumps(build_spec, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)
    return text.encode("utf-8", "replace")


def is_sure(build_spec: Mapping[str, Any]) -> bool:
    """Whether every server writes this spec with the same bytes."""
    text = json.dumps(build_spec, ensure_ascii=False)
    return not any(
        json.dumps(character)[1:-1] in text.replace("\\\\", "") for character in _UNSURE
    ) and not any("\ud800" <= character <= "\udfff" for character in text)
