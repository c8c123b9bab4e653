"""The life of a sandbox on the local server: its states, and what the server can be told to do to a client."""

import pytest

from superserve import (
    AsyncSandbox,
    ConflictError,
    OutcomeUnknownError,
    SandboxConnectionError,
    SandboxNotRunningError,
)

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def made(server, client):
    """Make a sandbox whose commands succeed without running."""
    server.templates.add("base")
    server.commands.on("*").answer(stdout="ran\n")

    async def made(**options):
        return await client.sandboxes.create(**{"name": "box", "from_template": "base", **options})

    return made


def asked(server, path):
    return len([request for request in server.requests if request.path.endswith(path)])


async def test_a_sandbox_from_its_first_minute_to_its_last(server, client, made):
    async with await made(metadata={"env": "test"}, timeout_seconds=600) as sandbox:
        assert (await sandbox.commands.run("make")).stdout == "ran\n"
        await sandbox.update(metadata={"env": "prod"}, timeout_seconds=None)
        info = await sandbox.get_info()
        assert (info.metadata, info.timeout_seconds, info.status) == ({"env": "prod"}, None, "active")
        await sandbox.pause()
        assert (await sandbox.get_info()).status == "paused"
        await sandbox.pause()
        await sandbox.resume()
        await sandbox.resume()
        assert [found.id for found in await client.sandboxes.list(metadata={"env": "prod"})] == [sandbox.id]
        assert [found.id async for found in client.sandboxes.iter(q="BO")] == [sandbox.id]
    assert await client.sandboxes.list() == []
    with pytest.raises(SandboxNotRunningError) as caught:
        await client.sandboxes.connect(sandbox.id)
    assert caught.value.status == "deleted"


async def test_a_template_starts_a_sandbox(server, client):
    template = await client.templates.connect(server.templates.add("mine"))
    async with await template.start(name="box") as sandbox:
        assert sandbox.status == "active"


@pytest.mark.parametrize("change", ["pause", "kill", "update"])
async def test_s21_surprise_17_a_row_that_says_starting_is_borne_with(server, made, change):
    server.sandboxes.behave(starting_s=15)
    sandbox = await made()
    await getattr(sandbox, change)(**({"network": {"deny_out": []}} if change == "update" else {}))


async def test_s21_surprise_17_a_row_that_says_resuming_is_borne_with(server, made):
    sandbox = await made()
    await sandbox.pause()
    server.sandboxes.behave(resuming_s=15)
    await sandbox.resume()
    await sandbox.pause()
    assert sandbox.status == "paused"


async def test_surprise_19_a_pause_that_takes_its_time_is_waited_for(server, made):
    server.sandboxes.behave(pausing_s=15)
    sandbox = await made()
    await sandbox.pause()
    assert (await sandbox.get_info()).status == "paused"


async def test_s21_a_command_right_after_a_pause_wakes_the_sandbox(server, made):
    server.sandboxes.behave(pausing_s=15)
    sandbox = await made()
    await sandbox.pause(wait=False)
    assert (await sandbox.commands.run("make")).exit_code == 0


async def test_surprise_18_another_ones_transition_is_a_conflict_unless_it_is_the_goal(server, client, made):
    sandbox = await made()
    server.sandboxes.set(sandbox.id, status="pausing")
    other = await client.sandboxes.get(sandbox.id)
    with pytest.raises(ConflictError):
        await other.kill()
    server.sandboxes.set(sandbox.id, status="paused")
    await other.pause()
    with pytest.raises(ConflictError):
        await other.pause(strict=True)


@pytest.mark.parametrize("has_old_texts", [False, True])
async def test_surprise_11_a_paused_sandbox_is_woken_by_a_command(server, made, has_old_texts):
    server.sandboxes.behave(has_old_texts=has_old_texts)
    sandbox = await made()
    await sandbox.pause()
    with pytest.raises(SandboxNotRunningError) as caught:
        await sandbox.commands.run("make", wake=False)
    assert caught.value.status == "paused"
    assert (await sandbox.commands.run("make")).exit_code == 0
    assert asked(server, "/activate") == 1


async def test_surprise_11_a_token_that_is_too_old_is_replaced(server, made):
    sandbox = await made()
    server.sandboxes.expire_tokens()
    assert (await sandbox.commands.run("make")).exit_code == 0
    assert asked(server, "/activate") == 1
    server.sandboxes.expire_tokens()
    assert (await sandbox.commands.run("make", wake=False)).exit_code == 0
    assert asked(server, "/activate") == 1


async def test_surprise_20_a_command_to_a_machine_that_was_just_paused_is_in_doubt(server, made):
    server.sandboxes.behave(stale_s=6000)
    sandbox = await made()
    await sandbox.pause()
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("make")


async def test_s8_surprise_12_a_create_whose_answer_is_lost_is_adopted(server, client, made):
    server.faults.on("createSandbox").reset(handled=True)
    sandbox = await made(adopt_lost=True)
    assert [info.id for info in await client.sandboxes.list()] == [sandbox.id]
    assert (await sandbox.commands.run("make")).exit_code == 0


async def test_s8_a_create_whose_answer_is_lost_says_how_to_find_the_sandbox(server, client, made):
    server.faults.on("createSandbox").reset(handled=True)
    with pytest.raises(SandboxConnectionError, match=r"Sandbox.list\(q='box'\)"):
        await made()
    assert len(await client.sandboxes.list(q="box")) == 1


async def test_s3_surprise_10_a_command_that_ran_behind_an_odd_503_runs_once(server, made):
    sandbox = await made()
    server.faults.on("execRun").answer(503, body="no healthy upstream", handled=True)
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("make")
    assert (asked(server, "/exec"), asked(server, "/activate")) == (1, 0)


async def test_a_failed_sandbox_is_told_from_a_paused_one(server, client, made):
    sandbox = await made()
    server.sandboxes.set(sandbox.id, status="failed")
    for call in (sandbox.resume, sandbox.activate, lambda: sandbox.commands.run("make", wake=False)):
        with pytest.raises(SandboxNotRunningError):
            await call()
    await AsyncSandbox.kill_by_id(sandbox.id, client=client)
