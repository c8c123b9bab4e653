"""Builds: building again, their fields, their list, cancelling them."""

import hashlib
import json
import uuid

import pytest

from tests.conformance.target import BASE_IMAGE, NOT_FOUND, error_of, events_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here

ALWAYS = {"id", "template_id", "status", "build_spec_hash", "created_at"}
ONLY_SET = {"error_message", "started_at", "finalized_at"}
ORDER = (
    "id", "template_id", "status", "build_spec_hash", "error_message", "started_at", "finalized_at", "created_at",
)  # fmt: skip


def build(http, made):
    return http.get(made.build_path).json()


@fact("rebuild-1", "Building again is a 201 with a new build, whose spec is the same.")
def test_building_again_makes_a_build(http, ready):
    answer = http.post(f"{ready.path}/builds")
    again = answer.json()
    http.delete(f"{ready.path}/builds/{again['id']}")

    assert answer.status_code == 201
    assert again.keys() >= ALWAYS
    assert again["id"] != ready.build_id
    assert again["build_spec_hash"] == build(http, ready)["build_spec_hash"]


@fact("rebuild-2", "While a build of the template is in flight, building again is a 200 with that build.")
def test_there_is_one_build_in_flight(flight):
    assert (flight.rebuild.status_code, flight.rebuild.json()["id"]) == (200, flight.made.build_id)


@fact("rebuild-3", "The body isn't read.")
def test_the_body_of_a_rebuild_is_not_read(flight):
    assert flight.rebuild_with_body.json() == flight.rebuild.json()


@fact("rebuild-4", "Building again doesn't change the template's status.")
def test_building_again_leaves_the_template_as_it_is(http, failed):
    before = http.get(failed.path).json()
    again = http.post(f"{failed.path}/builds").json()
    during = http.get(failed.path).json()
    http.delete(f"{failed.path}/builds/{again['id']}")

    assert before == during
    assert during["status"] == "failed"


@fact("rebuild-5", "At the quota of builds there is a 429, even while a build of this template is in flight.")
@only_here("would fill the team's quota, and be in the way of its work")
def test_the_quota_comes_before_the_build_in_flight(limited, limited_http):
    limited.builds.hold()
    made = [
        limited_http.post(
            "/templates", json={"name": f"t{number}", "build_spec": {"from": BASE_IMAGE}}
        ).json()
        for number in range(5)
    ]

    answer = limited_http.post(f"/templates/{made[0]['id']}/builds")

    assert error_of(answer) == (429, "too_many_builds")
    assert "retry-after" not in answer.headers
    assert error_of(limited_http.post(f"/templates/{uuid.uuid4()}/builds")) == NOT_FOUND


@fact("rebuild-6", "The quota of templates doesn't count for building again.")
@only_here("would fill the team's quota, and be in the way of its work")
def test_the_quota_of_templates_does_not_count(limited, limited_http):
    template_id = limited.templates.add_many(10)[0]

    assert limited_http.post(f"/templates/{template_id}/builds").status_code == 201


@fact("build-1", "These fields are always there, and what isn't set is absent and never null.")
def test_fields_are_there_or_absent(http, ready, failed):
    for made in (ready, failed):
        for row in http.get(f"{made.path}/builds").json():
            assert row.keys() >= ALWAYS
            assert None not in row.values()
            assert "team_id" not in row


@fact("build-1b", f"The keys of a build are in this order: {', '.join(ORDER)}.")
def test_fields_have_an_order(http, ready, failed):
    for row in (build(http, made) for made in (ready, failed)):
        assert list(row) == [key for key in ORDER if key in row]


@fact("build-2", "A build has started_at from its dispatch on, and finalized_at from its end on.")
def test_times_come_with_their_events(http, flight, ready):
    assert ONLY_SET & flight.build.json().keys() == {"started_at"}
    assert ONLY_SET & build(http, ready).keys() == {"started_at", "finalized_at"}


@fact("build-3", "A queued build has neither time.")
@only_here("a queue lasts a second at most")
def test_a_queued_build_has_no_times(steered, steered_http):
    steered.builds.hold("pending")
    build_id = steered_http.post(f"/templates/{steered.templates.add()}/builds").json()
    row = steered_http.get(f"/templates/{build_id['template_id']}/builds/{build_id['id']}").json()

    assert row["status"] == "pending"
    assert not ONLY_SET & row.keys()


@fact("build-4", "A failed build has an error_message, and its template has the same.")
def test_a_failed_build_has_its_error(http, failed):
    row = build(http, failed)

    assert row.keys() >= ONLY_SET
    assert row["error_message"] == http.get(failed.path).json()["error_message"]


@fact(
    "hash-1",
    "build_spec_hash is the SHA-256 of the compact JSON of the spec in a fixed order, as Go writes it.",
)
def test_the_hash_is_that_of_the_compact_spec(http, make):
    made = make(
        ready_cmd="a && b",
        steps=[
            {"run": "echo '<ü>'\u2028"},
            {"env": {"value": "", "key": "A"}},
            {"workdir": ""},
            {"user": {"sudo": False, "name": "app"}},
            {"user": {"sudo": True, "name": "app"}},
        ],
    )
    steps = (
        r'[{"run":"echo ' + r"'\u003cü\u003e'\u2028" + r'"},{"env":{"key":"A","value":""}},{"workdir":""},'
        r'{"user":{"name":"app"}},{"user":{"name":"app","sudo":true}}]'
    )
    canonical = f'{{"from":"{BASE_IMAGE}","steps":{steps},"ready_cmd":"a \\u0026\\u0026 b"}}'

    assert build(http, made)["build_spec_hash"] == hashlib.sha256(canonical.encode()).hexdigest()


