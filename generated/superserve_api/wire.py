# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""How single values are read and written; whatever a server answers, no exception of a parser comes out."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx

from superserve_api.client import AuthenticatedClient, Client
from superserve_api.errors import UnexpectedStatus

T = TypeVar("T")


def parsed_or_unexpected(
    parse: Callable[..., T], *, client: AuthenticatedClient | Client, response: httpx.Response
) -> T | None:
    """Parse an answer; a body that doesn't fit its status counts as a status that isn't documented."""
    try:
        return parse(client=client, response=response)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        if client.raise_on_unexpected_status:
            raise UnexpectedStatus(response.status_code, response.content) from None
        return None


def http_status(code: int) -> HTTPStatus | int:
    """Return the code as an HTTPStatus, or as it is if it is none of the standard ones."""
    try:
        return HTTPStatus(code)
    except ValueError:
        return code


def parse_datetime(value: Any) -> datetime:
    """Parse a time; a null against the contract stays None, as it does in fields of other types."""
    return cast("datetime", None) if value is None else datetime.fromisoformat(value)


def format_datetime(value: datetime) -> str:
    """Format a time, or leave None as it is: the opposite of parse_datetime."""
    return cast("str", None) if value is None else value.isoformat()


def path_segment(value: object) -> str:
    """Quote a value as one segment of a path; ValueError for a value that would lead elsewhere in it."""
    segment = quote(str(value), safe="")
    if segment in ("", ".", ".."):
        raise ValueError(f"{segment!r} can't be a part of a path")
    return segment
