"""The life of a sandbox: what each method sends, what it makes of the answers, and what it does when they are lost."""

import gc
import inspect
import logging
import pickle
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    AsyncTemplate,
    ConflictError,
    NetworkConfig,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxNotRunningError,
    SandboxStatus,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)
from superserve._async import sandbox_life
from superserve._async.sandbox_life import LEAVE_S, SETTLE_S
from tests.script import TEMPLATE_ID, template_row
from tests.talk import SANDBOX_ID, TOKEN, handle, sandbox_row
from tests.wire import cut, envelope, reply, stall

pytestmark = pytest.mark.usefixtures("no_backoff")

ROW = sandbox_row()
MADE = reply(201, json=ROW)
ACTIVE = reply(json=ROW)
PAUSED = reply(json=sandbox_row("paused"))
CONFLICT = reply(409, json=envelope("conflict", "wrong state"))
GONE = reply(404, json=envelope("not_found", "no such sandbox"))
RAN = reply(json={"stdout": "", "stderr": "", "exit_code": 0})
RESUMED = reply(json={"id": SANDBOX_ID, "status": "active", "access_token": "b" * 64})
PATH = f"/sandboxes/{SANDBOX_ID}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Wait in hundredths of a second where it is seconds."""
    monkeypatch.setattr(sandbox_life, "_FIRST_SETTLE_S", 0.001)
    monkeypatch.setattr(sandbox_life, "_LONGEST_SETTLE_S", 0.005)
    monkeypatch.setattr(sandbox_life, "_QUICK_POLL_S", 0.001)
    monkeypatch.setattr(sandbox_life, "_POLL_S", 0.005)


@pytest.fixture
async def known(serve, connect):
    """Make the handle of a running sandbox that this side has not changed; return it and its server."""

    async def known(*answers, **options):
        wire = serve(*answers)
        return handle(AsyncSandbox, connect(wire, **options)), wire

    return known


def asked(wire):
    return [f"{request.method} {request.target}" for request in wire.requests]


# --- create -----------------------------------------------------------------------------------------------------------


async def test_create_sends_only_what_was_given(serve, connect):
    wire = serve(MADE)
    sandbox = await AsyncSandbox.create(name="box", client=connect(wire))
    assert asked(wire) == ["POST /sandboxes"]
    assert wire.requests[0].json == {"name": "box"}
    assert (sandbox.id, sandbox.name, sandbox.status) == (SANDBOX_ID, "box", "active")
    assert repr(sandbox) == f"<AsyncSandbox 'box' {SANDBOX_ID}>"


async def test_create_sends_all_that_was_given(serve, connect):
    wire = serve(reply(json=template_row()), MADE)
    client = connect(wire)
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
    await AsyncSandbox.create(
        name="box",
        from_template=template,
        timeout_seconds=60,
        auto_delete_seconds=0,
        metadata={"env": "prod"},
        env_vars={"A": ""},
        secrets={"KEY": "mine"},
        network=NetworkConfig(allow_out=["a.com"]),
        preview_access="private",
        client=client,
    )
    assert wire.requests[-1].json == {
        "name": "box",
        "from_template": TEMPLATE_ID,
        "timeout_seconds": 60,
        "auto_delete_seconds": 0,
        "metadata": {"env": "prod"},
        "env_vars": {"A": ""},
        "secrets": {"KEY": "mine"},
        "network": {"allow_out": ["a.com"]},
        "preview_access": "private",
    }


async def test_a_sandbox_starts_from_a_snapshot_by_its_id_or_by_what_has_one(serve, connect):
    wire = serve(MADE)
    client = connect(wire)
    for snapshot in ("s-1", SimpleNamespace(id="s-1")):
        await AsyncSandbox.create(name="box", from_snapshot=snapshot, client=client)
        assert wire.requests[-1].json == {"name": "box", "from_snapshot": "s-1"}


