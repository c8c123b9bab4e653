"""A log of the requests to the API, through Python's logging: logger `superserve.local.requests`, level INFO."""

import logging
from collections.abc import Iterable

import attrs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from superserve.local._app.clock import monotonic

_SWITCHING = 101

logger = logging.getLogger("superserve.local.requests")


@attrs.frozen
class Served:
    """One request and how it was answered; a log record has it as `served`."""

    method: str
    path: str
    """As it was sent, percent signs and all."""
    query: str
    status: int | None
    """None if the connection ended before there was one."""
    duration_s: float
    """Until the end of the answer; for a log stream, how long it was open."""

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} {self.path}{query}: {self.status or 'no answer'}"


def read_status(message: Message) -> int | None:
    """Return the status that a message begins an answer with, None for any other message."""
    if message["type"] in {"http.response.start", "websocket.http.response.start"}:
        status: int = message["status"]
        return status
    return _SWITCHING if message["type"] == "websocket.accept" else None


class AccessLog:
    """Logs what another application serves, if anybody listens. Keys come in headers and stay out of it."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not logger.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        started = monotonic()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            status = status or read_status(message)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            served = Served(
                method=scope["method"],
                path=self._hide_keys(scope["raw_path"]),
                query=self._hide_keys(scope["query_string"]),
                status=status,
                duration_s=monotonic() - started,
            )
            logger.info("%s", served, extra={"served": served})

    def _hide_keys(self, text: bytes) -> str:
        # A key has no business there, but who knows what is tried.
        shown = text.decode("ascii", "backslashreplace")
        for key in self._keys:
            shown = shown.replace(key, "***")
        return shown
