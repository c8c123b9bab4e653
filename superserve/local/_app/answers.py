"""The answers of operations."""

from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app import go_json
from superserve.local._app.errors import ApiError


class Answer(Protocol):
    """The result of an operation: an ASGI response to which headers can still be added."""

    raw_headers: list[tuple[bytes, bytes]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None:
        """Send the response."""


def json_answer(status: int, body: bytes) -> Response:
    """Return an answer with a JSON body."""
    return Response(body, status, {"content-type": "application/json; charset=utf-8"})


def drop_none(**fields: object) -> dict[str, object]:
    """Return the fields of an answer that are set. The server leaves out the others."""
    return {name: value for name, value in fields.items() if value is not None}


def error_answer(error: ApiError) -> Response:
    """Return the error envelope."""
    return json_answer(error.status, go_json.write({"error": {"code": error.code, "message": error.message}}))