async def test_a_template_starts_sandboxes(serve, connect):
    wire = serve(reply(json=template_row()), MADE)
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    sandbox = await template.start(name="box", metadata={"a": "b"})
    assert isinstance(sandbox, AsyncSandbox)
    assert wire.requests[-1].json == {"name": "box", "from_template": TEMPLATE_ID, "metadata": {"a": "b"}}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": ""}, "name: must not be empty, got ''"),
        ({"name": "é" * 33}, "name: expected at most 64 bytes, got 66"),
        (
            {"from_template": "a", "from_snapshot": "b"},
            "from_snapshot: a sandbox starts from a template or from a snapshot, not from both",
        ),
        ({"from_template": 5}, "from_template: expected a string, got int"),
        ({"from_snapshot": 5}, "from_snapshot: expected a string, got int"),
        ({"timeout_seconds": 0}, "timeout_seconds: expected an integer from 1 to 2147483647, got 0"),
        ({"timeout_seconds": 1.5}, "timeout_seconds: expected an integer, got float"),
        ({"auto_delete_seconds": True}, "auto_delete_seconds: expected an integer, got bool"),
        ({"metadata": {"a": 5}}, "metadata['a']: expected a string, got int"),
        (
            {"auto_delete_seconds": -1},
            "auto_delete_seconds: expected an integer from 0 to 2147483647, got -1",
        ),
        ({"metadata": ["a"]}, "metadata: expected a dict of strings, got list"),
        ({"metadata": {5: "a"}}, "metadata: a key: expected a string, got int"),
        ({"env_vars": "A"}, "env_vars: expected a dict of strings, got str"),
        ({"env_vars": 5, "secrets": {"A": "b"}}, "env_vars: expected a dict of strings, got int"),
        ({"env_vars": {"A": "b"}, "secrets": 5}, "secrets: expected a dict of strings, got int"),
        ({"network": "a.com"}, "network: expected NetworkConfig or a dict, got str"),
        ({"network": {"allow_out": "a.com"}}, "network.allow_out: expected a list of strings, got str"),
        ({"network": {"deny_out": ["a", 5]}}, "network.deny_out[1]: expected a string, got int"),
        ({"preview_access": 5}, "preview_access: expected a string, got int"),
        ({"env_vars": {"A": "\ud800"}}, "env_vars['A']: must not contain half of a surrogate pair"),
        ({"env_vars": {"A": "b"}, "secrets": {"A": "c"}}, "secrets: 'A' is in env_vars, too"),
        ({"network": {"allow": ["a"]}}, "network: unknown key 'allow'; expected allow_out, deny_out"),
        ({"adopt_lost": "yes"}, "adopt_lost: expected True or False, got str"),
    ],
)
async def test_s25_what_cannot_be_sent_is_refused_before_anything_is(serve, connect, options, text):
    wire = serve(MADE)
    with pytest.raises(ValidationError) as caught:
        await AsyncSandbox.create(**{"name": "box", **options}, client=connect(wire))
    assert str(caught.value) == text
    assert wire.requests == []


async def test_s8_a_create_may_take_as_long_as_the_server_does():
    from superserve._operations import sandboxes

    async with AsyncSuperserve(api_key="key", base_url="http://127.0.0.1:1") as client:
        operation = sandboxes.create_sandbox("box", datetime.now(UTC))
        assert client.timeout_s + operation.extra_time_s == sandboxes.LONGEST_START_S == 100


@pytest.mark.parametrize(
    "fields", [{"preview_access": "team"}, {"status": "archived"}, {"access_token": None}, {"new": {"a": 1}}]
)
async def test_s8_surprise_12_a_created_sandbox_with_odd_fields_is_a_handle(serve, connect, fields):
    row = {name: value for name, value in {**ROW, **fields}.items() if value is not None}
    sandbox = await AsyncSandbox.create(name="box", client=connect(serve(reply(201, json=row))))
    assert sandbox.id == SANDBOX_ID


async def test_a_sandbox_without_a_token_asks_for_one_when_it_is_needed(serve, connect):
    row = {name: value for name, value in ROW.items() if name != "access_token"}
    wire = serve(reply(201, json=row), ACTIVE, RAN)
    sandbox = await AsyncSandbox.create(name="box", client=connect(wire))
    await sandbox.commands.run("true")
    assert asked(wire) == ["POST /sandboxes", f"POST {PATH}/activate", "POST /exec"]


