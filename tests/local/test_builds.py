"""Builds: their rows, their queue, how they end and what that does to their template."""

import uuid

import pytest

from superserve.local import LocalServer

NOT_FOUND = (404, "not_found")
ALWAYS = {"id", "template_id", "status", "build_spec_hash", "created_at"}


@pytest.fixture
def template(http):
    def template(template_id):
        row = http.get(f"/templates/{template_id}").json()
        return row["status"], row.get("error_message")

    return template


@pytest.fixture
def build(http):
    def build(template_id, build_id):
        answer = http.get(f"/templates/{template_id}/builds/{build_id}")
        assert answer.status_code == 200
        return answer.json()

    return build


def test_a_queued_build_has_only_what_is_always_there(server, create, build):
    server.builds.hold("pending")

    row = build(*create())

    assert row.keys() == ALWAYS
    assert row["status"] == "pending"


def test_a_running_build_has_a_start_and_a_finished_one_an_end(server, create, build):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")
    running = build(template_id, build_id)
    server.builds.release()
    server.builds.wait_for(build_id, "ready")
    ready = build(template_id, build_id)

    assert running.keys() == ALWAYS | {"started_at"}
    assert ready.keys() == ALWAYS | {"started_at", "finalized_at"}
    assert ready["finalized_at"].endswith("Z")
    assert "." not in ready["finalized_at"] + ready["started_at"]


def test_a_build_that_ended_while_queued_has_no_start(server, http, create, build):
    server.builds.hold("pending")
    template_id, build_id = create()

    http.delete(f"/templates/{template_id}/builds/{build_id}")

    assert build(template_id, build_id).keys() == ALWAYS | {"error_message", "finalized_at"}


def test_the_first_build_makes_its_template_ready(server, create, template):
    template_id, build_id = create()

    assert template(template_id) == ("building", None)
    server.builds.wait_for(build_id, "ready")
    assert template(template_id) == ("ready", None)


def test_a_failing_build_gives_both_rows_the_same_message(server, create, template, build):
    template_id, build_id = create(steps=[{"run": "true"}, {"run": "echo no >&2 && exit 100"}])
    server.builds.wait_for(build_id, "failed")

    message = "step_failed: step 2/2 failed after 10ms: exited with code 100"
    assert build(template_id, build_id)["error_message"] == message
    assert template(template_id) == ("failed", message)


def test_a_failed_rebuild_makes_a_ready_template_failed(server, http, template):
    template_id = server.templates.add("demo")
    server.builds.hold()
    build_id = http.post(f"/templates/{template_id}/builds").json()["id"]
    while_building = template(template_id)
    server.builds.finish(build_id, "boot_failed: it did not start")
    server.builds.wait_for(build_id, "failed")

    assert while_building == ("ready", None)
    assert template(template_id) == ("failed", "boot_failed: it did not start")


def test_a_rebuild_leaves_the_template_as_it_is_until_it_ends(server, http, template):
    template_id = server.templates.add("demo", status="failed", error_message="boot_failed: before")
    server.builds.hold()
    build_id = http.post(f"/templates/{template_id}/builds").json()["id"]
    server.builds.wait_for(build_id, "building")
    while_building = template(template_id)
    server.builds.finish(build_id)
    server.builds.wait_for(build_id, "ready")

    assert while_building == ("failed", "boot_failed: before")
    assert template(template_id) == ("ready", None)


def test_the_row_follows_the_end_of_the_log(server, create, log, template, build):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")
    server.builds.freeze()
    server.builds.finish(build_id)

    assert log(template_id, build_id)[-1]["status"] == "ready"
    assert build(template_id, build_id)["status"] == "building"
    assert template(template_id) == ("building", None)
    server.builds.release()
    server.builds.wait_for(build_id, "ready")
    assert template(template_id) == ("ready", None)


