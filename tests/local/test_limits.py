"""Rate limits, quotas and caps."""

import httpx
import pytest

from superserve.local import Limits, LocalServer, TeamLimits
from superserve.local._app.limits import RateLimiter

SPEC = {"from": "python:3.11"}


def create(client, name, **more):
    return client.post("/templates", json={"name": name, "build_spec": SPEC, **more})


@pytest.fixture
def dry():
    """A server where tokens don't come back while a test runs."""
    limits = Limits(requests_per_s=0.001, team=TeamLimits(requests_per_s=0.001))
    with LocalServer(limits=limits) as dry:
        yield dry


@pytest.fixture
def health(dry):
    """Ask for /health without a key."""
    with httpx.Client(base_url=dry.base_url, verify=False) as client:
        yield lambda **headers: client.get("/health", headers=headers)


def test_the_figures_are_those_of_the_server():
    assert Limits() == Limits(
        requests_per_s=50,
        burst=100,
        team=TeamLimits(
            vcpu=2, memory_mib=2048, disk_mib=8192, builds=5, templates=10, requests_per_s=20, burst=40
        ),
    )


def test_a_team_sends_a_burst_of_40(dry, error, open_client):
    client = open_client(dry)
    answers = [client.get("/templates") for _ in range(42)]

    assert [answer.status_code for answer in answers] == [200] * 40 + [429] * 2
    assert [int(answer.headers["ratelimit-remaining"]) for answer in answers] == [*range(39, -1, -1), 0, 0]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"40"}
    assert ["retry-after" in answer.headers for answer in answers] == [False] * 40 + [True] * 2
    assert error(answers[-1]) == (429, "rate_limited")


def test_an_address_sends_a_burst_of_100_before_keys_and_routes_are_looked_at(dry, error):
    with httpx.Client(base_url=dry.base_url, verify=False) as client:
        answers = [client.get(path) for path in ["/health", "/nowhere", "/templates"] * 34]

    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"100"}
    assert [answer.status_code for answer in answers[:3]] == [200, 404, 401]
    assert 429 not in {answer.status_code for answer in answers[:100]}
    assert {error(answer) for answer in answers[100:]} == {(429, "rate_limited")}


def test_keys_of_a_team_share_its_tokens_and_other_teams_have_their_own(dry, open_client):
    def left(key):
        return open_client(dry, key).get("/templates").headers["ratelimit-remaining"]

    assert left(dry.api_key) == "39"
    assert left(dry.add_key()) == "38"
    assert left(dry.add_team(limits=True).api_key) == "39"


def test_the_address_comes_from_whatever_proxy_names_it(health):
    def left(**headers):
        return health(**headers).headers["ratelimit-remaining"]

    assert left(**{"X-Forwarded-For": "192.0.2.1, 10.0.0.1"}) == "99"
    assert left(**{"X-Forwarded-For": "192.0.2.1"}) == "98"
    assert left(**{"X-Real-IP": "192.0.2.2"}) == "99"
    assert left(**{"X-Forwarded-For": "nonsense", "X-Real-IP": "192.0.2.2"}) == "98"
    assert left() == "99"


def test_redirects_are_not_counted(limited_http):
    answer = limited_http.get("/templates/")

    assert answer.status_code == 301
    assert "ratelimit-limit" not in answer.headers


def test_tokens_come_back_at_the_rate():
    now = 0.0
    limiter = RateLimiter(20, 40, monotonic=lambda: now)
    admitted = sum(limiter.take("a").admitted for _ in range(100))
    refused = dict(limiter.take("a").headers)
    now = 0.5
    later = sum(limiter.take("a").admitted for _ in range(100))
    now = 1000.0
    much_later = sum(limiter.take("a").admitted for _ in range(100))

    assert (admitted, later, much_later) == (40, 10, 40)
    assert refused == {
        b"ratelimit-limit": b"40", b"ratelimit-remaining": b"0", b"ratelimit-reset": b"1", b"retry-after": b"1",
    }  # fmt: skip


def test_five_builds_in_flight_are_a_teams_limit_and_have_no_retry_after(limited, limited_http, error):
    limited.builds.hold()
    answers = [create(limited_http, f"t{number}") for number in range(6)]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert error(answers[5]) == (429, "too_many_builds")
    # What to do about it is the client's to say.
    message = answers[5].json()["error"]["message"]
    assert message == "your team is limited to 5 builds in flight"
    assert "5" in answers[5].json()["error"]["message"]
    assert "retry-after" not in answers[5].headers


def test_a_cancel_frees_its_place_at_once(limited, limited_http):
    limited.builds.hold()
    created = [create(limited_http, f"t{number}").json() for number in range(5)]

    limited_http.delete(f"/templates/{created[0]['id']}/builds/{created[0]['build_id']}")

    assert create(limited_http, "another").status_code == 202


