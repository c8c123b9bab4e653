"""Which requests to a sandbox are sent again after a refusal or a lost answer. No I/O."""

import enum
from typing import Any, Final

import httpx

from superserve._http import policy, responses
from superserve.errors import RateLimitError, SandboxError


class Verdict(enum.Enum):
    """What an error means for a request that changes something."""

    RAISE = enum.auto()
    """The request did not run, and would not run the next time either."""

    WAKE = enum.auto()
    """The request did not run: the token is too old, or the sandbox is asleep or has moved. Activate it, then send again."""

    BACK_OFF = enum.auto()
    """The request did not run, and may run the next time."""

    UNKNOWN = enum.auto()
    """The request may have run: sending it again might run it twice."""


_ASLEEP: Final = ("sandbox is paused", "sandbox is stopped")
# Answers of a proxy that stopped waiting.
_GIVEN_UP: Final = frozenset({408, 499})
_DONE_BEFORE_IT_RAN: Final = frozenset({500, 501, 505, 507})


def judge(error: SandboxError, *, may_repeat: bool = False) -> Verdict:
    """Return what an error of the data plane means for its request.

    With `may_repeat`, a request that may have run is sent again if that may help: it changes nothing.
    """
    verdict = _judge(error)
    if verdict is Verdict.UNKNOWN and may_repeat:
        is_lost = isinstance(error.__cause__, httpx.NetworkError | httpx.RemoteProtocolError)
        return Verdict.BACK_OFF if is_lost or error.status_code in policy.REPEATED_STATUSES else Verdict.RAISE
    return verdict


def _judge(error: SandboxError) -> Verdict:  # noqa: PLR0911 - a table, row by row
    match error.status_code:
        case None:
            return _judge_failure(error)
        case 401:
            return Verdict.WAKE
        case 404:
            return Verdict.WAKE if error.code == "sandbox_route_stale" else Verdict.RAISE
        case 429:
            is_quota = (error.code or "").startswith("too_many_")
            return Verdict.RAISE if is_quota else Verdict.BACK_OFF
        case 503 if error.code == "sandbox_unavailable" or _is_text(error, _ASLEEP):
            return Verdict.WAKE
        case status if 300 <= status < 500 and status not in _GIVEN_UP:  # noqa: PLR2004 - of HTTP
            return Verdict.RAISE
        case status if status in _DONE_BEFORE_IT_RAN:
            return Verdict.RAISE
    # This includes a 2xx answer that cannot be understood.
    return Verdict.UNKNOWN


def details(error: SandboxError) -> dict[str, Any]:
    """Return the details of an error, to make another error in its place."""
    return {
        "action": error.action,
        "status_code": error.status_code,
        "code": error.code,
        "headers": error.headers,
        "request_id": error.request_id,
    }


def _judge_failure(error: SandboxError) -> Verdict:
    if isinstance(error, RateLimitError):
        # Its turn at the gate would come too late.
        return Verdict.RAISE
    if error.__cause__ is None:
        # Nothing was sent: the client is closed, or there is no event loop.
        return Verdict.RAISE
    if not isinstance(error.__cause__, responses.NEVER_SENT):
        return Verdict.UNKNOWN
    cause = error.__cause__
    may_pass = isinstance(cause, httpx.TimeoutException | httpx.NetworkError)
    return Verdict.BACK_OFF if may_pass and not policy.is_untrusted(cause) else Verdict.RAISE


def _is_text(error: SandboxError, texts: tuple[str, ...]) -> bool:
    return error.headers.get("content-type", "").startswith("text/plain") and error.message in texts
