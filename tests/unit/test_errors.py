"""The errors as values: what they hold, how they read, and that they can be copied and pickled."""

import copy
import errno
import inspect
import pickle
import ssl
import traceback

import httpcore
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from superserve import (
    BuildCancelledError,
    BuildError,
    CommandError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    _config,
    errors,
)
from superserve._http import policy
from superserve._http.environment import Proxy
from superserve._http.planes import control_plane
from superserve._http.responses import failure
from superserve._operations.operation import Operation, read_nothing

CLASSES = [getattr(errors, name) for name in errors.__all__]
PLAIN = [kind for kind in CLASSES if kind not in (BuildError, BuildCancelledError, CommandError)]
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


@pytest.mark.parametrize("copied", COPIES)
def test_a_cancelled_builds_error_is_a_conflict_and_survives_being_copied(copied):
    error = BuildCancelledError("build b-1 of template t-1 was cancelled", "b-1", "t-1")
    error.add_note("a note")
    assert isinstance(error, ConflictError)
    assert str(error) == "build b-1 of template t-1 was cancelled; rebuild() starts another"
    other = copied(error)
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))
    assert (other.build_id, other.template_id, other.__notes__) == ("b-1", "t-1", ["a note"])


@pytest.mark.parametrize(
    "code",
    [
        "image_pull_failed",
        "step_failed",
        "boot_failed",
        "ready_cmd_failed",
        "start_cmd_failed",
        "build_failed",
    ],
)
def test_what_to_do_about_a_failed_build_stands_at_the_end(code):
    error = parse(f"{code}: it did not work")
    assert error.hint
    assert str(error).endswith(f"{code}: it did not work; {error.hint}")


def test_a_failed_build_tells_the_templates_name_and_the_command_where_they_are_known():
    error = parse("step_failed: step 1/2 failed after 3s: exited with code 100")
    error.template_name, error.command, error.hint = "my-env", "make all", None
    assert str(error) == (
        "build b-1 of template 'my-env' t-1 failed: step_failed: step 1/2 failed after 3s: exited with code 100; "
        "the command was 'make all'"
    )
    assert error.message == "step 1/2 failed after 3s: exited with code 100"


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
            "the proxy refused: 407; check the proxy, and what it requires",
        ),
        (httpx.ReadError(""), SandboxConnectionError, f"the connection to the server broke: ReadError{LOST}"),
        (httpx.WriteError("x"), SandboxConnectionError, f"the connection to the server broke: x{LOST}"),
        (
            httpx.RemoteProtocolError("x"),
            SandboxConnectionError,
            f"the connection to the server broke: x{LOST}",
        ),
        (httpx.DecodingError("x"), SandboxError, f"cannot read the server's answer: x{LOST}"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_failure_on_the_way_is_told_apart_by_whether_the_server_may_have_acted(cause, kind, message):
    cause.request = REQUEST
    error = failure(CREATE, cause, PLANE, timeout_s=5.0)
    assert type(error) is kind
    assert str(error) == f"could not create template 'a': {message}"


CREATE = Operation("create template 'a'", read_nothing, if_lost="it may exist")
PLANE = control_plane(_config.resolve("k" * 20, "https://api.superserve.ai"))
REQUEST = httpx.Request("POST", "https://api.superserve.ai/templates")
PROXY = Proxy("HTTPS_PROXY", httpx.URL("http://proxy.test:3128"), (b"me", b"hunter2"))


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (
            httpx.ConnectError("refused"),
            (
                "cannot connect to https://api.superserve.ai through the proxy proxy.test:3128 of HTTPS_PROXY: "
                f"refused; {CHECK.replace('network', 'network, HTTPS_PROXY')}"
            ),
        ),
        (
            httpx.ConnectTimeout(""),
            "no connection through the proxy proxy.test:3128 of HTTPS_PROXY within the timeout of 5 s",
        ),
        (
            httpx.ProxyError("407 Proxy Authentication Required"),
            (
                "the proxy proxy.test:3128 of HTTPS_PROXY refused: 407 Proxy Authentication Required; "
                "check the proxy, and what it requires"
            ),
        ),
    ],
)
def test_a_proxy_is_named_where_nothing_was_sent_and_its_password_is_not(cause, message):
    error = failure(CREATE, cause, PLANE, timeout_s=5.0, proxy=PROXY)
    assert str(error) == f"could not create template 'a': {message}"
    assert "hunter2" not in repr(PROXY) + str(PROXY)


