"""The API as an ASGI application: the checks before each operation."""

import logging
import re
from ipaddress import ip_address

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app.answers import Answer, error_answer
from superserve.local._app.auth import NOBODY, TeamRow, Teams
from superserve.local._app.connection import Connection
from superserve.local._app.errors import ApiError
from superserve.local._app.limits import Limits, RateLimiter
from superserve.local._app.router import ApiRequest, Router, read_path

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
]
# A longer body is sent in chunks, because its length is not known when the headers are sent.
_BUFFERED = 2048
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_logger = logging.getLogger("superserve.local")


class Api:
    """Answers every request to the control plane."""

    def __init__(self, router: Router, teams: Teams, limits: Limits | None) -> None:
        self._router = router
        self._teams = teams
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """Forget how many requests each caller made."""
        limits = self._limits
        self._by_address = RateLimiter(limits.requests_per_s, limits.burst) if limits else None
        self._by_team: dict[str, RateLimiter] = {}

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
        redirect = self._router.redirect(scope["method"], scope["path"], scope["query_string"])
        if redirect is not None:
            return redirect
        headers = list(_SECURITY_HEADERS)
        try:
            answer = await self._handle(Request(scope, receive), headers)
        except ApiError as error:
            answer = error_answer(error)
        except ClientDisconnect:
            if not Connection.of(scope).has_broken_body:
                raise
            answer = error_answer(
                ApiError(400, "bad_request", "invalid request body: it cannot be read to its end")
            )
        except Exception:
            _logger.exception("%s %s failed", scope["method"], scope["path"])
            answer = error_answer(ApiError(500, "internal_error", "internal error"))
        answer.raw_headers.extend(headers)
        if isinstance(answer, Response) and len(answer.body) > _BUFFERED:
            del answer.headers["content-length"]
        return answer

    async def _handle(self, request: Request, headers: list[tuple[bytes, bytes]]) -> Answer:
        if self._by_address is not None:
            _take(self._by_address, _address(request), headers)
        found = self._router.find(request.method, request.scope["path"])
        if found is None:
            return Response("404 page not found", 404, {"content-type": "text/plain"})
        operation, handle = found
        team = NOBODY
        if operation.needs_key:
            team = self._teams.authenticate(request)
            self._take_for_team(team, headers)
        return await handle(ApiRequest(request, team, read_path(operation, request.scope["path"])))

    def _take_for_team(self, team: TeamRow, headers: list[tuple[bytes, bytes]]) -> None:
        if team.limits is None:
            return
        limiter = self._by_team.get(team.id)
        if limiter is None:
            limiter = self._by_team[team.id] = RateLimiter(team.limits.requests_per_s, team.limits.burst)
        _take(limiter, team.id, headers)


def _take(limiter: RateLimiter, caller: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Take a token, and set the headers about it. They replace those of an earlier limiter."""
    ticket = limiter.take(caller)
    headers[len(_SECURITY_HEADERS) :] = ticket.headers
    if not ticket.admitted:
        raise ApiError(429, "rate_limited", "too many requests: wait and try again")


def _address(request: Request) -> str:
    """Return the caller's address. Any proxy is trusted."""
    forwarded = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    for addresses in (forwarded, [request.headers.get("x-real-ip", "")]):
        try:
            return str([ip_address(address) for address in addresses][0])  # noqa: RUF015 - all must be addresses
        except ValueError:
            continue
    return request.client.host if request.client else ""
