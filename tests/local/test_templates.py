"""Reading, listing and deleting templates, and who may do so."""

import uuid

import pytest

NOT_FOUND = (404, "not_found")
ALWAYS = {"id", "team_id", "name", "status", "vcpu", "memory_mib", "disk_mib", "created_at"}


def names(answer):
    return [row["name"] for row in answer.json()]


def own(http, **params):
    return [
        name for name in names(http.get("/templates", params=params)) if not name.startswith("superserve/")
    ]


def test_a_template_that_was_never_built_has_only_what_is_always_there(server, http, create):
    server.builds.freeze()
    template_id, _ = create()

    template = http.get(f"/templates/{template_id}").json()

    assert template.keys() == ALWAYS
    assert template["status"] == "building"


def test_a_built_template_has_its_time_and_a_size_that_is_its_disk(server, http, create):
    template_id, build_id = create()
    server.builds.wait_for(build_id, "ready")

    template = http.get(f"/templates/{template_id}").json()

    assert template.keys() == ALWAYS | {"built_at", "size_bytes"}
    assert template["status"] == "ready"
    assert template["size_bytes"] == 4096 * 1024 * 1024
    assert template["built_at"].endswith("Z")
    assert "." not in template["built_at"] + template["created_at"]


def test_a_failed_template_has_the_error_and_neither_time_nor_size(server, http, create):
    template_id, build_id = create(steps=[{"run": "exit 3"}])
    server.builds.wait_for(build_id, "failed")

    template = http.get(f"/templates/{template_id}").json()

    assert template.keys() == ALWAYS | {"error_message"}
    assert template["error_message"] == "step_failed: step 1/1 failed after 10ms: exited with code 3"


def test_time_and_size_of_a_success_survive_a_later_failure_and_the_next_success_clears_the_error(
    server, http
):
    template_id = server.templates.add("demo")
    server.builds.hold()
    first = http.post(f"/templates/{template_id}/builds").json()["id"]
    server.builds.finish(first, "boot_failed: nothing boots")
    server.builds.wait_for(first, "failed")
    failed = http.get(f"/templates/{template_id}").json()
    second = http.post(f"/templates/{template_id}/builds").json()["id"]
    server.builds.finish(second)
    server.builds.wait_for(second, "ready")
    ready = http.get(f"/templates/{template_id}").json()

    assert (failed["status"], failed["error_message"]) == ("failed", "boot_failed: nothing boots")
    assert failed.keys() == ALWAYS | {"built_at", "size_bytes", "error_message"}
    assert ready["status"] == "ready"
    assert "error_message" not in ready


def test_the_list_is_a_bare_array_newest_first_with_the_system_templates(server, http):
    for name in ("one", "two", "three"):
        server.templates.add(name)

    listed = names(http.get("/templates"))

    assert listed[:3] == ["three", "two", "one"]
    assert {"superserve/base", "superserve/python-3.11", "superserve/node-22"} <= set(listed[3:])


def test_the_list_shows_any_status_but_no_deleted_template(server, http):
    gone = server.templates.add("gone")
    for status in ("pending", "building", "ready", "failed"):
        server.templates.add(status, status=status)
    http.delete(f"/templates/{gone}")

    assert own(http) == ["failed", "ready", "building", "pending"]
    assert {row["status"] for row in http.get("/templates").json()} == {
        "pending",
        "building",
        "ready",
        "failed",
    }


def test_without_a_system_team_the_list_can_be_empty(open_client):
    from superserve.local import LocalServer

    with LocalServer(system_templates=False) as server:
        answer = open_client(server).get("/templates")

    assert (answer.status_code, answer.text) == (200, "[]")


def test_lists_are_whole_unless_a_page_is_asked_for(server, http):
    server.templates.add_many(500)

    answer = http.get("/templates")
    page = http.get("/templates", params={"q": "PLATE-4", "limit": "2", "offset": "1", "owner": "team"})

    assert len(answer.json()) == 500 + 6
    assert names(answer)[0] == "template-499"
    assert answer.headers["x-total-count"] == "506"
    assert (names(page), page.headers["x-total-count"]) == (["template-498", "template-497"], "111")


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", {"a_1", "axb", "a%c", "b-a"}),
        ("a", {"a_1", "axb", "a%c"}),
        ("a_", {"a_1", "axb", "a%c"}),
        ("a%b", {"axb"}),
        ("%a", {"a_1", "axb", "a%c", "b-a"}),
        ("a\\_", {"a_1"}),
        ("a\\%", {"a%c"}),
        ("A", set()),
        ("axb\\", set()),
        ("_", {"a_1", "axb", "a%c", "b-a"}),
    ],
)
def test_the_name_prefix_is_a_pattern_with_wildcards(server, http, prefix, found):
    for name in ("a_1", "axb", "a%c", "b-a"):
        server.templates.add(name)

    assert set(own(http, name_prefix=prefix)) == found