async def test_s8_a_created_sandbox_that_cannot_be_understood_is_an_error_with_its_id(serve, connect):
    wire = serve(reply(201, json={**ROW, "metadata": None}))
    with pytest.raises(SandboxError) as caught:
        await AsyncSandbox.create(name="box", client=connect(wire))
    assert caught.value.sandbox_id == SANDBOX_ID
    assert f"sandbox {SANDBOX_ID} has been created" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).sandbox_id == SANDBOX_ID


@pytest.mark.parametrize("answer", [cut(), reply(502, "<html>", content_type="text/html")])
async def test_s8_a_lost_create_says_how_to_find_the_sandbox_and_is_not_repeated(serve, connect, answer):
    wire = serve(answer)
    with pytest.raises(
        SandboxError, match=r"look for one with that name, created after 20\S+Z, with Sandbox.list"
    ):
        await AsyncSandbox.create(name="box", client=connect(wire))
    assert asked(wire) == ["POST /sandboxes"]


async def test_surprise_12_a_lost_create_is_adopted_by_its_marker(serve, connect):
    wire = serve(cut(), reply(json=[]), reply(json=[ROW]), ACTIVE)
    sandbox = await AsyncSandbox.create(
        name="box", metadata={"a": "b"}, adopt_lost=True, client=connect(wire)
    )
    assert sandbox.id == SANDBOX_ID
    sent = wire.requests[0].json["metadata"]
    assert sent.keys() == {"a", "sdk-create-id"}
    assert wire.requests[1].query == {"metadata.sdk-create-id": [sent["sdk-create-id"]]}
    assert [request.path for request in wire.requests[1:]] == ["/sandboxes", "/sandboxes", f"{PATH}/activate"]


async def test_what_is_not_found_or_has_failed_is_not_adopted(serve, connect, monkeypatch):
    with monkeypatch.context() as hasty:
        hasty.setattr(sandbox_life, "ADOPT_S", 0.02)
        with pytest.raises(SandboxConnectionError):
            await AsyncSandbox.create(
                name="box", adopt_lost=True, client=connect(serve(cut(), reply(json=[])))
            )
    wire = serve(cut(), reply(json=[sandbox_row("failed")]))
    with pytest.raises(SandboxConnectionError) as caught:
        await AsyncSandbox.create(name="box", adopt_lost=True, client=connect(wire))
    assert caught.value.sandbox_id == SANDBOX_ID


async def test_a_refused_create_is_not_looked_for(serve, connect):
    wire = serve(reply(429, json=envelope("too_many_sandboxes", "limit of 50")))
    with pytest.raises(RateLimitError, match="pause or kill a sandbox") as caught:
        await AsyncSandbox.create(name="box", adopt_lost=True, client=connect(wire))
    assert (caught.value.code, len(wire.requests)) == ("too_many_sandboxes", 1)


# --- find -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sandbox_id", ["../templates/T", "", "..", "a?x=1", "a#f", "T", "a/b", None, 5])
@pytest.mark.parametrize("method", ["kill_by_id", "connect", "get", "update_by_id"])
async def test_s9_surprise_13_what_is_no_id_never_gets_into_a_path(serve, connect, method, sandbox_id):
    wire = serve(ACTIVE)
    options = {"timeout_seconds": 5} if method == "update_by_id" else {}
    with pytest.raises(ValidationError, match="sandbox_id"):
        await getattr(AsyncSandbox, method)(sandbox_id, client=connect(wire), **options)
    assert wire.requests == []


async def test_s9_both_forms_of_an_id_are_good(serve, connect):
    wire = serve(ACTIVE)
    for sandbox_id in (SANDBOX_ID, f"sb-usw-{SANDBOX_ID}"):
        await AsyncSandbox.get(sandbox_id, client=connect(wire))
    assert asked(wire) == [f"GET /sandboxes/{SANDBOX_ID}", f"GET /sandboxes/sb-usw-{SANDBOX_ID}"]