def test_the_builds_quota_comes_before_the_look_at_a_build_in_flight(limited, limited_http, error):
    limited.builds.hold()
    created = [create(limited_http, f"t{number}").json() for number in range(5)]

    assert error(limited_http.post(f"/templates/{created[0]['id']}/builds")) == (429, "too_many_builds")


def test_ten_templates_are_a_teams_limit_and_failed_ones_do_not_count(limited, limited_http, error):
    ids = limited.templates.add_many(10)
    refused = create(limited_http, "another")
    limited.templates.set(ids[0], status="failed", error_message="boot_failed: no")

    assert error(refused) == (429, "too_many_templates")
    assert refused.json()["error"]["message"] == "your team is limited to 10 templates"
    assert "10" in refused.json()["error"]["message"]
    assert create(limited_http, "another").status_code == 202


def test_a_taken_name_at_the_quota_is_a_429_and_a_bad_spec_a_400(limited, limited_http, error):
    limited.templates.add_many(10)

    assert error(create(limited_http, "template-0")) == (429, "too_many_templates")
    assert error(create(limited_http, "x", build_spec={"from": ""})) == (400, "bad_request")


def test_the_quotas_come_before_the_nul_and_the_nul_before_the_name(limited, limited_http, error):
    limited.templates.add("taken")
    nul = {"from": "a\0"}

    assert error(create(limited_http, "taken", build_spec=nul)) == (500, "internal_error")
    limited.templates.add_many(9)
    assert error(create(limited_http, "taken", build_spec=nul)) == (429, "too_many_templates")


@pytest.mark.parametrize(("key", "value"), [("vcpu", 3), ("memory_mib", 2049)])
def test_a_team_may_have_less_than_the_platform_gives(limited_http, error, key, value):
    answer = create(limited_http, "demo", **{key: value})

    assert error(answer) == (400, "bad_request")
    assert "team" in answer.json()["error"]["message"]


def test_the_caps_themselves_are_accepted(limited_http):
    assert create(limited_http, "demo", vcpu=2, memory_mib=2048, disk_mib=8192).status_code == 202


def test_the_system_team_is_exempt_from_caps_and_the_templates_quota(limited, limited_http, open_client):
    team_id = limited_http.get("/templates").json()[0]["team_id"]
    client = open_client(limited, limited.add_key(team_id))

    answers = [create(client, f"superserve/t{number}", vcpu=4, memory_mib=4096) for number in range(4)]

    assert [answer.status_code for answer in answers] == [202] * 4


def test_without_limits_there_are_none_and_no_headers_of_them(server, http):
    server.builds.hold()
    answers = [create(http, f"t{number}", vcpu=4, memory_mib=4096) for number in range(150)]

    assert {answer.status_code for answer in answers} == {202}
    assert "ratelimit-limit" not in answers[0].headers


def test_limits_can_be_adjusted(open_client, error):
    limits = Limits(burst=1000, team=TeamLimits(builds=1, templates=1, vcpu=4, burst=3))
    with LocalServer(speed=100, limits=limits) as server:
        client = open_client(server)
        server.builds.hold()

        assert create(client, "one", vcpu=4).status_code == 202
        assert error(create(client, "two")) == (429, "too_many_builds")
        assert client.get("/templates").headers["ratelimit-limit"] == "3"
        assert httpx.get(server.base_url + "/health", verify=False).headers["ratelimit-limit"] == "1000"


def test_teams_have_limits_of_their_own(limited, error, open_client):
    limited.builds.hold()
    free = open_client(limited, limited.add_team().api_key)
    tight = open_client(limited, limited.add_team(limits=TeamLimits(builds=0)).api_key)
    usual = open_client(limited, limited.add_team(limits=True).api_key)

    assert create(free, "demo", vcpu=4).status_code == 202
    assert error(create(tight, "demo")) == (429, "too_many_builds")
    assert error(create(usual, "demo", vcpu=4)) == (400, "bad_request")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Limits, {"requests_per_s": 0}, "requests_per_s must be more than 0, not 0"),
        (TeamLimits, {"requests_per_s": float("inf")}, "requests_per_s must be more than 0, not inf"),
        (Limits, {"burst": 0}, "burst must be at least 1, not 0"),
        (TeamLimits, {"burst": 1.5}, "burst must be a whole number, not 1.5"),
        (TeamLimits, {"builds": -1}, "builds must be at least 0, not -1"),
        (TeamLimits, {"vcpu": "2"}, "vcpu must be a whole number, not '2'"),
        (Limits, {"team": False}, r"team must be TeamLimits\(...\), not False"),
    ],
)
def test_what_is_no_limit_is_refused(kind, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kind(**options)


def test_a_team_takes_team_limits_only(server):
    with pytest.raises(TypeError, match=r"limits must be True, False or TeamLimits\(...\), not Limits"):
        server.add_team(limits=Limits())
