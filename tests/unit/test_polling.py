"""Polling as pure objects: deadline, pace, outage and gate, with time that the tests set."""

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superserve import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
    _polling,
)
from superserve._http import gate as gate_module
from superserve._http import policy, retry
from superserve._http.gate import Gate
from superserve._polling import Deadline, Outage, Pace


class Clock:
    """Takes the place of the module time."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (_polling, gate_module):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def _same_chances() -> Iterator[None]:
    state = random.getstate()
    random.seed(42)
    yield
    random.setstate(state)


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage(Gate())


# Deadline


@given(timeout_s=st.floats(0, 1e9), passed_s=st.floats(0, 1e9))
def test_a_deadline_is_over_once_its_seconds_have_passed(timeout_s: float, passed_s: float) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_polling, "time", clock)
        deadline = Deadline(timeout_s)
        end = clock.now + timeout_s
        clock.now += passed_s
        assert deadline.left == pytest.approx(end - clock.now)
        assert deadline.is_over == (clock.now >= end)
        assert not deadline.is_endless


def test_a_deadline_without_seconds_never_comes(clock: Clock) -> None:
    deadline = Deadline()
    clock.now += 1e12
    assert (deadline.left, deadline.is_over, deadline.is_endless) == (math.inf, False, True)


# Pace


def test_polls_keep_about_their_interval(clock: Clock, outage: Outage) -> None:
    pace = Pace(2.0)
    delays = [pace.next_delay(outage) for _ in range(1000)][1:]
    assert all(1.8 <= delay <= 2.2 for delay in delays)
    assert sum(delays) / len(delays) == pytest.approx(2.0, rel=0.02)


def test_waits_that_begin_together_do_not_go_on_in_step(clock: Clock, outage: Outage) -> None:
    first_delays = [Pace(2.0).next_delay(outage) for _ in range(1000)]
    # A tenth of the interval sees about a tenth of the polls, from the first round on.
    for tenth in range(2, 10):
        share = sum(tenth <= delay / 0.2 < tenth + 1 for delay in first_delays) / len(first_delays)
        assert 0.05 < share < 0.2
    assert max(first_delays) <= 2.2


def test_a_hint_makes_the_polls_quick_for_a_few_seconds(clock: Clock, outage: Outage) -> None:
    pace = Pace(60.0)
    pace.hurry()
    delays = []
    for _ in range(5):
        delays.append(pace.next_delay(outage))
        clock.now += delays[-1]
    assert delays == [pytest.approx(delay, rel=0.11) for delay in (0.05, 0.1, 0.2, 0.2, 0.2)]
    clock.now += 5
    assert pace.next_delay(outage) > 50


def test_a_second_hint_does_not_begin_the_quick_polls_again(clock: Clock, outage: Outage) -> None:
    pace = Pace(2.0)
    pace.hurry()
    pace.next_delay(outage)
    pace.hurry()
    assert pace.next_delay(outage) > 0.08


def test_a_hint_never_makes_the_polls_slower(clock: Clock, outage: Outage) -> None:
    pace = Pace(0.01)
    pace.hurry()
    assert pace.next_delay(outage) < 0.012


def test_a_hint_does_not_shorten_what_the_server_asked_for(clock: Clock, outage: Outage) -> None:
    pace = Pace(2.0)
    outage.tolerates(limited(3))
    pace.hurry()
    assert pace.next_delay(outage) >= 2.7


def told_speed(speed: str, host: str = "127.0.0.1") -> httpx.Response:
    request = httpx.Request("GET", f"http://{host}:8080/templates")
    return httpx.Response(200, headers={"Superserve-Local-Speed": speed}, request=request)


def test_polls_keep_up_with_a_local_server(clock: Clock) -> None:
    gate = Gate()
    outage = Outage(gate)
    gate.note(told_speed("100"), clock.now)
    assert all(Pace(2.0).next_delay(outage) < 0.023 for _ in range(100))
    # However fast it is, and however short the interval.
    gate.note(told_speed("10000"), clock.now)
    assert outage.scaled(2.0) == 0.002
    assert outage.scaled(0.001) == 0.001
    gate.note(httpx.Response(200), clock.now)
    assert outage.scaled(2.0) == 2.0


@pytest.mark.parametrize("header", ["", "0", "1", "-5", "fast", "nan", "inf", "1, 2", "0.001"])
def test_a_speed_that_makes_no_sense_is_none(header: str) -> None:
    assert policy.speed(told_speed(header)) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_server_on_this_machine_may_say_that_it_is_fast(host: str) -> None:
    assert policy.speed(told_speed("100", host)) == 100


@pytest.mark.parametrize("host", ["api.superserve.ai", "10.0.0.1", "localhost.example.com"])
def test_a_server_elsewhere_cannot_have_itself_polled_faster(host: str) -> None:
    assert policy.speed(told_speed("100", host)) == 1


def test_while_polls_fail_they_come_every_few_seconds_however_long_the_interval(
    clock: Clock, outage: Outage
) -> None:
    pace = Pace(600.0)
    outage.ask(30)
    assert outage.tolerates(ServerError("x"))
    assert pace.next_delay(outage) <= 5.5
    outage.end()
    assert pace.next_delay(outage) > 500


def test_while_polls_fail_a_short_interval_stays_short(clock: Clock, outage: Outage) -> None:
    outage.tolerates(ServerError("x"))
    assert Pace(0.5).next_delay(outage) <= 0.55


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(None, 2), (0, 2), (1, 2), (30, 30), (3600, 60), (1e9, 60)]
)
def test_polls_wait_as_long_as_the_server_asks_up_to_a_minute(
    clock: Clock, outage: Outage, asked_s: float | None, waited_s: float
) -> None:
    outage.tolerates(limited(asked_s))
    assert Pace(2.0).next_delay(outage) == pytest.approx(waited_s, rel=0.11)


# Outage


def limited(retry_after_s: float | None = 1.0) -> RateLimitError:
    error = RateLimitError("slow down", status_code=429, code="rate_limited")
    error.retry_after = retry_after_s
    return error


PASSING = {
    "network": SandboxConnectionError("reset"),
    "time": SandboxTimeoutError("late"),
    "500": ServerError("x", status_code=500),
    "503": ServerError("x", status_code=503),
    "429": limited(),
    "a quota": RateLimitError("x", status_code=429, code="too_many_builds"),
    "an answer that cannot be read": SandboxError("x", status_code=200),
    "408": SandboxError("x", status_code=408),
    "425": SandboxError("x", status_code=425),
}
FINAL = {
    "400": ValidationError("x", status_code=400),
    "401": AuthenticationError("x", status_code=401, code="unauthorized"),
    "auth_failed before any answer": AuthenticationError("x", status_code=401, code="auth_failed"),
    "404": NotFoundError("x", status_code=404),
    "409": ConflictError("x", status_code=409),
    "410": SandboxError("x", status_code=410),
    "302": SandboxError("x", status_code=302),
    "a closed client": SandboxError("x"),
}


def last(
    clock: Clock, outage: Outage, error: SandboxError, *, every_s: float, taking_s: float = 1.0
) -> float:
    """Let polls fail, each after some seconds; return how many seconds of that the outage bears."""
    began = clock.now
    for _ in range(1000):
        outage.ask(30)
        clock.now += taking_s
        if not outage.tolerates(error):
            return clock.now - began
        clock.now += every_s
    raise AssertionError("it has no end")


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_a_failure_that_may_pass_is_borne_with_for_a_minute(
    clock: Clock, outage: Outage, error: SandboxError
) -> None:
    assert 60 <= last(clock, outage, error, every_s=4) <= 65
    assert outage.is_too_long


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
def test_any_other_failure_is_final(clock: Clock, outage: Outage, error: SandboxError) -> None:
    assert not outage.tolerates(error)
    assert not outage.is_too_long


def test_a_key_that_was_good_a_moment_ago_is_borne_with(clock: Clock, outage: Outage) -> None:
    outage.end()
    assert outage.tolerates(FINAL["auth_failed before any answer"])
    assert not outage.tolerates(FINAL["401"])


def test_a_poll_is_sent_once_and_takes_no_longer_than_asked(outage: Outage) -> None:
    assert outage.ask(7.5) == policy.Options(7.5, attempts=1)


def test_an_outage_begins_when_the_first_failed_poll_was_made(clock: Clock, outage: Outage) -> None:
    outage.end()
    clock.now += 600
    assert 60 <= last(clock, outage, ServerError("x"), every_s=4) <= 65


def test_an_outage_ends_with_an_answer(clock: Clock, outage: Outage) -> None:
    for _ in range(100):
        outage.ask(30)
        assert outage.tolerates(ServerError("x"))
        clock.now += 50
        outage.end()
        assert not outage.is_on


@pytest.mark.parametrize("every_s", [30, 60, 1000])
def test_fewer_than_five_polls_are_no_outage_however_far_apart_they_are(
    clock: Clock, outage: Outage, every_s: float
) -> None:
    assert last(clock, outage, ServerError("x"), every_s=every_s) == pytest.approx(4 * every_s + 5)


def test_limits_are_borne_with_as_long_as_the_server_answers_somebody(clock: Clock) -> None:
    gate = Gate()
    outage = Outage(gate)
    for _ in range(100):
        outage.ask(30)
        clock.now += 4
        assert outage.tolerates(limited())
        gate.note(httpx.Response(200), clock.now)
    assert 60 <= last(clock, outage, limited(), every_s=4) <= 65


# Gate


def refusal(retry_after_s: float = 1.0) -> httpx.Response:
    return httpx.Response(
        429,
        headers={"Retry-After": str(retry_after_s)},
        json={"error": {"code": "rate_limited", "message": "slow down"}},
    )


def rate(clock: Clock, gate: Gate, seconds: float = 5.0) -> float:
    """Return how many turns a second the gate gives from now on, and let that time pass."""
    end = clock.now + seconds
    turns = 0
    while (delay := gate.delay(end)) < end - clock.now:
        turns += 1
        clock.now += delay
    clock.now = end
    return turns / seconds


def test_a_gate_is_open_until_the_server_refuses(clock: Clock) -> None:
    gate = Gate()
    gate.note(httpx.Response(200), clock.now)
    gate.note(httpx.Response(503), clock.now)
    gate.note(httpx.Response(429, json={"error": {"code": "too_many_builds"}}), clock.now)
    assert [gate.delay(math.inf) for _ in range(1000)] == [0.0] * 1000


def test_the_first_refusal_leaves_twenty_requests_a_second(clock: Clock) -> None:
    gate = Gate()
    gate.note(refusal(), clock.now)
    assert rate(clock, gate, 2) == pytest.approx(21, abs=3)


def test_each_further_refusal_halves_the_rate_down_to_ten_a_second(clock: Clock) -> None:
    gate = Gate()
    for _ in range(20):
        gate.note(refusal(), clock.now)
        clock.now += 0.01
    assert rate(clock, gate, 2) == pytest.approx(11, abs=2)


def test_refusals_of_requests_that_were_under_way_count_once(clock: Clock) -> None:
    gate = Gate()
    sent_at = clock.now
    for _ in range(40):
        clock.now += 0.001
        gate.note(refusal(), sent_at)
    assert rate(clock, gate, 2) == pytest.approx(21, abs=3)


def test_the_rate_rises_by_one_each_second_until_the_gate_is_open(clock: Clock) -> None:
    gate = Gate()
    gate.note(refusal(), clock.now)
    clock.now += 60
    assert rate(clock, gate, 2) == pytest.approx(81, abs=8)
    clock.now += 150
    assert [gate.delay(math.inf) for _ in range(1000)] == [0.0] * 1000


def test_a_turn_that_would_come_too_late_is_told_and_not_taken(clock: Clock) -> None:
    gate = Gate()
    gate.note(refusal(), clock.now)
    delays = [gate.delay(clock.now + 1) for _ in range(1000)]
    assert max(delays) == delays[-1] == delays[-500]
    assert sum(delay < 1 for delay in delays) < 30


def test_turns_are_no_two_in_the_same_instant(clock: Clock) -> None:
    gate = Gate()
    gate.note(refusal(), clock.now)
    turns = [gate.delay(math.inf) for _ in range(100)]
    assert all(later - earlier >= 0.01 for earlier, later in itertools.pairwise(turns))


def test_the_gate_knows_when_the_server_last_answered(clock: Clock) -> None:
    gate = Gate()
    before = gate.answered_at
    clock.now += 5
    gate.note(refusal(), clock.now)
    assert gate.answered_at == before
    gate.note(httpx.Response(500), clock.now)
    assert gate.answered_at == clock.now


def test_calls_that_were_refused_together_do_not_come_back_together(clock: Clock) -> None:
    gate = Gate()
    sent_at = clock.now
    for _ in range(120):
        gate.note(refusal(1.0), sent_at)
    back = sorted(sent_at + retry.delay_s(1, 1.0) for _ in range(120))
    turns = []
    for clock.now in back:
        turns.append(clock.now - sent_at + gate.delay(math.inf))
    turns.sort()
    # Never before the time that the server asked for, nowhere near each other, and not slower than need be.
    assert turns[0] >= 1.0
    assert max(sum(start <= turn < start + 0.1 for turn in turns) for start in turns) <= 5
    assert max(sum(start <= turn < start + 1.0 for turn in turns) for start in turns) <= 30
    assert turns[-1] < 8


class Simulation:
    """Calls of one client against a token bucket, in time that is only counted."""

    def __init__(self, clock: Clock, *, rate: float, burst: int, latency_s: float, timeout_s: float) -> None:
        self.clock = clock
        self.gate = Gate()
        self.attempts: dict[int, int] = {}
        self.ended: dict[int, str] = {}
        self._rate, self._burst, self._latency_s = rate, burst, latency_s
        self._tokens, self._filled_at = float(burst), clock.now
        self._deadline = clock.now + timeout_s
        self._free, self._waiting = policy.CALLS_AT_ONCE, deque[int]()
        self._events: list[tuple[float, int, Callable[[int], None], int]] = []
        self._count = itertools.count()

    def run(self, calls: int) -> None:
        for call in range(calls):
            self._at(self.clock.now, self._lease, call)
        while self._events:
            self.clock.now, _, step, call = heapq.heappop(self._events)
            step(call)

    def _at(self, moment: float, step: Callable[[int], None], call: int) -> None:
        heapq.heappush(self._events, (moment, next(self._count), step, call))

    def _lease(self, call: int) -> None:
        self._waiting.append(call)
        self._next()

    def _next(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._take_turn(self._waiting.popleft())

    def _take_turn(self, call: int) -> None:
        delay = self.gate.delay(self._deadline)
        if self.clock.now + delay >= self._deadline:
            self._end(call, "late")
        else:
            self._at(self.clock.now + delay, self._send, call)

    def _send(self, call: int) -> None:
        now = self.clock.now
        self.attempts[call] = self.attempts.get(call, 0) + 1
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        is_admitted = self._tokens >= 1
        self._tokens -= is_admitted

        def hear(call: int) -> None:
            self.gate.note(httpx.Response(200) if is_admitted else refusal(1.0), now)
            if is_admitted:
                self._end(call, "answered")
            elif self.attempts[call] == 3:
                self._end(call, "refused")
            else:
                self._free += 1
                self._at(self.clock.now + retry.delay_s(self.attempts[call], 1.0), self._lease, call)
                self._next()

        self._at(now + self._latency_s, hear, call)

    def _end(self, call: int, how: str) -> None:
        self.ended[call] = how
        self._free += 1
        self._next()


@pytest.mark.parametrize("latency_s", [0.002, 0.03, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_three_hundred_calls_at_once_all_succeed_within_thirty_seconds(
    clock: Clock, latency_s: float, seed: int
) -> None:
    random.seed(seed)
    began = clock.now
    simulation = Simulation(clock, rate=20, burst=40, latency_s=latency_s, timeout_s=30)
    simulation.run(300)
    assert set(simulation.ended.values()) == {"answered"}
    assert len(simulation.ended) == 300
    assert max(simulation.attempts.values()) <= 3
    assert clock.now - began <= 30
