# Written by scripts/unasync.py from tests/client/_async/test_sandbox_life.py. Do not edit: change that, then run `nox -s generate`.
"""The life of a sandbox on the local server: its states, and what the server can be told to do to a client."""

import pytest

from superserve import (
    ConflictError,
    OutcomeUnknownError,
    Sandbox,
    SandboxConnectionError,
    SandboxNotRunningError,
)

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def made(server, client):
    """Make a sandbox whose commands succeed without running."""
    server.templates.add("base")
    server.commands.on("*").answer(stdout="ran\n")

    def made(**options):
        return client.sandboxes.create(**{"name": "box", "from_template": "base", **options})

    return made


def asked(server, path):
    return len([request for request in server.requests if request.path.endswith(path)])


def test_a_sandbox_from_its_first_minute_to_its_last(server, client, made):
    with made(metadata={"env": "test"}, timeout_seconds=600) as sandbox:
        assert (sandbox.commands.run("make")).stdout == "ran\n"
        sandbox.update(metadata={"env": "prod"}, timeout_seconds=None)
        info = sandbox.get_info()
        assert (info.metadata, info.timeout_seconds, info.status) == ({"env": "prod"}, None, "active")
        sandbox.pause()
        assert (sandbox.get_info()).status == "paused"
        sandbox.pause()
        sandbox.resume()
        sandbox.resume()
        assert [found.id for found in client.sandboxes.list(metadata={"env": "prod"})] == [sandbox.id]
        assert [found.id for found in client.sandboxes.iter(q="BO")] == [sandbox.id]
    assert client.sandboxes.list() == []
    with pytest.raises(SandboxNotRunningError) as caught:
        client.sandboxes.connect(sandbox.id)
    assert caught.value.status == "deleted"


def test_a_template_starts_a_sandbox(server, client):
    template = client.templates.connect(server.templates.add("mine"))
    with template.start(name="box") as sandbox:
        assert sandbox.status == "active"


@pytest.mark.parametrize("change", ["pause", "kill", "update"])
def test_s21_surprise_17_a_row_that_says_starting_is_borne_with(server, made, change):
    server.sandboxes.behave(starting_s=15)
    sandbox = made()
    getattr(sandbox, change)(**({"network": {"deny_out": []}} if change == "update" else {}))


def test_s21_surprise_17_a_row_that_says_resuming_is_borne_with(server, made):
    sandbox = made()
    sandbox.pause()
    server.sandboxes.behave(resuming_s=15)
    sandbox.resume()
    sandbox.pause()
    assert sandbox.status == "paused"


def test_surprise_19_a_pause_that_takes_its_time_is_waited_for(server, made):
    server.sandboxes.behave(pausing_s=15)
    sandbox = made()
    sandbox.pause()
    assert (sandbox.get_info()).status == "paused"


def test_s21_a_command_right_after_a_pause_wakes_the_sandbox(server, made):
    server.sandboxes.behave(pausing_s=15)
    sandbox = made()
    sandbox.pause(wait=False)
    assert (sandbox.commands.run("make")).exit_code == 0


def test_surprise_18_another_ones_transition_is_a_conflict_unless_it_is_the_goal(server, client, made):
    sandbox = made()
    server.sandboxes.set(sandbox.id, status="pausing")
    other = client.sandboxes.get(sandbox.id)
    with pytest.raises(ConflictError):
        other.kill()
    server.sandboxes.set(sandbox.id, status="paused")
    other.pause()
    with pytest.raises(ConflictError):
        other.pause(strict=True)


@pytest.mark.parametrize("has_old_texts", [False, True])
def test_surprise_11_a_paused_sandbox_is_woken_by_a_command(server, made, has_old_texts):
    server.sandboxes.behave(has_old_texts=has_old_texts)
    sandbox = made()
    sandbox.pause()
    with pytest.raises(SandboxNotRunningError) as caught:
        sandbox.commands.run("make", wake=False)
    assert caught.value.status == "paused"
    assert (sandbox.commands.run("make")).exit_code == 0
    assert asked(server, "/activate") == 1


def test_surprise_11_a_token_that_is_too_old_is_replaced(server, made):
    sandbox = made()
    server.sandboxes.expire_tokens()
    assert (sandbox.commands.run("make")).exit_code == 0
    assert asked(server, "/activate") == 1
    server.sandboxes.expire_tokens()
    assert (sandbox.commands.run("make", wake=False)).exit_code == 0
    assert asked(server, "/activate") == 1


def test_surprise_20_a_command_to_a_machine_that_was_just_paused_is_in_doubt(server, made):
    server.sandboxes.behave(stale_s=6000)
    sandbox = made()
    sandbox.pause()
    with pytest.raises(OutcomeUnknownError):
        sandbox.commands.run("make")


def test_s8_surprise_12_a_create_whose_answer_is_lost_is_adopted(server, client, made):
    server.faults.on("createSandbox").reset(handled=True)
    sandbox = made(adopt_lost=True)
    assert [info.id for info in client.sandboxes.list()] == [sandbox.id]
    assert (sandbox.commands.run("make")).exit_code == 0


def test_s8_a_create_whose_answer_is_lost_says_how_to_find_the_sandbox(server, client, made):
    server.faults.on("createSandbox").reset(handled=True)
    with pytest.raises(SandboxConnectionError, match=r"Sandbox.list\(q='box'\)"):
        made()
    assert len(client.sandboxes.list(q="box")) == 1


def test_s3_surprise_10_a_command_that_ran_behind_an_odd_503_runs_once(server, made):
    sandbox = made()
    server.faults.on("execRun").answer(503, body="no healthy upstream", handled=True)
    with pytest.raises(OutcomeUnknownError):
        sandbox.commands.run("make")
    assert (asked(server, "/exec"), asked(server, "/activate")) == (1, 0)


def test_a_failed_sandbox_is_told_from_a_paused_one(server, client, made):
    sandbox = made()
    server.sandboxes.set(sandbox.id, status="failed")
    for call in (sandbox.resume, sandbox.activate, lambda: sandbox.commands.run("make", wake=False)):
        with pytest.raises(SandboxNotRunningError):
            call()
    Sandbox.kill_by_id(sandbox.id, client=client)
