"""Parameters of queries, read as the server reads them; raises ApiError for a parameter that it refuses."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from superserve.local._app.errors import ApiError

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def read_pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    """Return the parameters of a query. Those with a `;` or a bad escape are dropped, as in Go."""
    pairs = []
    for text in query.split(b"&"):
        if text and b";" not in text and not _BAD_ESCAPE.search(text):
            name, _, value = (unquote_to_bytes(part) for part in text.replace(b"+", b" ").partition(b"="))
            pairs.append((name, value))
    return pairs


def read_first(query: bytes, name: str) -> str | None:
    """Return the first value of a parameter, empty if there is none; None if a database cannot store it as text."""
    value = next((value for key, value in read_pairs(query) if key == name.encode()), b"")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def read_choice(query: Mapping[str, str], name: str, default: str, *others: str) -> str:
    """Return one of some words. An empty parameter counts as missing."""
    value = query.get(name) or default
    if value not in {default, *others}:
        raise ApiError(400, "bad_request", f"{name} must be one of {', '.join((default, *others))}")
    return value


def read_number(query: Mapping[str, str], name: str, minimum: int) -> int | None:
    """Return a whole number, None if the parameter is missing or empty."""
    value = query.get(name)
    if not value:
        return None
    if not value.isascii() or not value.isdecimal() or int(value) < minimum:
        raise ApiError(400, "bad_request", f"{name} must be an integer of at least {minimum}")
    return int(value)
