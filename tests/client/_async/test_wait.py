"""Waiting for a build: its row decides, errors that pass are borne with, and the wait has an end."""

import contextlib
import itertools
import logging
import pickle
import threading
import time

import pytest

from superserve import (
    AsyncTemplate,
    AuthenticationError,
    BuildCancelledError,
    BuildError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
    _polling,
)
from superserve._async import build_wait
from superserve._http.gate import Gate
from tests.conftest import KEY
from tests.patience import given_time
from tests.script import BUILD_ID, LINE, TEMPLATE_ID, Script, build_row, template_row
from tests.wire import STREAM_HEAD, chunk, cut, drip, envelope, head, log, reply, reset, sse, stall

NO_KEY = reply(401, json=envelope("auth_failed", "API key is not known"))
LIMITED = reply(429, json=envelope("rate_limited", "slow down"), headers={"Retry-After": "0"})
OPEN_LOG = stall(STREAM_HEAD + chunk(sse(LINE)))
STEPS = [{"run": "apt-get update"}, {"workdir": "/app"}, {"run": "pip install numpy"}]


def failed(message):
    return reply(json=build_row("failed", error_message=message))


def nothing(_event):
    pass


BOTH = pytest.mark.parametrize("options", [{}, {"on_log": nothing}], ids=["without a log", "with a log"])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Read on for a moment only when the build has ended, and make as many calls as a test likes."""
    for name in ("FLOWING_S", "SILENT_S", "NOT_OPEN_S", "LOG_TAIL_S"):
        monkeypatch.setattr(build_wait, name, 0.15)
    monkeypatch.setattr(Gate, "delay", lambda gate, deadline: 0.0)


@pytest.fixture
async def hurried(serve, connect):
    """Connect to the template of a script, for a wait whose calls may take a tenth of a second each."""

    async def hurried(script, timeout_s=0.1):
        wire = serve(script)
        # This call may take longer, on a busy machine.
        info = await (await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))).get_info()
        return AsyncTemplate(info, client=connect(wire, timeout_s=timeout_s))

    return hurried


@pytest.fixture
async def created(serve, connect):
    """Create a template of three steps at the server of a script."""

    async def created(script):
        row = template_row("building", build_id=BUILD_ID)
        client = connect(serve(reply(202, json=row), script))
        return await AsyncTemplate.create(name="my-env", from_="debian:12", steps=STEPS, client=client)

    return created


@pytest.fixture
def told(caplog):
    """What the logger told from a level on."""

    def told(level=logging.WARNING):
        records = [record for record in caplog.records if record.name == "superserve"]
        return [record.getMessage() for record in records if record.levelno >= level]

    return told


async def wait(template, **options):
    return await template.wait_until_ready(**{"poll_interval_s": 0.02, **options})


def test_the_times_are_those_that_are_promised(monkeypatch):
    monkeypatch.undo()
    assert (build_wait.FLOWING_S, build_wait.SILENT_S, build_wait.NOT_OPEN_S) == (5, 1, 2)
    assert (build_wait.SILENCE_S, build_wait.REPLAYED) == (60, 256)
    assert (build_wait.LOG_TAIL_S, build_wait.TEMPLATE_LAG_S, build_wait.CANCEL_S) == (2, 10, 5)
    assert (_polling.OUTAGE_S, _polling.OUTAGE_POLLS) == (60, 5)


# What is asked for


async def test_a_wait_asks_for_the_build_and_at_the_end_for_the_template(scripted):
    script = Script(build=["pending", "building", "ready"])
    await wait(await scripted(script))
    assert script.seen == ["template", "build", "build", "build", "template"]


async def test_a_new_template_knows_its_build_and_asks_for_nothing_else(created):
    script = Script(build=["building", "ready"])
    await wait(await created(script))
    assert script.seen == ["build", "build", "template"]


@BOTH
async def test_a_wait_that_is_told_its_build_asks_for_nothing_else(scripted, options):
    script = Script(template=[reply(json=template_row())], logs=[log(END)])
    await wait(await scripted(script), build_id="named", **options)
    assert set(script.paths) == {
        f"/templates/{TEMPLATE_ID}",
        f"/templates/{TEMPLATE_ID}/builds/named",
        *([f"/templates/{TEMPLATE_ID}/builds/named/logs"] if options else []),
    }
    assert len(script.seen) == (4 if options else 3)


async def test_a_template_that_does_not_tell_its_build_is_asked_once_for_the_newest(serve, connect):
    wire = serve(script := Script(template=[reply(json=template_row())], build=["building", "ready"]))
    await wait(await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire)))
    assert script.seen == ["template", "builds", "build", "build", "template"]
    assert wire.requests[1].target == f"/templates/{TEMPLATE_ID}/builds?limit=1"


async def test_with_a_callback_the_log_is_asked_for_once_if_it_comes_whole(scripted):
    script = Script(build=["building", "building", "ready"], logs=[log(LINE, END)])
    await wait(await scripted(script), on_log=nothing)
    assert sorted(script.seen) == ["build", "build", "build", "logs", "template", "template"]


@pytest.mark.parametrize("verdict", ["ready", "cancelled", failed("step_failed: step 1/1 failed after 1s")])
async def test_without_a_callback_the_log_is_never_asked_for(scripted, verdict):
    script = Script(build=["building", verdict], logs=[log(LINE, END)])
    with contextlib.suppress(SandboxError):
        await wait(await scripted(script))
    assert script.count("logs") == 0


@pytest.mark.parametrize("verdict", ["failed", "cancelled"])
async def test_the_template_is_not_asked_for_if_the_build_did_not_succeed(scripted, verdict):
    script = Script(build=[verdict])
    with pytest.raises(SandboxError):
        await wait(await scripted(script))
    assert script.seen == ["template", "build"]


# How a build ends


@BOTH
async def test_a_build_that_gets_ready_gives_the_template_as_it_is_then(scripted, options):
    script = Script(build=["pending", "building", "building", "ready"])
    template = await scripted(script)
    script.then(
        template=[reply(json=template_row("ready", size_bytes=4096, built_at="2026-05-01T10:05:00Z"))]
    )
    info = await wait(template, **options)
    assert (info.status, info.size_bytes) == ("ready", 4096)
    assert template.size_bytes is None
    assert script.count("build") == 4


@BOTH
async def test_a_build_that_fails_is_an_error_with_all_that_is_known(scripted, options):
    message = "step_failed: step 2/3 failed after 3s: exited with code 100"
    template = await scripted(Script(build=["building", failed(message)], logs=[log(LINE, END)]))
    with pytest.raises(BuildError) as caught:
        await wait(template, log_tail=True, **options)
    error = caught.value
    assert (error.code, error.step, error.step_count, error.exit_code) == ("step_failed", 2, 3, 100)
    assert error.message == error.detail == "step 2/3 failed after 3s: exited with code 100"
    assert (error.build_id, error.template_id, error.template_name) == (BUILD_ID, TEMPLATE_ID, "my-env")
    assert error.status_code is None
    assert error.log_tail == ("hello",)
    assert error.__notes__ == ["It printed last:\n  hello"]
    assert str(error) == (
        f"build {BUILD_ID} of template 'my-env' {TEMPLATE_ID} failed: step_failed: {error.message}; {error.hint}"
    )


@pytest.mark.parametrize(
    ("step", "command"),
    [("1/3", "apt-get update"), ("3/3", "pip install numpy"), ("2/3", None), ("3/4", None), ("4/3", None)],
)
async def test_a_failing_step_is_told_with_its_command_by_the_handle_that_knows_it(created, step, command):
    message = f"step {step} failed after 3s: exited with code 1"
    with pytest.raises(BuildError) as caught:
        await wait(await created(Script(build=[failed(f"step_failed: {message}")])))
    assert caught.value.command == command
    assert caught.value.message == message
    assert (f"; the command was {command!r}" in str(caught.value)) == (command is not None)


async def test_a_handle_that_was_connected_knows_no_commands(scripted):
    with pytest.raises(BuildError) as caught:
        await wait(await scripted(Script(build=[failed("step_failed: step 1/1 failed after 3s")])))
    assert caught.value.command is None


@pytest.mark.parametrize(
    "message",
    ["step_failed: step 1/3 failed", "image_too_large: too large", "boot_failed: no", "what?", None],
)
async def test_a_failed_build_has_a_hint_that_is_said_once(scripted, message):
    with pytest.raises(BuildError) as caught:
        await wait(await scripted(Script(build=[failed(message)])))
    assert caught.value.hint
    assert str(caught.value).count(caught.value.hint) == 1
    assert caught.value.hint not in caught.value.message


def printed(text, **fields):
    return {**LINE, "text": text, **fields}


END = {**LINE, "stream": "system", "text": "failed", "finished": True, "status": "failed"}


@BOTH
@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ([printed("one\ntwo"), printed("three", stream="stderr")], ("one", "two", "three")),
        ([printed(f"line {number}") for number in range(60)], tuple(f"line {n}" for n in range(40, 60))),
        ([printed("Step 1/1", stream="system"), printed("step_failed: x", stream="error")], ()),
        ([printed("\n\n  indented  \n\n")], ("  indented",)),
        ([printed("10 %\r50 %\r100 %\r\nnext")], ("100 %", "next")),
        ([printed("\x1b[1;31mred\x1b[0m\x07")], ("red",)),
        ([printed("x" * 32_000)], ("x" * 499 + "…",)),
        ([printed(f"token {KEY}")], ("token ***",)),
        ([], ()),
    ],
)
async def test_a_build_that_fails_tells_what_it_printed_last(scripted, options, events, lines):
    script = Script(build=[failed("boot_failed: no")], logs=[log(*events, END)])
    template = await scripted(script)
    with pytest.raises(BuildError) as caught:
        await wait(template, log_tail=True, **options)
    assert caught.value.log_tail == lines
    assert script.count("logs") == 1
    assert pickle.loads(pickle.dumps(caught.value)).log_tail == lines


@pytest.mark.parametrize(
    ("logs", "lines"),
    [
        ([reply(404, json=envelope("not_found", "Build not found"))], ()),
        ([reply(503, headers={"Retry-After": "0"})], ()),
        ([reset()], ()),
        ([reply(200, "<html>", content_type="text/html")], ()),
        ([stall()], ()),
        # What came before the end is something.
        ([cut(STREAM_HEAD + chunk(sse(LINE)))], ("hello",)),
        ([OPEN_LOG], ("hello",)),
        ([log(LINE)], ("hello",)),
    ],
    ids=["none", "refused", "reset", "a page", "silent", "cut", "open", "without a last event"],
)
@given_time
async def test_the_log_of_a_failed_build_is_read_once_and_for_a_bounded_time(
    scripted, monkeypatch, logs, lines, *, longer
):
    monkeypatch.setattr(build_wait, "LOG_TAIL_S", 0.15 * longer)
    script = Script(build=[failed("boot_failed: no")], logs=logs)
    began = time.monotonic()
    with pytest.raises(BuildError, match="boot_failed: no") as caught:
        await wait(await scripted(script), log_tail=True)
    assert caught.value.log_tail == lines
    assert script.count("logs") == 1
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("verdict", ["ready", "cancelled"])
async def test_the_log_is_read_for_its_last_lines_only_after_a_failure(scripted, verdict):
    script = Script(build=[verdict], logs=[log(LINE, END)])
    try:
        await wait(await scripted(script), log_tail=True)
    except ConflictError:
        assert verdict == "cancelled"
    assert script.count("logs") == 0


@pytest.mark.parametrize(
    ("text", "code", "message", "detail"),
    [
        ("build timed out", "build_failed", "Template build failed", "build timed out"),
        (
            "vmd has no record of this build (likely vmd restarted)",
            "build_failed",
            "Template build failed",
            "vmd has no record of this build (likely vmd restarted)",
        ),
        ("image_pull_failed: could not pull", "image_pull_failed", "could not pull", "could not pull"),
        (None, "build_failed", "Template build failed", None),
        ("", "build_failed", "Template build failed", None),
    ],
)
async def test_a_build_may_fail_without_a_code_or_without_a_word(scripted, text, code, message, detail):
    template = await scripted(Script(build=[failed(text)]))
    with pytest.raises(BuildError) as caught:
        await wait(template)
    assert (caught.value.code, caught.value.message, caught.value.detail) == (code, message, detail)
    assert f"failed: {code}: {message}" in str(caught.value)
    assert str(caught.value).count(detail or message) == 1


@BOTH
async def test_a_build_that_was_cancelled_is_a_conflict_that_never_went_over_http(scripted, options):
    row = reply(json=build_row("cancelled", error_message="cancelled by user"))
    template = await scripted(Script(build=["building", row]))
    with pytest.raises(BuildCancelledError) as caught:
        await wait(template, **options)
    error = caught.value
    assert isinstance(error, ConflictError)
    assert (error.build_id, error.template_id, error.status_code) == (BUILD_ID, TEMPLATE_ID, None)
    assert str(error) == (
        f"build {BUILD_ID} of template {TEMPLATE_ID} was cancelled: cancelled by user; rebuild() starts another"
    )
    assert not hasattr(error, "__notes__")


# The template of a build that is ready


async def lagging(scripted, *rows, **options):
    """Wait for a build that is ready; return the template as the wait has it, and the script."""
    script = Script()
    template = await scripted(script)
    script.then(template=[reply(json=row) for row in rows])
    info = await wait(template, **options)
    return info, script


async def test_a_template_whose_row_lags_behind_is_asked_for_until_it_is_ready(scripted, told):
    building = template_row("building", latest_build_id=BUILD_ID)
    ready = template_row("ready", latest_build_id=BUILD_ID)
    info, script = await lagging(scripted, building, building, building, ready)
    assert info.status == "ready"
    assert script.seen == ["template", "build", *["template"] * 4]
    assert told() == []


@given_time
async def test_a_row_that_lags_behind_is_asked_for_at_the_poll_interval(serve, connect, *, longer):
    building = reply(json=template_row("building"))
    wire = serve(script := Script())
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    script.then(template=[building, building, reply(json=template_row())])
    await wait(template, poll_interval_s=0.08 * longer)
    moments = [request.at for request in wire.requests if request.path == f"/templates/{TEMPLATE_ID}"][1:]
    assert all(later - earlier >= 0.06 * longer for earlier, later in itertools.pairwise(moments))


@given_time
async def test_a_row_that_lags_behind_for_ever_is_returned_as_it_is_with_a_warning(
    scripted, monkeypatch, told, *, longer
):
    monkeypatch.setattr(build_wait, "TEMPLATE_LAG_S", 0.2 * longer)
    began = time.monotonic()
    info, script = await lagging(scripted, template_row("building", latest_build_id=BUILD_ID))
    assert time.monotonic() - began >= 0.2 * longer
    assert info.status == "building"
    assert script.count("template") > 3
    assert told()[-1:] == [f"build {BUILD_ID} is ready, but its template still has the status building"]


async def test_a_long_poll_interval_does_not_prolong_the_time_for_a_row_that_lags_behind(
    scripted, monkeypatch
):
    monkeypatch.setattr(build_wait, "TEMPLATE_LAG_S", 0.2)
    began = time.monotonic()
    building = template_row("building", latest_build_id=BUILD_ID)
    info, script = await lagging(scripted, building, template_row("ready"), poll_interval_s=300)
    # It is asked for once more when that time is over.
    assert info.status == "ready"
    assert script.count("template") == 3
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "row",
    [
        template_row("failed", latest_build_id=BUILD_ID),
        template_row("building", latest_build_id="newer"),
        template_row("failed", latest_build_id="newer"),
    ],
)
async def test_a_row_that_failed_or_has_a_newer_build_is_not_waited_for(scripted, told, row):
    info, script = await lagging(scripted, row)
    assert (info.status, info.latest_build_id) == (row["status"], row["latest_build_id"])
    assert script.count("template") == 2
    assert told() == []


@given_time
async def test_a_row_that_lags_behind_does_not_prolong_the_time_of_the_wait(
    scripted, monkeypatch, told, *, longer
):
    monkeypatch.setattr(build_wait, "TEMPLATE_LAG_S", 600.0)
    began = time.monotonic()
    info, script = await lagging(scripted, template_row("building"), timeout_s=0.2 * longer)
    # The build is ready: that is no time-out.
    assert info.status == "building"
    assert script.count("template") > 3
    assert time.monotonic() - began < 60
    assert told()[-1:] == [f"build {BUILD_ID} is ready, but its template still has the status building"]


# How a build goes on


@pytest.mark.parametrize("status", ["pending", "building", "snapshotting", "archived", ""])
async def test_a_build_whose_status_is_none_of_the_last_goes_on(scripted, status):
    script = Script(build=[status, status, "ready"])
    await wait(await scripted(script))
    assert script.count("build") == 3


@BOTH
async def test_a_build_that_has_ended_in_a_way_not_known_is_an_error_that_says_so(scripted, options):
    # A newer server's: that it has ended is told by when.
    row = reply(json=build_row("expired", finalized_at="2026-05-01T11:00:00Z", error_message="too old"))
    with pytest.raises(SandboxError) as caught:
        await wait(await scripted(Script(build=["building", row])), **options)
    assert str(caught.value).startswith(
        f"build {BUILD_ID} of template {TEMPLATE_ID} has ended with the status 'expired': too old, which this version does not know"
    )


async def test_a_status_that_is_known_says_more_than_a_time(scripted):
    row = reply(json=build_row("building", finalized_at="2026-05-01T11:00:00Z"))
    assert (await wait(await scripted(Script(build=[row, "ready"])))).status == "ready"


@BOTH
@pytest.mark.parametrize("status", ["failed", "cancelled", "expired"])
async def test_what_the_server_says_of_a_build_is_shown_without_the_key_and_as_terminals_can(
    scripted, options, status
):
    row = build_row(
        status,
        error_message=f"step_failed: \x1b[2J{KEY}\ud800\nand more",
        finalized_at="2026-05-01T11:00:00Z",
        id=f"a-{KEY}",
        template_id=KEY,
    )
    with pytest.raises(SandboxError) as caught:
        await wait(await scripted(Script(build=[reply(json=row)])), **options)
    assert KEY not in repr(vars(caught.value)) + str(caught.value)
    assert "*** \nand more" in str(caught.value)
    str(caught.value).encode()
    assert "\x1b" not in str(caught.value)


@BOTH
@given_time
async def test_a_status_that_is_the_key_is_not_shown_when_the_time_is_over(scripted, options, *, longer):
    with pytest.raises(SandboxTimeoutError) as caught:
        await wait(await scripted(Script(build=[KEY])), timeout_s=0.25 * longer, **options)
    said = f"timed out after {0.25 * longer:g} s; its last status was ***; the build goes on; wait again"
    assert said in str(caught.value)


@pytest.mark.parametrize("where", ["id", "latest_build_id", "builds"])
async def test_an_id_that_cannot_be_asked_for_is_not_shown_as_it_may_hold_the_key(scripted, where):
    odd = f"b {KEY}"
    script = Script(
        template=[reply(json=template_row(**({} if where == "builds" else {where: odd})))],
        builds=[reply(json=[build_row("building") | {"id": odd}])],
    )
    template = await scripted(script)
    with pytest.raises(
        SandboxError, match=r"cannot be understood: it has an invalid (template|build)_id"
    ) as caught:
        await wait(template)
    assert KEY not in str(caught.value) + repr(template)


async def test_a_template_whose_latest_build_is_blank_has_none(scripted):
    template = await scripted(Script(template=[reply(json=template_row(latest_build_id=""))]))
    assert template.latest_build_id is None
    assert (await wait(template)).status == "ready"


async def test_a_key_where_an_id_is_due_is_not_shown(serve, connect):
    client = connect(serve(reply(404), reply(200, "{"), cut()), max_attempts=1)
    for _ in range(3):
        with pytest.raises(SandboxError) as caught:
            await AsyncTemplate.connect(KEY, client=client)
        assert str(caught.value).startswith("could not get template ***: ")


@BOTH
async def test_a_template_that_stays_building_holds_nobody_up(server, client, options):
    # What the platform leaves behind when a first build takes too long.
    template_id = server.templates.add(status="building")
    build = server.builds.add(template_id, status="failed", error_message="build timed out")
    template = await AsyncTemplate.connect(template_id, client=client)
    with pytest.raises(BuildError, match="build timed out"):
        await wait(template, build_id=build, **options)
    assert (await template.get_info()).status == "building"


@BOTH
async def test_a_template_that_is_ready_while_it_is_rebuilt_is_waited_for(server, client, options):
    template = await AsyncTemplate.create(name="my-env", from_="debian:12", client=client)
    await wait(template)
    server.builds.hold()
    build = await template.rebuild()
    assert (await template.get_info()).status == "ready"
    with pytest.raises(SandboxTimeoutError, match=build.id):
        await wait(template, timeout_s=0.2, **options)
    server.builds.finish(build.id, "step_failed: step 1/1 failed after 1s: exited with code 2")
    with pytest.raises(BuildError) as caught:
        await wait(template, **options)
    assert (caught.value.build_id, caught.value.exit_code) == (build.id, 2)


@BOTH
async def test_a_build_that_the_host_has_lost_fails(server, client, options):
    server.builds.hold()
    template = await AsyncTemplate.create(name="my-env", from_="debian:12", client=client)
    server.builds.lose(template.latest_build_id)
    with pytest.raises(BuildError, match="no record"):
        await wait(template, **options)


# Which build


async def test_the_build_waited_for_is_the_one_named(scripted):
    script = Script()
    await wait(await scripted(script), build_id="named")
    assert script.paths[1].endswith("/builds/named")


async def test_it_is_otherwise_the_one_that_this_object_started_last(scripted):
    script = Script(template=[reply(json=template_row(latest_build_id="latest"))])
    template = await scripted(script)
    await template.rebuild()
    await wait(template)
    assert script.paths[2].endswith(f"/builds/{BUILD_ID}")


async def test_it_is_otherwise_the_latest_that_the_template_tells(scripted):
    script = Script(template=[reply(json=template_row(latest_build_id="latest"))])
    await wait(await scripted(script))
    assert script.paths[1].endswith("/builds/latest")


async def test_it_is_otherwise_the_newest_in_the_list(scripted):
    script = Script(
        template=[reply(json=template_row())],
        builds=[reply(503), reply(json=[build_row("building", id="newest"), build_row("ready", id="older")])],
    )
    await wait(await scripted(script))
    assert script.seen == ["template", "builds", "builds", "build", "template"]
    assert script.paths[3].endswith("/builds/newest")


async def test_a_ready_template_whose_builds_are_not_shown_is_ready(scripted):
    script = Script(template=[reply(json=template_row(status="ready"))], builds=[reply(json=[])])
    info = await wait(await scripted(script))
    assert info.status == "ready"
    assert script.seen == ["template", "builds", "template"]


async def test_a_template_that_was_never_built_is_not_waited_for(scripted):
    row = template_row(status="pending")
    template = await scripted(Script(template=[reply(json=row)], builds=[reply(json=[])]))
    with pytest.raises(SandboxError, match=r"no build to wait for; rebuild\(\)"):
        await wait(template)


async def test_a_build_that_is_not_there_is_not_found(client):
    template = await AsyncTemplate.create(name="my-env", from_="debian:12", client=client)
    with pytest.raises(NotFoundError):
        await wait(template, build_id="0c1f9e77-5678-4e21-9999-1b2c3d4e5f60")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on_log", "print"),
        ("poll_interval_s", 0),
        ("poll_interval_s", "2"),
        ("timeout_s", -1),
        ("timeout_s", float("nan")),
        ("build_id", "../templates"),
        ("build_id", ""),
        ("cancel_on_interrupt", "yes"),
    ],
)
async def test_a_wrong_argument_is_refused_before_anything_is_sent(scripted, name, value):
    script = Script()
    template = await scripted(script)
    with pytest.raises(ValidationError, match=name):
        await template.wait_until_ready(**{name: value})
    assert script.seen == ["template"]


async def test_two_waits_on_one_object_know_nothing_of_each_other(client):
    template = await AsyncTemplate.create(
        name="my-env", from_="debian:12", steps=[{"run": "echo one"}], client=client
    )
    texts = []

    async def also_wait(event):
        texts.append(event.text)
        if event.text == "one":
            assert (await wait(template, on_log=nothing)).status == "ready"
            assert len(await template.list_builds()) == 1

    assert (await wait(template, on_log=also_wait)).status == "ready"
    assert "one" in texts


# Errors that pass, and errors that don't


@BOTH
@pytest.mark.parametrize(
    "trouble",
    [
        reply(500, json=envelope("internal_error", "oops")),
        reply(502, "<html>", content_type="text/html"),
        reply(503, headers={"Retry-After": "0"}),
        reply(504),
        reply(520),
        LIMITED,
        reset(),
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    ],
)
async def test_trouble_that_passes_is_borne_with(scripted, trouble, options):
    script = Script(build=[trouble, "building", trouble, trouble, "ready"])
    template = await scripted(script)
    assert (await wait(template, **options)).status == "ready"
    assert script.count("build") == 5


async def test_a_poll_that_stalls_is_given_up_and_the_next_one_counts(hurried):
    template = await hurried(Script(build=[stall(), stall(b"HTTP/1.1 200"), "ready"]), timeout_s=0.2)
    assert (await wait(template)).status == "ready"


async def test_trouble_when_the_build_is_ready_already_is_borne_with_too(scripted):
    script = Script()
    template = await scripted(script)
    script.then(template=[reset(), reply(503), reply(json=template_row())])
    assert (await wait(template)).status == "ready"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(401, json=envelope("unauthorized", "no")), AuthenticationError),
        (reply(403, json=envelope("forbidden", "no")), AuthenticationError),
        (reply(404, json=envelope("not_found", "Build not found")), NotFoundError),
        (reply(400, json=envelope("bad_request", "what?")), ValidationError),
        (reply(302, headers={"Location": "/elsewhere"}), SandboxError),
    ],
)
@BOTH
async def test_trouble_that_lasts_ends_the_wait_at_once(scripted, answer, error, options):
    script = Script(build=["building", answer])
    with pytest.raises(error):
        await wait(await scripted(script), **options)
    assert script.count("build") == 2


@BOTH
async def test_a_key_that_was_never_good_ends_the_wait_at_once(scripted, options):
    script = Script(build=[NO_KEY])
    with pytest.raises(AuthenticationError):
        await wait(await scripted(script), **options)
    assert script.count("build") == 1


@BOTH
async def test_a_key_that_is_not_known_for_a_moment_is_borne_with(scripted, options):
    # An outage of the platform's own looks like that.
    script = Script(build=["building", NO_KEY, NO_KEY, "ready"])
    assert (await wait(await scripted(script), **options)).status == "ready"


@BOTH
@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (NO_KEY, AuthenticationError),
        (reply(408), SandboxError),
        (reply(425), SandboxError),
        (reply(200, "<html>Back soon</html>", content_type="text/html"), SandboxError),
        (cut(head(200, {"Connection": "close"}) + b'{"id": "0c1f'), SandboxError),
        (reply(500), ServerError),
        (reset(), SandboxConnectionError),
        (LIMITED, RateLimitError),
        (stall(), SandboxTimeoutError),
    ],
)
async def test_an_outage_is_borne_with_for_a_while_and_then_told(
    hurried, monkeypatch, trouble, error, options
):
    for module in (_polling, build_wait):
        monkeypatch.setattr(module, "OUTAGE_S", 0.1)
    script = Script(build=["building", trouble])
    template = await hurried(script, timeout_s=0.1 if error is SandboxTimeoutError else 20)
    with pytest.raises(error) as caught:
        await wait(template, cancel_on_interrupt=True, **options)
    [note] = caught.value.__notes__
    assert note.startswith("There was no answer for 0.1 s. The build goes on; wait again with ")
    assert f"wait_until_ready(build_id='{BUILD_ID}')" in note
    assert script.count("build") > 2
    assert script.count("cancel") == 0


async def test_a_good_answer_now_and_then_is_enough(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "OUTAGE_S", 0.1)
    answers = [*[reply(500)] * 3, "building"] * 5
    assert (
        await wait(await scripted(Script(build=[*answers, "ready"])), poll_interval_s=0.01)
    ).status == "ready"


async def test_a_few_errors_are_no_outage_however_far_apart_they_are(scripted, monkeypatch):
    monkeypatch.setattr(_polling, "OUTAGE_S", 0.01)
    script = Script(build=["building", *[reply(500)] * 4, "ready"])
    assert (await wait(await scripted(script), poll_interval_s=0.05)).status == "ready"


async def test_a_wait_of_a_client_that_is_closed_says_so(scripted, connect):
    script = Script(build=["building"], logs=[OPEN_LOG])
    template = await scripted(script)

    async def close(event):
        await template._client.aclose()

    with pytest.raises(SandboxError, match="closed"):
        await wait(template, on_log=close)


async def test_what_a_wait_bears_with_is_logged(scripted, caplog):
    caplog.set_level(logging.INFO, "superserve")
    await wait(await scripted(Script(build=[reply(503), reply(502), "ready"])))
    told = [record.getMessage() for record in caplog.records if record.name == "superserve"]
    assert [text.partition(": ")[2] for text in told] == [
        "Service Unavailable [503]; the wait goes on",
        "Bad Gateway [502]; the wait goes on",
    ]


# Time


@BOTH
@pytest.mark.parametrize(
    "answers",
    [
        ["building"],
        [reply(500)],
        [reset()],
        [stall()],
        [drip(reply(json=build_row("building")), 0.05)],
        [LIMITED],
    ],
    ids=["building", "errors", "resets", "stall", "drip", "limits"],
)
async def test_a_wait_ends_when_its_time_is_over_whatever_the_server_does(scripted, answers, options):
    script = Script(build=answers, logs=[OPEN_LOG])
    with pytest.raises(SandboxTimeoutError) as caught:
        await wait(await scripted(script), timeout_s=0.15, **options)
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert f"build {BUILD_ID} of template {TEMPLATE_ID}" in str(error)
    assert f"AsyncTemplate.connect('{TEMPLATE_ID}')" in str(error)
    assert f".wait_until_ready(build_id='{BUILD_ID}')" in str(error)
    assert "after 0.15 s" in str(error)
    assert error.hint.startswith("the build goes on; wait again with ")
    assert str(error).count(error.hint) == str(error).count("wait again") == 1
    assert not hasattr(error, "__notes__")
    assert script.count("cancel") == 0


async def test_a_wait_that_does_not_know_its_build_ends_in_time_too(scripted):
    template = await scripted(Script(template=[reply(json=template_row())], builds=[stall()]))
    with pytest.raises(SandboxTimeoutError, match="list_builds"):
        await wait(template, timeout_s=0.1)


async def test_a_wait_for_a_log_that_floods_ends_in_time(scripted):
    def flood(peer, _request):
        peer.send(STREAM_HEAD)
        while not peer._wire.closing.is_set():
            peer.send(chunk(sse(LINE)) * 100)

    with pytest.raises(SandboxTimeoutError):
        await wait(await scripted(Script(build=["building"], logs=[flood])), timeout_s=0.15, on_log=nothing)


@given_time
async def test_a_build_that_ends_in_the_last_moment_is_told_before_the_time_is(
    scripted, monkeypatch, *, longer
):
    # The rest of the log is what uses the time up.
    monkeypatch.setattr(build_wait, "SILENT_S", 600)
    monkeypatch.setattr(build_wait, "FLOWING_S", 600)
    build = [failed("step_failed: step 1/1 failed after 1s: exited with code 1")]
    template = await scripted(Script(build=build, logs=[OPEN_LOG]))
    with pytest.raises(BuildError):
        await wait(template, timeout_s=0.4 * longer, on_log=nothing)


@given_time
async def test_a_wait_that_times_out_says_what_the_build_has_come_to_if_that_is_known(scripted, *, longer):
    script = Script()
    template = await scripted(script)
    script.then(template=[stall()])
    with pytest.raises(SandboxTimeoutError, match=f"build {BUILD_ID} .* has ended: ready"):
        await wait(template, timeout_s=0.4 * longer, cancel_on_interrupt=True)
    assert script.count("cancel") == 0


# Polls


@given_time
async def test_polls_keep_their_interval(serve, connect, *, longer):
    wire = serve(Script(build=["building"] * 4 + ["ready"]))
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    await wait(template, poll_interval_s=0.05 * longer)
    moments = [request.at for request in wire.requests[1:-1]]
    # The first pause is anything up to the interval, so that waits which begin together don't go on in step.
    assert all(later - earlier >= 0.04 * longer for earlier, later in itertools.pairwise(moments[1:]))


async def test_events_come_at_once_although_the_next_poll_is_far(scripted):
    arrived = threading.Event()
    ready = {**LINE, "stream": "system", "text": "ready", "status": "ready", "finished": True}

    def log_on(peer, _request):
        peer.send(STREAM_HEAD + chunk(sse(LINE)))
        peer.wait(arrived)
        peer.send(chunk(sse(ready)) + b"0\r\n\r\n")

    template = await scripted(Script(build=["building", "ready"], logs=[log_on]))
    await wait(template, poll_interval_s=600, timeout_s=60, on_log=lambda event: arrived.set())


async def test_polls_use_one_connection(serve, connect):
    wire = serve(script := Script(build=["building"] * 20 + ["ready"]))
    template = await AsyncTemplate.connect(TEMPLATE_ID, client=connect(wire))
    await wait(template, poll_interval_s=0.001)
    assert script.count("build") == 21
    assert wire.connections == 1
