"""How long a repetition waits: the figures themselves, without waiting."""

import email.utils
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve._http import policy, retry
from superserve._http.policy import Repeatable, retry_after

REQUEST = httpx.Request("GET", "http://api.test/templates")
BROKEN = Repeatable(httpx.ReadError("broke", request=REQUEST))


def answered(wait=None):
    headers = {} if wait is None else {"Retry-After": wait}
    return Repeatable(httpx.Response(503, headers=headers, request=REQUEST))


@pytest.fixture
def ceilings(monkeypatch):
    """Let the dice fall on the highest number each time."""
    monkeypatch.setattr(retry.random, "uniform", lambda _low, high: high)


@pytest.fixture
def floors(monkeypatch):
    """Let the dice fall on the lowest number each time."""
    monkeypatch.setattr(retry.random, "uniform", lambda low, _high: low)


@pytest.mark.usefixtures("ceilings")
def test_the_backoff_doubles_up_to_its_limit():
    assert [retry.delay_s(failures, None) for failures in (1, 2, 3, 4)] == [0.1, 0.2, 0.4, 0.8]
    assert retry.delay_s(20, None) == 30.0
    assert retry.delay_s(10_000, None) == 30.0


def test_the_backoff_has_full_jitter():
    drawn = [retry.delay_s(2, None) for _ in range(200)]
    assert all(0 <= delay <= 0.2 for delay in drawn)
    assert len(set(drawn)) > 100
    # Drawn from the whole range, not only from its upper part.
    assert min(drawn) < 0.05


@pytest.mark.usefixtures("floors")
@pytest.mark.parametrize(
    ("asked", "waited"), [(7.0, 7.0), (0.0, 0.0), (1.0, 1.0), (31.0, 30.0), (1e20, 30.0)]
)
def test_retry_after_is_never_shortened_but_by_the_limit(asked, waited):
    assert retry.delay_s(1, asked) == waited


@pytest.mark.usefixtures("ceilings")
@pytest.mark.parametrize(
    ("asked", "waited"), [(7.0, 8.0), (1.0, 1.5), (0.2, 0.3), (0.0, 0.1), (3600.0, 31.0)]
)
def test_jitter_comes_on_top_of_retry_after(asked, waited):
    assert retry.delay_s(1, asked) == pytest.approx(waited)


def test_calls_that_were_refused_together_do_not_come_back_together():
    moments = sorted(retry.delay_s(1, 1.0) for _ in range(120))
    assert moments[0] >= 1.0
    # Spread over half a second: no tenth of it holds a third of them.
    assert max(sum(start <= moment < start + 0.05 for moment in moments) for start in moments) < 40


def test_the_deadline_ends_the_repetition():
    delays = retry._delays(time.monotonic() + 20)
    next(delays)
    assert 7 <= delays.send(answered("7")) <= 8
    with pytest.raises(StopIteration):
        delays.send(answered("60"))
    # A hundredth of a second is none for another attempt.
    delays = retry._delays(time.monotonic() + retry.LEAST_S)
    next(delays)
    with pytest.raises(StopIteration):
        delays.send(BROKEN)


def test_a_failure_on_the_way_has_no_answer_and_is_raised_again():
    assert BROKEN.retry_after_s is None
    with pytest.raises(httpx.ReadError, match="broke"):
        BROKEN.outcome()
    assert answered().outcome().status_code == 503


def test_retry_after_may_be_a_date():
    ahead = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert 10 < retry_after({"retry-after": ahead}) <= 20
    assert retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}) == 0.0


@given(
    st.text(st.characters(max_codepoint=255))
    | st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,3} Jan [0-9]{1,9} [0-9:]{1,9} [+-]?[0-9A-Z]{1,20}", fullmatch=True
    )
)
def test_any_header_is_a_number_of_seconds_or_nothing(header):
    response = httpx.Response(429, headers=[(b"Retry-After", header.encode("latin-1"))])
    seconds = retry_after(response.headers)
    assert seconds is None or seconds >= 0


# What is repeated


@pytest.mark.parametrize(
    ("status", "body", "is_repeated"),
    [
        (429, b"", True),
        (429, b'{"error": {"code": "rate_limited"}}', True),
        (429, b'{"error": {"code": "too_many_builds"}}', False),
        (502, b'{"error": {"code": "too_many_builds"}}', True),
        (503, b"", True),
        (504, b"", True),
        (500, b"", False),
        (404, b"", False),
        (200, b"", False),
    ],
)
def test_an_answer_is_repeated_where_that_may_help(status, body, is_repeated):
    response = httpx.Response(status, content=body, request=REQUEST)
    assert policy.is_worth_repeating(response) == is_repeated


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (httpx.ConnectError("x"), True),
        (httpx.ConnectTimeout("x"), True),
        (httpx.ReadError("x"), True),
        (httpx.WriteError("x"), True),
        (httpx.RemoteProtocolError("x"), True),
        (httpx.ReadTimeout("x"), False),
        (httpx.WriteTimeout("x"), False),
        (httpx.PoolTimeout("x"), False),
        (httpx.DecodingError("x"), False),
        (httpx.LocalProtocolError("x"), False),
        (httpx.ProxyError("502 Bad Gateway"), True),
        (httpx.ProxyError("503 Service Unavailable"), True),
        (httpx.ProxyError("504 Gateway Timeout"), True),
        (httpx.ProxyError("429 Too Many Requests"), True),
        (httpx.ProxyError("403 Forbidden"), False),
        (httpx.ProxyError("407 Proxy Authentication Required"), False),
        (httpx.ProxyError("Proxy Server could not connect: x"), False),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else None,
)
def test_a_failure_on_the_way_is_repeated_where_it_may_pass(error, passes):
    assert policy.may_pass(error) == passes


# The time of a call


def test_connecting_ends_before_the_call_does_and_after_ten_seconds_at_the_latest():
    for seconds, connecting in ((0.2, 0.15), (1.0, 0.9), (5.0, 4.9), (30.0, 10.0)):
        request = httpx.Request("GET", "http://api.test/")
        policy.set_timeouts(request, seconds)
        assert request.extensions["timeout"] == {
            "connect": pytest.approx(connecting),
            "read": seconds,
            "write": seconds,
            "pool": seconds,
        }


def test_what_a_request_was_given_before_is_kept_if_it_is_less():
    request = httpx.Request("GET", "http://api.test/", extensions={"timeout": {"read": 0.5, "write": 99.0}})
    policy.set_timeouts(request, 30.0)
    timeouts = request.extensions["timeout"]
    assert (timeouts["read"], timeouts["write"]) == (0.5, 30.0)


def test_no_operation_takes_longer_than_an_operating_system_can_count():
    request = httpx.Request("GET", "http://api.test/")
    policy.set_timeouts(request, 1e9)
    assert request.extensions["timeout"]["read"] == 86_400.0


def test_no_operation_is_silent_for_longer_than_its_call_allows():
    request = httpx.Request("GET", "http://api.test/")
    policy.set_timeouts(request, 30.0, 5.0)
    timeouts = request.extensions["timeout"]
    assert (timeouts["read"], timeouts["write"], timeouts["pool"]) == (5.0, 5.0, 5.0)
