"""Builds that are made to end badly."""

import json
import time
from typing import get_args

import pytest

from superserve.local import LocalServer
from superserve.local._faults.outcomes import FailureCode
from superserve.local._machines import build_host
from superserve.local._machines.jobs import FIXED_FAILURES

STEPS = [{"run": "echo first"}, {"run": "echo second"}, {"env": {"key": "A", "value": "b"}}]


@pytest.fixture
def row(http):
    def row(template_id, build_id):
        return http.get(f"/templates/{template_id}/builds/{build_id}").json()

    return row


@pytest.fixture
def ended(server, create, row):
    """Build a template and return its build's error message, once it has ended."""

    def ended(name="demo", **spec):
        ids = create(name, **{"steps": STEPS, **spec})
        server.builds.wait_for(ids[1], "ready", "failed")
        return row(*ids).get("error_message")

    return ended


def texts(events):
    return [event["text"] for event in events]


def test_a_step_fails_after_what_it_prints(server, create, log, row, http):
    fault = server.faults.on_build().fail("step_failed", step=2, exit_code=100)

    ids = create(steps=STEPS)

    server.builds.wait_for(ids[1], "failed")
    message = row(*ids)["error_message"]
    assert message == "step_failed: step 2/3 failed after 10ms: exited with code 100"
    assert texts(log(*ids))[-5:] == ["Step 2/3", "$ echo second", "second", message, "failed"]
    assert http.get(f"/templates/{ids[0]}").json()["error_message"] == message
    assert (fault.struck, fault.left) == (1, 0)


def test_by_default_the_first_step_fails(server, ended):
    server.faults.on_build().fail("step_failed")

    assert ended() == "step_failed: step 1/3 failed after 10ms: exited with code 1"


@pytest.mark.parametrize("code", sorted(FIXED_FAILURES))
def test_a_build_fails_with_any_code_where_it_belongs(server, create, log, row, code):
    server.faults.on_build().fail(code)

    ids = create(steps=STEPS, start_cmd="serve", ready_cmd="true")

    server.builds.wait_for(ids[1], "failed")
    message = f"{code}: {FIXED_FAILURES[code]}"
    assert row(*ids)["error_message"] == message
    *before, error, failed = texts(log(*ids))
    assert (error, failed) == (message, "failed")
    assert before[-1] == {
        "boot_failed": "Starting build environment",
        "build_failed": "Saving template",
        "ready_cmd_failed": "Waiting for template to be ready: true",
        "snapshot_failed": "Saving template",
        "start_cmd_failed": "Running start command: serve",
    }.get(code, "Pulling image python:3.11")


def test_a_build_fails_with_any_code_at_any_step(server, create, log):
    server.faults.on_build().fail("boot_failed", step=3)

    ids = create(steps=STEPS)

    server.builds.wait_for(ids[1], "failed")
    assert texts(log(*ids))[-3:] == ["Set A", f"boot_failed: {FIXED_FAILURES['boot_failed']}", "failed"]


def test_a_failure_can_have_a_message_of_its_own(server, ended):
    server.faults.on_build().fail("build_failed", message="template-builder exited: signal: killed")

    assert ended() == "template-builder exited: signal: killed"


def test_all_that_the_runner_knows_to_fail_with_can_be_asked_for(server):
    assert {*FIXED_FAILURES, "step_failed"} == set(get_args(FailureCode))


def test_a_build_that_fails_by_itself_before_is_not_struck(server, ended):
    fault = server.faults.on_build().fail("step_failed", step=2)

    assert ended(steps=[{"run": "exit 7"}, {"run": "true"}]) == (
        "step_failed: step 1/2 failed after 10ms: exited with code 7"
    )
    assert (fault.struck, fault.left) == (0, 0)


@pytest.mark.parametrize("code", ["start_cmd_failed", "ready_cmd_failed", "step_failed"])
def test_a_build_without_what_is_to_fail_is_not_struck(server, ended, code):
    fault = server.faults.on_build().fail(code)

    assert ended(steps=[]) is None
    assert (fault.struck, fault.left) == (0, 1)


def test_a_hanging_build_goes_on_until_the_builders_limit(server, create, log, row, monkeypatch):
    monkeypatch.setattr(build_host, "BUILD_LIMIT_S", 50.0)
    fault = server.faults.on_build().hang(step=2)
    began = time.monotonic()
    ids = create(steps=STEPS)

    server.builds.wait_for(ids[1], "failed")

    # The server is a hundred times faster.
    assert time.monotonic() - began >= 0.5
    fault.wait_for()
    assert row(*ids)["error_message"] == "step_failed: context deadline exceeded"
    assert texts(log(*ids))[-3:] == ["second", "step_failed: context deadline exceeded", "failed"]


def test_a_hanging_build_can_be_cancelled_and_its_log_stays_open(
    server, http, create, row, *, wait_for_readers, host
):
    fault = server.faults.on_build().hang()
    ids = create(steps=STEPS)
    path = f"/templates/{ids[0]}/builds/{ids[1]}"
    fault.wait_for()

    with http.stream("GET", path + "/logs") as answer:
        lines = answer.iter_lines()
        first = next(lines)
        wait_for_readers(server, ids[1])
        http.delete(path)
        still_there = host.records[ids[1]].status

    assert json.loads(first.removeprefix("data: "))["text"] == "Pulling image python:3.11"
    assert (row(*ids)["status"], still_there) == ("cancelled", "building")


