"""What tests may do to a server past its API, and what the server does when something inside breaks."""

import json
import logging

import httpx
import pytest

from superserve.local import LocalServer, Team
from superserve.local._machines.pretend import PretendRunner
from superserve.local._resources.build_queue import BuildQueue
from superserve.local._resources.templates import TemplateResource


def texts(events):
    return [event["text"] for event in events]


@pytest.fixture
def row(http):
    def row(template_id, build_id):
        return http.get(f"/templates/{template_id}/builds/{build_id}").json()

    return row


def test_a_template_can_be_added_in_any_shape(server, http):
    template_id = server.templates.add(
        "Any name!", status="failed", error_message="boot_failed: no", vcpu=9, memory_mib=1, disk_mib=2
    )

    row = http.get(f"/templates/{template_id}").json()

    assert row["name"] == "Any name!"
    assert (row["status"], row["error_message"]) == ("failed", "boot_failed: no")
    assert (row["vcpu"], row["memory_mib"], row["disk_mib"]) == (9, 1, 2)
    assert "size_bytes" not in row


def test_templates_get_names_of_their_own(server, http):
    server.templates.add()
    server.templates.add()

    names = [row["name"] for row in http.get("/templates", params={"name_prefix": "template-"}).json()]
    assert len(set(names)) == 2


def test_a_template_can_be_added_to_another_team(server, open_client):
    team = server.add_team()
    template_id = server.templates.add("theirs", team=team)

    row = open_client(server, team.api_key).get(f"/templates/{template_id}").json()
    assert row["team_id"] == team.id


def test_a_pending_build_goes_through_the_queue(server):
    build_id = server.builds.add(server.templates.add(), status="pending")

    assert server.builds.wait_for(build_id, "ready", "failed") == "ready"


def test_an_ended_build_can_have_a_log(server, log, row):
    template_id = server.templates.add()
    failed = server.builds.add(
        template_id, status="failed", error_message="boot_failed: no", log=["one", "two"]
    )
    ready = server.builds.add(template_id, log=[])

    assert row(template_id, failed)["error_message"] == "boot_failed: no"
    assert texts(log(template_id, failed)) == ["one", "two", "boot_failed: no", "failed"]
    assert texts(log(template_id, ready)) == ["ready"]


def test_a_row_can_be_set_to_anything(server, row):
    server.builds.freeze()
    template_id = server.templates.add()
    build_id = server.builds.add(template_id, status="pending")

    server.builds.set(build_id, "snapshotting")
    snapshotting = row(template_id, build_id)
    server.builds.set(build_id, "failed", "boot_failed: no")
    failed = row(template_id, build_id)

    assert snapshotting["status"] == "snapshotting"
    assert "started_at" in snapshotting
    assert "finalized_at" not in snapshotting
    assert (failed["status"], failed["error_message"]) == ("failed", "boot_failed: no")
    assert "finalized_at" in failed


def test_one_held_build_can_be_released_alone(server, row):
    server.builds.hold()
    template_ids = server.templates.add_many(2)
    first, second = (server.builds.add(template_id, status="pending") for template_id in template_ids)

    server.builds.release(first)

    server.builds.wait_for(first, "ready")
    assert row(template_ids[1], second)["status"] == "building"


def test_writing_waits_for_readers(server, http, wait_for_readers):
    server.builds.hold()
    template_id = server.templates.add()
    build_id = server.builds.add(template_id, status="pending")
    server.builds.write(build_id, "first")

    with http.stream("GET", f"/templates/{template_id}/builds/{build_id}/logs") as answer:
        wait_for_readers(server, build_id)
        server.builds.write(build_id, *map(str, range(2000)))
        server.builds.finish(build_id)
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]

    assert texts(events) == ["first", *map(str, range(2000)), "ready"]


def test_a_decided_build_stays_decided(server):
    server.builds.hold()
    build_id = server.builds.add(server.templates.add(), status="pending")

    server.builds.finish(build_id, "boot_failed: no")
    server.builds.release()
    server.builds.wait_for(build_id, "failed")
    server.builds.finish(build_id)
    server.builds.write(build_id, "too late")

    assert server.builds.wait_for(build_id, "failed", "ready") == "failed"