def raised(error, cause=None):
    """Return an error as it is after it was raised from another."""
    error.__cause__ = cause
    return error


def through_a_pool(cause):
    """Return what httpx raises for a failure to connect: httpcore's pool takes the cause of its own error away."""
    mapped = httpcore.ConnectError(str(cause))
    mapped.__context__ = cause
    return raised(httpx.ConnectError(str(mapped), request=REQUEST), mapped)


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
UNREACHABLE = OSError(errno.ENETUNREACH, "Network is unreachable")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (REFUSED, f"[Errno {errno.ECONNREFUSED}] Connection refused"),
        # As anyio says it of one address, and of several.
        (
            raised(OSError("All connection attempts failed"), REFUSED),
            f"[Errno {errno.ECONNREFUSED}] Connection refused",
        ),
        (
            raised(
                OSError("All connection attempts failed"),
                ExceptionGroup("multiple connection attempts failed", [REFUSED, UNREACHABLE]),
            ),
            f"[Errno {errno.ENETUNREACH}] Network is unreachable",
        ),
        (OSError("odd"), "odd"),
    ],
)
def test_a_failure_to_connect_says_what_the_operating_system_said(cause, words):
    error = failure(CREATE, through_a_pool(cause), PLANE, timeout_s=5.0)
    assert error.message == f"cannot connect to https://api.superserve.ai: {words}"


def test_causes_that_lead_back_to_one_of_them_are_told_all_the_same():
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first
    error = failure(CREATE, raised(httpx.ReadError("broken"), first), PLANE, timeout_s=5.0)
    assert error.message == "the connection to the server broke: broken"


def test_the_key_is_taken_out_of_what_led_to_an_error_and_the_rest_stays():
    cause = OSError(5, f"no route for {'k' * 20} here")
    failure(CREATE, raised(httpx.ReadError("broken"), cause), PLANE, timeout_s=5.0)
    assert cause.args == (5, "no route for *** here")


def test_a_certificate_that_is_not_trusted_says_where_others_are_named():
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error = through_a_pool(untrusted)
    assert policy.is_untrusted(error)
    assert not policy.may_pass(error)
    assert failure(CREATE, error, PLANE, timeout_s=5.0).hint == (
        "if the server has a certificate of a private authority, set SSL_CERT_FILE or SSL_CERT_DIR"
    )


def test_a_call_whose_turn_comes_too_late_was_not_sent_and_says_when_it_would_come():
    error = failure(CREATE, policy.OutOfTurnError(12.34, REQUEST), PLANE, timeout_s=5.0)
    assert type(error) is RateLimitError
    assert error.retry_after == 12.34
    assert str(error) == (
        "could not create template 'a': not sent: its turn, at the rate that the server allows, would come in 12.3 s; "
        "make fewer calls, or raise timeout_s"
    )


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
        "build b-1 of template t-1 failed: step_failed: step 2/3 failed after 1s: exited with code 7; "
        "the build's log shows why: on_log=, or log_tail=True, of wait_until_ready"
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
    # Without a code the text is the server's to tell and no message of this package's.
    assert (error.code, error.message) == (
        code,
        detail if code != "build_failed" else "Template build failed",
    )
    assert detail in (error.detail, error.message)
    assert detail in str(error)
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
    assert (error.detail or "") in said
    assert error.code != "build_failed" or (error.detail or "") == said
    other = pickle.loads(pickle.dumps(error))
    assert vars(other) == vars(error)
