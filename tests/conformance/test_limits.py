"""Rate limits and the headers that tell of them. Quotas are with what they limit."""

import pytest

from superserve.local import Limits, LocalServer, TeamLimits
from tests.conformance.target import PoliteClient, error_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here

TOLD = {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}
IMPOLITE = "would spend the rate limit of the team and of this address"


@pytest.fixture
def dry():
    """A local server with the real bursts, whose tokens don't come back while a test runs."""
    limits = Limits(requests_per_s=0.001, team=TeamLimits(requests_per_s=0.001))
    with LocalServer(limits=limits) as dry:
        yield dry


@pytest.fixture
def dry_http(dry):
    """A client of that server."""
    with PoliteClient(dry.base_url, dry.api_key) as client:
        yield client


@fact(
    "limit-1",
    "Answers tell the limit, what is left of it and when it is whole again; the team's burst is 40.",
)
def test_answers_tell_the_limit(target, http, request):
    client = request.getfixturevalue("limited_http") if target.is_local else http
    answer = client.get("/templates")

    assert answer.headers.keys() >= TOLD
    assert answer.headers["ratelimit-limit"] == "40"
    assert 0 <= int(answer.headers["ratelimit-remaining"]) < 40


@fact(
    "limit-2",
    "A team sends 40 requests in a burst; then come 429s `rate_limited` with Retry-After in seconds.",
)
@only_here(IMPOLITE)
def test_a_team_has_a_burst(dry_http):
    answers = [dry_http.get("/templates") for _ in range(42)]

    assert [answer.status_code for answer in answers] == [200] * 40 + [429] * 2
    assert error_of(answers[-1]) == (429, "rate_limited")
    assert answers[-1].headers.keys() >= TOLD
    assert answers[-1].headers["ratelimit-remaining"] == "0"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "retry-after" not in answers[0].headers


@fact(
    "limit-3",
    "Retry-After is the time to the next request in whole seconds: 1 where 20 a second are allowed.",
)
@only_here(IMPOLITE)
@pytest.mark.parametrize(("rate", "seconds"), [(20, "1"), (0.1, "10")])
def test_retry_after_is_in_whole_seconds(rate, seconds):
    def wait():
        answers = (client.get("/templates") for _ in range(1000))
        return next(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)

    limits = Limits(requests_per_s=10_000, burst=10_000, team=TeamLimits(requests_per_s=rate, burst=1))
    with LocalServer(limits=limits) as server, PoliteClient(server.base_url, server.api_key) as client:
        assert wait() == seconds


@fact("limit-3b", "RateLimit-Reset of a 429 is what its Retry-After is.")
@only_here(IMPOLITE)
def test_the_reset_of_a_refusal_is_its_pause():
    limits = Limits(requests_per_s=10_000, burst=10_000, team=TeamLimits(requests_per_s=0.1, burst=3))
    with LocalServer(limits=limits) as server, PoliteClient(server.base_url, server.api_key) as client:
        *_, answer = [client.get("/templates") for _ in range(4)]

    assert answer.status_code == 429
    assert answer.headers["ratelimit-reset"] == answer.headers["retry-after"] == "10"


@fact(
    "limit-4",
    "An address sends 100 requests in a burst, whatever it asks for; its limit comes before the key.",
)
@only_here(IMPOLITE)
def test_an_address_has_a_burst(dry):
    with PoliteClient(dry.base_url, None) as client:
        answers = [client.get(path) for path in ["/health", "/nowhere", "/templates"] * 34]

    assert [answer.status_code for answer in answers[:3]] == [200, 404, 401]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"100"}
    assert 429 not in {answer.status_code for answer in answers[:100]}
    assert {error_of(answer) for answer in answers[100:]} == {(429, "rate_limited")}


@fact("limit-5", "The address is the one that X-Forwarded-For or X-Real-IP names.")
@only_here("would claim an address that isn't ours")
def test_proxies_are_trusted(dry):
    with PoliteClient(dry.base_url, None) as client:
        left = [
            client.get("/health", headers=headers).headers["ratelimit-remaining"]
            for headers in (
                {"X-Forwarded-For": "192.0.2.1"},
                {"X-Real-IP": "192.0.2.1"},
                {"X-Real-IP": "192.0.2.2"},
            )
        ]

    assert left == ["99", "98", "99"]


@fact("limit-6", "The keys of a team share its limit, and other teams have their own.")
@only_here("needs more keys")
def test_a_limit_belongs_to_a_team(dry):
    left = []
    for key in (dry.api_key, dry.add_key(), dry.add_team(limits=True).api_key):
        with PoliteClient(dry.base_url, key) as client:
            left.append(client.get("/templates").headers["ratelimit-remaining"])

    assert left == ["39", "38", "39"]