def test_the_first_of_several_name_prefixes_counts(server, http):
    server.templates.add("one")
    server.templates.add("two")

    assert names(http.get("/templates?name_prefix=on&name_prefix=tw")) == ["one"]


@pytest.mark.parametrize("query", ["name_prefix=%00", "name_prefix=%ff", "name_prefix=a%00"])
def test_a_name_prefix_that_the_database_refuses_is_a_500(http, error, query):
    assert error(http.get(f"/templates?{query}")) == (500, "internal_error")


def test_an_unknown_template_is_not_found(http, error):
    for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/builds")]:
        assert error(http.request(method, f"/templates/{uuid.uuid4()}{path}")) == NOT_FOUND


def test_deleting_answers_204_then_404_and_frees_the_name(server, http, error):
    template_id = server.templates.add("demo")

    first = http.delete(f"/templates/{template_id}")

    assert (first.status_code, first.content) == (204, b"")
    assert "content-length" not in first.headers
    assert error(http.delete(f"/templates/{template_id}")) == NOT_FOUND
    assert error(http.get(f"/templates/{template_id}")) == NOT_FOUND
    assert error(http.post(f"/templates/{template_id}/builds")) == NOT_FOUND


def test_the_builds_of_a_deleted_template_stay_readable(server, http):
    template_id = server.templates.add("demo")
    build_id = server.builds.add(template_id)
    http.delete(f"/templates/{template_id}")

    assert [row["id"] for row in http.get(f"/templates/{template_id}/builds").json()] == [build_id]
    assert http.get(f"/templates/{template_id}/builds/{build_id}").status_code == 200


def test_sandboxes_forbid_deletion_and_are_reported_before_builds(server, http, error):
    template_id = server.templates.add("demo", sandboxes=2)
    server.builds.hold()
    build_id = http.post(f"/templates/{template_id}/builds").json()["id"]
    by_sandboxes = http.delete(f"/templates/{template_id}")
    server.templates.set(template_id, sandboxes=0)
    by_builds = http.delete(f"/templates/{template_id}")
    http.delete(f"/templates/{template_id}/builds/{build_id}")

    assert error(by_sandboxes) == error(by_builds) == (409, "conflict")
    assert "2 sandbox" in by_sandboxes.json()["error"]["message"]
    assert "1 build" in by_builds.json()["error"]["message"]
    assert http.delete(f"/templates/{template_id}").status_code == 204


def test_a_template_stuck_in_building_can_be_deleted(server, http):
    template_id = server.templates.add("demo", status="building")

    assert http.delete(f"/templates/{template_id}").status_code == 204


def test_system_templates_can_be_read_by_all_and_changed_by_none(http, error):
    base = http.get("/templates", params={"name_prefix": "superserve/base"}).json()[0]
    path = f"/templates/{base['id']}"

    assert http.get(path).json()["name"] == "superserve/base"
    assert error(http.delete(path)) == NOT_FOUND
    assert error(http.post(f"{path}/builds")) == NOT_FOUND
    assert http.get(f"{path}/builds").json() == []


def test_other_teams_see_nothing(server, http, error, open_client, create):
    template_id, build_id = create()
    other = open_client(server, server.add_team().api_key)
    path = f"/templates/{template_id}"

    assert "demo" not in names(other.get("/templates"))
    for method, tail in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/builds"),
        ("GET", f"/builds/{build_id}"),
        ("DELETE", f"/builds/{build_id}"),
        ("GET", f"/builds/{build_id}/logs"),
    ]:
        assert error(other.request(method, path + tail)) == NOT_FOUND
    assert other.get(f"{path}/builds").json() == []


def test_several_keys_of_a_team_see_the_same_and_a_revoked_key_sees_nothing(server, http, error, open_client):
    server.templates.add("demo")
    key = server.add_key()
    second = open_client(server, key)

    assert own(second) == ["demo"]
    server.revoke_key(key)
    assert error(second.get("/templates")) == (401, "auth_failed")
    assert own(http) == ["demo"]
