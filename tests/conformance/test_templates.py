"""Templates: their fields, their list, reading and deleting them, and who may do so."""

import uuid

import pytest

from superserve.local import LocalServer
from tests.conformance.target import BASE_IMAGE, CONFLICT, NOT_FOUND, PoliteClient, error_of, message_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here

ALWAYS = {"id", "team_id", "name", "status", "vcpu", "memory_mib", "disk_mib", "created_at"}
ONLY_SET = {"size_bytes", "built_at", "error_message"}
ORDER = (
    "id", "team_id", "name", "status", "vcpu", "memory_mib", "disk_mib", "size_bytes", "error_message", "created_at",
    "built_at",
)  # fmt: skip


def listed(http, **params):
    answer = http.get("/templates", params=params)
    assert answer.status_code == 200
    return [row["name"] for row in answer.json()]


@pytest.fixture(scope="session")
def system(http):
    """A template of the system team."""
    rows = [row for row in http.get("/templates").json() if row["name"].startswith("superserve/")]
    if not rows:
        pytest.skip("the server has no system templates")
    return rows[0]


@fact("template-1", "These fields are always there, and what isn't set is absent and never null.")
def test_fields_are_there_or_absent(http, ready, failed):
    for row in http.get("/templates").json():
        assert row.keys() >= ALWAYS
        assert None not in row.values()


@fact("template-1b", f"The keys of a template are in this order: {', '.join(ORDER)}.")
def test_fields_have_an_order(http, ready, failed):
    for row in (http.get(made.path).json() for made in (ready, failed)):
        assert list(row) == [key for key in ORDER if key in row]


@fact("template-2", "A template whose first build is in flight has no size, no time and no error.")
def test_a_first_build_leaves_fields_out(flight):
    row = flight.template.json()

    assert row["status"] == "building"
    assert not ONLY_SET & row.keys()


@fact(
    "template-3", "After a success there are built_at and size_bytes, which is the disk's size, and no error."
)
def test_a_built_template_has_time_and_size(http, ready):
    row = http.get(ready.path).json()

    assert row["status"] == "ready"
    assert ONLY_SET & row.keys() == {"built_at", "size_bytes"}
    assert row["size_bytes"] == row["disk_mib"] * 1024 * 1024


@fact("template-4", "After a failed first build there is an error_message, and neither size nor time.")
def test_a_failed_template_has_its_error(http, failed):
    row = http.get(failed.path).json()

    assert row["status"] == "failed"
    assert ONLY_SET & row.keys() == {"error_message"}


@fact("template-5", "Size and time survive a later failure, and the next success clears the error.")
@only_here("needs a build that fails after one that succeeded")
def test_a_success_leaves_its_traces(steered, steered_http):
    template_id = steered.templates.add()
    path = f"/templates/{template_id}"
    steered.builds.hold()
    states = []
    for message in ("boot_failed: x", None):
        build_id = steered_http.post(f"{path}/builds").json()["id"]
        steered.builds.finish(build_id, message)
        steered.builds.wait_for(build_id, "ready", "failed")
        states.append(steered_http.get(path).json())

    assert states[0]["status"] == "failed"
    assert states[0].keys() >= ONLY_SET
    assert states[1]["status"] == "ready"
    assert "error_message" not in states[1]


@fact("template-6", "The build spec is never returned.")
def test_a_spec_is_never_returned(http, ready):
    rows = [*http.get("/templates").json(), http.get(ready.path).json(), ready.answer]

    assert not any({"build_spec", "updated_at"} & row.keys() for row in rows)


@fact("list-1", "The list is a bare array, newest first.")
def test_the_list_is_newest_first(http, ready, failed):
    rows = http.get("/templates").json()

    assert isinstance(rows, list)
    times = [row["created_at"] for row in rows]
    assert times == sorted(times, reverse=True)


@fact("list-2", "The list has the team's own templates whatever their status, and those of the system team.")
def test_the_list_has_own_and_system_templates(http, ready, failed, system):
    own = {row["id"]: row for row in http.get("/templates").json()}

    assert (own[ready.id]["status"], own[failed.id]["status"]) == ("ready", "failed")
    assert own[system["id"]]["team_id"] != own[ready.id]["team_id"]


@fact("list-3", "Parameters that the operation does not know are ignored.")
def test_other_parameters_are_ignored(http, maker, ready, failed):
    params = {"name_prefix": maker.prefix}
    whole = http.get("/templates", params=params)
    asked = http.get("/templates", params={**params, "page": "1", "status": "x", "Limit": "1"})

    assert asked.json() == whole.json()
    assert len(whole.json()) > 1


@fact("list-4", "name_prefix filters by the beginning of names, in their case; an empty one doesn't filter.")
def test_a_prefix_filters(http, ready, failed):
    assert listed(http, name_prefix=ready.name) == [ready.name]
    assert listed(http, name_prefix=ready.name[1:]) == []
    assert listed(http, name_prefix=ready.name.upper()) == []
    assert listed(http, name_prefix="") == listed(http)


@fact(
    "list-4b",
    "A parameter that holds a semicolon or a bad escape is dropped, and the next one of its name counts.",
)
@pytest.mark.parametrize("value", ["{};x=1", "%zz{}", "{}%4", "%u0041", "%"])
def test_unreadable_parameters_are_dropped(http, ready, value):
    query = f"name_prefix={value.format(ready.name)}"

    def names(path):
        return [row["name"] for row in http.get(path).json()]

    assert names(f"/templates?{query}") == names("/templates")
    assert names(f"/templates?{query}&name_prefix={ready.name}") == [ready.name]