async def test_s43_get_does_not_wake_and_connect_does(serve, connect):
    wire = serve(PAUSED, ACTIVE)
    assert (await AsyncSandbox.get(SANDBOX_ID, client=connect(wire))).status == "paused"
    assert (await AsyncSandbox.connect(SANDBOX_ID, client=connect(wire))).status == "active"
    assert asked(wire) == [f"GET {PATH}", f"POST {PATH}/activate"]


async def test_connecting_bears_with_a_pause_that_goes_on(serve, connect):
    pausing = reply(409, json=envelope("sandbox_pausing", "wait"), headers={"Retry-After": "1"})
    wire = serve(pausing, pausing, ACTIVE)
    await AsyncSandbox.connect(SANDBOX_ID, client=connect(wire))
    assert len(wire.requests) == 3


async def test_activate_is_repeated_as_it_may_be(serve, connect):
    wire = serve(reply(503, "busy"), cut(), ACTIVE)
    await AsyncSandbox.connect(SANDBOX_ID, client=connect(wire))
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (CONFLICT, None),
        (GONE, "deleted"),
        (reply(410, json=envelope("gone", "lost")), "failed"),
    ],
)
async def test_what_activate_refuses_is_not_running(serve, connect, answer, status):
    wire = serve(answer)
    with pytest.raises(SandboxNotRunningError) as caught:
        await AsyncSandbox.connect(SANDBOX_ID, client=connect(wire))
    assert caught.value.status == status
    assert len(wire.requests) == 1


async def test_a_list_is_one_request_with_what_was_given(serve, connect):
    wire = serve(reply(json=[sandbox_row("archived", preview_access="team"), ROW]))
    client = connect(wire)
    infos = await AsyncSandbox.list(client=client)
    assert [info.status for info in infos] == ["archived", "active"]
    await client.sandboxes.list(
        metadata={"a b": "c&d"}, status=["active", SandboxStatus.PAUSED], q="x", sort="name", order="asc",
        limit=5, offset=0,
    )  # fmt: skip
    assert wire.requests[0].target == "/sandboxes"
    assert wire.requests[1].query == {
        "metadata.a b": ["c&d"],
        "status": ["active,paused"],
        "q": ["x"],
        "sort": ["name"],
        "order": ["asc"],
        "limit": ["5"],
        "offset": ["0"],
    }


@pytest.mark.parametrize(
    "options",
    [
        {"status": []},
        {"limit": 0},
        {"offset": -1},
        {"offset": 10**5000},
        {"q": 5},
        {"metadata": {"a": None}},
        {"metadata": []},
        {"sort": ""},
    ],
)
async def test_s25_a_list_that_cannot_be_meant_is_refused(serve, connect, options):
    wire = serve(reply(json=[]))
    with pytest.raises(ValidationError, match=next(iter(options))):
        await AsyncSandbox.list(**options, client=connect(wire))
    assert wire.requests == []


def rows(*numbers):
    return reply(json=[sandbox_row(id=f"7a3f2b8c-0000-4000-8000-{number:012d}") for number in numbers])


async def test_iter_goes_through_the_pages_and_gives_each_sandbox_once(serve, connect):
    # One that was made meanwhile has shifted the second page.
    wire = serve(rows(*range(100)), rows(*range(99, 120)))
    infos = [info async for info in connect(wire).sandboxes.iter(q="x")]
    assert [int(info.id[-12:]) for info in infos] == list(range(120))
    assert [request.query for request in wire.requests] == [
        {"q": ["x"], "limit": ["100"], "offset": ["0"]},
        {"q": ["x"], "limit": ["100"], "offset": ["100"]},
    ]


async def test_iter_takes_a_server_that_knows_no_pages(serve, connect):
    wire = serve(rows(*range(250)))
    assert len([info async for info in AsyncSandbox.iter(client=connect(wire))]) == 250
    assert len(wire.requests) == 1


