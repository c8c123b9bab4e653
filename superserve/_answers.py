"""From a response, or from the lack of one, to a value or an error: the one place for status, JSON and errors."""

import json
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
        kind = response.headers.get("content-type") or "no content type"
        problem = f"it is not JSON ({kind}, {len(response.content)} bytes)"
    message = f"the server's answer makes no sense: {problem}{_lost(call)}"
    raise _error(SandboxError, call, response, message, api_key=api_key)


def failure(call: Call[Any], error: Exception, *, timeout_s: float) -> SandboxError:
    """Return the error that stands for a request without a usable response."""
    lost = "" if isinstance(error, _NEVER_SENT) else _lost(call)
    if isinstance(error, httpx.TimeoutException):
        phase = "no connection" if isinstance(error, _NEVER_SENT) else "no complete answer"
        message = f"{phase} within the timeout of {timeout_s:g} s{lost}"
        return SandboxTimeoutError(message, action=call.action)
    if isinstance(error, httpx.DecodingError):
        return SandboxError(f"the server's answer cannot be read: {error}{lost}", action=call.action)
    told = str(error) or type(error).__name__
    if isinstance(error, _NEVER_SENT):
        message = (
            f"cannot connect to the server: {told}; check the network and base_url= or SUPERSERVE_BASE_URL"
        )
        return SandboxConnectionError(message, action=call.action)
    return SandboxConnectionError(f"the connection to the server broke: {told}{lost}", action=call.action)


_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)

_CLASSES: dict[int, type[SandboxError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-cloud-trace-context")
_LONGEST_MESSAGE = 500


def refusal(call: Call[Any], response: httpx.Response, *, api_key: str) -> SandboxError:
    """Return the error that a response with a status other than 2xx stands for."""
    status = response.status_code
    code, message = _envelope(response)
    if message is None:
        message = _phrase(status)
        if response.is_redirect:
            message += "; redirects are not followed: check base_url= or SUPERSERVE_BASE_URL"
    if status >= 500:  # noqa: PLR2004 - the server's errors
        message += _lost(call)
    kind = _CLASSES.get(status, ServerError if 500 <= status < 600 else SandboxError)  # noqa: PLR2004 - 5xx
    return _error(kind, call, response, message, code=code, api_key=api_key)


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
    # A server may repeat in its answer what it was sent.
    headers = {name.lower(): value.replace(api_key, "***") for name, value in response.headers.items()}
    error = kind(
        message.replace(api_key, "***"),
        action=call.action,
        status_code=response.status_code,
        code=code and code.replace(api_key, "***"),
        headers=headers,
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None),
    )
    if isinstance(error, RateLimitError):
        error.retry_after = _http.retry_after(response)
    return error


def _envelope(response: httpx.Response) -> tuple[str | None, str | None]:
    """Return code and message of an error's body, each None if it isn't there in any form known."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return None, _plain_text(response)
    detail = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(detail, str):
        return None, _shortened(detail)
    if not isinstance(detail, dict):
        return None, None
    code, message = detail.get("code"), detail.get("message")
    return (
        code if isinstance(code, str) and code else None,
        _shortened(message) if isinstance(message, str) else None,
    )


def _plain_text(response: httpx.Response) -> str | None:
    # A web page is no message: load balancers and proxies answer with one.
    if not response.headers.get("content-type", "").lower().startswith("text/plain"):
        return None
    text = response.content[: 4 * _LONGEST_MESSAGE].decode(errors="replace")
    return None if text.lstrip().startswith("<") else _shortened(text)


def _shortened(text: str) -> str | None:
    text = " ".join(text.split())
    return (text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…") or None


def _phrase(status: int) -> str:
    try:
        return f"the server answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"the server answered {status}"
