"""Checks of the arguments of faults: places in an answer, and answers in the server's place."""

import json
from collections.abc import Mapping
from typing import Final

import h11

from superserve.local._app import arguments, go_json
from superserve.local._faults.effects import Place


class NotGiven:
    """Stands for a missing argument where None could be a value."""

    def __repr__(self) -> str:
        return "not given"


NOT_GIVEN: Final = NotGiven()

_CODES = {
    400: "bad_request",
    401: "auth_failed",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    429: "rate_limited",
}
_LOWEST_ERROR = 400
_BODILESS = {204, 304}
_JSON_TYPE = b"application/json; charset=utf-8"
_TEXT_TYPE = b"text/plain; charset=utf-8"


def read_place(
    *, head_bytes: int | None = None, after_bytes: int | None = None, after_events: int | None = None
) -> Place | None:
    """Return a place in a response; None if no place is given."""
    given = {"head_bytes": head_bytes, "after_bytes": after_bytes, "after_events": after_events}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)} can't be given together")
    if head_bytes is not None:
        return Place("head", arguments.check_whole("head_bytes", head_bytes, 0))
    if after_bytes is not None:
        return Place("body", arguments.check_whole("after_bytes", after_bytes, 0))
    if after_events is not None:
        return Place("events", arguments.check_whole("after_events", after_events, 0))
    return None


def read_body(status: int, body: str | bytes | None, value: object) -> tuple[bytes, bytes | None]:
    """Return the body of an answer and its type, from a body, or a value for JSON, or neither."""
    if body is not None and value is not NOT_GIVEN:
        raise ValueError("body and json can't be given together")
    content, content_type = b"", None
    if isinstance(body, str):
        content, content_type = body.encode(), _TEXT_TYPE
    elif isinstance(body, bytes):
        content = body
    elif body is not None:
        raise TypeError(f"body must be text or bytes, not {body!r}")
    elif value is not NOT_GIVEN:
        content, content_type = json.dumps(value).encode(), _JSON_TYPE
    elif status >= _LOWEST_ERROR:
        error = {"code": _CODES.get(status, "internal_error"), "message": f"a fault answers {status}"}
        content, content_type = go_json.write({"error": error}), _JSON_TYPE
    if content and status in _BODILESS:
        raise ValueError(f"an answer with status {status} can't have a body")
    return content, content_type


def read_headers(headers: Mapping[str, str], content_type: bytes | None) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer, with the type of its body unless they contain another."""
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be names with values, not {headers!r}")
    found: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        lower = arguments.check_text("a header's name", name).lower()
        if lower in {"content-length", "transfer-encoding"}:
            raise ValueError(
                f"{name}: the server sets it from the body; to announce more bytes than it sends, use cut()"
            )
        if not isinstance(value, str):
            raise TypeError(f"the header {name} must be a text, not {value!r}")
        try:
            found.append((lower.encode("ascii"), value.encode("latin-1")))
            h11.Response(status_code=200, headers=found)
        except (UnicodeEncodeError, h11.LocalProtocolError):
            raise ValueError(f"{name}: {value!r} can't be sent as a header") from None
    if content_type is not None and all(name != b"content-type" for name, _ in found):
        found.append((b"content-type", content_type))
    return found
