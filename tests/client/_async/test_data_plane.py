"""The door to a sandbox: its token, waking it, where requests go, and what is not shown."""

import contextlib
import logging
import math
import socket
import traceback

import httpx
import pytest

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    AuthenticationError,
    OutcomeUnknownError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxNotRunningError,
    ValidationError,
)
from superserve._async import sandbox_life
from tests.talk import SANDBOX_ID, TOKEN, handle, sandbox_row
from tests.wire import cut, envelope, reply

pytestmark = pytest.mark.usefixtures("no_backoff")

FRESH = "f" * 64
PATH = f"/sandboxes/{SANDBOX_ID}"
RAN = reply(json={"stdout": "", "stderr": "", "exit_code": 0})
TOO_OLD = reply(401, "invalid access token\n", content_type="text/plain")
UNAVAILABLE = reply(503, json=envelope("sandbox_unavailable", "it does not run"))
WOKEN = reply(json=sandbox_row(access_token=FRESH))


@pytest.fixture
async def known(serve, connect):
    async def known(*answers, **options):
        wire = serve(*answers)
        return handle(AsyncSandbox, connect(wire, **options)), wire

    return known


@pytest.fixture
def _quick_search(monkeypatch):
    """Look for what was perhaps created for a moment only, and try to kill it for a moment only."""
    monkeypatch.setattr(sandbox_life, "ADOPT_S", 0.01)
    monkeypatch.setattr(sandbox_life, "LEAVE_S", 0.01)


def asked(wire):
    return [f"{request.method} {request.target}" for request in wire.requests]


# --- waking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [TOO_OLD, UNAVAILABLE])
async def test_surprise_11_one_activate_and_the_command_again_with_the_new_token(known, key, refusal):
    sandbox, wire = await known(refusal, WOKEN, RAN)
    await sandbox.commands.run("true")
    assert asked(wire) == ["POST /exec", f"POST {PATH}/activate", "POST /exec"]
    assert [request.headers.get("x-access-token") for request in wire.requests] == [TOKEN, None, FRESH]
    assert [request.headers.get("x-api-key") for request in wire.requests] == [None, key, None]
    assert [request.headers.get("x-superserve-sandbox-id") for request in wire.requests] == [
        SANDBOX_ID,
        None,
        SANDBOX_ID,
    ]


async def test_surprise_11_a_second_refusal_is_final(known):
    sandbox, wire = await known(UNAVAILABLE, WOKEN, UNAVAILABLE)
    with pytest.raises(SandboxNotRunningError, match="it does not run"):
        await sandbox.commands.run("true")
    assert len(wire.requests) == 3
    sandbox, wire = await known(TOO_OLD, WOKEN, TOO_OLD)
    with pytest.raises(AuthenticationError, match="another access token"):
        await sandbox.commands.run("true")


@pytest.mark.parametrize("status", ["paused", "failed", "pausing"])
async def test_a_sandbox_that_is_not_to_be_woken_is_asked_for_and_told(known, status):
    sandbox, wire = await known(UNAVAILABLE, reply(json=sandbox_row(status)))
    with pytest.raises(SandboxNotRunningError, match=f"it is {status}, and wake is False") as caught:
        await sandbox.commands.run("true", wake=False)
    assert caught.value.status == status
    assert asked(wire) == ["POST /exec", f"GET {PATH}"]


WROTE = reply(json={"path": "/x", "size": 0})
# How each call is made, and what is answered before the request that finds the sandbox paused.
CALLS = {
    "run": (lambda sandbox, wake: sandbox.commands.run("x", wake=wake),),
    "run streamed": (lambda sandbox, wake: sandbox.commands.run("x", timeout_seconds=99, wake=wake),),
    "run with input": (lambda sandbox, wake: sandbox.commands.run("x", input="", wake=wake),),
    "spawn": (lambda sandbox, wake: sandbox.commands.spawn("x", wake=wake),),
    "wait_for_port": (lambda sandbox, wake: sandbox.wait_for_port(80, wake=wake),),
    "read": (lambda sandbox, wake: sandbox.files.read("/x", wake=wake),),
    "read_text": (lambda sandbox, wake: sandbox.files.read_text("/x", wake=wake),),
    "open_read": (lambda sandbox, wake: sandbox.files.open_read("/x", wake=wake),),
    "download": (lambda sandbox, wake: sandbox.files.download("/x", "x", wake=wake),),
    "download_dir": (lambda sandbox, wake: sandbox.files.download_dir("/x", wake=wake),),
    "upload": (lambda sandbox, wake: sandbox.files.upload(__file__, "/x", wake=wake),),
    "write": (lambda sandbox, wake: sandbox.files.write("/x", "", wake=wake),),
    "write, chmod": (lambda sandbox, wake: sandbox.files.write("/x", "", mode=0o755, wake=wake), WROTE),
    "list": (lambda sandbox, wake: sandbox.files.list("/x", wake=wake),),
    "stat": (lambda sandbox, wake: sandbox.files.stat("/x", wake=wake),),
    "exists": (lambda sandbox, wake: sandbox.files.exists("/x", wake=wake),),
    "make_dir": (lambda sandbox, wake: sandbox.files.make_dir("/x", wake=wake),),
    "remove": (lambda sandbox, wake: sandbox.files.remove("/x", wake=wake),),
    "move": (lambda sandbox, wake: sandbox.files.move("/x", "/y", wake=wake),),
}


