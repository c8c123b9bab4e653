"""Turning an answer, or a network error, into a value or a `SandboxError`: the one place for statuses and errors.

A server may send back what it was sent. So the secrets are removed from every text of an answer before the text gets
into an error. Secrets are only passed inside a Plane, never as local variables here: many programs show the local
variables of every frame after an error.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from superserve_api.models import ApiError
from superserve_api.types import Response

from superserve._http import environment, policy
from superserve._http.planes import Plane
from superserve._operations.operation import Operation, UnreadableError
from superserve._redact import HIDDEN
from superserve.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    StorageFullError,
    ValidationError,
)

R = TypeVar("R")
T = TypeVar("T")
AnyOperation = Operation[Any, Any]
AnyResponse = Response[Any] | httpx.Response

_CLASSES: dict[int, type[SandboxError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    422: ValidationError,
    429: RateLimitError,
    **dict.fromkeys(range(500, 600), ServerError),
    507: StorageFullError,
}
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
# Answers of a proxy that stopped waiting. 499 is nginx's.
_GIVEN_UP = (408, 499)
# A header of WebSocket requests. It holds the access token.
_PROTOCOLS = "sec-websocket-protocol"
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-cloud-trace-context")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def result(operation: Operation[R, T], response: Response[ApiError | R], plane: Plane) -> T:
    """Return the value of an answer, or raise its error."""
    if not 200 <= response.status_code < 300:  # noqa: PLR2004 - 2xx
        raise refusal(operation, response, plane)
    parsed = response.parsed
    if operation.read_empty is not None and parsed is None and response.problem is None:
        # An unexpected body is not an error.
        return operation.read_empty()
    problem = response.problem or "it has no content"
    if parsed is not None and not isinstance(parsed, ApiError):
        try:
            return operation.read(parsed)
        except UnreadableError as error:
            problem = str(error)
    message = f"the server's answer cannot be understood: {plane.redactor.quote(problem)}"
    raise _error(SandboxError, operation, response, plane, message, hint=operation.if_lost)


def refusal(operation: AnyOperation, response: AnyResponse, plane: Plane) -> SandboxError:
    """Return the error for an answer with a status other than 2xx."""
    status = int(response.status_code)
    code, message = _read_envelope(response, plane)
    hint = {400: operation.if_refused, 409: operation.if_conflict}.get(status, "")
    if status >= 500 or status in _GIVEN_UP:  # noqa: PLR2004 - 5xx, or not of HTTP
        hint = operation.if_lost
    kind = _CLASSES.get(status, SandboxError)
    return _error(kind, operation, response, plane, message or _phrase(status), code=code, hint=hint)


def failure(
    operation: AnyOperation,
    error: Exception,
    plane: Plane,
    *,
    timeout_s: float,
    proxy: environment.Proxy | None = None,
    handled: BaseException | None = None,
) -> SandboxError:
    """Return the error for a request without a usable answer, and remove the secrets from its causes.

    `handled` is the exception that the caller was already handling. It is not one of the causes.
    """
    _clean(error, plane, handled)
    words = reason(error)
    never_sent = isinstance(error, NEVER_SENT)
    kind: type[SandboxError] = SandboxConnectionError
    hint = "" if never_sent else plane.redactor.hide(operation.if_lost)
    if isinstance(error, policy.OutOfTurnError):
        kind, message, hint = RateLimitError, f"not sent: {words}", "make fewer calls, or raise timeout_s"
    elif isinstance(error, httpx.InvalidURL):
        # The address itself was checked: a value in the path or the query is too long.
        kind, message, hint = ValidationError, f"not sent: {words}", "pass a shorter value"
    elif isinstance(error, httpx.TimeoutException):
        phase = "no connection" if never_sent else "no complete answer"
        via = f" through {proxy}" if never_sent and proxy else ""
        kind, message = SandboxTimeoutError, f"{phase}{via} within the timeout of {timeout_s:.3g} s"
    elif isinstance(error, httpx.DecodingError):
        kind, message = SandboxError, f"cannot read the server's answer: {words}"
    elif isinstance(error, httpx.ProxyError):
        message, hint = f"{proxy or 'the proxy'} refused: {words}", "check the proxy, and what it requires"
    elif never_sent:
        target = f"{plane.base_url} through {proxy}" if proxy else plane.base_url
        message = f"cannot connect to {target}: {words}"
        hint = f"check the network{f', {proxy.variable}' if proxy else ''} and {plane.setting}"
        if policy.is_untrusted(error):
            hint = "if the server has a certificate of a private authority, set SSL_CERT_FILE or SSL_CERT_DIR"
    else:
        message = f"the connection to the server broke: {words}"
    raised = kind(message, action=plane.redactor.hide(operation.action), hint=hint)
    if isinstance(error, policy.OutOfTurnError) and isinstance(raised, RateLimitError):
        raised.retry_after = error.delay_s
    return raised


def reason(error: BaseException) -> str:
    """Return why a connection failed or broke: the system's own text, which anyio does not repeat."""
    for cause in policy.causes(error):
        if isinstance(cause, BaseExceptionGroup):
            # Of several addresses the last one.
            return reason(cause.exceptions[-1])
        if isinstance(cause, OSError) and cause.errno is not None:
            return str(cause)
    return str(error).rstrip(".") or type(error).__name__


