"""How long a repetition waits: the figures themselves, without waiting."""

import email.utils
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve._http import retry
from superserve._http.policy import Repeatable, retry_after
from superserve._polling import Pace
from superserve._streams import sse


def answered(wait=None):
    headers = {} if wait is None else {"Retry-After": wait}
    return Repeatable(httpx.Response(503, headers=headers, request=REQUEST))


REQUEST = httpx.Request("GET", "http://api.test/templates")
BROKEN = Repeatable(httpx.ReadError("broke", request=REQUEST))


def waits(failures, **options):
    """Return the seconds waited after each failure, up to where the repetition is given up."""
    delays = retry.delays(**options)
    next(delays)
    found = []
    for failure in failures:
        try:
            found.append(delays.send(failure))
        except StopIteration:
            break
    return found


@pytest.fixture
def ceilings(monkeypatch):
    """Let the dice fall on the highest number each time."""
    monkeypatch.setattr(retry.random, "uniform", lambda _low, high: high)


@pytest.mark.usefixtures("ceilings")
def test_the_backoff_doubles_up_to_its_limit():
    assert waits([BROKEN] * 4) == [0.1, 0.2, 0.4, 0.8]
    assert waits([BROKEN] * 20)[-1] == 30.0


def test_the_backoff_has_full_jitter():
    drawn = [waits([BROKEN, answered()]) for _ in range(200)]
    assert all(0 <= first <= 0.1 and 0 <= second <= 0.2 for first, second in drawn)
    assert len({first for first, _ in drawn}) > 100
    # Drawn from the whole range, not only from its upper part.
    assert min(first for first, _ in drawn) < 0.05


def test_retry_after_is_obeyed_to_the_second_and_within_a_limit():
    assert waits([answered("7"), answered("0"), answered("31"), answered("99999999999999999999")]) == [
        7,
        0,
        30,
        30,
    ]


def test_retry_after_may_be_a_date():
    (delay,) = waits([answered(email.utils.formatdate(time.time() + 20, usegmt=True))])
    assert 10 < delay <= 20
    assert waits([answered("Sun, 06 Nov 1994 08:49:37 GMT")]) == [0.0]


@pytest.mark.usefixtures("ceilings")
def test_the_backoff_counts_on_behind_retry_after():
    assert waits([answered("7"), answered(), BROKEN]) == [7, 0.2, 0.4]


def test_the_deadline_ends_the_repetition():
    now = time.monotonic()
    assert waits([answered("7"), answered("60"), answered("7")], deadline=now + 20) == [7]
    assert waits([BROKEN], deadline=now) == []


def test_a_failure_on_the_way_has_no_answer_and_is_raised_again():
    with pytest.raises(httpx.ReadError, match="broke"):
        BROKEN.outcome()
    assert answered().outcome().status_code == 503


@given(
    st.text(st.characters(max_codepoint=255))
    | st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,3} Jan [0-9]{1,9} [0-9:]{1,9} [+-]?[0-9A-Z]{1,20}", fullmatch=True
    )
)
def test_any_header_is_a_number_of_seconds_or_nothing(header):
    response = httpx.Response(429, headers=[(b"Retry-After", header.encode("latin-1"))])
    seconds = retry_after(response)
    assert seconds is None or seconds >= 0


@pytest.mark.usefixtures("ceilings")
def test_a_log_that_brings_a_little_each_time_is_opened_again_about_once_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sse.time, "monotonic", lambda: now[0])
    reopening = sse.Reopening(Pace())

    def delay(*, lasted_s, news=True):
        reopening.opened()
        now[0] += lasted_s
        reopening.has_news = news
        return reopening.delay(BROKEN)

    assert [delay(lasted_s=0.01) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    # One that was read for a while breaks off for another reason.
    assert delay(lasted_s=5) == 0.1
    assert [delay(lasted_s=0.01, news=False) for _ in range(5)] == [0.2, 0.4, 0.8, 1.6, 3.2]


def test_a_log_that_is_asked_for_too_often_waits_as_long_as_the_server_says_and_so_does_everybody():
    pace = Pace()
    headers = {"Retry-After": "7"}
    limited = Repeatable(httpx.Response(429, headers=headers, request=REQUEST))
    assert sse.Reopening(pace).delay(limited) > 6.9
    assert pace.delay(0.01) > 6.9