# --- change -----------------------------------------------------------------------------------------------------------


async def test_s10_surprise_26_an_update_sends_only_what_is_given_and_none_clears(known):
    sandbox, wire = await known(reply(204))
    await sandbox.update(network=NetworkConfig(allow_out=["a.com"]), timeout_seconds=None)
    await sandbox.update(metadata={}, auto_delete_seconds=0)
    await sandbox.set_timeout(60)
    assert [request.json for request in wire.requests] == [
        {"network": {"allow_out": ["a.com"]}, "timeout_seconds": None},
        {"metadata": {}, "auto_delete_seconds": 0},
        {"timeout_seconds": 60},
    ]
    assert asked(wire) == [f"PATCH {PATH}"] * 3


async def test_s10_an_empty_update_is_refused(known):
    sandbox, wire = await known(reply(204))
    with pytest.raises(ValidationError, match="nothing to change"):
        await sandbox.update()
    with pytest.raises(ValidationError, match="nothing to change"):
        await AsyncSandbox.update_by_id(sandbox.id, client=sandbox._client)
    assert wire.requests == []


async def test_update_by_id_changes_a_sandbox_without_a_handle(serve, connect):
    wire = serve(reply(204))
    await AsyncSandbox.update_by_id(SANDBOX_ID, metadata={"a": "b"}, client=connect(wire))
    assert (asked(wire), wire.requests[0].json) == ([f"PATCH {PATH}"], {"metadata": {"a": "b"}})


# --- pause and resume -------------------------------------------------------------------------------------------------


async def test_pause_is_one_request_when_the_server_waits(known):
    sandbox, wire = await known(reply(204))
    await sandbox.pause()
    assert asked(wire) == [f"POST {PATH}/pause"]
    assert "prefer" not in wire.requests[0].headers
    assert sandbox.status == "paused"


async def test_pause_without_waiting_asks_for_an_answer_at_once(known):
    sandbox, wire = await known(reply(202, json={"status": "pausing"}))
    await sandbox.pause(wait=False)
    assert wire.requests[0].headers["prefer"] == "respond-async"
    assert (len(wire.requests), sandbox.status) == (1, "pausing")


async def test_s20_surprise_19_a_pause_that_goes_on_is_waited_for_over_bad_polls(known):
    sandbox, wire = await known(
        reply(202, json={"status": "pausing"}),
        reply(json=sandbox_row("pausing")),
        reply(500, json=envelope("internal_error", "oops")),
        reply(json=sandbox_row("dozing")),
        PAUSED,
    )
    await sandbox.pause()
    assert asked(wire) == [f"POST {PATH}/pause", *[f"GET {PATH}"] * 4]
    assert sandbox.status == "paused"


async def test_a_pause_is_polled_as_often_as_is_asked_for(known, monkeypatch):
    delays = []

    async def sleep(seconds):
        delays.append(round(seconds, 3))

    monkeypatch.setattr(sandbox_life, "sleep", sleep)
    pausing = reply(json=sandbox_row("pausing"))
    sandbox, _ = await known(reply(202, json={"status": "pausing"}), pausing, pausing, PAUSED)
    await sandbox.pause(poll_interval_s=0.3)
    assert delays == [0.3] * 3
    for seconds in (0, -1, "1", True):
        with pytest.raises(ValidationError, match="poll_interval_s"):
            await sandbox.pause(poll_interval_s=seconds)


def test_waits_and_bounds_are_those_of_the_documents():
    for call in (AsyncSandbox.pause, AsyncSandbox.resume):
        defaults = {name: one.default for name, one in inspect.signature(call).parameters.items()}
        assert (defaults["timeout"], defaults["poll_interval_s"], defaults["strict"]) == (300.0, None, False)
    assert (LEAVE_S, SETTLE_S) == (10.0, 5.0)


async def test_surprise_19_a_sandbox_that_is_deleted_with_the_pause_is_paused(known):
    sandbox, _ = await known(reply(202, json={"status": "pausing"}), GONE)
    await sandbox.pause()
    assert sandbox.status == "deleted"


