"""Typed reads from decoded JSON: each says which field is missing or wrong."""

import json
from datetime import UTC, datetime
from typing import Any

JSONObject = dict[str, Any]

_from_iso = datetime.fromisoformat


class UnreadableError(ValueError):
    """An answer that is not what the contract says; the text tells where."""


def any_json(text: str | bytes) -> Any:
    """Decode JSON, which may hold numbers of more digits than Python takes for an integer.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deep.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def obj(value: object) -> JSONObject:
    """Return `value` if it is a JSON object."""
    if isinstance(value, dict):
        return value
    raise UnreadableError(f"expected a JSON object, got {_kind(value)}")


def array(value: object) -> list[object]:
    """Return `value` if it is a JSON array."""
    if isinstance(value, list):
        return value
    raise UnreadableError(f"expected a JSON array, got {_kind(value)}")


def string(source: JSONObject, key: str) -> str:
    """Return the string under `key`."""
    value = source.get(key)
    if isinstance(value, str):
        return value
    raise _wrong(source, key, "a string")


def identifier(source: JSONObject, key: str) -> str:
    """Return the string under `key`, which has to say something."""
    value = string(source, key)
    if value:
        return value
    raise UnreadableError(f"field {key!r} is empty")


def optional_string(source: JSONObject, key: str) -> str | None:
    """Return the string under `key`, or None if it is absent or null."""
    value = source.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _wrong(source, key, "a string")


def integer(source: JSONObject, key: str) -> int:
    """Return the integer under `key`."""
    value = source.get(key)
    # Not isinstance: True is not a number here.
    if type(value) is int:
        return value
    raise _wrong(source, key, "an integer")


def optional_integer(source: JSONObject, key: str) -> int | None:
    """Return the integer under `key`, or None if it is absent or null."""
    value = source.get(key)
    if value is None or type(value) is int:
        return value
    raise _wrong(source, key, "an integer")


def time(source: JSONObject, key: str) -> datetime:
    """Return the RFC 3339 time under `key` as an aware datetime, cut to microseconds."""
    parsed = moment(source.get(key))
    if parsed is None:
        raise _wrong(source, key, "a time such as 2026-05-01T12:00:00Z")
    return parsed


def optional_time(source: JSONObject, key: str) -> datetime | None:
    """Return the time under `key`, or None if it is absent or null."""
    return None if source.get(key) is None else time(source, key)


def moment(value: object) -> datetime | None:
    """Return an RFC 3339 time as an aware datetime, cut to microseconds; None if `value` isn't one."""
    if not isinstance(value, str):
        return None
    try:
        parsed = _from_iso(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _wrong(source: JSONObject, key: str, expected: str) -> UnreadableError:
    if key not in source:
        return UnreadableError(f"field {key!r} is missing")
    return UnreadableError(f"field {key!r}: expected {expected}, got {_kind(source[key])}")


def _kind(value: object) -> str:
    """Return what a value is, but not the value itself: who knows what a server puts there."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"
