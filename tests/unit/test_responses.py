"""From an answer to an error: its class, its code and its words, without a client or a server."""

import email.utils
import json as json_module
import pickle
import time

import httpx
import pytest

from superserve import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxError,
    ServerError,
    ValidationError,
)
from superserve._config import resolve
from superserve._http import responses
from superserve._http.planes import control_plane
from superserve._operations.operation import Operation, read_nothing
from tests.wire import envelope

OPERATION = Operation("get template t-1", read_nothing)
PLANE = control_plane(resolve("the-key", "https://api.test"))
NOTHING = object()


def answer(status, body=b"", *, json=NOTHING, headers=None, content_type=None):
    if json is not NOTHING:
        body, content_type = json_module.dumps(json), "application/json"
    fields = dict(headers or {})
    if content_type:
        fields["Content-Type"] = content_type
    # As they come from the wire, where they may be any bytes.
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    return httpx.Response(status, content=body, headers=raw)


def failing(response):
    return responses.refusal(OPERATION, response, PLANE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ValidationError),
        (401, AuthenticationError),
        (402, SandboxError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (405, SandboxError),
        (409, ConflictError),
        (410, SandboxError),
        (418, SandboxError),
        (422, ValidationError),
        (429, RateLimitError),
        (431, SandboxError),
        (500, ServerError),
        (501, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (520, ServerError),
        (599, ServerError),
        (600, SandboxError),
        (999, SandboxError),
        (304, SandboxError),
    ],
)
def test_each_status_has_its_class(status, kind):
    error = failing(answer(status, json=envelope("some_code", "What happened.")))
    assert type(error) is kind
    assert (error.status_code, error.code) == (status, "some_code")


BODIES = [
    # The API's own envelope, with and without more in it.
    (answer(409, json=envelope("conflict", "The name is taken.")), "conflict", "The name is taken."),
    (
        answer(409, json={"error": {"code": "conflict", "message": "Taken.", "errno": 5}}),
        "conflict",
        "Taken.",
    ),
    # What other parts of the platform answer with.
    (answer(409, json={"error": "no such file"}), None, "no such file"),
    (answer(409, '{"error": "no such file"}\n', content_type="text/plain"), None, "no such file"),
    (answer(409, json={"code": "not_now", "message": "Later."}), "not_now", "Later."),
    (
        answer(409, "too many connections\n", content_type="text/plain; charset=utf-8"),
        None,
        "too many connections",
    ),
    # Something between us and the platform.
    (answer(409, "<html><h1>Conflict</h1></html>", content_type="text/html"), None, "Conflict"),
    (answer(409, "  <!doctype html><h1>No</h1>", content_type="text/plain"), None, "Conflict"),
    # Less than there should be.
    (answer(409), None, "Conflict"),
    (answer(520), None, "no reason given"),
    (answer(409, b"\xff\xfe\x00", content_type="text/plain"), None, "\ufffd\ufffd"),
    (answer(409, "x" * 5, content_type="application/octet-stream"), None, "Conflict"),
    (answer(409, '{"error": {"code": "conf', content_type="application/json"), None, "Conflict"),
    (answer(409, json=None), None, "Conflict"),
    (answer(409, json=[]), None, "Conflict"),
    (answer(409, json="conflict"), None, "Conflict"),
    (answer(409, json={}), None, "Conflict"),
    (answer(409, json={"error": None}), None, "Conflict"),
    (answer(409, json={"error": ["no"]}), None, "Conflict"),
    (answer(409, json=envelope("", "")), None, "Conflict"),
    (answer(409, json={"error": {"code": 5, "message": {"a": 1}}}), None, "Conflict"),
    (answer(409, json=envelope("two words", "Taken.")), None, "Taken."),
    (answer(409, json=envelope("x" * 65, "Taken.")), None, "Taken."),
    (answer(409, json={"error": {"message": "Taken."}}), None, "Taken."),
    (answer(409, json={"error": {"code": "conflict"}}), "conflict", "Conflict"),
    (answer(409, "[" * 200_000), None, "Conflict"),
]


@pytest.mark.parametrize(("response", "code", "message"), BODIES, ids=range(len(BODIES)))
def test_every_kind_of_body_is_understood(response, code, message):
    error = failing(response)
    assert (error.code, error.message) == (code, message)


def test_a_message_is_shown_on_one_line_and_not_too_long():
    error = failing(answer(404, json=envelope("not_found", "one\n two\t\tthree " + "x" * 5000)))
    assert error.message.startswith("one two three xxx")
    assert error.message.endswith("…")
    assert len(error.message) == 500


def test_a_message_cannot_command_a_terminal_and_can_be_printed():
    body = r'{"error": {"message": "a\u001b[2Jb\u0000c\u009bd\ud800e\u2028f"}}'
    error = failing(answer(404, body))
    # Whole sequences are gone, not only what introduces them.
    assert error.message == "ab c e f"
    str(error).encode()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("Mon, 01 Jan 2024 00:00:00 +999999999999999", None),
        ("\u00b2", None),
        (None, None),
    ],
)
def test_a_rate_limit_tells_when_to_try_again(header, seconds):
    headers = {} if header is None else {"Retry-After": header}
    error = failing(answer(429, json=envelope("rate_limited", "Slow down."), headers=headers))
    assert type(error) is RateLimitError
    assert error.retry_after == seconds
    assert error.hint == (None if seconds is None else f"the server asks to wait {seconds:g} s")
    assert pickle.loads(pickle.dumps(error)).retry_after == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_rate_limit_may_tell_a_time_of_day(zone):
    date = email.utils.formatdate(time.time() + 3600).replace("-0000", zone)
    error = failing(answer(429, headers={"Retry-After": date}))
    assert 3500 < error.retry_after <= 3600