def test_a_build_whose_template_is_gone_fails(server, http, row):
    template_id = server.templates.add()
    http.delete(f"/templates/{template_id}")

    build_id = server.builds.add(template_id, status="pending")

    server.builds.wait_for(build_id, "failed")
    assert row(template_id, build_id)["error_message"].startswith("template_gone: ")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda server: server.templates.set("x", status="failed"), "no template 'x' on this server"),
        (lambda server: server.builds.add("x"), "no template 'x' on this server"),
        (lambda server: server.builds.write("x", "hello"), "no build 'x' on this server"),
        (lambda server: server.builds.finish("x"), "no build 'x' on this server"),
        (lambda server: server.builds.release("x"), "no build 'x' on this server"),
        (lambda server: server.builds.wait_for("x", "ready"), "no build 'x' on this server"),
        (lambda server: server.builds.set("x", "ready"), "no build 'x' on this server"),
        (lambda server: server.add_key("x"), "no team 'x' on this server"),
        (lambda server: server.add_key(""), "no team '' on this server"),
        (lambda server: server.templates.add(team=Team("x", "key")), "no team 'x' on this server"),
        (lambda server: server.revoke_key("ss_secret"), "no such key on this server"),
    ],
)
def test_what_is_not_there_is_named_but_for_keys(server, act, message):
    with pytest.raises(KeyError) as caught:
        act(server)

    assert caught.value.args == (message,)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda server: server.templates.add(status="foo"), "status must be one of pending, .*, not 'foo'"),
        (lambda server: server.templates.add_many(2, status="foo"), "status must be one of pending, "),
        (lambda server: server.templates.set("x", status="foo"), "status must be one of pending, "),
        (lambda server: server.builds.add("x", status="building"), "status must be one of pending, ready"),
        (
            lambda server: server.builds.set("x", "foo"),
            "status must be one of pending, building, snapshotting",
        ),
        (lambda server: server.builds.hold("foo"), "state must be one of pending, building, not 'foo'"),
    ],
)
def test_a_state_that_there_is_not_is_refused(server, act, message):
    with pytest.raises(ValueError, match=message):
        act(server)


def test_templates_and_builds_can_be_looked_at(server):
    assert repr(server.templates) == "<0 templates>"
    assert repr(server.builds) == "<0 builds>"

    template_id = server.templates.add("demo")
    build_ids = [server.builds.add(template_id, status="failed") for _ in range(12)]

    assert repr(server.templates) == f"<1 templates>\n  {template_id} 'demo' ready"
    shown = "".join(f"\n  {build_id} failed" for build_id in build_ids[2:])
    assert repr(server.builds) == f"<12 builds>{shown}"
    server.stop()
    assert repr(server.templates) == "<templates of a server that does not run>"


def test_a_runner_that_breaks_down_fails_the_build_without_a_code(server, create, log, monkeypatch, caplog):
    async def broken(*_):
        raise LookupError("no disk")

    monkeypatch.setattr(PretendRunner, "run", broken)
    ids = create()

    server.builds.wait_for(ids[1], "failed")
    assert texts(log(*ids)) == ["failed"]
    assert [record.name for record in caplog.records] == ["superserve.local"]


def test_an_operation_that_breaks_down_is_a_500_in_the_envelope(http, error, monkeypatch, caplog):
    def broken(*_):
        raise LookupError("no database")

    monkeypatch.setattr(TemplateResource, "visible", broken)

    answer = http.get("/templates")

    assert error(answer) == (500, "internal_error")
    assert "no database" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    assert "GET /templates failed" in caplog.text


def test_a_tick_that_breaks_down_is_not_the_last(server, create, monkeypatch, caplog):
    ticks = []
    tick = BuildQueue.tick

    def broken_once(self):
        ticks.append(self)
        if len(ticks) == 1:
            raise LookupError("no database")
        tick(self)

    monkeypatch.setattr(BuildQueue, "tick", broken_once)
    with caplog.at_level(logging.ERROR):
        _, build_id = create()
        server.builds.wait_for(build_id, "ready")

    assert "the build queue failed" in caplog.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost:8080@attacker.example", 400),
    ],
)
def test_a_server_that_executes_answers_only_for_this_machine(host, status):
    with LocalServer(execute=True) as server:
        answer = httpx.get(server.base_url + "/health", headers={"Host": host}, verify=False)

    assert answer.status_code == status
