"""What servers newer than this one answer, on request."""

import pytest

from superserve.local import LocalServer


@pytest.fixture
def server(request):
    with LocalServer(speed=getattr(request, "param", 100), limits=False, newer=True) as server:
        yield server


def names(answer):
    return [row["name"] for row in answer.json() if not row["name"].startswith("superserve/")]


def test_templates_and_builds_have_more_fields(server, http, create):
    template_id, build_id = create()
    server.builds.wait_for(build_id, "ready")

    template = http.get(f"/templates/{template_id}").json()
    listed = next(row for row in http.get("/templates").json() if row["id"] == template_id)
    build = http.get(f"/templates/{template_id}/builds/{build_id}").json()

    assert template == listed
    assert template["latest_build_id"] == build_id
    assert template["visibility"] == "team"
    assert build["region"] == "local"
    assert http.get(f"/templates/{template_id}/builds").json() == [build]


# Each status lasts a fifth of a second: a busy machine may take long for an answer.
@pytest.mark.parametrize("server", [10], indirect=True)
def test_builds_pass_through_a_status_that_nobody_knows(server, http, create):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")
    seen = []
    server.builds.finish(build_id)
    while not seen or seen[-1] != "ready":
        status = http.get(f"/templates/{template_id}/builds/{build_id}").json()["status"]
        if status not in seen:
            seen.append(status)

    assert "verifying" in seen


def test_a_system_template_has_a_status_that_nobody_knows(http):
    assert {row["status"] for row in http.get("/templates").json()} == {"ready", "archived"}


def test_logs_have_a_stream_that_nobody_knows(server, create, log):
    assert "metric" in {event["stream"] for event in log(*create())}


def test_templates_may_be_larger(http, error):
    spec = {"from": "python:3.11"}
    large = {"vcpu": 10, "memory_mib": 20480, "disk_mib": 65536}

    assert http.post("/templates", json={"name": "large", "build_spec": spec, **large}).status_code == 202
    for key, value in large.items():
        answer = http.post("/templates", json={"name": "larger", "build_spec": spec, key: value + 1})
        assert error(answer) == (400, "bad_request")


def test_lists_have_pages_and_a_total(server, http):
    server.templates.add_many(250, prefix="t")

    page = http.get("/templates", params={"owner": "team", "limit": "2", "offset": "1"})
    everything = http.get("/templates", params={"owner": "team"})
    clamped = http.get("/templates", params={"limit": "1000"})

    assert names(page) == ["t248", "t247"]
    assert page.headers["x-total-count"] == everything.headers["x-total-count"] == "250"
    assert len(everything.json()) == 250
    assert len(clamped.json()) == 200


def test_lists_are_sorted_and_filtered(server, http):
    server.templates.add("b", status="failed", disk_mib=8192)
    server.templates.add("c", disk_mib=1024)
    server.templates.add("a")

    def listed(**params):
        return names(http.get("/templates", params={"owner": "team", **params}))

    assert listed() == ["a", "c", "b"]
    assert listed(order="asc") == ["b", "c", "a"]
    assert listed(sort="name", order="asc") == ["a", "b", "c"]
    assert listed(sort="status") == ["a", "c", "b"]
    assert listed(sort="size", order="asc") == ["b", "c", "a"]
    assert listed(sort="built_at") == ["a", "c", "b"]
    assert listed(q="B") == ["b"]
    assert listed(name_prefix="c") == ["c"]
    assert listed(owner="system") == []
    assert len(http.get("/templates", params={"owner": "system"}).json()) == 6


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=1.0", "offset=-1", "sort=colour", "order=up", "owner=me"]
)
def test_wrong_queries_are_refused(http, error, query):
    assert error(http.get(f"/templates?{query}")) == (400, "bad_request")


def test_the_builds_list_honours_its_limit(server, http):
    template_id = server.templates.add("demo")
    for _ in range(30):
        server.builds.add(template_id)

    def count(query):
        return len(http.get(f"/templates/{template_id}/builds{query}").json())

    assert (count(""), count("?limit=3"), count("?limit=1000")) == (20, 3, 30)