def _error(
    kind: type[SandboxError],
    operation: AnyOperation,
    response: AnyResponse,
    plane: Plane,
    message: str,
    *,
    code: str | None = None,
    hint: str = "",
) -> SandboxError:
    hide = plane.redactor.hide
    received: Mapping[str, str] = response.headers
    headers = {plane.redactor.hide_in_name(name.lower()): hide(value) for name, value in received.items()}
    error = kind(
        message,
        action=hide(operation.action),
        status_code=int(response.status_code),
        code=code,
        headers=headers,
        request_id=next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None),
        hint=hide(hint),
    )
    if isinstance(error, RateLimitError) and (seconds := policy.retry_after(received)) is not None:
        error.retry_after = seconds
        error.hint = f"the server asks to wait {seconds:.3g} s"
    return error


def _read_envelope(response: AnyResponse, plane: Plane) -> tuple[str | None, str | None]:
    """Return the code and message of an error body, each None if the body has none in a known form."""
    quote, code = plane.redactor.quote, None
    try:
        body = json.loads(response.content)
        message = body.get("error", body) if isinstance(body, dict) else None
    except (ValueError, RecursionError):
        # An HTML page is not a message: load balancers and proxies answer with one.
        is_text = response.headers.get("content-type", "").lower().startswith("text/plain")
        message = response.content.decode(errors="replace").lstrip() if is_text else ""
        message = "" if message.startswith("<") else message
    if isinstance(message, dict):
        code, message = message.get("code"), message.get("message")
    if not isinstance(code, str) or not _CODE.fullmatch(code) or plane.redactor.hide(code) != code:
        code = None
    return code, quote(message) if isinstance(message, str) else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _clean(error: BaseException, plane: Plane, handled: BaseException | None) -> None:
    """Remove the secret from an exception and its causes: their texts may quote the server, and their requests hold it."""
    hide = plane.redactor.hide
    link: BaseException | None = error
    # The chain of causes may contain a circle.
    cleaned = {id(handled)}
    while link is not None and id(link) not in cleaned:
        cleaned.add(id(link))
        # An error that was raised before there was a request answers with a RuntimeError.
        with contextlib.suppress(RuntimeError):
            if isinstance(link, httpx.RequestError):
                # This request is not sent again, but a program may show it.
                headers = link.request.headers
                headers[plane.header] = HIDDEN
                if _PROTOCOLS in headers:
                    headers[_PROTOCOLS] = HIDDEN
        link.args = tuple(part if hide(str(part)) == str(part) else hide(str(part)) for part in link.args)
        link = link.__cause__ or link.__context__