@pytest.mark.parametrize(("call", "before"), [(call, before) for call, *before in CALLS.values()], ids=CALLS)
async def test_every_call_wakes_the_sandbox_or_leaves_it_as_it_is(known, call, before):
    for wake, asks in ((True, f"POST {PATH}/activate"), (False, f"GET {PATH}")):
        # What it is woken to is refused again: so it is seen that it was asked once.
        sandbox, wire = await known(*before, UNAVAILABLE, reply(json=sandbox_row("paused")), UNAVAILABLE)
        with pytest.raises(SandboxNotRunningError):
            await call(sandbox, wake)
        assert [line for line in asked(wire) if PATH in line] == [asks]


async def test_a_token_that_is_too_old_is_replaced_without_waking(known):
    sandbox, wire = await known(TOO_OLD, WOKEN, RAN)
    await sandbox.commands.run("true", wake=False)
    assert asked(wire) == ["POST /exec", f"GET {PATH}", "POST /exec"]
    assert wire.requests[-1].headers["x-access-token"] == FRESH


async def test_a_sandbox_that_is_gone_says_so(known):
    gone = reply(404, json=envelope("not_found", "no such sandbox"))
    for wake in (True, False):
        sandbox, _ = await known(UNAVAILABLE, gone)
        with pytest.raises(SandboxNotRunningError, match="it is gone: create another") as caught:
            await sandbox.commands.run("true", wake=wake)
        assert caught.value.status == "deleted"


async def test_s38_nothing_is_sent_to_a_sandbox_that_this_handle_has_killed(known):
    sandbox, wire = await known(reply(204))
    await sandbox.kill()
    with pytest.raises(SandboxNotRunningError, match="this handle has killed it"):
        await sandbox.commands.run("true")
    assert len(wire.requests) == 1


async def test_surprise_24_a_quota_keeps_a_command_from_running(known):
    sandbox, wire = await known(UNAVAILABLE, reply(429, json=envelope("too_many_sandboxes", "limit of 50")))
    with pytest.raises(RateLimitError) as caught:
        await sandbox.commands.run("true")
    assert (caught.value.code, len(wire.requests)) == ("too_many_sandboxes", 2)


async def test_after_a_429_all_sandboxes_of_a_client_take_turns(serve, connect):
    client = connect(serve(reply(429, json=envelope("rate_limited", "slow down")), RAN), max_attempts=1)
    with contextlib.suppress(RateLimitError):
        await handle(AsyncSandbox, client).commands.run("true")
    client._sandbox_gate.delay(math.inf)
    assert client._sandbox_gate.delay(math.inf) > 0


async def test_a_lost_activate_does_not_leave_the_command_in_doubt(known):
    sandbox, _ = await known(UNAVAILABLE, cut(), max_attempts=1)
    with pytest.raises(SandboxConnectionError) as caught:
        await sandbox.commands.run("true")
    assert not isinstance(caught.value, OutcomeUnknownError)


async def test_surprise_10_what_may_have_run_is_not_sent_again(known):
    sandbox, wire = await known(reply(502, "sandbox unreachable\n", content_type="text/plain"))
    with pytest.raises(OutcomeUnknownError):
        await sandbox.commands.run("true")
    assert len(wire.requests) == 1


# --- the hint ---------------------------------------------------------------------------------------------------------


async def test_s22_a_hint_is_sent_until_an_answer_has_none_and_causes_no_request(serve, connect):
    hinted = reply(json=sandbox_row(routing_hint="a.b.c"))
    wire = serve(hinted, RAN, RAN, WOKEN, RAN)
    sandbox = await AsyncSandbox.get(SANDBOX_ID, client=connect(wire))
    for _ in range(2):
        await sandbox.commands.run("true")
    await sandbox.activate()
    await sandbox.commands.run("true")
    runs = [request for request in wire.requests if request.target == "/exec"]
    assert [request.headers.get("x-superserve-routing-hint") for request in runs] == ["a.b.c", "a.b.c", None]
    assert len(wire.requests) == 5