def test_a_rebuild_answers_201_and_while_it_is_in_flight_200_with_the_same_build(server, http):
    template_id = server.templates.add("demo")
    server.builds.hold()

    first = http.post(f"/templates/{template_id}/builds", content="anything at all")
    second = http.post(f"/templates/{template_id}/builds")
    server.builds.release()
    server.builds.wait_for(first.json()["id"], "ready")
    third = http.post(f"/templates/{template_id}/builds")

    assert (first.status_code, second.status_code, third.status_code) == (201, 200, 201)
    assert first.json()["id"] == second.json()["id"] != third.json()["id"]
    assert {answer.json()["build_spec_hash"] for answer in (first, second, third)} == {
        first.json()["build_spec_hash"]
    }


def test_at_most_20_builds_are_listed_newest_first_whatever_the_limit(server, http):
    template_id = server.templates.add("demo")
    builds = [server.builds.add(template_id) for _ in range(25)]

    for query in ("", "?limit=3", "?limit=100", "?limit=nonsense"):
        listed = http.get(f"/templates/{template_id}/builds{query}").json()
        assert [row["id"] for row in listed] == builds[:4:-1]


def test_the_builds_of_an_unknown_template_are_an_empty_list(http):
    answer = http.get(f"/templates/{uuid.uuid4()}/builds")

    assert (answer.status_code, answer.json()) == (200, [])


def test_a_build_is_found_only_under_its_own_template(server, http, error, create):
    _, build_id = create()
    other = server.templates.add("other")

    for method, tail in [("GET", ""), ("DELETE", ""), ("GET", "/logs")]:
        assert error(http.request(method, f"/templates/{other}/builds/{build_id}{tail}")) == NOT_FOUND
        assert error(http.request(method, f"/templates/{other}/builds/{uuid.uuid4()}{tail}")) == NOT_FOUND


def test_cancelling_the_first_build_fails_its_template_at_once(server, http, create, build, template):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")

    answer = http.delete(f"/templates/{template_id}/builds/{build_id}")

    assert (answer.status_code, answer.content) == (204, b"")
    row = build(template_id, build_id)
    assert (row["status"], row["error_message"]) == ("cancelled", "cancelled by user")
    assert "finalized_at" in row
    assert template(template_id) == ("failed", "build cancelled by user")


@pytest.mark.parametrize(("status", "message"), [("ready", None), ("failed", "boot_failed: before")])
def test_cancelling_a_rebuild_leaves_the_template_as_it_was(server, http, template, status, message):
    template_id = server.templates.add("demo", status=status, error_message=message)
    server.builds.hold()
    build_id = http.post(f"/templates/{template_id}/builds").json()["id"]

    http.delete(f"/templates/{template_id}/builds/{build_id}")

    assert template(template_id) == (status, message)


@pytest.mark.parametrize("status", ["ready", "failed", "cancelled"])
def test_cancelling_an_ended_build_is_a_204_that_changes_nothing(server, http, build, status):
    template_id = server.templates.add("demo")
    build_id = server.builds.add(template_id, status=status)
    before = build(template_id, build_id)

    answer = http.delete(f"/templates/{template_id}/builds/{build_id}")

    assert answer.status_code == 204
    assert build(template_id, build_id) == before


def test_the_host_never_hears_of_a_cancel_and_its_verdict_no_longer_counts(server, http, create, log, build):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")

    http.delete(f"/templates/{template_id}/builds/{build_id}")
    server.builds.release()

    assert log(template_id, build_id)[-1]["status"] == "ready"
    assert build(template_id, build_id)["status"] == "cancelled"


def test_a_cancel_unblocks_deletion_and_rebuild(server, http, create):
    server.builds.hold()
    template_id, build_id = create()
    http.delete(f"/templates/{template_id}/builds/{build_id}")

    assert http.post(f"/templates/{template_id}/builds").status_code == 201
    listed = http.get(f"/templates/{template_id}/builds").json()
    http.delete(f"/templates/{template_id}/builds/{listed[0]['id']}")
    assert http.delete(f"/templates/{template_id}").status_code == 204


