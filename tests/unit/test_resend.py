"""What is sent again after an answer of the data plane, or after none: the table, row by row."""

import json

import httpx
import pytest

from superserve import SandboxError
from superserve._http import responses
from superserve._http.planes import Plane
from superserve._http.resend import Verdict, judge
from superserve._operations.operation import Operation, read_nothing
from superserve._redact import Redactor

OPERATION = Operation("do it", read_nothing, read_nothing, is_repeatable=False)
PLANE = Plane("http://sandbox.test", "X-Access-Token", "t" * 64, Redactor("t" * 64), "sandbox_url=")
REQUEST = httpx.Request("POST", "http://sandbox.test/exec")


def answered(status, body="", kind="text/plain; charset=utf-8"):
    response = httpx.Response(status, content=body, headers={"Content-Type": kind}, request=REQUEST)
    return responses.refusal(OPERATION, response, PLANE)


def enveloped(status, code):
    return answered(status, json.dumps({"error": {"code": code, "message": "No."}}), "application/json")


def failed(cause):
    error = responses.failure(OPERATION, cause, PLANE, timeout_s=1.0)
    error.__cause__ = cause
    return error


RAISE, WAKE, BACK_OFF, UNKNOWN = Verdict
ROWS = {
    "connection refused": (failed(httpx.ConnectError("refused", request=REQUEST)), BACK_OFF),
    "no connection in time": (failed(httpx.ConnectTimeout("late", request=REQUEST)), BACK_OFF),
    "no turn in the pool": (failed(httpx.PoolTimeout("late", request=REQUEST)), BACK_OFF),
    "an address that is none": (failed(httpx.UnsupportedProtocol("ftp", request=REQUEST)), RAISE),
    "401 text": (answered(401, "invalid access token\n"), WAKE),
    "401 missing": (answered(401, "missing X-Access-Token header\n"), WAKE),
    "404 stale": (enveloped(404, "sandbox_route_stale"), WAKE),
    "503 unavailable": (enveloped(503, "sandbox_unavailable"), WAKE),
    "503 paused": (answered(503, "sandbox is paused\n"), WAKE),
    "503 stopped": (answered(503, "sandbox is stopped\n"), WAKE),
    "429 connections": (answered(429, "too many connections to sandbox\n"), BACK_OFF),
    "429 limited": (enveloped(429, "rate_limited"), BACK_OFF),
    "429 quota": (enveloped(429, "too_many_sandboxes"), RAISE),
    "400": (answered(400, "invalid sandbox URL\n"), RAISE),
    "403": (answered(403, "port not allowed\n"), RAISE),
    "404 text": (answered(404, "404 page not found\n"), RAISE),
    "404 file": (answered(404, '{"error":"file not found"}\n'), RAISE),
    "405": (answered(405, "method not allowed\n"), RAISE),
    "413": (answered(413, "request body too large\n"), RAISE),
    "500": (answered(500, "internal: no\n"), RAISE),
    "507": (enveloped(507, "sandbox_storage_full"), RAISE),
    "502 unreachable": (answered(502, "sandbox unreachable\n"), UNKNOWN),
    "502 page": (answered(502, "<html>", "text/html"), UNKNOWN),
    "503 page": (answered(503, "<html>", "text/html"), UNKNOWN),
    "503 other text": (answered(503, "no healthy upstream"), UNKNOWN),
    "503 a page that says so": (answered(503, "sandbox is paused", "text/html"), UNKNOWN),
    "503 other code": (enveloped(503, "service_unavailable"), UNKNOWN),
    "504": (answered(504), UNKNOWN),
    "408": (answered(408), UNKNOWN),
    "520": (answered(520), UNKNOWN),
    "broken while it was read": (failed(httpx.ReadError("reset", request=REQUEST)), UNKNOWN),
    "broken while it was sent": (failed(httpx.WriteError("reset", request=REQUEST)), UNKNOWN),
    "hung up": (failed(httpx.RemoteProtocolError("hung up", request=REQUEST)), UNKNOWN),
    "no answer in time": (failed(httpx.ReadTimeout("late", request=REQUEST)), UNKNOWN),
    "200 that cannot be read": (SandboxError("nonsense", status_code=200), UNKNOWN),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_table_has_its_verdict(row):
    error, verdict = ROWS[row]
    assert judge(error) is verdict
