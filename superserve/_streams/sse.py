"""How the connections of a log stream are asked for, judged and opened again, without I/O."""

import contextlib
import socket
import time
from collections.abc import Generator
from typing import Any, Final

import httpx

from superserve._http import policy
from superserve._http.policy import Options, Repeatable
from superserve._polling import Pace

_KIND: Final = "text/event-stream"
_OK: Final = 200
_TOO_MANY: Final = 429
# A page of somebody in between, or a key that the platform cannot look up at the moment: borne with a few times.
_ODD: Final = frozenset({_OK, 401, 408, 425})
_ODD_IN_A_ROW: Final = 3
_SERVER_ERRORS: Final = 500

# Once a build runs there are no keep-alives, and the headers come with the first event: silence means nothing.
_TIMEOUT: Final = httpx.Timeout(connect=policy.CONNECT_TIMEOUT_S, read=None, write=10.0, pool=None)

_REOPENED_EVERY_S: Final = 1.0

# A step may be silent for ten minutes, after which many a router has forgotten the connection.
_KEEP_ALIVE_S: Final = 30


def request(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for httpx that open a stream, given those of its generated operation."""
    return {
        **operation,
        "headers": {"Accept": _KIND, "Cache-Control": "no-store"},
        "timeout": _TIMEOUT,
        # Opening it again is the log pump's own affair.
        "extensions": policy.extensions(Options(timeout_s=policy.CONNECT_TIMEOUT_S, attempts=1)),
    }


def is_log(response: httpx.Response) -> bool:
    """Whether a response is an event stream."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.status_code == _OK and kind == _KIND


def opened(response: httpx.Response, body: httpx.SyncByteStream | httpx.AsyncByteStream) -> httpx.Response:
    """Set a response up to be read for long, and return it with this body: in UTF-8, with or without a BOM."""
    sock = response.extensions["network_stream"].get_extra_info("socket")
    # A connection that the server has reset already takes no options.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # TCP_KEEPALIVE is what macOS calls it.
        after = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        if after is not None:
            sock.setsockopt(socket.IPPROTO_TCP, after, _KEEP_ALIVE_S)
    # Of the headers only what the reader of events insists on: the body has been unpacked.
    kind = {"content-type": _KIND}
    bounded = httpx.Response(response.status_code, headers=kind, stream=body, request=response.request)
    bounded.encoding = "utf-8-sig"
    return bounded


class Reopening:
    """How long to wait before opening a stream again: ever longer, until something new has been read.

    Attributes:
        has_news: Whether something new has been read since the last wait.
    """

    def __init__(self, pace: Pace) -> None:
        self.has_news = False
        self._pace = pace
        self._delays: Generator[float, Repeatable, None] | None = None
        self._opened_at = 0.0
        self._odd = 0

    def opened(self) -> None:
        """Take note that there is a log to read."""
        self._opened_at = time.monotonic()
        self._odd = 0

    def bears_with(self, response: httpx.Response) -> bool:
        """Whether a response that is no event stream may be one the next time."""
        if response.status_code in _ODD:
            self._odd += 1
            return self._odd < _ODD_IN_A_ROW
        return response.status_code >= _SERVER_ERRORS or policy.is_worth_repeating(response)

    def anew(self) -> None:
        """Let the next wait be the shortest."""
        self._delays = None

    def delay(self, failed: Repeatable) -> float:
        """Return the seconds to wait after `failed`."""
        from superserve._http import retry

        if failed.response is not None and failed.response.status_code == _TOO_MANY:
            self._pace.limited(policy.retry_after(failed.response))
            return self._pace.delay(_REOPENED_EVERY_S)
        has_news, self.has_news = self.has_news, False
        has_lasted = time.monotonic() - self._opened_at >= _REOPENED_EVERY_S
        if self._delays is None or (has_news and has_lasted):
            self._delays = retry.delays()
            next(self._delays)
        delay = self._delays.send(failed)
        # One that brings a little each time is not opened many times a second for that, nor given up for long.
        return min(delay, _REOPENED_EVERY_S) if has_news else delay
