"""How the connections of a log stream are asked for, judged and opened again, without I/O."""

from collections.abc import Generator
from typing import Any, Final

import httpx

from superserve import _http
from superserve._http import Options, Repeatable

_OK: Final = 200
_SERVER_ERRORS: Final = 500

# Once a build runs there are no keep-alives, and the headers come with the first event: silence means nothing.
_TIMEOUT: Final = httpx.Timeout(connect=_http.CONNECT_TIMEOUT_S, read=None, write=10.0, pool=None)


def request(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments for httpx that open a stream, given those of its generated operation."""
    return {
        **operation,
        "headers": {"Accept": "text/event-stream", "Cache-Control": "no-store"},
        "timeout": _TIMEOUT,
        # Opening it again is the log pump's own affair.
        "extensions": _http.extensions(Options(timeout_s=_http.CONNECT_TIMEOUT_S, attempts=1)),
    }


def is_log(response: httpx.Response) -> bool:
    """Whether a response is an event stream."""
    return response.status_code == _OK and "text/event-stream" in response.headers.get("content-type", "")


def may_pass(response: httpx.Response) -> bool:
    """Whether a response that is no event stream may be one the next time."""
    return response.status_code >= _SERVER_ERRORS or _http.is_worth_repeating(response)


def decoded(response: httpx.Response) -> httpx.Response:
    """Return the response set to be read as event streams are: always UTF-8, with or without a BOM."""
    response.encoding = "utf-8-sig"
    return response


class Reopening:
    """How long to wait before opening a stream again: ever longer, until something new has been read."""

    def __init__(self) -> None:
        self._delays: Generator[float, Repeatable, None] | None = None

    def delay(self, failed: Repeatable) -> float:
        """Return the seconds to wait after `failed`."""
        from superserve import _retry

        if self._delays is None:
            self._delays = _retry.delays()
            next(self._delays)
        return self._delays.send(failed)

    def reset(self) -> None:
        """Start again with the shortest wait."""
        self._delays = None
