"""From a response, or from the lack of one, to a value or an error: the one place for status, JSON and errors.

A server, or somebody in its place, may send back what it was sent: nothing of an answer gets into an error before the
API key has been taken out. It comes along in a Config and never by itself, so that it is no local variable here: many
a program shows those of every frame when something goes wrong.
"""

import re
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.request import getproxies

import httpx

from superserve._config import Config
from superserve._http import policy
from superserve._json import UnreadableError, any_json
from superserve._operations.templates import Call, nothing
from superserve.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)

T = TypeVar("T")

_CLASSES: dict[int, type[SandboxError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
# Somebody in between has waited long enough: 499 is nginx's.
_GIVEN_UP = (408, 499)
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-cloud-trace-context")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# What a terminal would obey, and what it cannot encode.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_LONGEST_MESSAGE = 500
_NO_KEY = "***"


def result(call: Call[T], response: httpx.Response, config: Config) -> T:
    """Return what a response, read to its end, says; raise the error that it stands for."""
    if not response.is_success:
        raise refusal(call, response, config)
    try:
        # Where no body is due, whatever came in its place is not worth an error.
        return call.read(None if call.read is nothing else any_json(response.content))
    except UnreadableError as error:
        problem = str(error)
    except (ValueError, RecursionError):
        kind = _said(response.headers.get("content-type", ""), config) or "no content type"
        problem = f"it cannot be read as JSON ({kind}, {len(response.content)} bytes)"
    message = f"the server's answer cannot be understood: {problem}"
    raise _error(SandboxError, call, response, message, config, hint=call.if_lost)


def refusal(call: Call[Any], response: httpx.Response, config: Config) -> SandboxError:
    """Return the error that a response with a status other than 2xx stands for."""
    status = response.status_code
    code, message = _envelope(response, config)
    if message is None:
        message = _phrase(status)
    hint = ""
    is_servers_fault = 500 <= status < 600  # noqa: PLR2004 - 5xx
    if is_servers_fault or status in _GIVEN_UP or status >= 600:  # noqa: PLR2004 - not of HTTP
        hint = call.if_lost
    elif status == HTTPStatus.BAD_REQUEST:
        hint = call.if_refused
    kind = _CLASSES.get(status, ServerError if is_servers_fault else SandboxError)
    return _error(kind, call, response, message, config, code=code, hint=hint)


def failure(
    call: Call[Any],
    error: Exception,
    config: Config,
    *,
    timeout_s: float,
    handled: BaseException | None = None,
) -> SandboxError:
    """Return the error that stands for a request without a usable response, and clean what led to it.

    Nothing led to it that was `handled` before: that is the caller's own.
    """
    _clean(error, config, handled)
    action = hidden(call.action, config)
    told = str(error).rstrip(".") or type(error).__name__
    never_sent = isinstance(error, _NEVER_SENT)
    hint = None if never_sent else hidden(call.if_lost, config)
    if isinstance(error, httpx.TimeoutException):
        phase = "no connection" if never_sent else "no complete answer"
        message = f"{phase} within the timeout of {timeout_s:.3g} s"
        return SandboxTimeoutError(message, action=action, hint=hint)
    if isinstance(error, httpx.DecodingError):
        return SandboxError(f"the server's answer cannot be read: {told}", action=action, hint=hint)
    if never_sent:
        message, hint = f"cannot connect to {config.base_url}: {told}", _what_to_check(error, config)
    else:
        message = f"the connection to the server broke: {told}"
    return SandboxConnectionError(message, action=action, hint=hint)


def _what_to_check(error: Exception, config: Config) -> str:
    if policy.is_untrusted(error):
        return "where certificates of your own are needed, SSL_CERT_FILE or SSL_CERT_DIR names them"
    may_be_proxied = getproxies().keys() - {"no"} and not policy.unproxied(config)
    proxies = (
        ", the proxies of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY)" if may_be_proxied else ""
    )
    return f"check the network{proxies} and base_url= or SUPERSERVE_BASE_URL"


def _error(
    kind: type[SandboxError],
    call: Call[Any],
    response: httpx.Response,
    message: str,
    config: Config,
    *,
    code: str | None = None,
    hint: str = "",
) -> SandboxError:
    headers = {
        name.replace(config.api_key.lower(), _NO_KEY): hidden(value, config)
        for name, value in response.headers.items()
    }
    error = kind(
        message,
        action=hidden(call.action, config),
        status_code=response.status_code,
        code=code,
        headers=headers,
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None),
        hint=hidden(hint, config),
    )
    if isinstance(error, RateLimitError):
        error.retry_after = policy.retry_after(response)
        if error.retry_after is not None:
            error.hint = f"the server asks to wait {error.retry_after:.3g} s"
    return error


def _envelope(response: httpx.Response, config: Config) -> tuple[str | None, str | None]:
    """Return code and message of an error's body, each None if it isn't there in any form known."""
    try:
        body = any_json(response.content)
    except (ValueError, RecursionError):
        return None, _plain_text(response, config)
    detail = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(detail, str):
        return None, _said(detail, config)
    if not isinstance(detail, dict):
        return None, None
    code, message = detail.get("code"), detail.get("message")
    return (
        code if isinstance(code, str) and _CODE.fullmatch(code) and config.api_key not in code else None,
        _said(message, config) if isinstance(message, str) else None,
    )


def _plain_text(response: httpx.Response, config: Config) -> str | None:
    # A web page is no message: load balancers and proxies answer with one.
    if not response.headers.get("content-type", "").lower().startswith("text/plain"):
        return None
    text = response.content.decode(errors="replace")
    return None if text.lstrip().startswith("<") else _said(text, config)


def hidden(text: str, config: Config) -> str:
    """Return a text without the API key, also as Python's repr writes it, in which some libraries quote."""
    quoted = repr(config.api_key)[1:-1], repr(bytearray(config.api_key.encode()))[12:-2]
    for form in (config.api_key, *quoted):
        text = text.replace(form, _NO_KEY)
    return text


def shown(text: str, config: Config) -> str:
    """Return lines of the server's as they can be shown: without the key, and without what a terminal would obey."""
    return "\n".join(_UNPRINTABLE.sub(" ", line) for line in hidden(text, config).split("\n"))


def _said(text: str, config: Config) -> str | None:
    """Return the server's own words as they can be shown: without the key, on one line, not too long."""
    text = _UNPRINTABLE.sub(" ", hidden(text, config))
    text = " ".join(text.split())
    return (text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…") or None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _clean(error: BaseException, config: Config, handled: BaseException | None) -> None:
    """Take the key out of an exception and those behind it: their texts may quote the server, requests hold it."""
    link: BaseException | None = error
    # They may stand in a circle.
    cleaned: list[BaseException | None] = [handled]
    while link is not None and not any(link is other for other in cleaned):
        cleaned.append(link)
        if isinstance(link, httpx.RequestError):
            # Nobody sends it again, but a program may show it.
            link.request.headers["X-API-Key"] = _NO_KEY
        link.args = tuple(
            part if (text := str(part)) == (clean := hidden(text, config)) else clean for part in link.args
        )
        link = link.__cause__ or link.__context__