@fact("list-5", "In name_prefix _ and % are wildcards, and a backslash escapes.")
def test_a_prefix_has_wildcards(http, ready):
    first, rest = ready.name[0], ready.name[1:]

    assert listed(http, name_prefix="_" + rest) == [ready.name]
    assert listed(http, name_prefix="%" + rest[10:]) == [ready.name]
    assert listed(http, name_prefix="\\" + first + rest) == [ready.name]
    assert listed(http, name_prefix="\\_" + rest) == []


@fact("list-6", "Of several name_prefix the first one counts.")
def test_the_first_prefix_counts(http, ready, failed):
    assert listed(http, name_prefix=[ready.name, failed.name]) == [ready.name]


@fact("list-7", "A name_prefix with a NUL or invalid UTF-8 is a 500.")
@only_here("makes the server fail on purpose")
def test_a_nul_in_a_prefix_is_a_server_error(steered_http):
    for query in ("name_prefix=%00", "name_prefix=%ff"):
        assert error_of(steered_http.get(f"/templates?{query}")) == (500, "internal_error")


@fact("list-8", "Without a system team the list has the team's own templates only, and may be empty.")
@only_here("needs a server without system templates")
def test_the_list_may_be_empty():
    with (
        LocalServer(system_templates=False) as server,
        PoliteClient(server.base_url, server.api_key) as client,
    ):
        answer = client.get("/templates")

    assert (answer.status_code, answer.text) == (200, "[]")


@fact("get-1", "An unknown template is a 404 `not_found` for every call but the list of its builds.")
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("DELETE", ""), ("POST", "/builds")])
def test_an_unknown_template_is_not_found(http, method, tail):
    assert error_of(http.request(method, f"/templates/{uuid.uuid4()}{tail}")) == NOT_FOUND


@fact("delete-1", "Deleting is a 204 without a body; then the template is a 404, also for another deletion.")
def test_a_deleted_template_is_gone(http, flight):
    assert (flight.deletion_after.status_code, flight.deletion_after.content) == (204, b"")
    assert error_of(flight.template_after) == NOT_FOUND
    assert error_of(flight.second_deletion) == NOT_FOUND
    assert error_of(flight.rebuild_after) == NOT_FOUND
    assert flight.made.name not in listed(http)


@fact("delete-2", "The name of a deleted template is free at once.")
def test_a_deleted_template_frees_its_name(make, flight):
    assert make(flight.made.name).id != flight.made.id


@fact("delete-3", "A build in flight forbids deletion with a 409 `conflict` that counts the builds.")
def test_a_build_in_flight_forbids_deletion(flight):
    assert error_of(flight.deletion) == CONFLICT
    assert "1" in message_of(flight.deletion)


@fact("delete-4", "A sandbox that refers to the template forbids deletion, and is named before builds.")
@only_here("needs sandboxes, which this suite doesn't make")
def test_sandboxes_forbid_deletion(steered, steered_http):
    template_id = steered.templates.add(sandboxes=3)
    steered.builds.hold()
    steered_http.post(f"/templates/{template_id}/builds")

    answer = steered_http.delete(f"/templates/{template_id}")

    assert error_of(answer) == CONFLICT
    assert "3 sandbox" in message_of(answer)


@fact("delete-5", "The builds of a deleted template stay readable.")
def test_builds_outlive_their_template(flight):
    assert flight.build_after.json()["status"] == "cancelled"
    assert [build["id"] for build in flight.builds_after.json()] == [flight.made.build_id]


@fact("delete-6", "A template left building by a build that timed out can be deleted.")
@only_here("needs a build that times out, which takes half an hour")
def test_a_stuck_template_can_be_deleted(steered, steered_http):
    template_id = steered.templates.add(status="building")
    steered.builds.add(template_id, status="failed", error_message="build timed out")

    assert steered_http.delete(f"/templates/{template_id}").status_code == 204


@fact("team-1", "System templates can be read by all.")
def test_system_templates_can_be_read(http, system):
    assert http.get(f"/templates/{system['id']}").json()["name"] == system["name"]


@fact("team-2", "System templates can't be deleted or built by others: 404.")
def test_system_templates_cannot_be_changed(http, system):
    # The owner's check comes before anything is done.
    assert error_of(http.delete(f"/templates/{system['id']}")) == NOT_FOUND
    assert error_of(http.post(f"/templates/{system['id']}/builds")) == NOT_FOUND


@fact("team-3", "The builds of system templates can't be seen: an empty list, and 404 for one of them.")
def test_builds_of_system_templates_cannot_be_seen(http, system):
    path = f"/templates/{system['id']}/builds"

    assert http.get(path).json() == []
    assert error_of(http.get(f"{path}/{uuid.uuid4()}")) == NOT_FOUND


@fact("team-4", "Another team sees nothing: 404 for a template and its builds, and an empty list of builds.")
@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/builds"),
        ("GET", "/builds/{build}"),
        ("DELETE", "/builds/{build}"),
        ("GET", "/builds/{build}/logs"),
    ],
)
def test_another_team_sees_nothing(other, ready, method, tail):
    answer = other.request(method, ready.path + tail.format(build=ready.build_id))

    assert error_of(answer) == NOT_FOUND
    assert ready.name not in listed(other)
    assert other.get(f"{ready.path}/builds").json() == []


@fact("team-5", "The keys of a team see the same.")
@only_here("needs another key of the same team")
def test_keys_of_a_team_see_the_same(steered, steered_http):
    steered_http.post("/templates", json={"name": "x", "build_spec": {"from": BASE_IMAGE}})
    with PoliteClient(steered.base_url, steered.add_key()) as second:
        assert "x" in listed(second)
