"""Builds on their way: who changes which row when, how long things may take, and what a failure says."""

import re

import pytest

from superserve.local import LocalServer
from tests.conformance.target import BASE_IMAGE, PoliteClient, events_of

fact = pytest.mark.fact
only_here = pytest.mark.only_here

CODES = [
    "image_too_large",
    "bad_reference",
    "unsupported_platform",
    "image_unsafe",
    "image_pull_failed",
    "boot_failed",
    "snapshot_failed",
    "start_cmd_failed",
    "ready_cmd_failed",
    "build_failed",
]
TIMED_OUT = "build timed out"
LOST = "vmd has no record of this build (likely vmd restarted)"


@pytest.fixture
def hasty():
    """A local server whose half hours last two seconds."""
    with LocalServer(speed=1000, limits=False) as hasty:
        yield hasty


@pytest.fixture
def hasty_http(hasty):
    """A client of that server."""
    with PoliteClient(hasty.base_url, hasty.api_key) as client:
        yield client


def create(http, name="x", **spec):
    answer = http.post("/templates", json={"name": name, "build_spec": {"from": BASE_IMAGE, **spec}})
    created = answer.json()
    return f"/templates/{created['id']}", created["build_id"]


def state(http, path):
    row = http.get(path).json()
    return row["status"], row.get("error_message")


@fact("state-1", "A build is pending, then building, then ended; snapshotting doesn't occur.")
def test_a_build_goes_through_few_statuses(ready):
    order = ["pending", "building", "ready"]

    assert set(ready.statuses) <= set(order)
    assert ready.statuses == sorted(ready.statuses, key=order.index)


@fact("state-2", "With its first build a template becomes ready or failed.")
def test_a_first_build_decides_its_template(http, ready, failed):
    assert (state(http, ready.path)[0], state(http, failed.path)[0]) == ("ready", "failed")


@fact("state-3", "A rebuild that fails makes a ready template failed, with the same message.")
@only_here("needs a build that fails after one that succeeded")
def test_a_failed_rebuild_fails_its_template(steered, steered_http):
    path = f"/templates/{steered.templates.add()}"
    steered.builds.hold()
    build_id = steered_http.post(f"{path}/builds").json()["id"]
    steered.builds.finish(build_id, "boot_failed: x")
    steered.builds.wait_for(build_id, "failed")

    assert (
        state(steered_http, path)
        == state(steered_http, f"{path}/builds/{build_id}")
        == ("failed", "boot_failed: x")
    )


@fact("state-4", "A build that the host lost fails, and its template with it.")
@only_here("needs a host that is restarted")
def test_a_lost_build_fails(steered, steered_http):
    steered.builds.hold()
    path, build_id = create(steered_http)
    steered.builds.wait_for(build_id, "building")
    steered.builds.lose(build_id)
    steered.builds.wait_for(build_id, "failed")

    assert state(steered_http, path) == state(steered_http, f"{path}/builds/{build_id}") == ("failed", LOST)


@fact(
    "state-5", "A build queued for 2 minutes fails with `build timed out`, and its template stays building."
)
@only_here("needs a queue of two minutes")
def test_a_queue_is_given_up(hasty, hasty_http):
    hasty.builds.hold("pending")
    path, build_id = create(hasty_http)
    hasty.builds.wait_for(build_id, "failed")

    assert state(hasty_http, f"{path}/builds/{build_id}") == ("failed", TIMED_OUT)
    assert state(hasty_http, path) == ("building", None)


@fact(
    "state-6",
    "A build running for 30 minutes fails with `build timed out`; its template stays building, its log ends `cancelled`.",
)
@only_here("takes half an hour")
def test_a_build_is_given_up(hasty, hasty_http, lift_limits):
    lift_limits("PENDING_LIMIT_S")
    hasty.builds.hold()
    path, build_id = create(hasty_http)
    hasty.builds.wait_for(build_id, "failed")

    assert state(hasty_http, f"{path}/builds/{build_id}") == ("failed", TIMED_OUT)
    assert state(hasty_http, path) == ("building", None)
    assert events_of(hasty_http.get(f"{path}/builds/{build_id}/logs"))[-1]["status"] == "cancelled"


@fact("state-7", "An ended build never changes again.")
@only_here("needs a verdict of the host after a cancel, at a time of our choice")
def test_an_end_is_an_end(steered, steered_http):
    steered.builds.hold()
    path, build_id = create(steered_http)
    steered.builds.wait_for(build_id, "building")
    steered_http.delete(f"{path}/builds/{build_id}")
    before = steered_http.get(f"{path}/builds/{build_id}").json()
    steered.builds.finish(build_id, "boot_failed: x")
    # Another build of the queue has ended, so the queue has seen the verdict.
    steered.builds.release()
    _, later = create(steered_http, "later")
    steered.builds.wait_for(later, "ready")

    assert steered_http.get(f"{path}/builds/{build_id}").json() == before
    assert state(steered_http, path) == ("failed", "build cancelled by user")