async def test_a_pause_that_fails_says_so(known):
    sandbox, _ = await known(reply(202, json={"status": "pausing"}), reply(json=sandbox_row("failed")))
    with pytest.raises(SandboxNotRunningError, match="has failed") as caught:
        await sandbox.pause()
    assert caught.value.status == "failed"


async def test_a_pause_that_lasts_too_long_is_a_timeout(known):
    sandbox, _ = await known(reply(202, json={"status": "pausing"}), reply(json=sandbox_row("pausing")))
    with pytest.raises(SandboxTimeoutError, match="it is still pausing") as caught:
        await sandbox.pause(timeout=0.05)
    assert str(caught.value).startswith(f"could not pause sandbox {SANDBOX_ID}: ")


async def test_s21_surprise_18_pausing_a_paused_one_is_fine_unless_strict(known):
    sandbox, wire = await known(CONFLICT, PAUSED, CONFLICT)
    await sandbox.pause()
    assert asked(wire) == [f"POST {PATH}/pause", f"GET {PATH}"]
    sandbox._changed_at = None
    with pytest.raises(ConflictError):
        await sandbox.pause(strict=True)


async def test_pausing_twice_looks_where_the_sandbox_stands_at_once(known):
    sandbox, wire = await known(reply(204), CONFLICT, PAUSED)
    await sandbox.pause()
    await sandbox.pause()
    assert asked(wire) == [f"POST {PATH}/pause", f"POST {PATH}/pause", f"GET {PATH}"]


async def test_a_strict_pause_of_a_paused_one_is_an_error_also_after_its_own(known):
    sandbox, _ = await known(reply(204), CONFLICT, PAUSED, CONFLICT, PAUSED)
    await sandbox.pause()
    with pytest.raises(ConflictError, match="it is paused"):
        await sandbox.pause(strict=True)


async def test_a_machine_that_is_lost_is_not_running(known):
    sandbox, _ = await known(reply(410, json=envelope("gone", "the machine is lost")))
    for call in (sandbox.pause, sandbox.resume):
        with pytest.raises(SandboxNotRunningError, match="the machine is lost") as caught:
            await call()
        assert caught.value.status == "failed"


async def test_resume_takes_the_new_token(known):
    sandbox, wire = await known(RESUMED, RAN)
    await sandbox.resume()
    await sandbox.commands.run("true")
    assert wire.requests[1].headers["x-access-token"] == "b" * 64
    assert sandbox.status == "active"


async def test_s21_surprise_18_resuming_an_active_one_is_fine_unless_strict(known):
    sandbox, wire = await known(CONFLICT, ACTIVE, CONFLICT)
    await sandbox.resume()
    assert asked(wire) == [f"POST {PATH}/resume", f"GET {PATH}"]
    sandbox._changed_at = None
    with pytest.raises(ConflictError):
        await sandbox.resume(strict=True)


async def test_surprise_17_resume_waits_for_a_pause_that_goes_on(known):
    sandbox, wire = await known(CONFLICT, reply(json=sandbox_row("pausing")), PAUSED, RESUMED)
    await sandbox.resume()
    assert asked(wire)[-1] == f"POST {PATH}/resume"
    assert len(wire.requests) == 4


async def test_a_failed_sandbox_cannot_be_resumed(known):
    sandbox, _ = await known(CONFLICT, reply(json=sandbox_row("failed")))
    with pytest.raises(SandboxNotRunningError) as caught:
        await sandbox.resume()
    assert caught.value.status == "failed"


async def test_surprise_24_a_quota_is_told_at_once(known):
    sandbox, wire = await known(reply(429, json=envelope("too_many_sandboxes", "limit of 50")))
    for call in (sandbox.resume, sandbox.activate):
        with pytest.raises(RateLimitError) as caught:
            await call()
        assert caught.value.code == "too_many_sandboxes"
    assert len(wire.requests) == 2


# --- settling ---------------------------------------------------------------------------------------------------------


