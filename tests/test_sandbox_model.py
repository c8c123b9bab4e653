"""Whatever is done to sandboxes in whatever order, client and server agree with a model of their life.

The model is a table of what the API's documents say; both colours of the client are led through the same rules. Time is
moved on by hand, on the server's clock alone.
"""

import asyncio
import os
from datetime import timedelta

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from superserve import (
    AsyncSandbox,
    AsyncSuperserve,
    ConflictError,
    FileNotFoundInSandboxError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    Sandbox,
    SandboxError,
    SandboxNotRunningError,
    Superserve,
)
from superserve._async import sandbox_life as async_life
from superserve._http import retry
from superserve._sync import sandbox_life
from superserve.local import LocalServer, TeamLimits
from superserve.local._app.clock import Clock
from superserve.local._machines.sandboxes.spaces import find_space

MOST_ACTIVE = 3
# Seconds that are far from each other, whatever time the test itself takes.
STEP_S = 700
WINDOWS = [None, 1000, 3000]
AUTO = [None, 0, 1000]
NAMES = st.sampled_from(["a", "b b", "é"])
NOTES = st.dictionaries(st.sampled_from(["env", "who"]), st.sampled_from(["", "x", "y z"]), max_size=2)


# What becomes of a request to a sandbox, by the table that says what is sent again (tests/unit/test_resend.py).
TEXT = {"Content-Type": "text/plain"}
SENT_AGAIN = {
    "a token that is too old": lambda on: on.answer(401, body="invalid access token\n", headers=TEXT),
    "it has moved": lambda on: on.answer(404, json=refusal("sandbox_route_stale")),
    "it sleeps": lambda on: on.answer(503, json=refusal("sandbox_unavailable")),
    "it sleeps, in the old words": lambda on: on.answer(503, body="sandbox is paused\n", headers=TEXT),
    "too many connections": lambda on: on.answer(429, body="too many connections to sandbox\n", headers=TEXT),
}
REFUSED = {
    status: lambda on, status=status: on.answer(status, body="no\n", headers=TEXT)
    for status in (400, 403, 404, 405, 413)
}
IN_DOUBT = {
    "unreachable": lambda on: on.answer(
        502, body="sandbox unreachable\n", headers={**TEXT, "Retry-After": "0"}
    ),
    "no upstream": lambda on: on.answer(503, body="no healthy upstream", headers=TEXT),
    "a gateway that gave up": lambda on: on.answer(504, body="<html>", headers={"Content-Type": "text/html"}),
    "done, and its answer lost": lambda on: on.answer(503, body="no healthy upstream", handled=True),
    "cut": lambda on: on.cut(),
    "done, and cut": lambda on: on.cut(handled=True),
}
LATE = {
    "cut after its output": lambda on: on.cut(after_events=1),
    "ended in good order after its output": lambda on: on.cut(after_events=1, clean=True),
}
WAYS = {"execRun": {}, "execStream": {"on_stdout": str}, "execConnect": {"input": ""}}


def refusal(code):
    return {"error": {"code": code, "message": "no"}}


class Plain:
    """Sync code: a call is made where it is written."""

    client_type, sandbox_type = Superserve, Sandbox

    def do(self, result):
        return result

    def collect(self, items):
        return list(items)

    def close(self, client):
        client.close()


class Awaited:
    """Async code, in an event loop of its own."""

    client_type, sandbox_type = AsyncSuperserve, AsyncSandbox

    def __init__(self):
        self._runner = asyncio.Runner()

    def do(self, work):
        return self._runner.run(work)

    def collect(self, items):
        async def collect():
            return [item async for item in items]

        return self.do(collect())

    def close(self, client):
        self.do(client.aclose())
        self._runner.close()


@attrs.define(eq=False)
class Box:
    """A sandbox, as the model has it; `status` is None once it is deleted."""

    id: str
    name: str
    template: str
    metadata: dict[str, str]
    timeout_s: int | None
    auto_delete_s: int | None
    since: float
    status: str | None = "active"
    files: dict[str, bytes] = attrs.Factory(dict)


class Time:
    """How far the server's clock has been moved on."""

    moved_s = 0.0