@fact("hash-2", "Name, sizes and what is empty don't count for the hash.")
def test_equal_specs_hash_equal(http, make):
    first = make()
    second = make(top={"memory_mib": 512}, steps=[], start_cmd="", ready_cmd=None)
    expected = hashlib.sha256(json.dumps({"from": BASE_IMAGE}, separators=(",", ":")).encode()).hexdigest()

    assert build(http, first)["build_spec_hash"] == build(http, second)["build_spec_hash"] == expected


@fact("hash-3", "Invalid UTF-8 and half surrogate pairs are stored as U+FFFD.")
def test_broken_text_is_replaced(http, maker, make):
    whole = make(start_cmd="\ufffd-\ufffd")
    name = maker.name()
    content = f'{{"name": "{name}", "build_spec": {{"from": "{BASE_IMAGE}", "start_cmd": "'.encode()
    broken = make(name, content=content + b"\xff-" + rb"\ud800" + b'"}}')

    assert build(http, broken)["build_spec_hash"] == build(http, whole)["build_spec_hash"]


@fact("builds-1", "The list of builds is a bare array, newest first.")
def test_builds_are_listed_newest_first(http, failed):
    again = http.post(f"{failed.path}/builds").json()
    http.delete(f"{failed.path}/builds/{again['id']}")
    rows = http.get(f"{failed.path}/builds").json()

    times = [row["created_at"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert {again["id"], failed.build_id} <= {row["id"] for row in rows}


@fact("builds-2", "At most 20 builds are listed, whatever limit says.")
@only_here("needs more than 20 builds")
def test_twenty_builds_are_listed(steered, steered_http):
    template_id = steered.templates.add()
    ids = [steered.builds.add(template_id) for _ in range(25)]
    for query in ("", "?limit=100", "?limit=1", "?limit=nonsense"):
        rows = steered_http.get(f"/templates/{template_id}/builds{query}").json()
        assert [row["id"] for row in rows] == ids[:4:-1]


@fact("builds-3", "The builds of an unknown template are an empty list.")
def test_builds_of_nothing_are_an_empty_list(http):
    answer = http.get(f"/templates/{uuid.uuid4()}/builds")

    assert (answer.status_code, answer.json()) == (200, [])


@fact("one-build-1", "A build is a 404 `not_found` unless it belongs to the template.")
@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("DELETE", ""), ("GET", "/logs")])
def test_a_build_belongs_to_its_template(http, ready, failed, method, tail):
    for path in (f"{ready.path}/builds/{uuid.uuid4()}", f"{failed.path}/builds/{ready.build_id}"):
        assert error_of(http.request(method, path + tail)) == NOT_FOUND


@fact(
    "cancel-1", "Cancelling is a 204; the build is cancelled at once, with its time and `cancelled by user`."
)
def test_a_cancel_takes_effect_at_once(flight):
    row = flight.cancelled_build.json()

    assert (flight.cancel.status_code, flight.cancel.content) == (204, b"")
    assert (row["status"], row["error_message"]) == ("cancelled", "cancelled by user")
    assert "finalized_at" in row


@fact("cancel-2", "Cancelling a first build makes its template failed, with `build cancelled by user`.")
def test_cancelling_a_first_build_fails_its_template(flight):
    row = flight.cancelled_template.json()

    assert (row["status"], row["error_message"]) == ("failed", "build cancelled by user")


@fact(
    "cancel-3",
    "Cancelling a rebuild leaves a ready template ready and a failed one failed, with its old message.",
)
def test_cancelling_a_rebuild_leaves_the_template_as_it_was(http, ready, failed):
    for made in (ready, failed):
        before = http.get(made.path).json()
        again = http.post(f"{made.path}/builds").json()
        http.delete(f"{made.path}/builds/{again['id']}")
        assert http.get(made.path).json() == before


@fact("cancel-4", "Cancelling an ended build is a 204 that changes nothing.")
def test_cancelling_an_ended_build_changes_nothing(http, ready):
    before = build(http, ready)

    assert http.delete(ready.build_path).status_code == 204
    assert build(http, ready) == before


@fact("cancel-5", "A cancel frees the template for deletion.")
def test_a_cancel_unblocks_deletion(flight):
    assert (flight.deletion.status_code, flight.deletion_after.status_code) == (409, 204)


@fact("cancel-6", "A cancel frees a place in the quota of builds.")
@only_here("would fill the team's quota, and be in the way of its work")
def test_a_cancel_frees_a_place(limited, limited_http):
    limited.builds.hold()
    ids = limited.templates.add_many(6)
    builds = [limited_http.post(f"/templates/{template_id}/builds").json() for template_id in ids[:5]]
    full = limited_http.post(f"/templates/{ids[5]}/builds")
    limited_http.delete(f"/templates/{ids[0]}/builds/{builds[0]['id']}")

    assert error_of(full) == (429, "too_many_builds")
    assert limited_http.post(f"/templates/{ids[5]}/builds").status_code == 201


@fact("cancel-7", "The host never hears of a cancel: the log goes on and ends with the host's verdict.")
def test_the_host_does_not_hear_of_a_cancel(flight):
    assert events_of(flight.log)[-1]["status"] == "ready"
    assert flight.build_in_the_end.json() == flight.cancelled_build.json()
    assert flight.cancelled_build.json()["status"] == "cancelled"