@pytest.mark.parametrize("hint", ["a\nb", "é", ""])
async def test_a_hint_that_cannot_be_sent_is_none(serve, connect, hint):
    wire = serve(reply(json=sandbox_row(routing_hint=hint)), RAN)
    sandbox = await AsyncSandbox.get(SANDBOX_ID, client=connect(wire))
    await sandbox.commands.run("true")
    assert "x-superserve-routing-hint" not in wire.requests[1].headers


@pytest.mark.parametrize("token", ["a\nb", "é", "a b"])
async def test_a_token_that_cannot_be_sent_is_an_error_that_does_not_show_it(serve, connect, token):
    with pytest.raises(SandboxError, match="'access_token' cannot be sent") as caught:
        await AsyncSandbox.get(SANDBOX_ID, client=connect(serve(reply(json=sandbox_row(access_token=token)))))
    assert token not in str(caught.value)


# --- where requests go ------------------------------------------------------------------------------------------------


@pytest.fixture
def looked_up(monkeypatch):
    """Have names looked up, and found nowhere; return them."""
    hosts = []

    def look_up(host, *_, **__):
        hosts.append(host.decode() if isinstance(host, bytes) else host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return hosts


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.superserve.ai", "sandbox.superserve.ai"),
        ("https://api.superserve.ai/", "sandbox.superserve.ai"),
        ("https://api-usw.superserve.ai", "usw-sandbox.superserve.ai"),
        ("https://api-staging.superserve.ai", "staging-sandbox.superserve.ai"),
        ("https://api.example.test", "api.example.test"),
        ("https://api.example.test/v1", "api.example.test"),
        ("http://api.superserve.ai", "api.superserve.ai"),
        ("https://api.superserve.ai:8443", "api.superserve.ai"),
        ("https://api.superserve.ai.example.test", "api.superserve.ai.example.test"),
        ("https://api-new.superserve.ai", "api-new.superserve.ai"),
        ("http://named.test:8700", "named.test"),
    ],
)
async def test_s5_surprise_9_only_the_host_that_belongs_to_the_address_is_asked_for(
    looked_up, base_url, host
):
    async with AsyncSuperserve(api_key="key", base_url=base_url, timeout_s=5) as client:
        sandbox = handle(AsyncSandbox, client)
        calls = [
            lambda: sandbox.commands.run("true"),
            lambda: sandbox.commands.run("true", on_stdout=print),
            lambda: sandbox.commands.spawn("true"),
            lambda: sandbox.files.read("/a"),
            lambda: sandbox.files.write("/a", b""),
        ]
        for call in calls:
            with pytest.raises(SandboxConnectionError):
                await call()
    assert {name.removeprefix(f"boxd-{SANDBOX_ID}.") for name in looked_up} == {host}
    assert not any(
        name.startswith("boxd-") for name in looked_up if not name.endswith("sandbox.superserve.ai")
    )


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """What `download` writes is not to lie in the project."""
    monkeypatch.chdir(tmp_path)


EVERYTHING = {
    "create": lambda client, _: client.sandboxes.create(name="box"),
    "create and look for it": lambda client, _: client.sandboxes.create(name="box", adopt_lost=True),
    "connect": lambda client, _: client.sandboxes.connect(SANDBOX_ID),
    "get": lambda client, _: client.sandboxes.get(SANDBOX_ID),
    "list": lambda client, _: client.sandboxes.list(),
    "kill by id": lambda client, _: client.sandboxes.kill_by_id(SANDBOX_ID),
    "update by id": lambda client, _: client.sandboxes.update_by_id(SANDBOX_ID, timeout_seconds=5),
    "get info": lambda _, sandbox: sandbox.get_info(),
    "pause": lambda _, sandbox: sandbox.pause(),
    "resume": lambda _, sandbox: sandbox.resume(),
    "activate": lambda _, sandbox: sandbox.activate(),
    "kill": lambda _, sandbox: sandbox.kill(),
    "set timeout": lambda _, sandbox: sandbox.set_timeout(5),
    "wait for port": lambda _, sandbox: sandbox.wait_for_port(8080),
    "run": lambda _, sandbox: sandbox.commands.run("true"),
    "stream": lambda _, sandbox: sandbox.commands.run("true", on_stdout=str),
    "talk": lambda _, sandbox: sandbox.commands.run("true", input=""),
    "spawn": lambda _, sandbox: sandbox.commands.spawn("true"),
    "read": lambda _, sandbox: sandbox.files.read("/a"),
    "open": lambda _, sandbox: sandbox.files.open_read("/a"),
    "write": lambda _, sandbox: sandbox.files.write("/a", b""),
    "write in one step": lambda _, sandbox: sandbox.files.write("/a", b"", atomic=True),
    "stat": lambda _, sandbox: sandbox.files.stat("/a"),
    "list files": lambda _, sandbox: sandbox.files.list("/a"),
    "download folder": lambda _, sandbox: sandbox.files.download_dir("/a"),
    "download": lambda _, sandbox: sandbox.files.download("/a", "a"),
    "upload": lambda _, sandbox: sandbox.files.upload(__file__, "/a"),
    "templates": lambda client, _: client.templates.list(),
}


