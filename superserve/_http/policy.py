"""How long calls may take, how many there are at once, which are repeated, and what of an answer is read. No I/O."""

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

# Bytes, after decompression, above which an answer is refused before it fills the memory.
ANSWER_LIMIT: Final = 64 * 1024 * 1024
# What one attempt to connect may take, so that a lost packet leaves time for another.
CONNECT_TIMEOUT_S: Final = 10.0
# What a single operation on a socket may take: an operating system counts no more than 24 days.
LONGEST_PHASE_S: Final = 86_400.0
KEEPALIVE_EXPIRY_S: Final = 30.0
# Calls of one client that may be under way; further ones wait in line, within their time. httpcore's own line takes ever
# longer the longer it is, and loses connections when calls are cancelled. As many idle connections are kept.
CALLS_AT_ONCE: Final = 32
# The same for sandboxes, where a call lasts as long as a command. Their server takes so many connections of one address.
COMMANDS_AT_ONCE: Final = 100

# A 429 was refused before any work, and a gateway error may hide finished work: so only requests whose repetition
# changes nothing are sent again, and creating something is not among them.
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
    """What one call may take, repetitions included.

    Attributes:
        timeout_s: Seconds for all of it.
        attempts: How often it may be sent.
        silence_s: Seconds that a single operation on the network may take.
    """

    timeout_s: float
    attempts: int
    silence_s: float = math.inf


# What the call that is being made here may take, if that is not what the client says.
current_options: Final[ContextVar[Options | None]] = ContextVar("superserve_options", default=None)


@contextlib.contextmanager
def applying(options: Options) -> Iterator[None]:
    """Make the calls within with these options."""
    before = current_options.get()
    current_options.set(options)
    try:
        yield
    finally:
        current_options.set(before)


class Repeatable(Exception):  # noqa: N818 - not an error of its own: it carries one
    """An attempt that is worth repeating, with what it came to: an answer, or a failure on the way."""

    def __init__(self, result: httpx.Response | httpx.RequestError) -> None:
        super().__init__()
        self.result = result

    @property
    def retry_after_s(self) -> float | None:
        """The seconds that the server asked to wait, if it did."""
        return retry_after(self.result.headers) if isinstance(self.result, httpx.Response) else None

    def outcome(self) -> httpx.Response:
        """Return the answer or raise the failure, now that it is not repeated any more."""
        if isinstance(self.result, httpx.Response):
            return self.result
        raise self.result


class OutOfTurnError(httpx.PoolTimeout):
    """A call that was not sent: its turn at the gate would come in `delay_s`, after its time is over."""

    def __init__(self, delay_s: float, request: httpx.Request) -> None:
        text = f"its turn, at the rate that the server allows, would come in {delay_s:.1f} s"
        super().__init__(text, request=request)
        self.delay_s = delay_s


def set_timeouts(request: httpx.Request, seconds: float, silence_s: float = math.inf) -> None:
    """Bound each phase of a request by the time that its call has left, and by what was set before."""
    phase_s = min(seconds, silence_s, LONGEST_PHASE_S)
    # Over before the call is, as far as can be: then it is known that nothing was sent.
    connect_s = min(max(seconds - 0.1, seconds * 0.75), CONNECT_TIMEOUT_S)
    bounds = {"connect": connect_s, "read": phase_s, "write": phase_s, "pool": phase_s}
    for phase, before in request.extensions.get("timeout", {}).items():
        if before is not None:
            bounds[phase] = min(before, bounds[phase])
    request.extensions["timeout"] = bounds


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, but nothing that the caller was handling before."""
    cause: BaseException | None = error
    # The chain may lead back to one of its links.
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        # httpcore's pool takes the cause of its own errors away; the context is what they were made from.
        cause = cause.__cause__ or (cause.__context__ if isinstance(cause, httpcore.ConnectError) else None)


def is_untrusted(error: BaseException) -> bool:
    """Whether a connection was refused by this side, for the server's certificate: trying again changes nothing."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error))


def may_pass(error: httpx.RequestError) -> bool:
    """Whether a failure on the way may not happen the next time."""
    if isinstance(error, httpx.ProxyError):
        # What the proxy answered to CONNECT, which httpcore has put into words: "503 Service Unavailable".
        return str(error)[:3] in map(str, REPEATED_STATUSES)
    return isinstance(error, _REPEATED_ERRORS) and not is_untrusted(error)


def is_worth_repeating(response: httpx.Response) -> bool:
    """Whether an answer, read to its end, may be better next time. A used-up quota (`too_many_*`) will not be."""
    if response.status_code == _TOO_MANY:
        return b'"too_many_' not in response.content
    return response.status_code in REPEATED_STATUSES


def is_rate_limited(response: httpx.Response) -> bool:
    """Whether the server says that requests come too fast."""
    return response.status_code == _TOO_MANY and is_worth_repeating(response)


def refuse_packing(response: httpx.Response) -> None:
    """Raise if an answer is packed in a way not asked for: unpacking it might fill the memory in a single step."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in _ENCODINGS:
        raise httpx.DecodingError("the answer is packed in a way not asked for", request=response.request)


def refuse_length(request: httpx.Request, length: int) -> None:
    """Raise if an answer is, or says it is, longer than what is read into memory."""
    if length > ANSWER_LIMIT:
        raise httpx.DecodingError(f"the answer is larger than {ANSWER_LIMIT // 2**20} MiB", request=request)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date, or None."""
    header = headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def speed(headers: Mapping[str, str]) -> float:
    """Return how many times faster than the service the server goes: a local one says so, the service says nothing."""
    header = headers.get("superserve-local-speed", "")
    return max(1.0, float(header)) if header.isascii() and header.isdigit() else 1.0


@functools.cache
def common_headers() -> dict[str, str]:
    """Return the headers of every request, none of which is a secret."""
    return {
        "User-Agent": f"superserve-python/{superserve.__version__} (python/{platform.python_version()})",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
    }


def time_left(deadline: float) -> float:
    """Return the seconds until a deadline of `time.monotonic`, none if it has passed."""
    return max(0.0, deadline - time.monotonic())


class Discarding(httpx.Cookies):
    """What httpx shows each answer to before it logs it: here cookies and the reason phrase go.

    This API has no cookies, and looking for them takes a twentieth of a call. A reason phrase may quote what was sent.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        """Take nothing from an answer."""
        response.extensions.pop("reason_phrase", None)


NO_COOKIES: Final = Discarding()
