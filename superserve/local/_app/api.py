"""The ASGI application: what every request meets first, and which operation it reaches."""

import logging
import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import quote
from uuid import UUID

import attrs
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app import go_json
from superserve.local._app.errors import ApiError
from superserve.local._app.limits import Limits, RateLimiter
from superserve.local._app.patterns import LOGS, OPERATIONS
from superserve.local._resources.templates import Answer, Call, Templates, error_answer, json_answer
from superserve.local._store.store import Store, Team

Operation: TypeAlias = Callable[[Call], Awaitable[Answer]]

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
]
_HEALTH = go_json.write({"status": "ok", "version": "0.1.0"})
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HEX = re.compile(r"[0-9A-Fa-f]{32}")
_DASHED = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_URN = "urn:uuid:"
_ID = "{id}"

_logger = logging.getLogger("superserve.local")


@attrs.frozen
class Route:
    """A method and the segments of a path; `{id}` stands for one segment of any text."""

    method: str
    segments: tuple[str, ...]
    operation: Operation | None
    """None for /health, the only operation without a key."""

    def ids(self, segments: tuple[str, ...]) -> list[str] | None:
        """Return the ids in a path that has this route's form."""
        if len(segments) != len(self.segments):
            return None
        found: list[str] = []
        for own, given in zip(self.segments, segments, strict=True):
            if own == _ID:
                found.append(given)
            elif own != given:
                return None
        return found


class Api:
    """Answers every request to the control plane."""

    def __init__(self, store: Store, templates: Templates, limits: Limits | None) -> None:
        self._store = store
        self._limits = limits
        self._by_address: RateLimiter | None = None
        self._by_team: dict[str, RateLimiter] = {}
        self.reset()
        self._routes = [
            _route("health", None),
            _route("listTemplates", templates.list_templates),
            _route("createTemplate", templates.create_template),
            _route("getTemplate", templates.get_template),
            _route("deleteTemplate", templates.delete_template),
            _route("listTemplateBuilds", templates.list_builds),
            _route("createTemplateBuild", templates.create_build),
            _route("getTemplateBuild", templates.get_build),
            _route("cancelTemplateBuild", templates.cancel_build),
            _route(LOGS, templates.stream_logs),
        ]

    def reset(self) -> None:
        """Forget who made how many requests."""
        limits = self._limits
        self._by_address = RateLimiter(limits.requests_per_s, limits.burst) if limits else None
        self._by_team.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
            await answer(scope, receive, send)
        except ClientDisconnect:
            return

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if b"%" in scope["raw_path"] and _BAD_ESCAPE.search(scope["raw_path"]):
            return Response(
                "400 Bad Request", 400, {"content-type": "text/plain; charset=utf-8", "connection": "close"}
            )
        method: str = scope["method"]
        segments = tuple(scope["path"].split("/")[1:])
        redirect = self._redirect(method, segments, scope["query_string"])
        if redirect is not None:
            return redirect
        headers = list(_SECURITY_HEADERS)
        try:
            answer = await self._limited(Request(scope, receive), method, segments, headers)
        except ApiError as error:
            answer = error_answer(error)
        except ClientDisconnect:
            raise
        except Exception:
            _logger.exception("%s %s failed", method, scope["path"])
            answer = error_answer(ApiError(500, "internal_error", "internal error"))
        answer.raw_headers.extend(headers)
        return answer

    async def _limited(
        self, request: Request, method: str, segments: tuple[str, ...], headers: list[tuple[bytes, bytes]]
    ) -> Answer:
        if self._by_address is not None:
            _take(self._by_address, _address(request), headers)
        for route in self._routes:
            ids = route.ids(segments) if route.method == method else None
            if ids is not None:
                break
        else:
            return Response("404 page not found", 404, {"content-type": "text/plain"})
        if route.operation is None:
            return json_answer(200, _HEALTH)
        team = self._authenticate(request)
        if team.limits is not None:
            limits = team.limits
            limiter = self._by_team.get(team.id)
            if limiter is None:
                limiter = self._by_team[team.id] = RateLimiter(limits.requests_per_s, limits.burst)
            _take(limiter, team.id, headers)
        names = ("template_id", "build_id")
        canonical = [canonical_id(name, value) for name, value in zip(names, ids, strict=False)]
        return await route.operation(Call(request, team, *canonical))

    def _authenticate(self, request: Request) -> Team:
        team = self._store.team_of(request.headers.get("x-api-key", ""))
        if team is None:
            raise ApiError(401, "auth_failed", "missing or invalid API key")
        return team

    def _redirect(self, method: str, segments: tuple[str, ...], query: bytes) -> Response | None:
        """Redirect a path with a slash too many, if the rest leads somewhere or further paths start with it."""
        if len(segments) == 1 or segments[-1]:
            return None
        rest = segments[:-1]
        size = len(rest)
        if not any(
            route.method == method
            and len(route.segments) >= size
            and _shortened(route, size).ids(rest) is not None
            for route in self._routes
        ):
            return None
        location = "/" + "/".join(quote(segment, safe="$&+,/:;=@") for segment in rest)
        if query:
            location += "?" + query.decode("latin-1")
        if method == "GET":
            body = f'<a href="{location.replace("&", "&amp;")}">Moved Permanently</a>.\n\n'
            return Response(body, 301, {"location": location, "content-type": "text/html; charset=utf-8"})
        return Response(status_code=307, headers={"location": location})


def canonical_id(name: str, value: str) -> str:
    """Return an id of the path in its canonical spelling; raises ApiError if it is not a UUID.

    The server takes four spellings, in any case: 36 characters, those after `urn:uuid:`, those between any two
    characters, and 32 digits without dashes.
    """
    text = value
    if len(text) == 36 + len(_URN) and text[: len(_URN)].lower() == _URN:
        text = text[len(_URN) :]
    elif len(text) == 36 + 2:
        text = text[1:-1]
    if _DASHED.fullmatch(text) or _HEX.fullmatch(value):
        return str(UUID(text))
    raise ApiError(400, "bad_request", f'invalid {name}: "{value}" is not a UUID')


def _route(name: str, operation: Operation | None) -> Route:
    method, _, path = OPERATIONS[name].partition(" ")
    return Route(method, tuple(path.split("/")[1:]), operation)


def _shortened(route: Route, size: int) -> Route:
    return attrs.evolve(route, segments=route.segments[:size])


def _take(limiter: RateLimiter, caller: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Take a token and set the headers that tell of it, in place of those of a limiter before."""
    ticket = limiter.take(caller)
    headers[len(_SECURITY_HEADERS) :] = ticket.headers
    if not ticket.admitted:
        raise ApiError(429, "rate_limited", "too many requests: wait and try again")


def _address(request: Request) -> str:
    """Return the caller's address; proxies are trusted, whoever they are."""
    forwarded = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    for addresses in (forwarded, [request.headers.get("x-real-ip", "")]):
        try:
            return str([ip_address(address) for address in addresses][0])  # noqa: RUF015 - all must be addresses
        except ValueError:
            continue
    return request.client.host if request.client else ""
