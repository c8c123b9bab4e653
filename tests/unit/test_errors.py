"""The errors as values: what they hold, how they read, and that they can be copied and pickled."""

import copy
import inspect
import pickle
import traceback

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from superserve import (
    BuildError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    _config,
    errors,
)
from superserve._http.responses import failure
from superserve._operations.templates import Call, nothing

CLASSES = [getattr(errors, name) for name in errors.__all__]
PLAIN = [kind for kind in CLASSES if kind is not BuildError]
COPIES = [copy.copy, copy.deepcopy] + [
    lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
]
LOST = "; it may exist"
CHECK = "check the network and base_url= or SUPERSERVE_BASE_URL"
EVERYTHING = {
    "action": "get template 7a3f",
    "status_code": 429,
    "code": "rate_limited",
    "headers": {"retry-after": "1"},
    "request_id": "r-1",
}


def parse(message):
    return BuildError.parse(message, build_id="b-1", template_id="t-1")


@pytest.mark.parametrize("kind", CLASSES)
def test_one_root_catches_every_error(kind):
    assert issubclass(kind, SandboxError)
    assert issubclass(kind, Exception)


def test_all_that_the_module_defines_is_public():
    defined = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)


def test_a_timeout_is_a_timeout_error_and_none_of_the_others_is():
    assert [kind for kind in CLASSES if issubclass(kind, TimeoutError)] == [SandboxTimeoutError]


@pytest.mark.parametrize("kind", PLAIN)
def test_an_error_without_a_response_has_nothing_of_one(kind):
    error = kind("the message")
    assert str(error) == error.message == "the message"
    assert (error.action, error.status_code, error.code, error.request_id) == (None, None, None, None)
    assert error.headers == {}
    assert "the message" in repr(error)


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("copied", COPIES)
def test_every_error_survives_being_copied(kind, copied):
    error = kind("the message", **EVERYTHING)
    error.add_note("a note")
    if isinstance(error, RateLimitError):
        error.retry_after = 1.0
    other = copied(error)
    assert type(other) is kind
    assert other is not error
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))
    assert other.__notes__ == ["a note"]


@pytest.mark.parametrize("copied", COPIES)
def test_a_build_error_survives_being_copied(copied):
    error = parse("step_failed: step 1/2 failed after 3s: exited with code 100")
    error.add_note("a note")
    error.headers["x"] = "y"
    other = copied(error)
    assert type(other) is BuildError
    assert (str(other), vars(other)) == (str(error), vars(error))
    assert (other.step, other.step_count, other.exit_code) == (1, 2, 100)
    assert other.__notes__ == ["a note"]


def test_an_error_says_what_was_done_what_came_of_it_and_what_to_do():
    error = RateLimitError(
        "at most 5 builds", **(EVERYTHING | {"code": "too_many_builds", "action": "rebuild template t"})
    )
    assert str(error) == (
        "could not rebuild template t: at most 5 builds [429 too_many_builds]; "
        "wait for a running build or cancel one, then try again"
    )
    assert (
        str(NotFoundError("no such template", status_code=404, code="not_found"))
        == "no such template [404 not_found]"
    )
    assert str(SandboxError("odd", code="odd_code")) == "odd [odd_code]"