@fact("state-8", "Builds start in the order of their creation, ten of them at once.")
@only_here("would be in the way of everybody's builds")
def test_ten_builds_run_at_once(steered, steered_http):
    steered.builds.hold("pending")
    created = [create(steered_http, f"t{number}") for number in range(12)]
    steered.builds.hold()
    steered.builds.wait_for(created[9][1], "building")

    statuses = [state(steered_http, f"{path}/builds/{build_id}")[0] for path, build_id in created]
    assert statuses == ["building"] * 10 + ["pending"] * 2


@fact("time-1", "The log ends before the build's row does.")
@only_here("takes a moment at most")
def test_the_log_runs_ahead_of_the_row(steered, steered_http):
    steered.builds.hold()
    path, build_id = create(steered_http)
    steered.builds.wait_for(build_id, "building")
    steered.builds.freeze()
    steered.builds.finish(build_id)

    events = events_of(steered_http.get(f"{path}/builds/{build_id}/logs"))

    assert events[-1]["status"] == "ready"
    assert state(steered_http, f"{path}/builds/{build_id}") == ("building", None)
    steered.builds.release()
    steered.builds.wait_for(build_id, "ready")


@fact("time-2", "A step may take 10 minutes.")
@only_here("takes ten minutes")
def test_a_step_has_ten_minutes(hasty, hasty_http, lift_limits):
    lift_limits("PENDING_LIMIT_S", "BUILDING_LIMIT_S", "BUILD_LIMIT_S")
    path, build_id = create(hasty_http, steps=[{"run": "sleep 700"}])
    hasty.builds.wait_for(build_id, "failed")

    assert state(hasty_http, path)[1] == (
        "step_failed: step 1/1 failed after 10m0s: exec stream: deadline_exceeded: context deadline exceeded"
    )


@fact("time-3", "A build may take 15 minutes; a failure between steps names no step.")
@only_here("takes a quarter of an hour")
def test_a_build_has_fifteen_minutes(hasty, hasty_http, lift_limits):
    lift_limits("PENDING_LIMIT_S", "BUILDING_LIMIT_S")
    path, build_id = create(hasty_http, steps=[{"run": "sleep 500"}, {"run": "sleep 500"}])
    hasty.builds.wait_for(build_id, "failed")

    assert state(hasty_http, path)[1] == "step_failed: context deadline exceeded"


@fact("time-4", "Whether start_cmd goes on running is not looked at.")
def test_a_start_cmd_may_fail(http, ready):
    # It is `false` in this build.
    assert state(http, ready.build_path) == ("ready", None)


@fact(
    "error-1",
    "A failed step is told as `step_failed: step i/n failed after <duration>: exited with code <code>`.",
)
def test_a_failed_step_is_told(http, failed):
    message = state(http, failed.path)[1]

    assert re.fullmatch(
        r"step_failed: step 2/2 failed after (\d+m)?(\d+(\.\d{1,3})?s|\d+ms): exited with code 3", message
    ), message


@fact(
    "error-2", "A failure has one of eleven codes before a colon and a text, the same in build and template."
)
@only_here("needs images and hosts that are broken in every way")
@pytest.mark.parametrize("code", CODES)
def test_a_failure_has_a_code(steered, steered_http, code):
    image = "Debian:12" if code == "bad_reference" else f"fails/{code}"
    path, build_id = create(steered_http, **{"from": image})
    steered.builds.wait_for(build_id, "failed")
    message = state(steered_http, path)[1]

    assert message.startswith(f"{code}: ")
    assert len(message) > len(f"{code}: ")
    assert state(steered_http, f"{path}/builds/{build_id}")[1] == message


@fact("error-3", "A ready_cmd that never succeeds fails with ready_cmd_failed.")
@only_here("takes ten minutes")
def test_a_ready_cmd_has_to_succeed(steered, steered_http):
    path, build_id = create(steered_http, ready_cmd="false")
    steered.builds.wait_for(build_id, "failed")

    assert state(steered_http, path)[1].startswith("ready_cmd_failed: ")


@fact("error-4", "An image that can't be had fails with image_pull_failed.")
@only_here("would have the server ask registries for what isn't there")
def test_an_image_has_to_exist(steered, steered_http):
    path, build_id = create(steered_http, **{"from": "nosuch/image"})
    steered.builds.wait_for(build_id, "failed")

    assert state(steered_http, path)[1].startswith("image_pull_failed: ")