class Life(RuleBasedStateMachine):
    """The rules; `server` and `colour_type` are set by those who run it."""

    server: LocalServer
    colour_type: type[Plain] | type[Awaited]
    handles = Bundle("handles")

    def __init__(self):
        super().__init__()
        self.server.reset()
        team = self.server.add_team(
            limits=TeamLimits(sandboxes=MOST_ACTIVE, templates=1000, requests_per_s=1e6, burst=1_000_000)
        )
        self.colour = self.colour_type()
        self.client = self.colour.client_type(api_key=team.api_key, base_url=self.server.base_url)
        self.boxes: list[Box] = []
        self.templates = {name: self.server.templates.add(name, team=team) for name in ("one", "two")}
        self.server.commands.on("exit *").answer(stdout="ran\n", exit_code=3)

    # What is begun with has all rules, of which hypothesis leaves some out in each life.
    @initialize(
        target=handles,
        pausing_s=st.sampled_from([None, 0.002]),
        windows=st.lists(st.tuples(st.sampled_from(WINDOWS), st.sampled_from(AUTO)), min_size=1, max_size=3),
    )
    def begin(self, pausing_s, windows):
        self.server.sandboxes.behave(pausing_s=pausing_s)
        return multiple(*[self.create_one("a", "one", {}, *window) for window in windows])

    def teardown(self):
        for box in self.boxes:
            self.do(self.client.sandboxes.kill_by_id(box.id))
        assert self.do(self.client.sandboxes.list()) == []
        self.colour.close(self.client)

    # --- what holds at any time

    @invariant()
    def what_is_listed_is_what_there_is(self):
        infos = self.do(self.client.sandboxes.list())
        assert [(info.id, info.status) for info in infos] == [
            (box.id, box.status) for box in reversed(self.boxes) if box.status
        ]

    # --- what comes and goes

    @precondition(lambda self: len([box for box in self.boxes if box.status]) < 6)
    @rule(
        target=handles,
        name=NAMES,
        template=st.sampled_from(["one", "two"]),
        metadata=NOTES,
        timeout_s=st.sampled_from(WINDOWS),
        auto_delete_s=st.sampled_from(AUTO),
    )
    def create(self, name, template, metadata, timeout_s, auto_delete_s):
        def create():
            return self.client.sandboxes.create(name=name, from_template=template)

        if template not in self.templates:
            self.fails(NotFoundError, create)
            return multiple()
        if self.is_full():
            self.is_refused_for_the_quota(create)
            return multiple()
        return self.create_one(name, template, metadata, timeout_s, auto_delete_s)

    @rule(target=handles, handle=handles, wakes=st.booleans())
    def find(self, handle, wakes):
        _, box = handle
        sandboxes = self.client.sandboxes
        if wakes:
            sandbox = self.active_after(box, lambda: sandboxes.connect(box.id))
        elif box.status is None:
            self.fails(NotFoundError, lambda: sandboxes.get(box.id))
            sandbox = None
        else:
            sandbox = self.do(sandboxes.get(box.id))
        if sandbox is None:
            return multiple()
        assert sandbox.status == box.status
        return sandbox, box

    @rule(handle=handles, how=st.sampled_from(["kill", "strict", "by id", "left"]))
    def kill(self, handle, how):
        sandbox, box = handle
        if how == "strict" and box.status is None:
            self.fails(NotFoundError, lambda: sandbox.kill(strict=True))
        elif how == "by id":
            self.do(self.client.sandboxes.kill_by_id(box.id))
        elif how == "left":
            self.leave(sandbox)
        else:
            self.do(sandbox.kill(strict=how == "strict"))
        box.status = None

    @rule(name=st.sampled_from(["one", "two"]))
    def delete_template(self, name):
        if name not in self.templates:
            return
        template = self.templates[name]

        def delete():
            return self.client.templates.delete_by_id(template)

        if any(box.status and box.template == name for box in self.boxes):
            self.fails(ConflictError, delete)
        else:
            self.do(delete())
            del self.templates[name]

    # --- what changes

    @rule(handle=handles, strict=st.booleans())
    def pause(self, handle, strict):
        sandbox, box = handle
        if box.status is None:
            self.fails(NotFoundError, lambda: sandbox.pause(strict=strict))
        elif box.status == "paused" and strict:
            self.fails(ConflictError, lambda: sandbox.pause(strict=True))
        else:
            self.do(sandbox.pause(strict=strict, poll_interval_s=0.005))
            if box.status == "active":
                self.to_pause(box)

    @rule(handle=handles, strict=st.booleans())
    def resume(self, handle, strict):
        sandbox, box = handle
        if box.status is None:
            self.fails(NotFoundError, lambda: sandbox.resume(strict=strict))
        elif box.status == "active":
            if strict:
                self.fails(ConflictError, lambda: sandbox.resume(strict=True))
            else:
                self.do(sandbox.resume())
        elif self.is_full():
            self.is_refused_for_the_quota(lambda: sandbox.resume(strict=strict))
        else:
            self.do(sandbox.resume(strict=strict))
            box.status, box.since = "active", Time.moved_s

    @rule(handle=handles)
    def activate(self, handle):
        sandbox, box = handle
        info = self.active_after(box, sandbox.activate)
        assert info is None or info.status == sandbox.status == "active"

    @rule(
        handle=handles,
        changes=st.fixed_dictionaries(
            {},
            optional={
                "metadata": NOTES,
                "timeout_seconds": st.sampled_from(WINDOWS),
                "auto_delete_seconds": st.sampled_from([None, 1000]),
            },
        ).filter(bool),
        by_id=st.booleans(),
    )
    def update(self, handle, changes, by_id):
        sandbox, box = handle

        def update():
            if by_id:
                return self.client.sandboxes.update_by_id(box.id, **changes)
            return sandbox.update(**changes)

        if box.status is None:
            self.fails(NotFoundError, update)
            return
        self.do(update())
        box.metadata = changes.get("metadata", box.metadata)
        box.timeout_s = changes.get("timeout_seconds", box.timeout_s)
        box.auto_delete_s = changes.get("auto_delete_seconds", box.auto_delete_s)
        if box.status == "paused" and "auto_delete_seconds" in changes:
            box.since = Time.moved_s
        self.reap()

    @rule(handle=handles, timeout_s=st.sampled_from(WINDOWS))
    def set_timeout(self, handle, timeout_s):
        sandbox, box = handle
        if box.status is None:
            self.fails(NotFoundError, lambda: sandbox.set_timeout(timeout_s))
            return
        self.do(sandbox.set_timeout(timeout_s))
        box.timeout_s = timeout_s
        self.reap()

    @rule(handle=handles)
    def change_network(self, handle):
        sandbox, box = handle

        def update():
            return sandbox.update(network={"deny_out": ["0.0.0.0/0"]})

        if box.status == "active":
            self.do(update())
        else:
            self.fails(NotFoundError if box.status is None else ConflictError, update)

    @rule()
    def let_time_pass(self):
        Time.moved_s += STEP_S
        self.reap()

    @rule()
    def let_tokens_expire(self):
        self.server.sandboxes.expire_tokens()

    # --- what goes on inside

    @rule(
        handle=handles,
        how=st.sampled_from([{}, {"on_stdout": str}, {"input": ""}, {"timeout_seconds": 61}]),
        wake=st.booleans(),
    )
    def run(self, handle, how, wake):
        sandbox, box = handle
        result = self.inside(box, lambda: sandbox.commands.run("exit 3", wake=wake, **how), wake=wake)
        assert result is None or (result.exit_code, result.stdout) == (3, "ran\n")

    @rule(
        handle=handles,
        name=st.sampled_from(["x", "folder/é"]),
        content=st.binary(max_size=100),
        wake=st.booleans(),
    )
    def write(self, handle, name, content, wake):
        sandbox, box = handle
        path = f"/home/user/{name}"
        self.inside(box, lambda: sandbox.files.write(path, content, wake=wake), wake=wake)
        if box.status == "active":
            box.files[name] = content

    @rule(handle=handles, name=st.sampled_from(["x", "folder/é"]), wake=st.booleans())
    def read(self, handle, name, wake):
        sandbox, box = handle

        def read():
            return sandbox.files.read(f"/home/user/{name}", wake=wake)

        if name in box.files:
            data = self.inside(box, read, wake=wake)
            assert data is None or data == box.files[name]
        else:
            self.inside(box, read, wake=wake, error=FileNotFoundInSandboxError)

    # --- what goes wrong on the way there

    @rule(
        handle=handles,
        operation=st.sampled_from(sorted(WAYS)),
        row=st.sampled_from([*SENT_AGAIN.values(), *REFUSED.values(), *IN_DOUBT.values()]),
        wake=st.booleans(),
    )
    def run_and_be_refused(self, handle, operation, row, wake):
        sandbox, box = handle
        if box.status is None:
            return

        def run():
            return sandbox.commands.run("exit 3", wake=wake, **WAYS[operation])

        before = self.server.requests.count(operation)
        with row(self.server.faults.on(operation)):
            if row in SENT_AGAIN.values():
                result = self.inside(box, run, wake=wake)
                assert result is None or (result.exit_code, result.stdout) == (3, "ran\n")
                return
            error = self.fails(SandboxError, run)
        # Before a WebSocket is one, nothing has run.
        may_have_run = row in IN_DOUBT.values() and operation != "execConnect"
        assert isinstance(error, OutcomeUnknownError) is may_have_run
        assert self.server.requests.count(operation) == before + 1

    @rule(
        handle=handles,
        operation=st.sampled_from(["execStream", "execConnect"]),
        row=st.sampled_from([*LATE.values()]),
    )
    def run_and_lose_the_end(self, handle, operation, row):
        sandbox, box = handle
        if box.status != "active":
            return
        with row(self.server.faults.on(operation)) as fault:
            try:
                told = self.do(sandbox.commands.run("exit 3", **WAYS[operation])).exit_code
            except OutcomeUnknownError as error:
                told = error.stdout
            # Otherwise it was a token that was too old that the fault was for.
            assert told == ("ran\n" if fault.struck else 3)

    @rule(handle=handles, content=st.binary(max_size=100), row=st.sampled_from([*IN_DOUBT.values()]))
    def write_and_lose_the_answer(self, handle, content, row):
        sandbox, box = handle
        if box.status != "active":
            return
        before = self.server.requests.count("writeFile")
        with row(self.server.faults.on("writeFile")):
            self.fails(OutcomeUnknownError, lambda: sandbox.files.write("/home/user/x", content))
        assert self.server.requests.count("writeFile") == before + 1
        old = box.files.pop("x", None)
        if self.do(sandbox.files.exists("/home/user/x")):
            box.files["x"] = self.do(sandbox.files.read("/home/user/x"))
        assert box.files.get("x") in (old, content)

    @rule(handle=handles, row=st.sampled_from([*SENT_AGAIN.values(), *IN_DOUBT.values()]))
    def read_again(self, handle, row):
        sandbox, box = handle
        if box.status == "active" and "x" in box.files:
            with row(self.server.faults.on("readFile")):
                assert self.do(sandbox.files.read("/home/user/x")) == box.files["x"]

    # --- what is told

    @rule(handle=handles)
    def get_info(self, handle):
        sandbox, box = handle
        if box.status is None:
            self.fails(NotFoundError, sandbox.get_info)
            return
        info = self.do(sandbox.get_info())
        assert (info.name, info.status, info.metadata) == (box.name, box.status, box.metadata)
        assert (info.timeout_seconds, info.auto_delete_seconds) == (box.timeout_s, box.auto_delete_s)
        assert sandbox.status == box.status

    @rule(metadata=NOTES, status=st.sampled_from([None, "active", ["paused"], ["active", "paused"]]), q=NAMES)
    def search(self, metadata, status, q):
        found = self.colour.collect(self.client.sandboxes.iter(metadata=metadata, status=status, q=q))
        statuses = [status] if isinstance(status, str) else status or ["active", "paused"]
        assert [info.id for info in found] == [
            box.id
            for box in reversed(self.boxes)
            if box.status in statuses and q in box.name and metadata.items() <= box.metadata.items()
        ]

    @rule(limit=st.integers(1, 3), offset=st.integers(0, 3))
    def page(self, limit, offset):
        found = self.do(self.client.sandboxes.list(limit=limit, offset=offset))
        ids = [box.id for box in reversed(self.boxes) if box.status]
        assert [info.id for info in found] == ids[offset : offset + limit]

    # --- the model

    def create_one(self, name, template, metadata, timeout_s, auto_delete_s):
        sandbox = self.do(
            self.client.sandboxes.create(
                name=name,
                from_template=template,
                metadata=metadata,
                timeout_seconds=timeout_s,
                auto_delete_seconds=auto_delete_s,
            )
        )
        assert (sandbox.name, sandbox.status, sandbox.metadata) == (name, "active", metadata)
        box = Box(sandbox.id, name, template, metadata, timeout_s, auto_delete_s, Time.moved_s)
        self.boxes.append(box)
        return sandbox, box

    def do(self, result):
        return self.colour.do(result)

    def fails(self, kind, call):
        with pytest.raises(kind) as caught:
            self.do(call())
        return caught.value

    def is_full(self):
        return sum(box.status == "active" for box in self.boxes) >= MOST_ACTIVE

    def is_refused_for_the_quota(self, call):
        with pytest.raises(RateLimitError) as caught:
            self.do(call())
        assert caught.value.code == "too_many_sandboxes"

    def active_after(self, box, call):
        """Do what has a sandbox active; return what that returns, or None if it cannot be."""
        if box.status is None:
            self.fails(SandboxNotRunningError, call)
            return None
        if box.status == "paused":
            if self.is_full():
                return self.is_refused_for_the_quota(call)
            box.status, box.since = "active", Time.moved_s
        return self.do(call())

    def inside(self, box, call, *, wake, error=None):
        """Do something inside a sandbox, which wakes it or not; return what that returns, or None if it cannot be."""
        if box.status != "active" and (box.status is None or not wake):
            self.fails(SandboxNotRunningError, call)
            return None
        if error is None:
            return self.active_after(box, call)
        if box.status == "paused" and self.is_full():
            return self.is_refused_for_the_quota(call)
        self.fails(error, call)
        if box.status == "paused":
            box.status, box.since = "active", Time.moved_s
        return None

    def to_pause(self, box):
        box.status, box.since = "paused", Time.moved_s
        if box.auto_delete_s == 0:
            box.status = None

    def reap(self):
        """Have the server pause and delete what is due, and do the same here."""
        self.server.sandboxes.reap()
        for box in self.boxes:
            age_s = Time.moved_s - box.since
            if box.status == "active" and box.timeout_s is not None and age_s >= box.timeout_s:
                self.to_pause(box)
            elif box.status == "paused" and box.auto_delete_s is not None and age_s >= box.auto_delete_s:
                box.status = None

    def leave(self, sandbox):
        if isinstance(sandbox, Sandbox):
            with sandbox:
                pass
            return

        async def leave():
            async with sandbox:
                pass

        self.do(leave())