CHANGES = {
    "pause": (lambda sandbox: sandbox.pause(strict=True), reply(204)),
    "resume": (lambda sandbox: sandbox.resume(strict=True), RESUMED),
    "kill": (lambda sandbox: sandbox.kill(), reply(204)),
    "update": (lambda sandbox: sandbox.update(network={"deny_out": []}), reply(204)),
    "activate": (lambda sandbox: sandbox.activate(), ACTIVE),
}


@pytest.mark.parametrize("change", sorted(CHANGES.keys() - {"activate"}))
async def test_s21_surprise_17_a_conflict_after_its_own_transition_is_borne_with(serve, connect, change):
    call, answer = CHANGES[change]
    # Where it is told where the sandbox stands, its row lags.
    lag = {
        "pause": [reply(json=sandbox_row("starting"))],
        "resume": [reply(json=sandbox_row("pausing"))],
    }.get(change, [])
    wire = serve(MADE, CONFLICT, *lag, CONFLICT, *lag, answer)
    sandbox = await AsyncSandbox.create(name="box", client=connect(wire))
    await call(sandbox)
    assert len(wire.requests) == 4 + 2 * len(lag)


async def test_s21_activate_bears_with_a_conflict_after_its_own_pause_and_after_nothing_else(known):
    sandbox, wire = await known(reply(204), CONFLICT, CONFLICT, ACTIVE, CONFLICT)
    await sandbox.pause()
    await sandbox.activate()
    with pytest.raises(SandboxNotRunningError):
        await sandbox.activate()
    assert len(wire.requests) == 5


@pytest.mark.parametrize("change", CHANGES)
async def test_s18_another_conflict_is_raised_at_once(known, change):
    call, _ = CHANGES[change]
    sandbox, wire = await known(CONFLICT)
    with pytest.raises((ConflictError, SandboxNotRunningError)):
        await call(sandbox)
    assert len(wire.requests) == 1


async def test_s18_a_conflict_that_stays_is_borne_with_for_a_while_only(serve, connect, monkeypatch):
    monkeypatch.setattr(sandbox_life, "SETTLE_S", 0.03)
    sandbox = await AsyncSandbox.create(name="box", client=connect(serve(MADE, CONFLICT)))
    with pytest.raises(ConflictError):
        await sandbox.kill()


# --- kill -------------------------------------------------------------------------------------------------------------


async def test_surprise_18_kill_is_done_when_the_sandbox_is_gone_unless_strict(known):
    sandbox, wire = await known(reply(204), GONE)
    await sandbox.kill()
    await sandbox.kill()
    with pytest.raises(NotFoundError):
        await sandbox.kill(strict=True)
    await AsyncSandbox.kill_by_id(sandbox.id, client=sandbox._client)
    assert asked(wire) == [f"DELETE {PATH}"] * 4


async def test_s7_a_failed_kill_does_not_count_as_done(known):
    sandbox, wire = await known(reply(500, json=envelope("internal_error", "oops")), reply(204))
    with pytest.raises(ServerError):
        await sandbox.kill()
    assert sandbox.status == "active"
    await sandbox.kill()
    assert (len(wire.requests), sandbox.status) == (2, "deleted")


async def test_s40_leaving_the_block_kills_the_sandbox(serve, connect):
    wire = serve(MADE, reply(204))
    async with await AsyncSandbox.create(name="box", client=connect(wire)) as sandbox:
        assert sandbox.status == "active"
    assert asked(wire) == ["POST /sandboxes", f"DELETE {PATH}"]


async def test_s40_the_bodys_own_error_wins_and_the_id_is_logged(serve, connect, caplog, monkeypatch):
    monkeypatch.setattr(sandbox_life, "LEAVE_S", 0.03)
    wire = serve(MADE, CONFLICT)
    error = RuntimeError("mine")
    with caplog.at_level(logging.WARNING, "superserve"), pytest.raises(RuntimeError) as caught:
        async with await AsyncSandbox.create(name="box", client=connect(wire)):
            raise error
    assert caught.value is error
    assert [SANDBOX_ID in record.getMessage() for record in caplog.records] == [True]