def test_builds_start_in_order_and_ten_run_at_once(server, create, build, lift_limits):
    lift_limits("PENDING_LIMIT_S")
    server.builds.hold("pending")
    created = [create(f"t{number}") for number in range(12)]
    server.builds.hold()
    server.builds.wait_for(created[9][1], "building")

    assert [build(*ids)["status"] for ids in created] == ["building"] * 10 + ["pending"] * 2
    server.builds.finish(created[3][1])
    server.builds.wait_for(created[10][1], "building")
    assert build(*created[11])["status"] == "pending"


def test_a_build_that_the_host_lost_fails_with_its_template(server, create, build, template):
    server.builds.hold()
    template_id, build_id = create()
    server.builds.wait_for(build_id, "building")

    server.builds.lose(build_id)

    server.builds.wait_for(build_id, "failed")
    message = "vmd has no record of this build (likely vmd restarted)"
    assert build(template_id, build_id)["error_message"] == message
    assert template(template_id) == ("failed", message)


@pytest.fixture
def fast():
    """A server whose 30 minutes last under a second."""
    with LocalServer(speed=4000, limits=False) as fast:
        yield fast


def test_a_build_queued_for_two_minutes_times_out_and_leaves_its_template_building(
    fast, open_client, create, log
):
    client = open_client(fast)
    fast.builds.hold("pending")
    template_id, build_id = create(client=client)

    fast.builds.wait_for(build_id, "failed")

    row = client.get(f"/templates/{template_id}/builds/{build_id}").json()
    assert row["error_message"] == "build timed out"
    assert "started_at" not in row
    template = client.get(f"/templates/{template_id}").json()
    assert (template["status"], template.get("error_message")) == ("building", None)
    (last,) = log(template_id, build_id, client=client)
    assert (last["finished"], last["status"], last["text"]) == (True, "failed", "build timed out")


def test_a_build_running_for_half_an_hour_times_out_and_leaves_its_template_building(
    fast, open_client, create, log, lift_limits
):
    lift_limits("PENDING_LIMIT_S")
    client = open_client(fast)
    fast.builds.hold()
    template_id, build_id = create(client=client)

    fast.builds.wait_for(build_id, "failed")

    row = client.get(f"/templates/{template_id}/builds/{build_id}").json()
    assert row["error_message"] == "build timed out"
    assert "started_at" in row
    template = client.get(f"/templates/{template_id}").json()
    assert (template["status"], template.get("error_message")) == ("building", None)
    assert log(template_id, build_id, client=client)[-1]["status"] == "cancelled"


def test_a_step_of_ten_minutes_fails(fast, open_client, create, lift_limits):
    lift_limits("PENDING_LIMIT_S", "BUILDING_LIMIT_S", "BUILD_LIMIT_S")
    client = open_client(fast)
    template_id, build_id = create(client=client, steps=[{"run": "sleep 700"}])

    fast.builds.wait_for(build_id, "failed")

    row = client.get(f"/templates/{template_id}/builds/{build_id}").json()
    assert row["error_message"] == (
        "step_failed: step 1/1 failed after 10m0s: exec stream: deadline_exceeded: context deadline exceeded"
    )


def test_a_build_of_fifteen_minutes_fails_without_a_step_number(fast, open_client, create, lift_limits):
    lift_limits("PENDING_LIMIT_S", "BUILDING_LIMIT_S")
    client = open_client(fast)
    template_id, build_id = create(client=client, steps=[{"run": "sleep 500"}] * 2)

    fast.builds.wait_for(build_id, "failed")

    row = client.get(f"/templates/{template_id}/builds/{build_id}").json()
    assert row["error_message"] == "step_failed: context deadline exceeded"


def test_a_spec_too_long_for_a_command_line_is_accepted_and_fails_without_a_code(server, create, build):
    overhead = len('{"from":"python:3.11","start_cmd":""}')
    fits = create("fits", start_cmd="x" * (131_071 - overhead))
    too_long = create("too-long", start_cmd="x" * (131_072 - overhead))

    assert server.builds.wait_for(fits[1], "ready", "failed") == "ready"
    assert server.builds.wait_for(too_long[1], "ready", "failed") == "failed"
    message = build(*too_long)["error_message"]
    assert message.startswith("template-builder exited: ")
    assert message.endswith("argument list too long")
