"""The HTTP policies that sync and async share, without I/O: what is sent, repeated, and refused."""

import contextlib
import functools
import ipaddress
import platform
import ssl
from collections.abc import Generator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import httpcore
import httpx

import superserve
from superserve._config import Config
from superserve._names import is_address
from superserve.errors import SandboxError

ANSWER_LIMIT: Final = 64 * 1024 * 1024
"""Bytes, after decompression, above which an answer is refused before it fills the memory."""

CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds that one attempt to connect may take, so that a lost packet leaves time for another."""

LONGEST_PHASE_S: Final = 86_400.0
"""Seconds that a single operation on a socket may take: an operating system counts no more than 24 days."""

# A 429 was refused before any work, and a gateway error may hide finished work: so only requests whose repetition
# changes nothing are sent again, and creating something is not among them.
REPEATED_METHODS: Final = frozenset({"GET", "DELETE"})
REPEATED_STATUSES: Final = frozenset({429, 502, 503, 504})
REPEATED_ERRORS: Final = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)

CALLS_AT_ONCE: Final = 32
"""How many calls of one client may be under way; further ones wait in line, within their time."""

# As many as calls, for what is idle beyond that is closed. The pool looks at each idle connection before and after
# every call, so more of them would cost each call more than they save; and its own line of waiting calls takes ever
# longer the longer it is, and loses connections when calls are cancelled.
LIMITS: Final = httpx.Limits(
    max_connections=None, max_keepalive_connections=CALLS_AT_ONCE, keepalive_expiry=30.0
)

# For calls made so late that nobody would close their connections any more.
NOTHING_KEPT: Final = httpx.Limits(max_connections=None, max_keepalive_connections=0)

_OPTIONS = "superserve"
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})


@attrs.frozen
class Options:
    """What a single request may take, where it differs from its client's settings."""

    timeout_s: float
    attempts: int


class Repeatable(Exception):  # noqa: N818 - not an error of its own: it carries one
    """An attempt that is worth repeating, with what it came to: an answer, or a failure on the way."""

    def __init__(self, result: httpx.Response | httpx.RequestError) -> None:
        super().__init__()
        self.result = result

    @property
    def response(self) -> httpx.Response | None:
        """The answer, if there was one."""
        return self.result if isinstance(self.result, httpx.Response) else None

    def outcome(self) -> httpx.Response:
        """Return the answer or raise the failure, now that it is not repeated any more."""
        if isinstance(self.result, httpx.Response):
            return self.result
        raise self.result


@functools.lru_cache(maxsize=1024)
def absolute_url(base_url: str, path: str) -> httpx.URL:
    """Return the address of a path, remembered: httpx parses it twice a request, longer than all that we add to it."""
    return httpx.URL(base_url + path)


class NoCookies(httpx.Cookies):
    """Takes no cookies: this API has none, and looking for them takes a twentieth of a call."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave an answer's cookies alone."""
        # What the server calls its status is logged next, and may quote what it was sent.
        response.extensions.pop("reason_phrase", None)


def extensions(options: Options) -> dict[str, object]:
    """Return the request extensions that carry `options` to the client."""
    return {_OPTIONS: options}


def options_of(request: httpx.Request, config: Config) -> Options:
    """Return what a request may take."""
    options = request.extensions.get(_OPTIONS)
    if not isinstance(options, Options):
        options = Options(config.timeout_s, config.max_attempts)
    return options if request.method in REPEATED_METHODS else Options(options.timeout_s, attempts=1)


def set_timeouts(request: httpx.Request, seconds: float) -> None:
    """Bound each phase of a request by the time that its call has left, and by what was set before."""
    before = request.extensions.get("timeout", {})
    phase_s = min(seconds, LONGEST_PHASE_S)
    bounds = {"connect": min(seconds, CONNECT_TIMEOUT_S), "read": phase_s, "write": phase_s, "pool": phase_s}
    request.extensions["timeout"] = {
        phase: bound if (old := before.get(phase)) is None else min(old, bound)
        for phase, bound in bounds.items()
    }


class UntrustedError(httpcore.ConnectError):
    """A connection was refused by this side, for the server's certificate: trying again changes nothing."""

    @classmethod
    def instead_of(cls, error: BaseException) -> "BaseException | UntrustedError":
        """Return the error that a handshake has ended with, as one of these if it is one."""
        cause = error if isinstance(error, ssl.SSLError) else error.__cause__
        return cls(str(error)) if isinstance(cause, ssl.SSLCertVerificationError) else error


def is_untrusted(error: Exception) -> bool:
    """Whether an error of httpx stands for an UntrustedError; what only lies behind it may be the caller's."""
    return isinstance(error.__cause__, UntrustedError)


def is_worth_repeating(response: httpx.Response) -> bool:
    """Whether an answer, read to its end, may be better next time. A used-up quota (`too_many_*`) will not be."""
    if response.status_code not in REPEATED_STATUSES:
        return False
    return response.status_code != 429 or b'"too_many_' not in response.content  # noqa: PLR2004 - the status itself


def refuse_by_headers(response: httpx.Response) -> None:
    """Raise if the headers alone tell that an answer will not be read."""
    header = response.headers.get("content-length", "")
    if header.isascii() and header.isdigit():
        refuse_length(response.request, int(header))
    # Unpacking a packed bomb fills the memory in a single step, and so may other ways of packing, which httpx knows
    # where certain libraries are installed. No honest server packs twice.
    if response.headers.get("content-encoding", "identity").strip().lower() not in _ENCODINGS:
        raise httpx.DecodingError("the answer is packed in a way not asked for", request=response.request)


def refuse_length(request: httpx.Request, length: int) -> None:
    """Raise if an answer is, or says it is, longer than what is read into memory."""
    if length > ANSWER_LIMIT:
        raise httpx.DecodingError(f"the answer is larger than {ANSWER_LIMIT // 2**20} MiB", request=request)


def read_response(response: httpx.Response, body: bytes) -> httpx.Response:
    """Return the response with its body, which has been read and decoded."""
    # httpx has no public way to say it, and making another response takes longer than reading this one.
    response._content = body  # noqa: SLF001
    return response


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date, or None."""
    header = response.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


@contextlib.contextmanager
def setting_up() -> Generator[None]:
    """Raise a SandboxError for settings of the environment that do not even let a client be made."""
    try:
        yield
    except TimeoutError:
        # Nothing here waits: a signal handler has raised it.
        raise
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise SandboxError(
            f"cannot set up connections: {str(error).rstrip('.')}; check the environment's proxies (HTTP_PROXY, HTTPS_PROXY, "
            "ALL_PROXY, NO_PROXY) and certificates (SSL_CERT_FILE, SSL_CERT_DIR)"
        ) from error


def headers(config: Config) -> dict[str, str]:
    """Return the headers of every request: the one place where the key goes out."""
    return {
        "X-API-Key": config.api_key,
        "User-Agent": user_agent(),
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
    }


def unproxied(config: Config) -> dict[str, None]:
    """Return the hosts that are reached without the environment's proxies: this machine, which none of them is on."""
    host = httpx.URL(config.base_url).host
    is_here = host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None} if is_here else {}


@functools.cache
def user_agent() -> str:
    """Return who is calling, for the server's logs."""
    return f"superserve-python/{superserve.__version__} (python/{platform.python_version()})"


@functools.cache
def ssl_context() -> ssl.SSLContext:
    """Return the process's one TLS context: reading the certificates takes longer than a call."""
    return httpx.create_ssl_context()