async def test_leaving_tries_again_and_takes_a_dead_one_for_killed(serve, connect, caplog):
    wire = serve(MADE, reply(500, json=envelope("internal_error", "oops")), CONFLICT, GONE)
    async with await AsyncSandbox.create(name="box", client=connect(wire)):
        pass
    assert len(wire.requests) == 4
    assert caplog.records == []


async def test_s40_a_plain_handle_never_kills(serve, connect):
    wire = serve(MADE)
    sandbox = await AsyncSandbox.create(name="box", client=connect(wire))
    del sandbox
    gc.collect()
    assert asked(wire) == ["POST /sandboxes"]


async def test_s38_the_status_is_the_last_one_heard(known):
    sandbox, _ = await known(reply(204), RESUMED, PAUSED)
    await sandbox.pause()
    assert sandbox.status == "paused"
    await sandbox.resume()
    assert sandbox.status == "active"
    assert (await sandbox.get_info()).status == sandbox.status == "paused"


async def test_a_handle_is_equal_to_another_of_the_same_sandbox_and_client(known):
    sandbox, wire = await known(ACTIVE)
    assert sandbox == handle(AsyncSandbox, sandbox._client)
    assert {sandbox, handle(AsyncSandbox, sandbox._client)} == {sandbox}
    assert sandbox != SANDBOX_ID
    assert wire.requests == []


async def test_s31_an_error_tells_what_the_server_said_and_no_page(known):
    page = reply(502, "<html><h1>Bad Gateway</h1>", content_type="text/html")
    sandbox, _ = await known(page, max_attempts=1)
    with pytest.raises(ServerError) as caught:
        await sandbox.get_info()
    assert str(caught.value) == f"could not get sandbox {SANDBOX_ID}: Bad Gateway [502]"
    with pytest.raises(ValidationError) as refused:
        await sandbox.update()
    assert refused.value.status_code is None


async def test_s30_a_closed_client_says_so(known):
    sandbox, _ = await known(ACTIVE)
    await sandbox._client.aclose()
    for call in (sandbox.get_info, lambda: sandbox.commands.run("true")):
        with pytest.raises(SandboxError, match="this client is closed"):
            await call()


async def test_s41_a_slash_at_the_end_of_an_address_is_none(serve, connect):
    wire = serve(ACTIVE, RAN)
    client = connect(wire, base_url=f"{wire.url}/", sandbox_url=f"{wire.url}/")
    sandbox = await AsyncSandbox.get(SANDBOX_ID, client=client)
    await sandbox.commands.run("true")
    assert asked(wire) == [f"GET {PATH}", "POST /exec"]


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sandbox_url", "address"),
    [
        ("https://sandbox.superserve.ai", f"https://8080-{SANDBOX_ID}.sandbox.superserve.ai"),
        ("http://127.0.0.1:8700", f"http://8080-{SANDBOX_ID}.localhost:8700"),
        ("http://localhost:8700", f"http://8080-{SANDBOX_ID}.localhost:8700"),
        ("http://[::1]:8700", f"http://8080-{SANDBOX_ID}.localhost:8700"),
        ("boxes.example.com", f"https://8080-{SANDBOX_ID}.boxes.example.com"),
    ],
)
async def test_the_address_of_a_port(sandbox_url, address):
    async with AsyncSuperserve(api_key="key", base_url="http://api.test", sandbox_url=sandbox_url) as client:
        sandbox = handle(AsyncSandbox, client)
        assert sandbox.get_preview_url(8080) == address
        for port in (80, 49983, 65536, True, "8080"):
            with pytest.raises(ValidationError, match="port"):
                sandbox.get_preview_url(port)


async def test_surprise_22_a_create_that_says_nothing_ends(serve, connect, monkeypatch):
    from superserve._operations import sandboxes

    monkeypatch.setattr(sandboxes, "_SLOW_START_S", 0.05)
    with pytest.raises(SandboxTimeoutError, match="look for one with that name"):
        await AsyncSandbox.create(name="box", client=connect(serve(stall()), timeout_s=0.05))
