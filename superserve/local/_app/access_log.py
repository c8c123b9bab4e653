"""A log of the requests to the API, through Python's logging: logger `superserve.local.requests`, level INFO."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from superserve.local._app.clock import monotonic

_SWITCHING = 101

logger = logging.getLogger("superserve.local.requests")


class Served(NamedTuple):
    """One request and its answer. A log record has it as `served`."""

    method: str
    path: str
    """The path as it was sent, with percent signs."""
    query: str
    status: int | None
    """The status; None if the connection ended before there was one."""
    duration_s: float
    """Seconds until the end of the answer; for a log stream, how long it was open."""

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} {self.path}{query}: {self.status or 'no answer'}"


def read_status(message: Message) -> int | None:
    """Return the status of a message that starts an answer; None for any other message."""
    if message["type"] in {"http.response.start", "websocket.http.response.start"}:
        status: int = message["status"]
        return status
    return _SWITCHING if message["type"] == "websocket.accept" else None


class AccessLog:
    """Logs the requests to another application, if the logger is enabled. Keys are in headers, which are not logged."""

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
        # A key does not belong in an address, but a client may put it there.
        shown = text.decode("ascii", "backslashreplace")
        for key in self._keys:
            shown = shown.replace(key, "***")
        return shown
