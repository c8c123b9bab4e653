"""From a response, or from the lack of one, to a value or an error: the one place for status, JSON and errors.

A server, or somebody in its place, may send back what it was sent: nothing of an answer gets into an error before the
API key has been taken out.
"""

import json
import re
from http import HTTPStatus
from typing import Any, TypeVar

import httpx

from superserve import _http
from superserve._calls import Call, nothing
from superserve._json import UnreadableError
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
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-cloud-trace-context")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# What a terminal would obey, and what it cannot encode.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_LONGEST_MESSAGE = 500
_NO_KEY = "***"


def result(call: Call[T], response: httpx.Response, *, api_key: str) -> T:
    """Return what a response, read to its end, says; raise the error that it stands for."""
    if not response.is_success:
        raise refusal(call, response, api_key=api_key)
    try:
        # Where no body is due, whatever came in its place is not worth an error.
        return call.read(None if call.read is nothing else json.loads(response.content))
    except UnreadableError as error:
        problem = str(error)
    except (ValueError, RecursionError):
        kind = _said(response.headers.get("content-type", ""), api_key) or "no content type"
        problem = f"it cannot be read as JSON ({kind}, {len(response.content)} bytes)"
    message = f"the server's answer makes no sense: {problem}{_lost(call)}"
    raise _error(SandboxError, call, response, message, api_key=api_key)


def refusal(call: Call[Any], response: httpx.Response, *, api_key: str) -> SandboxError:
    """Return the error that a response with a status other than 2xx stands for."""
    status = response.status_code
    code, message = _envelope(response, api_key)
    if message is None:
        message = _phrase(status)
    is_servers_fault = 500 <= status < 600  # noqa: PLR2004 - 5xx
    if is_servers_fault:
        message += _lost(call)
    kind = _CLASSES.get(status, ServerError if is_servers_fault else SandboxError)
    return _error(kind, call, response, message, code=code, api_key=api_key)


def failure(call: Call[Any], error: Exception, *, timeout_s: float, api_key: str) -> SandboxError:
    """Return the error that stands for a request without a usable response, and clean what led to it."""
    _clean(error, api_key)
    told = str(error).rstrip(".") or type(error).__name__
    never_sent = isinstance(error, _NEVER_SENT)
    lost = "" if never_sent else _lost(call)
    if isinstance(error, httpx.TimeoutException):
        phase = "no connection" if never_sent else "no complete answer"
        message = f"{phase} within the timeout of {timeout_s:g} s{lost}"
        return SandboxTimeoutError(message, action=call.action)
    if isinstance(error, httpx.DecodingError):
        return SandboxError(f"the server's answer cannot be read: {told}{lost}", action=call.action)
    if never_sent:
        message = (
            f"cannot connect to the server: {told}; check the network and base_url= or SUPERSERVE_BASE_URL"
        )
        return SandboxConnectionError(message, action=call.action)
    return SandboxConnectionError(f"the connection to the server broke: {told}{lost}", action=call.action)


def _lost(call: Call[Any]) -> str:
    return f"; {call.if_lost}" if call.if_lost else ""


def _error(
    kind: type[SandboxError],
    call: Call[Any],
    response: httpx.Response,
    message: str,
    *,
    api_key: str,
    code: str | None = None,
) -> SandboxError:
    headers = {
        name.replace(api_key.lower(), _NO_KEY): value.replace(api_key, _NO_KEY)
        for name, value in response.headers.items()
    }
    error = kind(
        message,
        action=call.action,
        status_code=response.status_code,
        code=code,
        headers=headers,
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None),
    )
    if isinstance(error, RateLimitError):
        error.retry_after = _http.retry_after(response)
    return error


def _envelope(response: httpx.Response, api_key: str) -> tuple[str | None, str | None]:
    """Return code and message of an error's body, each None if it isn't there in any form known."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return None, _plain_text(response, api_key)
    detail = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(detail, str):
        return None, _said(detail, api_key)
    if not isinstance(detail, dict):
        return None, None
    code, message = detail.get("code"), detail.get("message")
    return (
        code if isinstance(code, str) and _CODE.fullmatch(code) and api_key not in code else None,
        _said(message, api_key) if isinstance(message, str) else None,
    )


def _plain_text(response: httpx.Response, api_key: str) -> str | None:
    # A web page is no message: load balancers and proxies answer with one.
    if not response.headers.get("content-type", "").lower().startswith("text/plain"):
        return None
    text = response.content.decode(errors="replace")
    return None if text.lstrip().startswith("<") else _said(text, api_key)


def _said(text: str, api_key: str) -> str | None:
    """Return the server's own words as they can be shown: without the key, on one line, not too long."""
    text = _UNPRINTABLE.sub(" ", text.replace(api_key, _NO_KEY))
    text = " ".join(text.split())
    return (text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…") or None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _clean(error: BaseException, api_key: str) -> None:
    """Take the key out of the texts of an exception and of those behind it: they may quote the server."""
    link: BaseException | None = error
    while link is not None:
        link.args = tuple(
            str(part).replace(api_key, _NO_KEY) if api_key in str(part) else part for part in link.args
        )
        link = link.__cause__ or link.__context__
