"""The table that decides whether a request to a sandbox is sent again, row by row (sandbox-behaviour 15)."""

import socket
import ssl

import httpx
import pytest

from superserve import _config
from superserve._http import responses
from superserve._http.planes import Access, data_plane
from superserve._http.policy import OutOfTurnError
from superserve._http.resend import Verdict, judge
from superserve._operations import exec as commands
from superserve._redact import Redactor

REQUEST = httpx.Request("POST", "http://api.test/exec")
TEXT = {"content-type": "text/plain; charset=utf-8"}
JSON = {"content-type": "application/json"}
PLANE = data_plane(
    _config.resolve("the-key", "http://api.test"),
    "box",
    Access("the-token"),
    Redactor("the-key", "the-token"),
)
OPERATION = commands.stream("run 'make'")


def envelope(code):
    return f'{{"error": {{"code": "{code}", "message": "m"}}}}'


def by(error, cause):
    error.__cause__ = cause
    return error


ROWS = [
    # Connect refused, DNS, TLS, waiting for a connection: not sent.
    (httpx.ConnectError("refused"), Verdict.BACK_OFF),
    (httpx.ConnectTimeout("slow"), Verdict.BACK_OFF),
    (httpx.PoolTimeout("full"), Verdict.BACK_OFF),
    (by(httpx.ConnectError("no such host"), socket.gaierror(socket.EAI_NONAME, "unknown")), Verdict.BACK_OFF),
    (by(httpx.ConnectError("hung up"), ssl.SSLEOFError("in the handshake")), Verdict.BACK_OFF),
    # This side has refused the certificate, and would again.
    (by(httpx.ConnectError("untrusted"), ssl.SSLCertVerificationError("expired")), Verdict.RAISE),
    (httpx.ProxyError("403 Forbidden"), Verdict.RAISE),
    (httpx.InvalidURL("odd"), Verdict.RAISE),
    (OutOfTurnError(5.0, REQUEST), Verdict.RAISE),
    # 401 text.
    ((401, TEXT, "invalid access token\n"), Verdict.WAKE),
    ((401, TEXT, "missing X-Access-Token header\n"), Verdict.WAKE),
    # 404 with three meanings.
    ((404, JSON, envelope("sandbox_route_stale")), Verdict.WAKE),
    ((404, TEXT, '{"error":"file not found"}'), Verdict.RAISE),
    ((404, TEXT, "404 page not found\n"), Verdict.RAISE),
    # 503 of a sandbox that does not run.
    ((503, JSON, envelope("sandbox_unavailable")), Verdict.WAKE),
    ((503, TEXT, "sandbox is paused\n"), Verdict.WAKE),
    ((503, TEXT, "sandbox is stopped\n"), Verdict.WAKE),
    # 429 of the connection caps, of the rate, of a quota.
    ((429, TEXT, "too many connections to sandbox\n"), Verdict.BACK_OFF),
    ((429, TEXT, "too many connections from this IP\n"), Verdict.BACK_OFF),
    ((429, JSON, envelope("rate_limited")), Verdict.BACK_OFF),
    ((429, JSON, envelope("too_many_sandboxes")), Verdict.RAISE),
    # Refused for good.
    ((400, TEXT, "command is required\n"), Verdict.RAISE),
    ((403, TEXT, "port not allowed\n"), Verdict.RAISE),
    ((405, TEXT, "method not allowed\n"), Verdict.RAISE),
    ((413, TEXT, "request body too large\n"), Verdict.RAISE),
    ((507, JSON, envelope("sandbox_storage_full")), Verdict.RAISE),
    ((307, {"location": "/elsewhere"}, ""), Verdict.RAISE),
    # 502 `sandbox unreachable`, and any other gateway's.
    ((502, TEXT, "sandbox unreachable\n"), Verdict.UNKNOWN),
    ((502, {"content-type": "text/html"}, "<html>"), Verdict.UNKNOWN),
    ((503, TEXT, "no healthy upstream"), Verdict.UNKNOWN),
    ((503, TEXT, "about: sandbox is paused\n"), Verdict.UNKNOWN),
    ((503, JSON, envelope("service_unavailable")), Verdict.UNKNOWN),
    ((504, {}, ""), Verdict.UNKNOWN),
    ((520, {}, ""), Verdict.UNKNOWN),
    # A proxy that has waited long enough.
    ((408, {}, ""), Verdict.UNKNOWN),
    ((499, {}, ""), Verdict.UNKNOWN),
    # The server's own, of what it has tried.
    ((500, TEXT, "internal: no such file or directory\n"), Verdict.RAISE),
    ((500, JSON, envelope("sandbox_filesystem_error")), Verdict.RAISE),
    # Lost after it was sent, and this side's own timeout.
    (httpx.ReadError("broken"), Verdict.UNKNOWN),
    (httpx.WriteError("broken"), Verdict.UNKNOWN),
    (httpx.WriteTimeout("stuck"), Verdict.UNKNOWN),
    (httpx.RemoteProtocolError("hung up"), Verdict.UNKNOWN),
    (httpx.ReadTimeout("silent"), Verdict.UNKNOWN),
    (httpx.DecodingError("packed"), Verdict.UNKNOWN),
]


def error_of(came):
    if isinstance(came, Exception):
        error = responses.failure(OPERATION, came, PLANE, timeout_s=1.0)
        error.__cause__ = came
        return error
    status, headers, body = came
    return responses.refusal(OPERATION, httpx.Response(status, headers=headers, text=body), PLANE)


@pytest.mark.parametrize(
    ("came", "verdict"),
    ROWS,
    ids=[repr(came) if isinstance(came, Exception) else f"{came[0]} {came[2][:40]}" for came, _ in ROWS],
)
def test_each_row_of_the_table(came, verdict):
    assert judge(error_of(came)) is verdict


@pytest.mark.parametrize(
    ("came", "verdict"),
    [
        ((502, TEXT, "sandbox unreachable\n"), Verdict.BACK_OFF),
        ((504, {}, ""), Verdict.BACK_OFF),
        (httpx.ReadError("broken"), Verdict.BACK_OFF),
        (httpx.ReadTimeout("silent"), Verdict.RAISE),
        ((520, {}, ""), Verdict.RAISE),
        ((403, TEXT, "no"), Verdict.RAISE),
        ((503, JSON, envelope("sandbox_unavailable")), Verdict.WAKE),
    ],
)
def test_a_request_that_changes_nothing_is_sent_again_where_that_may_help(came, verdict):
    assert judge(error_of(came), may_repeat=True) is verdict