@pytest.mark.usefixtures("_quick_search")
@pytest.mark.parametrize(
    "base_url", ["https://api.example.test", "http://127.0.0.1:9", "http://named.test:1/v1"]
)
@pytest.mark.parametrize("is_given", [True, False])
async def test_s5_surprise_9_where_the_api_is_elsewhere_nothing_of_the_service_is_asked_for(
    looked_up, environment, base_url, is_given
):
    if not is_given:
        environment.setenv("SUPERSERVE_BASE_URL", base_url)
    options = {"base_url": base_url} if is_given else {}
    async with AsyncSuperserve(api_key="key", timeout_s=5, **options) as client:
        sandbox = handle(AsyncSandbox, client)
        for call in EVERYTHING.values():
            with pytest.raises(SandboxConnectionError):
                await call(client, sandbox)
        async with sandbox:
            assert "superserve.ai" not in sandbox.get_preview_url(8080)
    host = httpx.URL(base_url).host
    # An address needs no looking up.
    assert set(looked_up) - {"127.0.0.1"} == {host} - {"127.0.0.1"}


async def test_the_address_of_sandboxes_is_an_argument_then_the_environment_then_what_belongs_to_the_api(
    environment, key
):
    async def address(**options):
        async with AsyncSuperserve(api_key=key, **options) as client:
            return client.sandbox_url

    assert await address() == "https://sandbox.superserve.ai"
    assert await address(base_url="http://127.0.0.1:8700/") == "http://127.0.0.1:8700"
    environment.setenv("SUPERSERVE_SANDBOX_URL", "boxes.example.test")
    assert await address(base_url="http://127.0.0.1:8700") == "https://boxes.example.test"
    assert await address(sandbox_url="http://127.0.0.1:9/") == "http://127.0.0.1:9"
    for odd in ("ftp://a.test", "", "a b", "https://user@a.test"):
        with pytest.raises(ValidationError, match="sandbox_url"):
            await address(sandbox_url=odd)


async def test_both_planes_may_be_at_different_addresses(serve, connect):
    control, data = serve(WOKEN), serve(TOO_OLD, RAN)
    sandbox = handle(AsyncSandbox, connect(control, sandbox_url=data.url))
    await sandbox.commands.run("true")
    assert asked(control) == [f"POST {PATH}/activate"]
    assert asked(data) == ["POST /exec", "POST /exec"]


async def test_s27_surprise_29_no_cookie_goes_from_one_sandbox_to_another(known):
    sandbox, wire = await known(
        reply(json={"stdout": "", "stderr": "", "exit_code": 0}, headers={"Set-Cookie": "a=b; Path=/"}), RAN
    )
    await sandbox.commands.run("true")
    await handle(AsyncSandbox, sandbox._client).commands.run("true")
    assert not any("cookie" in request.headers for request in wire.requests)


# --- secrets ----------------------------------------------------------------------------------------------------------


