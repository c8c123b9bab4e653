# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Functions for the generated code: decoding bodies, reading single values, and saying what is wrong with them.

If something cannot be read, the message names the field and the type of its value, never the value itself: it is not
known what a server has put into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from superserve_api.errors import UnexpectedStatus, UnreadableError
from superserve_api.types import UNSET

if TYPE_CHECKING:
    import httpx

    from superserve_api.client import AuthenticatedClient, Client

T = TypeVar("T")

_KINDS = {str: "a string", int: "an integer", float: "a number", bool: "a boolean"}
_from_iso = datetime.fromisoformat
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,80}", re.ASCII)


# --- whole answers ----------------------------------------------------------------------------------------------------


def parsed_or_problem(
    parse: Callable[..., T], *, client: AuthenticatedClient | Client, response: httpx.Response
) -> tuple[T | None, str | None]:
    """Return the parsed body of an answer, or None and what is wrong with the body.

    A body that does not fit its status counts as an unexpected status: it raises only if the client is set to raise.
    """
    try:
        return parse(client=client, response=response), None
    except UnreadableError as error:
        problem = str(error)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        # The texts of other exceptions may quote the body.
        problem = "it is not what is documented for its status"
    if client.raise_on_unexpected_status:
        raise UnexpectedStatus(response.status_code, response.content, problem)
    return None, problem


def decoded(response: httpx.Response) -> Any:
    """Decode a body that must be JSON, even if it has integers with more digits than Python accepts."""
    body = response.content
    try:
        try:
            return json.loads(body)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return json.loads(body, parse_int=_number)
    except (RecursionError, ValueError):
        found = _MEDIA_TYPE.match(response.headers.get("content-type", ""))
        kind = found.group() if found else "no content type"
    raise UnreadableError(f"it cannot be read as JSON ({kind}, {len(body)} bytes)")


def _number(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def http_status(code: int) -> HTTPStatus | int:
    """Return the code as an HTTPStatus; unchanged if it is not a standard one."""
    try:
        return HTTPStatus(code)
    except ValueError:
        return code


def is_other_success(response: httpx.Response, client: AuthenticatedClient | Client) -> bool:
    """Return whether to read an answer that the contract does not name like the success that it does name."""
    return response.is_success and not client.raise_on_unexpected_status


# --- values -----------------------------------------------------------------------------------------------------------


def check_object(value: object) -> None:
    """Raise unless a value is a JSON object, or a mapping in its place."""
    if not isinstance(value, Mapping):
        raise UnreadableError(f"expected a JSON object, got {_kind(value)}")


def array(value: object) -> list[Any]:
    """Return a value that must be a JSON array."""
    if isinstance(value, list):
        return value
    raise UnreadableError(f"expected a JSON array, got {_kind(value)}")


def array_of(kind: type[T], value: object) -> list[T]:
    """Return a value that must be a JSON array of plain values."""
    items = array(value)
    for index, item in enumerate(items):
        if not _is(kind, item):
            raise UnreadableError(f"item {index}: expected {_KINDS[kind]}, got {_kind(item)}")
    return items


def one_of(value: object, *kinds: type) -> object:
    """Return a value that must have one of these types. Types that are converted have been tried before."""
    if any(_is(kind, value) for kind in kinds):
        return value
    raise UnreadableError(f"{_kind(value)} such as this is not documented")


def other_fields(
    source: Mapping[str, Any], known: frozenset[str], kind: type | None = None
) -> dict[str, Any]:
    """Return the unknown fields. If a type is given, their values must have it."""
    others = {name: value for name, value in source.items() if name not in known}
    if kind is not None:
        for value in others.values():
            if not _is(kind, value):
                # The message does not name the field: its name comes from the server, too.
                raise UnreadableError(f"a field of any name: expected {_KINDS[kind]}, got {_kind(value)}")
    return others


def parse_datetime(value: object) -> datetime:
    """Read a time. A time without a zone is in UTC, the server's."""
    try:
        time = _from_iso(value)  # type: ignore[arg-type]  # raises TypeError if it is not a string
    except (TypeError, ValueError):
        raise UnreadableError(f"expected a time such as 2026-05-01T12:00:00Z, got {_kind(value)}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


# --- what is wrong with them ------------------------------------------------------------------------------------------


def unexpected(field: str, value: object, expected: str) -> UnreadableError:
    """Return the error for a field's value of another type, or for a missing field (UNSET)."""
    if value is UNSET:
        return UnreadableError(f"field {field!r} is missing")
    return UnreadableError(f"field {field!r}: expected {expected}, got {_kind(value)}")


def in_field(source: Mapping[str, Any], field: str, error: Exception) -> UnreadableError:
    """Return the error for a field in which something went wrong."""
    if field not in source:
        return UnreadableError(f"field {field!r} is missing")
    return UnreadableError(f"field {field!r}: {_describe(error)}")


def in_item(index: int, error: Exception) -> UnreadableError:
    """Return the error for an item of an array in which something went wrong."""
    return UnreadableError(f"item {index}: {_describe(error)}")


def _describe(error: Exception) -> str:
    # The texts of other exceptions may quote the value.
    return str(error) if isinstance(error, UnreadableError) else "not what is documented"


def _is(kind: type, value: object) -> bool:
    if kind is float:
        return type(value) in (int, float)
    # Not isinstance: True is not a number here.
    return type(value) is kind


def _kind(value: object) -> str:
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


# --- what is sent -----------------------------------------------------------------------------------------------------


def path_segment(value: object) -> str:
    """Quote a value as one segment of a path; ValueError for a value that would lead to another path."""
    segment = quote(str(value), safe="")
    if segment in ("", ".", ".."):
        raise ValueError(f"{segment!r} can't be a part of a path")
    return segment


def header_value(token: str) -> str:
    """Return a token without white space around it. ValueError, which does not show it, if no header can contain it."""
    if not isinstance(token, str):
        raise TypeError(f"token must be a string, not {type(token).__name__}")
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise ValueError("token contains characters that cannot be sent in a header")
    return token


def current_loop(clients: dict[Any, httpx.AsyncClient]) -> object:
    """Return the running asyncio event loop, or None, and update the clients of all loops.

    Clients of closed loops are dropped. A client that was made before any loop ran is given to the first loop.
    """
    # Not at the top: it is not needed without asynchronous calls.
    from asyncio import get_running_loop

    for loop in list(clients):
        if loop is not None and loop.is_closed():
            clients.pop(loop, None)
    try:
        running = get_running_loop()
    except RuntimeError:
        # The running loop may be another library's.
        return None
    if None in clients and running not in clients:
        clients[running] = clients.pop(None)
    return running
