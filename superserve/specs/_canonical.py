"""The canonical form of a build spec, byte for byte as the service makes it, for its hash and its size limit."""

import json
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 131_071
"""The most bytes of canonical JSON of a spec that can be built: the limit of one argument of a Linux command line."""

# Characters that Go's JSON escapes, and Python's does not.
_ESCAPED: Final = str.maketrans(
    {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
# Go before 1.22 wrote these two as \u0008 and \u000c. There is no way to ask a server for its version of Go.
_UNSURE: Final = "\b\f"


def canonical(build_spec: Mapping[str, Any]) -> bytes:
    """Return a build spec as compact JSON, with the keys in the API's order and without empty values."""
    text = json.dumps(build_spec, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)
    return text.encode("utf-8", "replace")


def is_sure(build_spec: Mapping[str, Any]) -> bool:
    """Whether every server makes the same bytes of this spec."""
    text = json.dumps(build_spec, ensure_ascii=False)
    return not any(
        json.dumps(character)[1:-1] in text.replace("\\\\", "") for character in _UNSURE
    ) and not any("\ud800" <= character <= "\udfff" for character in text)