ECHOES = [
    reply(400, f"you sent {TOKEN}\n", content_type="text/plain"),
    reply(403, json={"error": f"you sent {TOKEN}"}),
    reply(500, json=envelope("internal_error", f"you sent {TOKEN}"), headers={"X-Echo": TOKEN}),
    reply(200, json={"stdout": 5, TOKEN: TOKEN}),
    b"HTTP/1.1 200 " + TOKEN.encode() + b"\r\nbroken " + TOKEN.encode() + b"\r\n\r\n",
    cut(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
]


@pytest.mark.parametrize("answer", ECHOES)
async def test_s26_tokens_are_in_no_text(known, caplog, answer):
    sandbox, _ = await known(answer)
    with caplog.at_level(logging.DEBUG, "superserve"), pytest.raises(SandboxError) as caught:
        await sandbox.commands.run("true")
    error = caught.value
    shown = [str(error), repr(error), repr(error.headers), repr(error.__dict__), caplog.text]
    shown += traceback.format_exception(error)
    assert not [text for text in shown if TOKEN in text]


@pytest.mark.usefixtures("_quick_search")
@pytest.mark.parametrize("call", EVERYTHING)
async def test_s26_no_secret_of_either_plane_is_shown_whoever_repeats_it(serve, connect, key, caplog, call):
    caplog.set_level(logging.DEBUG, "superserve")
    text = f"you sent {key} and {TOKEN}, {key!r} and {TOKEN!r}"
    for answer in (
        reply(400, text, content_type="text/plain"),
        reply(403, json={"error": text}, headers={"X-Echo": text}),
        reply(500, json=envelope("internal_error", text)),
        reply(429, json=envelope("too_many_sandboxes", text)),
        reply(200, json={"problem": text}),
        b"HTTP/1.1 200 " + text.encode() + b"\r\nbroken " + text.encode() + b"\r\n\r\n",
    ):
        client = connect(serve(answer), max_attempts=1)
        try:
            await EVERYTHING[call](client, handle(AsyncSandbox, client))
        except SandboxError as error:
            shown = [str(error), repr(error), repr(error.headers), repr(error.__dict__)]
            shown += traceback.format_exception(error)
            assert not [said for said in shown if key in said or TOKEN in said]
    assert key not in caplog.text
    assert TOKEN not in caplog.text


FAILURES = {
    "create": (
        lambda client: client.sandboxes.create(name="box"),
        reply(201, json=sandbox_row(metadata=None)),
    ),
    "get": (lambda client: client.sandboxes.get(SANDBOX_ID), reply(json=sandbox_row(metadata=None))),
    "run": (lambda client: handle(AsyncSandbox, client).commands.run("x"), reply(403, TOKEN)),
    "stream": (
        lambda client: handle(AsyncSandbox, client).commands.run("x", on_stdout=print),
        reply(403, TOKEN),
    ),
    "spawn": (lambda client: handle(AsyncSandbox, client).commands.spawn("x"), reply(403, TOKEN)),
    "read": (lambda client: handle(AsyncSandbox, client).files.read("/x"), cut()),
}


@pytest.mark.parametrize("call", FAILURES)
async def test_s26_tokens_are_in_no_variable_that_a_traceback_shows(serve, connect, key, call):
    make, answer = FAILURES[call]
    client = connect(serve(answer), max_attempts=1)
    with pytest.raises(SandboxError) as caught:
        await make(client)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [
        variable
        for frame in told.stack
        if "superserve" in frame.filename and "/tests/" not in frame.filename
        for variable in (frame.locals or {}).items()
    ]
    assert own
    assert [(name, value) for name, value in own if TOKEN in value or key in value] == []


async def test_s26_a_token_that_was_replaced_is_not_shown_either(known):
    sandbox, _ = await known(TOO_OLD, WOKEN, reply(400, f"{TOKEN} {FRESH}\n", content_type="text/plain"))
    with pytest.raises(SandboxError) as caught:
        await sandbox.commands.run("true")
    assert not {TOKEN, FRESH} & set(str(caught.value).replace(":", " ").split())
    assert TOKEN not in str(caught.value)
    assert FRESH not in str(caught.value)


async def test_s26_no_handle_shows_its_token(known):
    sandbox, _ = await known(WOKEN)
    await sandbox.activate()
    things = [sandbox, sandbox._data, sandbox._data._route, sandbox._info, sandbox.commands, sandbox.files]
    for thing in things:
        assert FRESH not in repr(thing)
    with contextlib.suppress(AttributeError):
        assert FRESH not in repr(vars(sandbox))


async def test_a_closed_client_says_so_and_never_that_a_command_may_have_run(box):
    sandbox, wire = await box(reply(200))
    await sandbox._client.aclose()
    for call in (
        lambda: sandbox.commands.run("x"),
        lambda: sandbox.commands.run("x", on_stdout=str),
        lambda: sandbox.commands.run("x", input=""),
        lambda: sandbox.commands.spawn("x"),
        lambda: sandbox.files.write("/x", b""),
        lambda: sandbox.files.read("/x"),
    ):
        with pytest.raises(SandboxError) as caught:
            await call()
        assert type(caught.value) is SandboxError
        assert str(caught.value) == "this client is closed; make another"
    assert wire.requests == []