def test_a_build_that_times_out_leaves_its_template_as_it_was(server, http, create, log, row):
    server.faults.on_build().time_out(step=1)

    ids = create(steps=STEPS)

    server.builds.wait_for(ids[1], "failed")
    assert row(*ids)["error_message"] == "build timed out"
    assert http.get(f"/templates/{ids[0]}").json()["status"] == "building"
    assert texts(log(*ids))[-2:] == ["first", "cancelled"]


def test_a_build_that_its_host_loses_says_so(server, create, log, row):
    server.faults.on_build().lose(step=1)

    ids = create(steps=STEPS)

    server.builds.wait_for(ids[1], "failed")
    assert row(*ids)["error_message"] == "vmd has no record of this build (likely vmd restarted)"
    (event,) = log(*ids)
    assert "code = NotFound" in event["text"]


def test_whoever_reads_the_log_of_a_lost_build_sees_it_break(server, http, create):
    server.builds.hold()
    server.faults.on_build().lose()
    ids = create(steps=STEPS)
    server.builds.write(ids[1], "hello")

    with http.stream("GET", f"/templates/{ids[0]}/builds/{ids[1]}/logs") as answer:
        lines = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line)
        first = next(lines)["text"]
        server.builds.release()
        *_, last = lines

    assert first == "hello"
    assert "code = Unavailable" in last["text"]


def test_builds_are_struck_in_their_order(server, ended):
    server.faults.on_build(skip=1, times=2).fail("boot_failed")

    messages = [ended(f"demo-{number}") for number in range(4)]

    assert [message is None for message in messages] == [True, False, False, True]


def test_a_share_of_builds_follows_its_seed(server, ended):
    def struck(round_number):
        with server.faults.on_build(share=0.5, seed=4).fail("boot_failed"):
            return [ended(f"demo-{round_number}-{number}") is not None for number in range(10)]

    first = struck(1)

    assert True in first
    assert False in first
    assert first == struck(2)


def test_builds_of_one_template_can_be_meant_by_name_or_id(server, http, ended, row):
    server.faults.on_build("mine").fail("boot_failed")
    assert ended("other") is None
    assert ended("mine") is not None

    template_id = server.templates.add()
    server.faults.on_build(template_id).fail("boot_failed")
    build_id = http.post(f"/templates/{template_id}/builds").json()["id"]
    server.builds.wait_for(build_id, "failed")

    assert row(template_id, build_id)["error_message"].startswith("boot_failed: ")


def test_faults_of_builds_leave_requests_alone(server, http):
    fault = server.faults.on_build().hang()

    assert http.get("/templates").status_code == 200
    assert fault.left == 1


def test_a_build_that_hangs_holds_up_neither_stopping_nor_a_reset(belongings, open_client):
    with LocalServer(limits=False, speed=100) as server:
        http = open_client(server)
        for _ in range(2):
            server.reset()
            fault = server.faults.on_build().hang()
            http.post("/templates", json={"name": "demo", "build_spec": {"from": "debian:12"}})
            fault.wait_for()
    http.close()

    assert belongings.left() == set()


def test_builds_whose_steps_really_run_are_struck_as_well(belongings, open_client):
    outcomes = {"fail": "failed", "lose": "failed", "hang": "building"}
    with LocalServer(limits=False, speed=100, execute=True) as server:
        http = open_client(server)
        for outcome, status in outcomes.items():
            code = ["step_failed"] if outcome == "fail" else []
            fault = getattr(server.faults.on_build(), outcome)(*code, step=1)
            spec = {"from": "debian:12", "steps": [{"run": "echo $((40 + 2))"}, {"run": "exit 7"}]}
            ids = http.post("/templates", json={"name": outcome, "build_spec": spec}).json()
            fault.wait_for()
            server.builds.wait_for(ids["build_id"], status)
            row = http.get(f"/templates/{ids['id']}/builds/{ids['build_id']}").json()
            if outcome == "fail":
                assert row["error_message"].startswith("step_failed: step 1/2 failed after ")
                assert row["error_message"].endswith(": exited with code 1")
                assert '"text":"42"' in http.get(f"/templates/{ids['id']}/builds/{ids['build_id']}/logs").text
    http.close()

    assert belongings.left() == set()


@pytest.mark.parametrize(
    ("choice", "method", "arguments", "message"),
    [
        ({}, "fail", {"code": "explode"}, "code must be one of bad_reference, .*, unsupported_platform, not 'explode'"),
        ({}, "hang", {"step": 0}, "step must be at least 1"),
        ({}, "fail", {"code": "boot_failed", "exit_code": 1}, "exit_code is only for step_failed"),
        ({}, "fail", {"code": "step_failed", "exit_code": 256}, "exit_code must be -1-255"),
        ({}, "fail", {"code": "step_failed", "exit_code": 1, "message": "x"}, "without a message"),
        ({}, "fail", {"code": "boot_failed", "message": ""}, "message must not be empty"),
        ({"template": 7}, "lose", {}, "template must be a text"),
        ({"times": 0}, "time_out", {}, "times must be at least 1"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_and_set_nothing(server, choice, method, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(server.faults.on_build(**choice), method)(**arguments)

    assert len(server.faults) == 0
