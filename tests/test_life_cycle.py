"""Whatever happens to templates and builds, and on the way to them, the client reports what a simple model says.

The model is a few plain classes that share nothing with the client and the server. Hypothesis tries rules in any order:
calls of the client, what the build host does, and faults that the client has to ride out.

LIFE_CYCLE_EXAMPLES asks for more of them than the tests take, other ones each time.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterable, Iterator

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    BuildError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    Superserve,
    Template,
    ValidationError,
)
from superserve.local import LocalServer, TeamLimits
from superserve.local._resources import build_queue

MOST_BUILDS = 3
MOST_TEMPLATES = 4
MIB = 1_048_576
# Only a failing test takes so long.
PATIENCE_S = 20.0
# A replay that may be longer than what the server sends of it.
LONG = 200

CANCELLED = "cancelled by user"
TIMED_OUT = "build timed out"
NO_RECORD = "vmd has no record of this build (likely vmd restarted)"
# What a BuildError makes of messages: code, step, step count, exit code.
MESSAGES = {
    "step_failed: step 1/2 failed after 3s: exited with code 100": ("step_failed", 1, 2, 100),
    "step_failed: step 1/1 failed after 10ms: exited with code 3": ("step_failed", 1, 1, 3),
    "step_failed: context deadline exceeded": ("step_failed", None, None, None),
    "boot_failed: the guest did not come up": ("boot_failed", None, None, None),
    "template-builder exited: signal: killed": ("build_failed", None, None, None),
    "": ("build_failed", None, None, None),
    TIMED_OUT: ("build_failed", None, None, None),
    NO_RECORD: ("build_failed", None, None, None),
}
BY_HOST = [None, *list(MESSAGES)[:-2]]

# The server takes "_" for a wildcard, and the client must not.
NAMES = st.sampled_from(["a", "a_b", "axb", "a-b", "b", "b/a_b"])
PREFIXES = st.sampled_from([None, "", "a", "a_", "a_b", "b", "b/a_", "_", "none"])
# Which one of those that are there.
NUMBERS = st.integers(0, 30)


AT_ONCE = {"Retry-After": "0"}
HTML = {"Content-Type": "text/html"}
LOGS = "streamTemplateBuildLogs"
QUESTIONS = ["listTemplates", "getTemplate", "listTemplateBuilds", "getTemplateBuild", LOGS]
DELETIONS = ["deleteTemplate", "cancelTemplateBuild"]
MISSED_QUESTIONS = {
    "busy": lambda faults, on: faults.on(on, times=2).answer(503, headers=AT_ONCE),
    "gateway": lambda faults, on: faults.on(on, times=2).answer(502, body="<html>", headers=HTML),
    # A log that hears this waits for a second.
    "limited": lambda faults, on: on == LOGS or faults.on(on, times=2).answer(429, headers=AT_ONCE),
    "cut": lambda faults, on: faults.on(on, times=2).cut(),
    "cut in the head": lambda faults, on: faults.on(on, times=2).cut(head_bytes=20),
    "cut in the body": lambda faults, on: faults.on(on, times=2).cut(after_bytes=5),
    "reset": lambda faults, on: faults.on(on, times=2).reset(),
    "slow": lambda faults, on: faults.on(on, times=2).delay(0.02),
}
MISSED_DELETIONS = {
    "busy": lambda faults, on: faults.on(on, times=2).answer(503, headers=AT_ONCE),
    "cut": lambda faults, on: faults.on(on, times=2).cut(),
    "lost": lambda faults, on: faults.on(on, times=2).reset(handled=True),
    "lost by a gateway": lambda faults, on: faults.on(on, times=2).answer(504, handled=True),
}
SPOILT_LOGS = {
    "broken": lambda faults, _: faults.on(LOGS, times=2).answer(500),
    "cut": lambda faults, events: faults.on(LOGS, times=2).cut(after_events=events),
    "cut in a chunk": lambda faults, events: faults.on(LOGS, times=2).cut(after_bytes=40 * events + 7),
    "reset": lambda faults, events: faults.on(LOGS, times=2).reset(after_events=events),
    # Twice at the same place, it would be all that there is.
    "ends early": lambda faults, events: faults.on(LOGS).cut(after_events=events, clean=True),
    "late": lambda faults, events: faults.on(LOGS, times=2).delay(0.02, after_events=events),
    "stall": lambda faults, events: faults.on(LOGS).stall(after_events=events),
    "garbled": lambda faults, _: faults.on(LOGS).garble(),
}
SPOILT_OR_NOT = ["", *SPOILT_LOGS]


# The model


@attrs.define(eq=False)
class Built:
    """A build."""

    id: str
    of: "Made"
    status: str = "pending"
    error_message: str | None = None
    is_dispatched: bool = False
    host: str = "unaware"
    """What the host does with it: unaware, running, decided, lost."""
    verdict: str | None = None
    """What its log ends with."""
    printed: list[str] = attrs.field(factory=list)
    log_is_closed: bool = False

    @property
    def in_flight(self) -> bool:
        return self.status in {"pending", "building", "snapshotting"}

    @property
    def may_be_written(self) -> bool:
        return self.host == "running" and not self.log_is_closed

    @property
    def may_be_followed(self) -> bool:
        return self.may_be_written and len(self.printed) < LONG

    def dispatch(self) -> None:
        self.status, self.is_dispatched, self.host = "building", True, "running"

    def cancel(self) -> None:
        if self.in_flight:
            self._end("cancelled", CANCELLED)
            if self.of.status == "building":
                self.of.status, self.of.error_message = "failed", "build cancelled by user"

    def time_out(self) -> None:
        """Be too old for the queue; the template stays as it was."""
        self._end("failed", TIMED_OUT)
        if self.host == "running":
            self.host, self.verdict = "decided", "cancelled"

    def lose(self) -> None:
        self.host = "lost"
        self._follow("failed", NO_RECORD)

    def decide(self, error_message: str | None) -> None:
        self.host, self.verdict = "decided", "ready" if error_message is None else "failed"
        self._follow(self.verdict, error_message)

    def _follow(self, status: str, error_message: str | None) -> None:
        if self.in_flight:
            self._end(status, error_message)
            self.of.status, self.of.error_message = status, error_message
            self.of.was_ready = self.of.was_ready or status == "ready"

    def _end(self, status: str, error_message: str | None) -> None:
        self.status, self.error_message = status, error_message
        if self.host == "unaware":
            self.verdict = status


@attrs.define(eq=False)
class Made:
    """A template."""

    id: str
    name: str
    exit_code: int
    """Of its only step."""
    handle: Template | AsyncTemplate
    started: Built | None = None
    """The build that the handle knows of."""
    status: str = "building"
    error_message: str | None = None
    was_ready: bool = False
    is_deleted: bool = False
    has_sandbox: bool = False
    builds: list[Built] = attrs.field(factory=list)
    """Oldest first."""

    @property
    def in_flight(self) -> Built | None:
        return next((build for build in self.builds if build.in_flight), None)


# The two colours


class Blocking:
    """The synchronous client."""

    template = Template

    def __init__(self, url: str, key: str) -> None:
        self.client = Superserve(base_url=url, api_key=key)

    def do(self, result):
        return result

    def all(self, events):
        return list(events)

    def close(self) -> None:
        self.client.close()


class Asynchronous:
    """The asynchronous client, one call after the other."""

    template = AsyncTemplate

    def __init__(self, url: str, key: str) -> None:
        self.client = AsyncSuperserve(base_url=url, api_key=key)
        self.runner = asyncio.Runner()

    def do(self, coroutine):
        return self.runner.run(coroutine)

    def all(self, events):
        async def collect():
            return [event async for event in events]

        return self.do(collect())

    def close(self) -> None:
        self.do(self.client.aclose())
        self.runner.close()


class EnoughError(Exception):
    """What a callback has waited for is there."""


class LifeCycle(RuleBasedStateMachine):
    """One team's templates and builds."""

    def __init__(self, server: LocalServer, colour: type[Blocking] | type[Asynchronous]) -> None:
        super().__init__()
        server.reset()
        server.builds.hold()
        limits = TeamLimits(
            builds=MOST_BUILDS, templates=MOST_TEMPLATES, requests_per_s=1_000_000, burst=1_000_000
        )
        self.server = server
        self.me = colour(server.base_url, server.add_team(limits=limits).api_key)
        self.stranger = colour(server.base_url, server.add_team().api_key)
        self.queue_moves = True
        self.fault = ""
        self.made: list[Made] = []
        self.lines = 0

    def teardown(self) -> None:
        self.me.close()
        self.stranger.close()

    # What there is

    @property
    def live(self) -> list[Made]:
        return [template for template in self.made if not template.is_deleted]

    @property
    def builds(self) -> list[Built]:
        return [build for template in self.made for build in template.builds]

    @property
    def in_flight(self) -> list[Built]:
        return [build for build in self.builds if build.in_flight]

    @property
    def running(self) -> list[Built]:
        return [build for build in self.in_flight if build.host == "running"]

    @property
    def at_host(self) -> list[Built]:
        """Those that the host carries out, cancelled ones too: it isn't told."""
        return [build for build in self.builds if build.host == "running"]

    # Creating and building

    def refusal_of_a_build(self) -> tuple[type[SandboxError], str] | None:
        return (RateLimitError, "too_many_builds") if len(self.in_flight) >= MOST_BUILDS else None

    def refusal_of_a_template(self, name: str, image: str) -> tuple[type[SandboxError], str] | None:
        if "alpine" in image:
            return ValidationError, "bad_request"
        if refusal := self.refusal_of_a_build():
            return refusal
        if sum(template.status != "failed" for template in self.live) >= MOST_TEMPLATES:
            return RateLimitError, "too_many_templates"
        if name in {template.name for template in self.live}:
            return ConflictError, "conflict"
        return None

    def create(self, name: str, image: str, exit_code: int) -> Template | AsyncTemplate:
        steps = [{"run": f"echo hello; exit {exit_code}"}]
        return self.me.do(self.me.template.create(name=name, from_=image, steps=steps, client=self.me.client))

    def queued(self, template: Made, build_id: str) -> Built:
        build = Built(build_id, template)
        template.builds.append(build)
        if self.queue_moves:
            self.dispatched(build)
        return build

    def dispatched(self, build: Built) -> None:
        self.server.builds.wait_for(build.id, "building")
        build.dispatch()

    @initialize(error_message=st.sampled_from(BY_HOST[1:]), count=st.integers(0, 3))
    def begin(self, error_message: str, count: int) -> None:
        """Begin with what takes some steps to come to: templates that are ready, failed and being built."""
        for name in ("a", "b", "a_b"):
            self.a_template_is_created(name, "python:3.11", 0)
        ready, failed, running = self.builds
        self.decided(ready, None)
        if count:
            self.print(failed, count)
        self.decided(failed, error_message)
        self.print(running, count + 1)

    @rule(
        name=NAMES,
        image=st.sampled_from(["python:3.11", "debian:12", "alpine:3"]),
        exit_code=st.sampled_from([0, 3]),
    )
    def a_template_is_created(self, name: str, image: str, exit_code: int) -> None:
        if refusal := self.refusal_of_a_template(name, image):
            with self.refused(*refusal):
                self.create(name, image, exit_code)
            return
        handle = self.create(name, image, exit_code)
        assert (handle.name, handle.status, handle.error_message) == (name, "building", None)
        template = Made(handle.id, name, exit_code, handle)
        self.made.append(template)
        template.started = self.queued(template, handle.latest_build_id)

    @rule(name=NAMES, exit_code=st.sampled_from([0, 3]), lost=st.booleans(), how=st.integers(0, 2))
    def a_template_is_created_and_nobody_hears_of_it(
        self, name: str, exit_code: int, lost: bool, how: int
    ) -> None:
        exists = lost and self.refusal_of_a_template(name, "python:3.11") is None
        with self.unheard("createTemplate", lost=lost, how=how) as caught:
            self.create(name, "python:3.11", exit_code)
        assert "may have been created" in str(caught.value)
        known = {template.id for template in self.made}
        found = [info for info in self.listed(name) if info.name == name and info.id not in known]
        assert len(found) == exists
        if exists:
            (info,) = found
            template = Made(info.id, name, exit_code, self.connected(info.id))
            self.made.append(template)
            self.queued(template, self.builds_listed(template)[0].id)

    @precondition(lambda self: self.made)
    @rule(number=NUMBERS, fresh=st.booleans())
    def a_template_is_built_again(self, number: int, fresh: bool) -> None:
        template = picked(self.made, number)
        fresh = fresh and not template.is_deleted
        handle = self.connected(template.id) if fresh else template.handle
        refusal = (NotFoundError, "not_found") if template.is_deleted else self.refusal_of_a_build()
        if refusal:
            with self.refused(*refusal):
                self.me.do(handle.rebuild())
            return
        info = self.me.do(handle.rebuild())
        build = template.in_flight
        if build is None:
            assert info.id not in {build.id for build in self.builds}
            assert info.status == "pending"
            build = self.queued(template, info.id)
        assert (info.id, info.template_id) == (build.id, template.id)
        if not fresh:
            template.started = build
            # From now on it is this one that the handle waits for.
            with pytest.raises(SandboxTimeoutError, match=build.id):
                self.wait(handle, timeout_s=0.01)

    @precondition(lambda self: self.live)
    @rule(number=NUMBERS, lost=st.booleans(), how=st.integers(0, 2))
    def a_template_is_built_again_and_nobody_hears_of_it(self, number: int, lost: bool, how: int) -> None:
        template = picked(self.live, number)
        is_new = lost and template.in_flight is None and self.refusal_of_a_build() is None
        with self.unheard("createTemplateBuild", lost=lost, how=how):
            self.me.do(template.handle.rebuild())
        newest = self.builds_listed(template)[0]
        assert (newest.id not in {build.id for build in template.builds}) == is_new
        if is_new:
            self.queued(template, newest.id)

    @precondition(lambda self: self.builds)
    @rule(number=NUMBERS, has_ended=st.booleans())
    def a_build_is_cancelled(self, number: int, has_ended: bool) -> None:
        build = picked(
            [build for build in self.builds if build.in_flight != has_ended] or self.builds, number
        )
        assert self.me.do(build.of.handle.cancel_build(build.id)) is None
        build.cancel()

    @precondition(lambda self: self.made)
    @rule(number=NUMBERS, by_id=st.booleans())
    def a_template_is_deleted(self, number: int, by_id: bool) -> None:
        template = picked(self.made, number)

        def delete():
            if by_id:
                return self.me.do(self.me.template.delete_by_id(template.id, client=self.me.client))
            return self.me.do(template.handle.delete())

        if not template.is_deleted and (template.has_sandbox or template.in_flight):
            with self.refused(ConflictError, "conflict") as caught:
                delete()
            assert ("sandbox" in str(caught.value)) == template.has_sandbox
        else:
            # That it is gone already is fine.
            assert delete() is None
            template.is_deleted = True

    @precondition(lambda self: self.live)
    @rule(number=NUMBERS)
    def a_sandbox_starts_or_ends(self, number: int) -> None:
        template = picked(self.live, number)
        template.has_sandbox = not template.has_sandbox
        self.server.templates.set(template.id, sandboxes=int(template.has_sandbox))

    # What the queue and the host do

    @rule(moves=st.sampled_from([True, True, False]))
    def the_queue_stops_or_goes_on(self, moves: bool) -> None:
        self.queue_moves = moves
        self.server.builds.hold("building" if self.queue_moves else "pending")
        if self.queue_moves:
            for build in self.in_flight:
                if not build.is_dispatched:
                    self.dispatched(build)

    @precondition(lambda self: any(build.status == "pending" for build in self.builds))
    @rule()
    def the_queue_gives_up_what_has_waited_too_long(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build_queue, "PENDING_LIMIT_S", -1.0)
            for build in self.in_flight:
                if not build.is_dispatched:
                    self.server.builds.wait_for(build.id, "failed")
                    build.time_out()

    @precondition(lambda self: any(build.may_be_written for build in self.at_host))
    @rule(number=NUMBERS, count=st.sampled_from([1, 2, 3, 10, 300]))
    def a_build_prints(self, number: int, count: int) -> None:
        self.print(picked([build for build in self.at_host if build.may_be_written], number), count)

    def print(self, build: Built, count: int) -> None:
        lines = [f"line {self.lines + number}" for number in range(count)]
        self.lines += count
        build.printed += lines
        self.server.builds.write(build.id, *lines)

    @precondition(lambda self: self.at_host)
    @rule(number=NUMBERS, count=st.integers(0, 5), error_message=st.sampled_from(BY_HOST))
    def the_host_decides_a_build(self, number: int, count: int, error_message: str | None) -> None:
        build = picked(self.at_host, number)
        if count and build.may_be_written:
            self.print(build, count)
        self.decided(build, error_message)

    def decided(self, build: Built, error_message: str | None) -> None:
        self.server.builds.finish(build.id, error_message)
        self.followed(build, error_message)

    def followed(self, build: Built, error_message: str | None) -> None:
        build.decide(error_message)
        # The row follows with the next tick.
        self.server.builds.wait_for(build.id, build.status)

    @precondition(lambda self: any(build.host in {"running", "decided"} for build in self.builds))
    @rule(number=NUMBERS)
    def the_host_loses_a_build(self, number: int) -> None:
        build = picked([build for build in self.builds if build.host in {"running", "decided"}], number)
        self.server.builds.lose(build.id)
        build.lose()
        self.server.builds.wait_for(build.id, build.status)

    @precondition(lambda self: self.running)
    @rule(
        number=NUMBERS,
        outcome=st.sampled_from(["time_out", "as written", "lose", "step_failed", "boot_failed"]),
    )
    def a_build_goes_its_way(self, number: int, outcome: str) -> None:
        build = picked(self.running, number)
        own = "step_failed: step 1/1 failed after 10ms: exited with code 3" if build.of.exit_code else None
        if own and outcome == "step_failed":
            # A step that fails by itself is not struck.
            outcome = "as written"
        message = {"step_failed": BY_HOST[1], "boot_failed": BY_HOST[4]}.get(outcome, own)
        if outcome != "as written":
            faults = self.server.faults.on_build(build.of.id)
            if outcome.endswith("_failed"):
                faults.fail(outcome, message=message)
            else:
                getattr(faults, outcome)()
        self.server.builds.release(build.id)
        # `echo hello` comes before the exit, and after the boot; the loss and the time-out come at once.
        if outcome in {"as written", "step_failed"} and not build.log_is_closed:
            build.printed.append("hello")
        if outcome == "time_out":
            self.server.builds.wait_for(build.id, "failed")
            build.time_out()
        elif outcome == "lose":
            self.server.builds.wait_for(build.id, "failed")
            build.lose()
        else:
            self.followed(build, message)

    @precondition(lambda self: self.running)
    @rule(number=NUMBERS)
    def a_build_takes_its_snapshot(self, number: int) -> None:
        build = picked(self.running, number)
        self.server.builds.set(build.id, "snapshotting")
        build.status = "snapshotting"

    @precondition(lambda self: any(build.may_be_written for build in self.at_host))
    @rule(number=NUMBERS)
    def a_log_ends_before_its_build(self, number: int) -> None:
        build = picked([build for build in self.at_host if build.may_be_written], number)
        self.server.builds.close_log(build.id)
        build.log_is_closed = True

    # What goes wrong on the way: no more than two strikes at once, which three attempts survive

    @rule(on=st.sampled_from(QUESTIONS), how=st.sampled_from(list(MISSED_QUESTIONS)))
    def questions_go_wrong(self, on: str, how: str) -> None:
        MISSED_QUESTIONS[how](self.clear_faults(how), on)

    @rule(on=st.sampled_from(DELETIONS), how=st.sampled_from(list(MISSED_DELETIONS)))
    def deletions_go_wrong(self, on: str, how: str) -> None:
        MISSED_DELETIONS[how](self.clear_faults(how), on)

    def log_goes_wrong(self, how: str, events: int) -> None:
        faults = self.clear_faults(how)
        if how:
            SPOILT_LOGS[how](faults, events)

    def clear_faults(self, how: str = ""):
        self.fault = how
        self.server.faults.clear()
        return self.server.faults

    # What the client says

    @rule(prefix=PREFIXES)
    def templates_are_listed(self, prefix: str | None) -> None:
        found = [info.id for info in self.listed(prefix)]
        assert found == [
            template.id for template in reversed(self.live) if template.name.startswith(prefix or "")
        ]

    @precondition(lambda self: self.made)
    @rule(number=NUMBERS)
    def a_template_is_looked_at(self, number: int) -> None:
        template = picked(self.made, number)
        if template.is_deleted:
            with self.refused(NotFoundError, "not_found"):
                self.connected(template.id)
            with self.refused(NotFoundError, "not_found"):
                self.me.do(template.handle.get_info())
            return
        self.check_template(self.connected(template.id), template)
        self.check_template(self.me.do(template.handle.get_info()), template)

    @precondition(lambda self: self.builds)
    @rule(number=NUMBERS, limit=st.integers(1, 3))
    def a_build_is_looked_at(self, number: int, limit: int) -> None:
        build = picked(self.builds, number)
        self.check_build(self.me.do(build.of.handle.get_build(build.id)), build)
        infos = self.me.do(build.of.handle.list_builds(limit=limit))
        assert [info.id for info in infos] == [build.id for build in build.of.builds[::-1][:limit]]
        for other in self.made:
            if other is not build.of:
                with self.refused(NotFoundError, "not_found"):
                    self.me.do(other.handle.get_build(build.id))
                # Of what isn't there, nothing is cancelled.
                self.me.do(other.handle.cancel_build(build.id))

    @precondition(lambda self: self.builds)
    @rule(number=NUMBERS)
    def strangers_see_and_change_nothing(self, number: int) -> None:
        build = picked(self.builds, number)
        template, do = self.stranger.template, self.stranger.do
        assert do(template.list(client=self.stranger.client)) == []
        with self.refused(NotFoundError, "not_found"):
            do(template.connect(build.of.id, client=self.stranger.client))
        do(template.delete_by_id(build.of.id, client=self.stranger.client))

    @precondition(lambda self: self.made)
    @rule(
        number=NUMBERS,
        status=st.sampled_from(["ready", "failed", "cancelled", "building"]),
        how=st.sampled_from(["own", "newest", "named"]),
        logs=st.booleans(),
        cancels=st.booleans(),
        spoilt=st.sampled_from(SPOILT_OR_NOT),
        events=st.integers(0, 5),
    )
    def a_build_is_waited_for(
        self, *, number: int, status: str, how: str, logs: bool, cancels: bool, spoilt: str, events: int
    ) -> None:
        match how:
            case "own":
                builds = [template.started or template.builds[-1] for template in self.made]
            case "newest":
                builds = [template.builds[-1] for template in self.live]
            case "named":
                builds = self.builds
        build = picked(
            [build for build in builds if build.status == status] or self.in_flight or self.builds, number
        )
        if build not in builds or build.status != status:
            how = "named"
        handle = self.connected(build.of.id) if how == "newest" else build.of.handle
        named = {"build_id": build.id} if how == "named" else {}
        if build.in_flight:
            found = []
            on_log = found.append if logs else None
            with pytest.raises(SandboxTimeoutError) as caught:
                self.wait(handle, on_log=on_log, timeout_s=0.05, cancel_on_interrupt=cancels, **named)
            told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
            assert is_within(printed(found), build.printed)
            if not named and build.id not in told:
                # A busy machine: the time was over before it was known which build is the newest.
                assert "list_builds()" in told
                return
            assert build.id in told
            if cancels:
                assert "has ended: cancelled" in told
                build.cancel()
            return
        self.log_goes_wrong(spoilt, events)
        self.check_wait(handle, build, logs=logs, **named)

    @precondition(lambda self: self.running)
    @rule(
        number=NUMBERS,
        error_message=st.sampled_from(BY_HOST),
        logs=st.booleans(),
        count=st.sampled_from([1, 2, 3, 300]),
        spoilt=st.sampled_from(SPOILT_OR_NOT),
        events=st.integers(0, 5),
    )
    def a_build_is_decided_while_it_is_waited_for(
        self, *, number: int, error_message: str | None, logs: bool, count: int, spoilt: str, events: int
    ) -> None:
        build = picked(self.running, number)
        handle = self.connected(build.of.id)
        # Of a build that runs, a silent log is given a minute.
        self.log_goes_wrong("cut" if spoilt == "stall" else spoilt, events)
        asked = self.server.requests.to(f"GET /templates/{build.of.id}/builds/{build.id}")
        already = asked.count()

        def decide():
            asked.wait_for(already + 1, timeout_s=PATIENCE_S)
            if not build.log_is_closed:
                self.print(build, count)
            self.server.builds.finish(build.id, error_message)

        deciding = threading.Thread(target=decide)
        deciding.start()
        try:
            # The model is ahead of it.
            build.decide(error_message)
            self.check_wait(handle, build, logs=logs)
        finally:
            deciding.join()

    @precondition(lambda self: any(build.may_be_followed for build in self.running))
    @rule(
        number=NUMBERS,
        count=st.integers(1, 3),
        spoilt=st.sampled_from(["", "broken", "cut", "cut in a chunk", "reset", "ends early", "late"]),
        events=st.integers(0, 5),
    )
    def the_log_of_a_running_build_is_followed(
        self, *, number: int, count: int, spoilt: str, events: int
    ) -> None:
        build = picked([build for build in self.running if build.may_be_followed], number)
        self.log_goes_wrong(spoilt, events)
        self.print(build, count)
        texts = []

        def on_log(event):
            if event.stream == "stdout":
                texts.append(event.text)
            if len(texts) == len(build.printed):
                raise EnoughError

        with pytest.raises(EnoughError):
            self.wait(self.connected(build.of.id), on_log=on_log, build_id=build.id)
        assert texts == build.printed

    @precondition(lambda self: any(not build.in_flight for build in self.builds))
    @rule(
        number=NUMBERS,
        iterates=st.booleans(),
        spoilt=st.sampled_from(SPOILT_OR_NOT),
        events=st.integers(0, 5),
    )
    def the_log_of_an_ended_build_is_read(
        self, *, number: int, iterates: bool, spoilt: str, events: int
    ) -> None:
        build = picked([build for build in self.builds if not build.in_flight], number)
        self.log_goes_wrong(spoilt, events)
        handle = build.of.handle
        may_be_silent = spoilt == "stall" or build.host not in {"decided", "unaware"}
        options = {"build_id": build.id, "idle_timeout_s": 0.3 if may_be_silent else PATIENCE_S}
        found = []
        try:
            if iterates:
                found += self.me.all(handle.iter_build_logs(**options))
            else:
                self.me.do(handle.stream_build_logs(on_event=found.append, **options))
        except ServerError:
            assert spoilt == "broken"
        except SandboxTimeoutError:
            assert may_be_silent
        else:
            self.check_log(found, build)
            if self.tells_all(build):
                assert printed(found) == build.printed
                assert [event.status for event in found if event.finished] == [build.verdict]

    @invariant()
    def what_is_reported_is_what_the_model_says(self) -> None:
        infos = self.listed(None)
        assert len({info.name for info in infos}) == len(infos)
        for info, template in zip(infos, reversed(self.live), strict=True):
            self.check_template(info, template)
        for template in self.made:
            # They outlive the template.
            builds = self.builds_listed(template)
            assert len([build for build in builds if build.finalized_at is None]) <= 1
            for info, build in zip(builds, template.builds[::-1][:20], strict=True):
                self.check_build(info, build)

    def check_template(self, info, template: Made) -> None:
        assert (info.id, info.name, info.status, info.error_message) == (
            template.id,
            template.name,
            template.status,
            template.error_message,
        )
        assert info.size_bytes == (4096 * MIB if template.was_ready else None)
        assert (info.built_at is not None) == template.was_ready
        assert info.latest_build_id in {None, template.builds[-1].id}

    def check_build(self, info, build: Built) -> None:
        assert (info.id, info.template_id, info.status, info.error_message) == (
            build.id,
            build.of.id,
            build.status,
            build.error_message,
        )
        assert (info.started_at is not None) == build.is_dispatched
        assert (info.finalized_at is None) == build.in_flight

    def check_wait(self, handle, build: Built, *, logs: bool, **named: str) -> None:
        """Wait for a build that has ended, or soon will have: as the model has it."""
        events = []
        on_log = events.append if logs else None
        if build.status == "ready" and not build.of.is_deleted:
            info = self.wait(handle, on_log=on_log, **named)
            self.check_template(info, build.of)
        elif build.status == "ready":
            with self.refused(NotFoundError, "not_found"):
                self.wait(handle, on_log=on_log, **named)
        elif build.status == "cancelled":
            with pytest.raises(ConflictError, match=CANCELLED):
                self.wait(handle, on_log=on_log, **named)
        else:
            with pytest.raises(BuildError) as caught:
                self.wait(handle, on_log=on_log, **named)
            error = caught.value
            found = (error.code, error.step, error.step_count, error.exit_code)
            assert found == MESSAGES[build.error_message]
            assert (error.build_id, error.template_id) == (build.id, build.of.id)
            assert is_within(error.log_tail, build.printed)
        if logs:
            self.check_log(events, build)

    def check_log(self, events, build: Built) -> None:
        """Each event came once and in order, and at most one was the last."""
        assert is_within(printed(events), build.printed)
        assert len([event for event in events if event.finished and event.timestamp]) <= 1
        if self.tells_all(build):
            assert not any(event.after_gap for event in events)

    def tells_all(self, build: Built) -> bool:
        """Whether who reads the log of a build that has ended gets all of it, perhaps after a few breaks."""
        return (
            build.host in {"decided", "unaware"}
            and build.status != "cancelled"
            and not build.log_is_closed
            and len(build.printed) < LONG
            and self.fault not in {"garbled", "ends early", "stall"}
        )

    # The client

    def listed(self, prefix: str | None):
        return self.me.do(self.me.template.list(name_prefix=prefix, client=self.me.client))

    def connected(self, template_id: str):
        return self.me.do(self.me.template.connect(template_id, client=self.me.client))

    def builds_listed(self, template: Made):
        return self.me.do(template.handle.list_builds())

    def wait(self, handle, *, timeout_s: float = PATIENCE_S, **options):
        return self.me.do(handle.wait_until_ready(poll_interval_s=1.0, timeout_s=timeout_s, **options))

    @contextlib.contextmanager
    def refused(self, kind: type[SandboxError], code: str) -> Iterator[pytest.ExceptionInfo]:
        with pytest.raises(kind) as caught:
            yield caught
        assert caught.value.code == code

    @contextlib.contextmanager
    def unheard(self, on: str, *, lost: bool, how: int) -> Iterator[pytest.ExceptionInfo]:
        """Lose requests, or their answers only; nothing is sent twice."""
        faults = self.clear_faults()
        sent = self.server.requests.to(on)
        already = sent.count()
        match how:
            case 0:
                faults.on(on).cut(handled=lost)
            case 1:
                faults.on(on).reset(handled=lost)
            case 2:
                faults.on(on).answer(503, headers={"Retry-After": "0"}, handled=lost)
        with pytest.raises((SandboxConnectionError, ServerError)) as caught:
            yield caught
        assert sent.count() == already + 1


def picked(found, number: int):
    return found[number % len(found)]


def printed(events) -> list[str]:
    return [event.text for event in events if event.stream == "stdout"]


def is_within(texts: Iterable[str], longer: list[str]) -> bool:
    """Whether texts are some of others, in the same order and none twice."""
    others = iter(longer)
    return all(text in others for text in texts)


@pytest.fixture(scope="module")
def fast():
    with LocalServer(speed=100, limits=False, system_templates=False) as server:
        yield server


@pytest.fixture
def model_time(monkeypatch, no_backoff):
    """Let builds time out when the model says so and not when the machine is slow."""
    monkeypatch.setattr(build_queue, "PENDING_LIMIT_S", 1e9)
    monkeypatch.setattr(build_queue, "BUILDING_LIMIT_S", 1e9)


@pytest.mark.slow
@pytest.mark.parametrize("colour", [Blocking, Asynchronous])
def test_what_the_client_reports_is_what_the_model_says(fast, model_time, colour):
    more = os.environ.get("LIFE_CYCLE_EXAMPLES")
    run_state_machine_as_test(
        lambda: LifeCycle(fast, colour),
        settings=settings(
            max_examples=int(more or 40),
            stateful_step_count=30,
            derandomize=not more,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
