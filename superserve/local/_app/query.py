"""Parameters of queries, read as the server reads them; raises ApiError for what it refuses."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from superserve.local._app.errors import ApiError


def read_first(query: bytes, name: str) -> str | None:
    """Return the first value of a parameter, empty if there is none; None if it is no text that a database takes."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    value = next((value for key, value in pairs if key == name), "")
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in value else value


def read_choice(query: Mapping[str, str], name: str, default: str, *others: str) -> str:
    """Return one of some words; an empty parameter counts as absent."""
    value = query.get(name) or default
    if value not in {default, *others}:
        raise ApiError(400, "bad_request", f"{name} must be one of {', '.join((default, *others))}")
    return value


def read_number(query: Mapping[str, str], name: str, minimum: int) -> int | None:
    """Return a whole number, None if the parameter is absent or empty."""
    value = query.get(name)
    if not value:
        return None
    if not value.isascii() or not value.isdecimal() or int(value) < minimum:
        raise ApiError(400, "bad_request", f"{name} must be an integer of at least {minimum}")
    return int(value)
