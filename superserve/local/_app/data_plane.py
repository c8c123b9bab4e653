"""The data plane: the checks before each operation on a sandbox, in the order of the real edge."""

import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeAlias
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app.sandbox_ids import drop_region

ID_HEADER = "x-superserve-sandbox-id"
TOKEN_HEADER = "x-access-token"  # noqa: S105 - the name of a header
PROTOCOL = "superserve.exec.v1"

_LABEL = "boxd-"
_ID = r"[A-Za-z0-9][A-Za-z0-9-]{0,63}"
_REFERRER = (b"referrer-policy", b"no-referrer")


class DataRequest(NamedTuple):
    """An accepted request to a sandbox."""

    scope: Scope
    receive: Receive
    send: Send
    sandbox_id: str
    path: str
    """The path in the query, for files; else empty."""


Carry: TypeAlias = Callable[[DataRequest], Awaitable[None]]


class Gatekeeper(Protocol):
    """Knows the sandboxes, their tokens, and the most requests at once."""

    def is_token(self, sandbox_id: str, token: str) -> bool:
        """Whether a token is valid for a sandbox."""
        ...

    def check_running(self, sandbox_id: str) -> Response | None:
        """Return the refusal for a sandbox that does not run, or None."""
        ...

    @property
    def most_connections(self) -> tuple[int | None, int | None]:
        """Return the most requests at once: to one sandbox, and from one address."""
        ...


class DataPlane:
    """The ASGI application of the data plane.

    Args:
        gatekeeper: Knows the sandboxes.
        routes: The functions that carry out requests, by method and path. A WebSocket's method is `WEBSOCKET`.
    """

    def __init__(self, gatekeeper: Gatekeeper, routes: Mapping[tuple[str, str], Carry]) -> None:
        self._gatekeeper = gatekeeper
        self._routes = routes
        self._paths = {path for _, path in routes}
        self._to_sandbox: Counter[str] = Counter()
        self._from_address: Counter[str] = Counter()

    def takes(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request is for this plane: by its path, or by a host name that starts with a sandbox id."""
        return path in self._paths or _read_host(headers.get(b"host", b"").decode("latin-1")) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        sandbox_id = _find_sandbox(headers)
        if sandbox_id is None:
            await text_answer(400, "invalid sandbox URL")(scope, receive, send)
            return
        with self.counting(sandbox_id, scope) as refusal:
            request = refusal or self._admit(sandbox_id, headers, scope, receive, send)
            if isinstance(request, Response):
                await request(scope, receive, send)
                return
            with contextlib.suppress(ClientDisconnect):
                await self._routes[_method(scope), scope["path"]](request)

    @contextlib.contextmanager
    def counting(self, sandbox_id: str, scope: Scope) -> Iterator[Response | None]:
        """Count a request while it is served. Yields the refusal if there are too many."""
        address = _find_address(scope)
        of_sandbox, of_address = self._gatekeeper.most_connections
        if of_sandbox is not None and self._to_sandbox[sandbox_id] >= of_sandbox:
            yield text_answer(429, "too many connections to sandbox")
            return
        if of_address is not None and self._from_address[address] >= of_address:
            yield text_answer(429, "too many connections from this IP")
            return
        counts = ((self._to_sandbox, sandbox_id), (self._from_address, address))
        for counter, key in counts:
            counter[key] += 1
        try:
            yield None
        finally:
            for counter, key in counts:
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

    def _admit(  # noqa: PLR0911 - the edge's steps
        self, sandbox_id: str, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> "DataRequest | Response":
        path = scope["path"]
        if path not in self._paths:
            return text_answer(404, "404 page not found")
        if (_method(scope), path) not in self._routes:
            allowed = ", ".join(each for each, other in self._routes if other == path and each != "WEBSOCKET")
            return text_answer(405, "method not allowed", allow=allowed or "GET")
        file_path = ""
        if path == "/files":
            given = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get(
                "path", [""]
            )
            file_path = given[0]
            if problem := _check_path(file_path):
                return text_answer(400, problem)
        token = _find_token(scope, headers)
        if token is None:
            return text_answer(401, "missing X-Access-Token header")
        if not self._gatekeeper.is_token(sandbox_id, token):
            return text_answer(401, "invalid access token")
        if "x-api-key" in headers:
            # The real edge accepts it. But such a client sends an account's key to the host of a sandbox.
            return text_answer(
                400, "X-API-Key was sent to the data plane: it belongs to the control plane alone"
            )
        refusal = self._gatekeeper.check_running(sandbox_id)
        if refusal is not None:
            refusal.raw_headers.append(_REFERRER)
            return refusal
        return DataRequest(scope, receive, send, sandbox_id, file_path)


def text_answer(status: int, text: str, **headers: str) -> Response:
    """Return an answer in the usual form of the edge and the machine: a line of text."""
    return Response(f"{text}\n", status, {"content-type": "text/plain; charset=utf-8", **headers})


def _read_host(host: str) -> str | None:
    label = host.partition(".")[0]
    found = label.removeprefix(_LABEL)
    return found if found != label and re.fullmatch(_ID, found) else None


def _find_sandbox(headers: Headers) -> str | None:
    found = _read_host(headers.get("host", "")) or headers.get(ID_HEADER, "")
    return drop_region(found).lower() if re.fullmatch(_ID, found) else None


def _find_token(scope: Scope, headers: Headers) -> str | None:
    if token := headers.get(TOKEN_HEADER):
        return token
    offered = scope.get("subprotocols", [])
    return next((each.removeprefix("token.") for each in offered if each.startswith("token.")), None)


def _check_path(path: str) -> str | None:
    if not path:
        return "path is required"
    if "\0" in path:
        return "path must not contain NUL"
    if ".." in path.split("/"):
        return "path traversal not allowed"
    return None


def _method(scope: Scope) -> str:
    return "WEBSOCKET" if scope["type"] == "websocket" else str(scope["method"])


def _find_address(scope: Scope) -> str:
    forwarded = Headers(scope=scope).get("x-forwarded-for", "").partition(",")[0].strip()
    return forwarded or (scope["client"][0] if scope["client"] else "")
