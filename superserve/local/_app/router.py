"""Finding the operation of a request. The router knows no resource by name."""

import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from superserve.local._app.answers import Answer
from superserve.local._app.auth import TeamRow
from superserve.local._app.errors import ApiError
from superserve.local._app.patterns import Operation
from superserve.local._app.sandbox_ids import drop_region


class ApiRequest(NamedTuple):
    """A request to an operation: its team, and the parts of its path by name, with ids in canonical form."""

    http: Request
    team: TeamRow
    path: Mapping[str, str]


Handler: TypeAlias = Callable[[ApiRequest], Awaitable[Answer]]
M = TypeVar("M", bound=Callable[[Any, ApiRequest], Awaitable[Answer]])

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = r"[0-9A-Fa-f]{32}"
_DASHED = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_URN = "urn:uuid:"
_MARK = "_superserve_operation"


def operation(
    name: str, route: str, *, needs_key: bool = True, streams_events: bool = False
) -> Callable[[M], M]:
    """Make a method of a resource the handler of an operation, such as `GET /templates/{template_id}`."""
    method, _, path = route.partition(" ")

    def mark(handler: M) -> M:
        setattr(handler, _MARK, Operation(name, method, path, needs_key, streams_events))
        return handler

    return mark


def find_operations(kind: type) -> Iterator[tuple[str, Operation]]:
    """Yield the operations of a resource class, with the names of the methods that handle them."""
    for name, member in vars(kind).items():
        if isinstance(found := getattr(member, _MARK, None), Operation):
            yield name, found


class Router:
    """The operations of some resources, with their handlers."""

    def __init__(self, resources: Iterable[object]) -> None:
        self._routes: dict[str, list[tuple[Operation, Handler]]] = {}
        for resource in resources:
            for name, operation in find_operations(type(resource)):
                self._routes.setdefault(operation.method, []).append((operation, getattr(resource, name)))

    def find(self, method: str, path: str) -> tuple[Operation, Handler] | None:
        """Return the operation of a request and its handler, or None."""
        if path.endswith("/"):
            # An id in the middle of a path may be empty, but no path ends with a slash.
            return None
        parts = path.split("/")[1:]
        return next((route for route in self._routes.get(method, ()) if route[0].pattern.fits(parts)), None)

    def redirect(self, method: str, path: str, query: bytes) -> Response | None:
        """Redirect a path with a superfluous slash, if the rest is a route of the same method."""
        if not path.endswith("/") or self.find(method, path[:-1]) is None:
            return None
        # normpath keeps two slashes at the start.
        location = quote("/" + posixpath.normpath(path).lstrip("/"), safe="$&+,/:;=@")
        if query:
            location += "?" + query.decode("latin-1")
        if method == "GET":
            import html  # Not needed at the server's start.

            # The location may contain text from another page.
            body = f'<a href="{html.escape(location)}">Moved Permanently</a>.\n\n'
            return Response(body, 301, {"location": location, "content-type": "text/html; charset=utf-8"})
        return Response(status_code=307, headers={"location": location})


def read_path(operation: Operation, path: str) -> dict[str, str]:
    """Return the parts of a path by name, with ids in canonical form; raises ApiError for an id that is not a UUID."""
    return {
        name[1:-1]: _read_id(name[1:-1], value) if name.endswith("_id}") else value
        for name, value in zip(operation.path.split("/"), path.split("/"), strict=True)
        if name.startswith("{")
    }


def _read_id(name: str, value: str) -> str:
    """Return an id in its canonical form.

    The server accepts four forms, in any case: 36 characters, the same after `urn:uuid:` or between any two characters,
    and 32 digits without dashes.
    """
    if _CANONICAL.fullmatch(value):
        return value
    text = drop_region(value) if name == "sandbox_id" else value
    # The lengths are in bytes.
    size = len(text.encode("utf-8", "replace"))
    if size == 36 + len(_URN) and text[: len(_URN)].lower() == _URN:
        text = text[len(_URN) :]
    elif size == 36 + 2:
        text = text[1:-1]
    if re.fullmatch(_DASHED, text) or re.fullmatch(_HEX, value):
        return str(UUID(text))
    raise ApiError(400, "bad_request", f'invalid {name}: "{value}" is not a UUID')
