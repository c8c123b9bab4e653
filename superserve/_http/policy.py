"""The limits of calls, which calls are repeated, and what is read of an answer. No I/O."""

import contextlib
import functools
import math
import platform
import ssl
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import httpcore
import httpx

import superserve
from superserve import _clock as time
from superserve._http.environment import is_loopback

# A larger answer, in bytes after decompression, is refused before it fills the memory.
ANSWER_LIMIT: Final = 64 * 1024 * 1024
# Bytes of a refusal that are read. Its message is shortened for errors anyway.
REFUSAL_LIMIT: Final = 64 * 1024
# The longest single attempt to connect. It leaves time for a second attempt after a lost packet.
CONNECT_TIMEOUT_S: Final = 10.0
# The longest timeout of one socket operation: operating systems accept no more than 24 days.
LONGEST_PHASE_S: Final = 86_400.0
KEEPALIVE_EXPIRY_S: Final = 30.0
# Calls of one client that run at the same time; more calls wait in a queue, within their timeout. httpcore's own queue
# gets slower as it grows, and loses connections when calls are cancelled. As many idle connections are kept.
CALLS_AT_ONCE: Final = 32
# The same for sandboxes, where a call lasts as long as a command. The server accepts this many connections per address.
COMMANDS_AT_ONCE: Final = 100

# A 429 means that nothing was done. A gateway error may hide finished work. So only requests that can be repeated
# without a second effect are sent again. Creating something is not one of them.
REPEATED_METHODS: Final = frozenset({"GET", "DELETE"})
REPEATED_STATUSES: Final = frozenset({429, 502, 503, 504})
_REPEATED_ERRORS: Final = (
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
)
UNAVAILABLE: Final = 503
_TOO_MANY: Final = 429
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})


@attrs.frozen
class Options:
    """The limits of one call, including its retries.

    Attributes:
        timeout_s: Seconds for the whole call.
        attempts: How often the request may be sent.
        silence_s: Seconds for one operation on the network.
    """

    timeout_s: float
    attempts: int
    silence_s: float = math.inf


# The limits of the call that is being made, where they differ from the client's.
current_options: Final[ContextVar[Options | None]] = ContextVar("superserve_options", default=None)


@contextlib.contextmanager
def use_options(options: Options) -> Iterator[None]:
    """Use these options for the calls made inside."""
    before = current_options.get()
    current_options.set(options)
    try:
        yield
    finally:
        current_options.set(before)


class Repeatable(Exception):  # noqa: N818 - it is not an error, it carries one
    """A failed attempt that is worth repeating, with its result: an answer, or a network error."""

    def __init__(self, result: httpx.Response | httpx.RequestError) -> None:
        super().__init__()
        self.result = result

    @property
    def retry_after_s(self) -> float | None:
        """The seconds that the server asked to wait, or None."""
        return retry_after(self.result.headers) if isinstance(self.result, httpx.Response) else None

    def outcome(self) -> httpx.Response:
        """Return the answer or raise the network error: there are no more retries."""
        if isinstance(self.result, httpx.Response):
            return self.result
        raise self.result


class OutOfTurnError(httpx.PoolTimeout):
    """A call that was not sent: its turn at the gate would come in `delay_s`, after its deadline."""

    def __init__(self, delay_s: float, request: httpx.Request) -> None:
        text = f"its turn, at the rate that the server allows, would come in {delay_s:.1f} s"
        super().__init__(text, request=request)
        self.delay_s = delay_s


def set_timeouts(request: httpx.Request, seconds: float, silence_s: float = math.inf) -> None:
    """Limit each phase of a request to the time that its call has left, and to the limits set before."""
    phase_s = min(seconds, silence_s, LONGEST_PHASE_S)
    # Connecting ends before the call does, if possible: then it is certain that nothing was sent.
    connect_s = min(max(seconds - 0.1, seconds * 0.75), CONNECT_TIMEOUT_S)
    bounds = {"connect": connect_s, "read": phase_s, "write": phase_s, "pool": phase_s}
    for phase, before in request.extensions.get("timeout", {}).items():
        if before is not None:
            bounds[phase] = min(before, bounds[phase])
    request.extensions["timeout"] = bounds


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, except errors that the caller was already handling."""
    cause: BaseException | None = error
    # The chain may lead back to one of its links.
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        # httpcore's pool removes the cause of its errors; the context is the original error.
        cause = cause.__cause__ or (cause.__context__ if isinstance(cause, httpcore.ConnectError) else None)


def is_untrusted(error: BaseException) -> bool:
    """Whether this side refused the connection because of the server's certificate. Trying again would not help."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error))


def may_pass(error: httpx.RequestError) -> bool:
    """Whether a network error may be gone at the next attempt."""
    if isinstance(error, httpx.ProxyError):
        # The proxy's answer to CONNECT, in httpcore's words: "503 Service Unavailable".
        return str(error)[:3] in map(str, REPEATED_STATUSES)
    return isinstance(error, _REPEATED_ERRORS) and not is_untrusted(error)


def is_worth_repeating(response: httpx.Response) -> bool:
    """Whether a complete answer may be better next time. A used-up quota (`too_many_*`) will not be."""
    if response.status_code == _TOO_MANY:
        return b'"too_many_' not in response.content
    return response.status_code in REPEATED_STATUSES


def is_rate_limited(response: httpx.Response) -> bool:
    """Whether the server says that requests come too fast."""
    return response.status_code == _TOO_MANY and is_worth_repeating(response)


def refuse_encoding(response: httpx.Response) -> None:
    """Raise if an answer has an encoding that was not asked for: decoding it might fill the memory in one step."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in _ENCODINGS:
        raise httpx.DecodingError(
            "the answer has a content encoding that was not asked for", request=response.request
        )


def refuse_length(request: httpx.Request, length: int) -> None:
    """Raise if an answer is longer, or says that it is longer, than what is read into memory."""
    if length > ANSWER_LIMIT:
        raise httpx.DecodingError(f"the answer is larger than {ANSWER_LIMIT // 2**20} MiB", request=request)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date; None without a usable one."""
    header = headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def speed(response: httpx.Response) -> float:
    """Return how many times faster than the service the server runs. Only a server on this machine may say so; otherwise 1."""
    header = response.headers.get("superserve-local-speed", "")
    is_known = header.isascii() and header.isdigit() and is_loopback(response.request.url.host)
    return max(1.0, float(header)) if is_known else 1.0


@functools.cache
def common_headers() -> dict[str, str]:
    """Return the headers of every request. None is a secret."""
    return {
        "User-Agent": f"superserve-python/{superserve.__version__} (python/{platform.python_version()})",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
    }


def time_left(deadline: float) -> float:
    """Return the seconds until a deadline on the clock of `time.monotonic`; 0 once it has passed."""
    return max(0.0, deadline - time.monotonic())


class Discarding(httpx.Cookies):
    """A cookie jar that keeps nothing. httpx calls it before it logs an answer, so it also removes the reason phrase.

    This API has no cookies, and looking for them takes 5 % of a call. A reason phrase may quote what was sent.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        """Remove the reason phrase, and take no cookies."""
        response.extensions.pop("reason_phrase", None)


NO_COOKIES: Final = Discarding()
