"""JSON as the server reads and writes it: Go's encoding/json, with unknown fields refused."""

import json
import re
from collections.abc import Iterable
from itertools import zip_longest
from typing import TypeAlias

# A longer integer is outside every field's range, and Python refuses to convert the longest.
_INT_DIGITS = 20
_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = "[\ud800-\udfff]"

Fields: TypeAlias = list[tuple[str, object]]
"""A JSON object with its keys as they came: in order, including duplicates."""


class Malformed(Exception):  # noqa: N818 - describes the body, as its message does
    """The body is not valid JSON for the operation. The message says why."""


class _Object(list[tuple[str, object]]):
    """Distinguishes an object from an array: both are lists here."""


def read(body: bytes) -> object:
    """Return the first JSON value of a body.

    A second value is refused. Like the server's own check, this does not notice a stray closing bracket.
    """
    text = body.decode("utf-8", errors="replace")
    start = _skip_space(text, 0)
    if start == len(text):
        raise Malformed("EOF")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error) or "nested too deeply") from None
    end = _skip_space(text, end)
    if end < len(text) and text[end] not in "]}":
        raise Malformed("unexpected data after the JSON value")
    return value


def read_fields(value: object, where: str, *names: str, kept: Iterable[str] = ()) -> dict[str, object]:
    """Return the named fields of an object, without those that are null.

    The case of keys is ignored, and any other key is refused. Null is an empty object. Of duplicate keys the last one
    counts, but objects and the elements of arrays are merged with the earlier value. Null removes the earlier value,
    except for the fields in `kept`.
    """
    if value is None:
        return {}
    if not isinstance(value, _Object):
        raise Malformed(f"cannot read {_name_kind(value)} into {where or 'the request'}: expected an object")
    found: dict[str, object] = {}
    for key, item in value:
        name = key if key in names else _fold(key)
        if name not in names:
            raise Malformed(f'unknown field "{key}"' + (f" in {where}" if where else ""))
        if item is not None or name not in kept:
            found[name] = _merge(found.get(name), item, where)
    return {name: item for name, item in found.items() if item is not None}


def _merge(old: object, new: object, where: str) -> object:
    """Return the result of a second value for the same key, as Go reads it into the same place."""
    if old is None or new is None:
        return new
    if type(old) is not type(new):
        # One of the two has the wrong type. Go reports that even if a later value replaces it.
        raise Malformed(
            f"cannot read {_name_kind(old)} and {_name_kind(new)} into one field of {where or 'the request'}"
        )
    if isinstance(old, _Object) and isinstance(new, _Object):
        return _Object([*old, *new])
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip_longest(old[: len(new)], new)
        return [before if item is None else _merge(before, item, where) for before, item in pairs]
    return new


def read_string(value: object, where: str) -> str:
    """Return a string. Halves of surrogate pairs become U+FFFD."""
    if not isinstance(value, str):
        raise Malformed(f"cannot read {_name_kind(value)} into {where}: expected a string")
    return value if value.isascii() else re.sub(_SURROGATE, "\ufffd", value)


def read_int32(value: object, where: str) -> int:
    """Return an integer. `1.0`, `1e3`, strings, booleans and numbers beyond 32 bits are refused."""
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise Malformed(f"cannot read {_name_kind(value)} into {where}: expected a 32-bit integer")
    return value


def read_boolean(value: object, where: str) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise Malformed(f"cannot read {_name_kind(value)} into {where}: expected a boolean")
    return value


def read_array(value: object, where: str) -> list[object]:
    """Return the items of an array."""
    if not isinstance(value, list) or isinstance(value, _Object):
        raise Malformed(f"cannot read {_name_kind(value)} into {where}: expected an array")
    return value


def write(value: object, *, sort_keys: bool = False) -> bytes:
    """Return compact JSON. HTML characters and U+2028/9 are escaped; other characters beyond ASCII are not."""
    text = (_SORTING_ENCODER if sort_keys else _ENCODER).encode(value)
    # Go escapes these characters, and Python does not.
    text = (
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )
    return text.encode("utf-8", "replace")


def _skip_space(text: str, index: int) -> int:
    match = _SPACE.match(text, index)
    return match.end() if match else index


def _read_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_DIGITS else float("inf")


def _refuse_constant(constant: str) -> object:
    raise ValueError(f"invalid literal {constant}")


def _fold(key: str) -> str:
    # Go maps these two letters beyond ASCII to s and k; lower() maps the second.
    return key.lower().replace("\u017f", "s")


def _name_kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return f"number {value}"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "object" if isinstance(value, _Object) else "array"
    return "null"


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SORTING_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_read_integer, parse_constant=_refuse_constant
)