@pytest.mark.parametrize(
    ("cause", "kind", "message"),
    [
        (httpx.ConnectTimeout(""), SandboxTimeoutError, "no connection within the timeout of 5 s"),
        (httpx.PoolTimeout(""), SandboxTimeoutError, "no connection within the timeout of 5 s"),
        (httpx.ReadTimeout(""), SandboxTimeoutError, f"no complete answer within the timeout of 5 s{LOST}"),
        (httpx.WriteTimeout(""), SandboxTimeoutError, f"no complete answer within the timeout of 5 s{LOST}"),
        (
            httpx.ConnectError("refused."),
            SandboxConnectionError,
            f"cannot connect to https://api.superserve.ai: refused; {CHECK}",
        ),
        (
            httpx.ProxyError("407"),
            SandboxConnectionError,
            f"cannot connect to https://api.superserve.ai: 407; {CHECK}",
        ),
        (httpx.ReadError(""), SandboxConnectionError, f"the connection to the server broke: ReadError{LOST}"),
        (httpx.WriteError("x"), SandboxConnectionError, f"the connection to the server broke: x{LOST}"),
        (
            httpx.RemoteProtocolError("x"),
            SandboxConnectionError,
            f"the connection to the server broke: x{LOST}",
        ),
        (httpx.DecodingError("x"), SandboxError, f"the server's answer cannot be read: x{LOST}"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_failure_on_the_way_is_told_apart_by_whether_the_server_may_have_acted(cause, kind, message):
    call = Call({}, "create template 'a'", nothing, if_lost="it may exist")
    cause.request = httpx.Request("POST", "https://api.superserve.ai/templates")
    error = failure(call, cause, _config.resolve("k" * 20), timeout_s=5.0)
    assert type(error) is kind
    assert str(error) == f"could not create template 'a': {message}"


def test_the_repr_of_an_error_says_as_much_as_its_text():
    assert repr(NotFoundError("no such template", status_code=404, code="not_found")) == (
        "NotFoundError('no such template [404 not_found]')"
    )


def test_a_build_error_can_be_made_by_hand():
    error = BuildError("step_failed", "step 2/3 failed after 1s: exited with code 7", "b-1", "t-1")
    assert (error.code, error.build_id, error.template_id) == ("step_failed", "b-1", "t-1")
    assert (error.step, error.step_count, error.exit_code) == (2, 3, 7)
    assert error.status_code is None
    assert str(error) == (
        "build b-1 of template t-1 failed: step_failed: step 2/3 failed after 1s: exited with code 7"
    )
    assert "step_failed" in traceback.format_exception_only(error)[0]


@pytest.mark.parametrize(
    ("message", "code", "detail"),
    [
        ("image_pull_failed: cannot pull the image", "image_pull_failed", "cannot pull the image"),
        ("brand_new_code2: something", "brand_new_code2", "something"),
        (
            "step_failed: create workdir /a: b: exited with code 1",
            "step_failed",
            "create workdir /a: b: exited with code 1",
        ),
        ("boot_failed:\nline one\nline two: x", "boot_failed", "line one\nline two: x"),
        ("  boot_failed:  padded  ", "boot_failed", "padded"),
        ("boot_failed:", "boot_failed", "Template build failed"),
        ("boot_failed: ", "boot_failed", "Template build failed"),
        ("build timed out", "build_failed", "build timed out"),
        (
            "vmd has no record of this build (likely vmd restarted)",
            "build_failed",
            "vmd has no record of this build (likely vmd restarted)",
        ),
        ("read build meta: no such file", "build_failed", "read build meta: no such file"),
        (
            "template-builder exited: signal: killed",
            "build_failed",
            "template-builder exited: signal: killed",
        ),
        ("Step_failed: x", "build_failed", "Step_failed: x"),
        ("2fast: x", "build_failed", "2fast: x"),
        ("https://example.com/x: gone", "build_failed", "https://example.com/x: gone"),
        ("step_failed:x", "build_failed", "step_failed:x"),
        (": x", "build_failed", ": x"),
        (":", "build_failed", ":"),
        ("", "build_failed", "Template build failed"),
        ("  \n", "build_failed", "Template build failed"),
        (None, "build_failed", "Template build failed"),
    ],
)
def test_a_builds_message_is_split_into_code_and_detail(message, code, detail):
    error = parse(message)
    assert (error.code, error.message) == (code, detail)
    assert (error.step, error.step_count, error.exit_code) == (None, None, None)


@pytest.mark.parametrize(
    ("detail", "step", "step_count", "exit_code"),
    [
        ("step 1/2 failed after 3s: exited with code 100", 1, 2, 100),
        ("step 2/2 failed after 10m0s: exited with code -1", 2, 2, -1),
        ("step 12/30 failed after 1m2.345s: create workdir /srv/app: exited with code 1", 12, 30, 1),
        (
            "step 1/1 failed after 10m0s: exec stream: deadline_exceeded: context deadline exceeded",
            1,
            1,
            None,
        ),
        ("step 3/4 failed after 0s: grant sudo to app: exited with code 127", 3, 4, 127),
        ("context deadline exceeded", None, None, None),
        ("exited with code 5", None, None, None),
        ("the step 1/2 failed", None, None, None),
        ("step 1/2x: exited with code 5", None, None, None),
        (f"step 1/{'9' * 5000} failed: exited with code 5", None, None, None),
        (f"step 1/2 failed: exited with code {'9' * 5000}", 1, 2, None),
    ],
)
def test_step_and_exit_code_are_read_where_the_detail_carries_them(detail, step, step_count, exit_code):
    error = parse(f"step_failed: {detail}")
    assert error.code == "step_failed"
    assert (error.step, error.step_count, error.exit_code) == (step, step_count, exit_code)


@given(
    st.none() | st.text() | st.from_regex(r"[a-z_]{1,9}: (step [0-9]{1,3}/[0-9]{1,3} )?.*", fullmatch=True)
)
@example("step_failed: step \u0661/\u0662 failed: exited with code \u0663")
def test_any_message_of_a_build_becomes_an_error_that_loses_nothing(message):
    error = parse(message)
    assert error.message.strip()
    said = (message or "").strip()
    if error.code != "build_failed":
        assert said.startswith(f"{error.code}:")
    if error.message != "Template build failed":
        assert said.endswith(error.message)
    other = pickle.loads(pickle.dumps(error))
    assert vars(other) == vars(error)
