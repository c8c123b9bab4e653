"""When the pollers of a client ask next: spread out, hurried by the log's end, slowed as a group, bounded in time."""

import itertools
import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import (
    RateLimitError,
    SandboxTimeoutError,
    ServerError,
    _polling,
)
from superserve._polling import Pace, Wait
from superserve.types import TemplateBuildStatus


class Clock:
    """Takes the place of the module time in `_wait`."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_polling, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def _same_chances() -> Iterator[None]:
    state = random.getstate()
    random.seed(42)
    yield
    random.setstate(state)


def new_wait(pace: Pace, **options: float) -> Wait:
    return Wait(pace, template_id="t", **{"poll_interval_s": 2.0, **options})


# Spread


def test_polls_keep_about_their_interval(clock):
    wait = new_wait(Pace())
    pauses = [wait.pause() for _ in range(1000)][1:]
    assert all(1.8 <= pause <= 2.2 for pause in pauses)
    assert sum(pauses) / len(pauses) == pytest.approx(2.0, rel=0.02)


def test_waits_that_begin_together_do_not_go_on_in_step(clock):
    pace = Pace()
    waits = [new_wait(pace) for _ in range(1000)]
    at = [wait.pause() for wait in waits]
    for _ in range(5):
        # A tenth of an interval is to see about a tenth of the polls, in the first round already.
        for tenth in range(10):
            share = sum(tenth <= moment % 2.0 / 0.2 < tenth + 1 for moment in at) / len(at)
            assert 0.02 < share < 0.2
        at = [moment + wait.pause() for moment, wait in zip(at, waits, strict=True)]


# Slowing down as a group


def test_a_limit_holds_everybody_back_and_lets_nobody_return_in_step(clock):
    pace = Pace()
    pace.limited(3.0)
    delays = [pace.delay(2.0) for _ in range(1000)]
    assert all(3.0 <= delay <= 3.0 + 1.5 * 2.0 * 1.1 for delay in delays)
    assert max(delays) - min(delays) > 2.5


def test_many_limits_of_one_second_count_once(clock):
    pace = Pace()
    for _ in range(500):
        pace.limited(0)
    assert max(pace.delay(2.0) for _ in range(100)) <= 3.3


def test_limits_that_go_on_slow_down_further_to_a_minute_at_most(clock):
    pace = Pace()
    for _ in range(100):
        pace.limited(0)
        clock.now += 1.0
    assert 30 <= pace.delay(2.0) <= 66
    assert pace.delay(300.0) >= 270


@pytest.mark.parametrize("asked", [None, 0.0, 1e9])
def test_a_limit_may_ask_for_nothing_or_for_ever(clock, asked):
    pace = Pace()
    pace.limited(asked)
    assert pace.delay(2.0) <= 60 + 2 * 2.2


def test_when_the_limits_stop_the_pace_recovers_by_itself(clock):
    pace = Pace()
    pace.limited(1.0)
    clock.now += 120
    assert pace.delay(2.0) <= 2.2
    pace.limited(1.0)
    assert pace.delay(2.0) >= 1.0


def simulated(
    clock: Clock, waiters: int, *, rate: float, burst: float, seconds: float
) -> tuple[int, int, float]:
    """Let waiters poll a server with a token bucket; return polls answered and limited in the second half, and the
    longest time that somebody went without an answer."""
    pace = Pace()
    start = clock.now
    due = [start] * waiters
    answered_at = [start] * waiters
    tokens, filled_at, answered, limited, longest = burst, start, 0, 0, 0.0
    waits = [new_wait(pace) for _ in range(waiters)]
    while (moment := min(due)) < start + seconds:
        index = due.index(moment)
        clock.now = moment
        tokens = min(burst, tokens + (moment - filled_at) * rate)
        filled_at = moment
        late = moment > start + seconds / 2
        if tokens >= 1:
            tokens -= 1
            waits[index].answered()
            longest = max(longest, moment - answered_at[index])
            answered_at[index] = moment
            answered += late
        else:
            waits[index].failed(limit())
            limited += late
        due[index] = moment + waits[index].pause()
    return answered, limited, longest


def limit() -> RateLimitError:
    error = RateLimitError("slow down", status_code=429)
    error.retry_after = 1.0
    return error


@pytest.mark.parametrize(("waiters", "share"), [(1, 0), (30, 0), (60, 0.1), (200, 0.15), (1000, 0.5)])
def test_the_group_finds_the_pace_that_the_server_bears_and_nobody_fails(clock, waiters, share):
    answered, limited, longest = simulated(clock, waiters, rate=20, burst=40, seconds=240)
    assert limited <= share * (answered + limited)
    assert answered >= 0.5 * 120 * min(20, waiters / 2)
    assert longest < 240


# Hurry


def test_a_hint_hurries_the_polls_for_a_few_seconds(clock):
    wait = new_wait(Pace(), poll_interval_s=60.0)
    wait.hurry()
    pauses = []
    for _ in range(5):
        pauses.append(wait.pause())
        clock.now += pauses[-1]
    assert pauses == [pytest.approx(pause, rel=0.11) for pause in (0.05, 0.1, 0.2, 0.2, 0.2)]
    clock.now += 5
    assert wait.pause() > 50


def test_hints_that_keep_coming_do_not_start_the_hurry_anew_each_time(clock):
    wait = new_wait(Pace())
    wait.hurry()
    wait.pause()
    wait.hurry()
    assert wait.pause() > 0.08


def test_hurried_polls_keep_to_an_interval_that_is_shorter_still(clock):
    wait = new_wait(Pace(), poll_interval_s=0.01)
    wait.hurry()
    assert wait.pause() < 0.012


def test_hurried_polls_go_slower_with_the_group(clock):
    pace = Pace()
    wait = new_wait(pace)
    pace.limited(2.0)
    wait.hurry()
    assert wait.pause() >= 2.0


# Errors


def failing(clock: Clock, wait: Wait, error: Exception, *, every: float, times: int) -> int:
    """Let polls fail, each after a second; return how many it bears."""
    for number in range(times):
        wait.call_options(30)
        clock.now += 1
        try:
            wait.failed(error)
        except type(error):
            return number
        clock.now += every
    return times


def test_an_outage_is_borne_with_for_a_minute(clock):
    assert failing(clock, new_wait(Pace()), ServerError("x"), every=4, times=100) == 12


def test_an_outage_begins_with_its_first_failure_not_with_the_last_answer(clock):
    wait = new_wait(Pace(), poll_interval_s=600.0)
    wait.answered()
    clock.now += 600
    assert failing(clock, wait, ServerError("x"), every=4, times=100) == 12


def test_while_polls_fail_they_come_every_few_seconds_however_long_the_interval(clock):
    wait = new_wait(Pace(), poll_interval_s=600.0)
    wait.call_options(30)
    wait.failed(ServerError("x"))
    assert wait.pause() <= 5.5
    wait.answered()
    assert wait.pause() > 500


def test_limits_are_borne_with_as_long_as_somebody_is_answered(clock):
    pace = Pace()
    wait, other = new_wait(pace), new_wait(pace)
    for _ in range(100):
        wait.call_options(30)
        clock.now += 4
        wait.failed(limit())
        other.answered()
    assert failing(clock, wait, limit(), every=4, times=100) == 12


# Time


@given(st.floats(0.01, 1e6), st.floats(0.001, 1e5), st.floats(0, 1e6))
def test_nothing_goes_beyond_the_time_of_a_wait(timeout_s, interval, passed):
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_polling, "time", clock)
        wait = new_wait(Pace(), poll_interval_s=interval, timeout_s=timeout_s)
        deadline = clock.now + timeout_s
        clock.now += passed
        assert wait.is_over == (clock.now >= deadline)
        if wait.is_over:
            for ask in (wait.pause, wait.check, lambda: wait.call_options(30)):
                with pytest.raises(SandboxTimeoutError):
                    ask()
        else:
            assert clock.now + wait.pause() <= deadline + 1e-6
            assert clock.now + wait.call_options(30).timeout_s <= deadline + 1e-6
            assert wait.at_most(1.0) <= 1.0


def test_a_wait_without_a_time_of_its_own_has_none(clock):
    wait = new_wait(Pace())
    clock.now += 1e9
    wait.check()
    assert wait.at_most(math.inf) == math.inf


@pytest.mark.parametrize("status", ["ready", "failed", "cancelled"])
def test_only_the_log_of_a_cancelled_build_may_go_on_for_long(status):
    seconds = _polling.tail_s(TemplateBuildStatus(status))
    assert seconds == (2.0 if status == "cancelled" else 60.0)


def test_the_tail_is_given_up_in_a_few_seconds():
    assert sum(_polling.TAIL_QUIET_S) < 5
    assert sorted(_polling.TAIL_QUIET_S) == list(itertools.accumulate([0, *_polling.TAIL_QUIET_S], max))[1:]
