"""Requests whose target is not a path. Go's HTTP server answers some of these before any handler."""

import re
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import Scope

HEADER_BYTES = (1 << 20) + 4096
"""The longest headers of a request, in bytes."""

_HOST = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=\[\]_~]*")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ABSOLUTE = rb"[A-Za-z][A-Za-z0-9+.-]*://(?P<host>[^/?#]*)(?P<path>[^?#]*)"


def read_headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request by name; of equal names the first. Faster than Starlette's `Headers`."""
    return dict(reversed(scope["headers"]))


def read_target(scope: Scope) -> Scope | Response:  # noqa: PLR0911 - one for each kind
    """Return the request with a path as its target, or the answer if no handler gets it."""
    method, target = scope["method"], scope["raw_path"]
    headers = read_headers(scope)
    if not scope["http_version"].startswith("1.") and (method, target) != ("PRI", b"*"):
        return refuse(505, "HTTP Version Not Supported: unsupported protocol version")
    lines = b"\t".join([part for header in scope["headers"] for part in header])
    # On the wire a header has `: ` and a line end, and here two tabs: two bytes fewer.
    if len(lines) + 2 * len(scope["headers"]) > HEADER_BYTES:
        return refuse(431, "Request Header Fields Too Large")
    if _CONTROL.search(lines):
        return refuse(400, "Bad Request: invalid header value")
    if not _HOST.fullmatch(headers.get(b"host", b"")):
        return refuse(400, "Bad Request: malformed Host header")
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        return Response(status_code=417, headers={"connection": "close"})
    if target.startswith(b"/"):
        return scope
    if method == "CONNECT" or (method == "PRI" and target == b"*"):
        return _with_path(scope, b"")
    if target == b"*" and method == "OPTIONS":
        return Response(status_code=200)
    absolute = re.fullmatch(_ABSOLUTE, target)
    if absolute is None:
        return refuse(400, "Bad Request")
    # The host in the target counts, not the one in the header.
    scope = _with_path(scope, absolute["path"])
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope["headers"] = [*others, (b"host", absolute["host"])]
    return scope


def _with_path(scope: Scope, path: bytes) -> Scope:
    return {**scope, "raw_path": path, "path": unquote(path.decode("ascii"))}


def refuse(status: int, text: str) -> Response:
    """Return a plain answer that ends the connection."""
    headers = {"content-type": "text/plain; charset=utf-8", "connection": "close"}
    return Response(f"{status} {text}", status, headers)