@pytest.fixture(scope="module")
def model_server():
    """A local server; where nothing keeps commands apart, that is asked for by name."""
    isolation = "none" if isinstance(find_space(), str) else "auto"
    with LocalServer(isolation=isolation, system_templates=False) as server:
        yield server


@pytest.fixture(autouse=True)
def _moved(monkeypatch):
    """Have the server's clock moved on with `Time`, and nothing waited for that another's transition might change."""
    steady = Clock.steady
    monkeypatch.setattr(Clock, "steady", lambda self: steady(self) + timedelta(seconds=Time.moved_s))
    for life in (async_life, sandbox_life):
        monkeypatch.setattr(life, "SETTLE_S", 0.0)
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.0)
    monkeypatch.setattr(retry, "LONGEST_DELAY_S", 0.01)


def live(server, colour_type, *, examples, steps):
    machine = type("Life", (Life,), {"server": server, "colour_type": colour_type})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("colour_type", [Plain, Awaited])
def test_client_and_server_agree_with_a_model_of_a_sandboxs_life(model_server, colour_type):
    live(model_server, colour_type, examples=3, steps=15)


@pytest.mark.slow
@pytest.mark.parametrize("colour_type", [Plain, Awaited])
def test_they_agree_in_long_lives_too(model_server, colour_type):
    live(model_server, colour_type, examples=int(os.environ.get("MODEL_EXAMPLES", "10")), steps=50)
