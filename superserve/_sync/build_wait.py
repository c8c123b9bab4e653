# Written by scripts/unasync.py from superserve/_async/build_wait.py. Do not edit: change that, then run `nox -s generate`.
"""Waiting for a build. Its row alone decides; its log is only read for the caller."""

import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import attrs
from superserve_api.api.templates import (
    cancel_template_build,
    get_template,
    get_template_build,
    list_template_builds,
)
from superserve_api.models import ApiError

from superserve import _arguments
from superserve import _clock as time
from superserve._arguments import LogCallback
from superserve._http.policy import Options
from superserve._http.tasks_sync import CONNECT, deliver, shielded, sleep
from superserve._operations import builds, templates
from superserve._operations.operation import Operation
from superserve._polling import OUTAGE_S, Deadline, Outage, Pace
from superserve._streams.sse import last_lines
from superserve._sync.build_logs import BuildLog, How
from superserve._sync.client import Send, Superserve
from superserve._sync.reader import Reader
from superserve.errors import BuildCancelledError, BuildError, SandboxError, SandboxTimeoutError
from superserve.types import (
    BuildLogEvent,
    RunStep,
    TemplateBuildInfo,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
)

if TYPE_CHECKING:
    from superserve.specs import TemplateSpec

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Time limits in seconds: for cancelling the build of an interrupted wait, for reading the last lines of a failed build's
# log, and for the template's row to catch up with the build's.
CANCEL_S: Final = 5.0
LOG_TAIL_S: Final = 2.0
TEMPLATE_LAG_S: Final = 10.0

# After this many seconds of silence the log of a running build is opened again, unless it has had more events than the
# server is certain to replay.
SILENCE_S: Final = 60.0
REPLAYED: Final = 256

# Once the row is terminal, reading stops after this many seconds: for a log whose events keep coming, for a silent log,
# and for a log that is not open.
FLOWING_S: Final = 5.0
SILENT_S: Final = 1.0
NOT_OPEN_S: Final = 2.0

_LATEST: Final = 50

_log = logging.getLogger("superserve")


@attrs.define(eq=False)
class BuildWait:
    """One wait for one build: the checked arguments of `wait_until_ready`, and what the handle knows."""

    client: Superserve
    template_id: str
    template_name: str
    steps: Sequence[_arguments.TypedStep]
    spec: "TemplateSpec | None"
    build_id: str | None
    poll_interval_s: float
    timeout_s: float | None
    on_log: LogCallback | None
    log_tail: bool
    cancels: bool
    _build: TemplateBuildInfo | None = attrs.field(init=False, default=None)
    _latest: deque[BuildLogEvent] = attrs.field(init=False, factory=lambda: deque(maxlen=_LATEST))
    _in_callback: bool = attrs.field(init=False, default=False)
    _timeout_error: SandboxTimeoutError | None = attrs.field(init=False, default=None)
    _deadline: Deadline = attrs.field(init=False)
    _pace: Pace = attrs.field(init=False)
    _outage: Outage = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._deadline = Deadline(self.timeout_s)
        self._pace = Pace(self.poll_interval_s)
        self._outage = Outage(self.client._http.gate)

    def run(self) -> TemplateInfo:
        """Wait, and return the template as it is afterwards."""
        try:
            return self._run()
        except GeneratorExit:
            # The generator is being closed: no request can be made now.
            raise
        except BaseException as error:
            # After an exception of the callback, an interrupt or a timeout the build is still running.
            if self._in_callback or error is self._timeout_error or not isinstance(error, SandboxError):
                self._leave(error)
            raise

    def _run(self) -> TemplateInfo:
        if self.build_id is None:
            found = self._ask(
                list_template_builds.sync_detailed,
                builds.list_builds(self.template_id, 1),
                self.template_id,
                limit=1,
                client=self.client.raw,
            )
            if not found:
                return self._get_unbuilt()
            self.build_id = _arguments.usable_id("build_id", found[0].id)
        if self.on_log is None:
            while not self._poll():
                sleep(self._next_delay())
        else:
            self._follow(self.build_id, self.on_log)
        self._raise_unless_ready()
        return self._get_ready()

    def _get_unbuilt(self) -> TemplateInfo:
        """Return a ready template whose builds this team may not see, such as one of the system's."""
        info = self._get_template()
        if info.status is TemplateStatus.READY:
            return info
        raise SandboxError(
            f"template {self._show(self.template_id)} has no build to wait for; rebuild() starts one"
        )

    def _get_ready(self) -> TemplateInfo:
        """Return the template of a ready build. The template's row may lag behind the build's."""
        until = time.monotonic() + min(TEMPLATE_LAG_S, self._deadline.left)
        info = self._get_template()
        settled = (TemplateStatus.READY, TemplateStatus.FAILED)
        while info.status not in settled and info.latest_build_id in (None, self.build_id):
            left = until - time.monotonic()
            if left <= 0:
                status = self._show(info.status)
                _log.warning(
                    "build %s is ready, but its template still has the status %s", self.build_id, status
                )
                break
            sleep(min(self._outage.scaled(self.poll_interval_s), left))
            # If the time is over before there is a newer answer, the last answer is used.
            with contextlib.suppress(SandboxTimeoutError):
                info = self._get_template()
        return info

    def _get_template(self) -> TemplateInfo:
        return self._ask(
            get_template.sync_detailed,
            templates.get_template(self.template_id),
            self.template_id,
            client=self.client.raw,
        )

    def _poll(self) -> bool:
        """Poll the build, and return whether it has ended. A failed poll decides nothing."""
        build_id = str(self.build_id)
        build = self._try(
            get_template_build.sync_detailed,
            builds.get_build(self.template_id, build_id),
            self.template_id,
            build_id,
            client=self.client.raw,
        )
        self._build = build or self._build
        return self._has_ended

    def _ask(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Repeat a call until it has an answer."""
        while (answer := self._try(send, operation, *args, **kwargs)) is None:
            sleep(self._next_delay())
        return answer

    def _try(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Make a call once; return None if it failed in a way that may pass."""
        options = self._outage.ask(self._within(self.client.timeout_s))
        try:
            answer = self.client._call(send, operation.within(options), *args, **kwargs)
        except SandboxError as error:
            self._within(0)
            if not self._outage.tolerates(error):
                if self._outage.is_too_long:
                    error.add_note(f"There was no answer for {OUTAGE_S:g} s. {self._advise()}")
                raise
            return None
        self._outage.end()
        return answer

    @property
    def _has_ended(self) -> bool:
        return self._build is not None and self._build.has_ended

    def _next_delay(self) -> float:
        return self._within(self._pace.next_delay(self._outage))

    def _within(self, seconds: float) -> float:
        """Return `seconds`, or the time left if that is less; raise if the time is over."""
        if self._deadline.is_over:
            raise self._time_out()
        return min(seconds, self._deadline.left)

    # Reading the log

    def _follow(self, build_id: str, callback: LogCallback) -> None:
        """Poll the build until it has ended, and hand over its log. All events that were read come before any error."""
        log = BuildLog(self.client, self.template_id, build_id)
        with Reader(log.read_in_background) as reader:
            try:
                self._poll_with_log(log, reader, callback)
            except SandboxError:
                if not self._in_callback:
                    self._deliver_rest(reader, callback)
                raise
            self._read_rest(log, reader, callback)

    def _poll_with_log(self, log: BuildLog, reader: Reader, callback: LogCallback) -> None:
        ending = None
        while True:
            asked_at = time.monotonic()
            if self._poll():
                return
            if not self._outage.is_on:
                log.goes_on_at = asked_at
                reader.poke()
            next_poll = time.monotonic() + self._next_delay()
            while (left := next_poll - time.monotonic()) > 0:
                # This is read first: the reader's last act may be to add an event.
                is_over = reader.has_ended
                events = reader.get(left)
                self._deliver(callback, events)
                # A new ending may have come during the last poll.
                if log.ending is not ending:
                    ending = log.ending
                    if ending is not None and ending.error is None:
                        self._pace.hurry()
                        next_poll = min(next_poll, time.monotonic() + self._next_delay())
                elif is_over and not events:
                    sleep(left)
            # This includes a connection whose headers have not come: the server sends them with the first event, and connecting
            # takes less than this time.
            is_connected = log.ending is None
            if time.monotonic() - log.heard_at > SILENCE_S and is_connected and log.replay.count <= REPLAYED:
                log.heard_at = time.monotonic()
                reader.restart()

    def _read_rest(self, log: BuildLog, reader: Reader, callback: LogCallback) -> None:
        """Hand over the rest of the log after the build has ended, within the time limits for it."""
        ended_at = time.monotonic()
        log.build_has_ended = True
        # One more attempt is allowed: the next one, or one that replaces the attempt under way.
        is_last = log.ending is not None
        if log.ending is not None and log.ending.how is How.CLOSED:
            reader.stop()
        else:
            reader.poke()
        while not reader.has_ended:
            now = time.monotonic()
            if log.is_open:
                until = min(ended_at + FLOWING_S, max(log.heard_at, ended_at) + SILENT_S)
            else:
                until = ended_at + NOT_OPEN_S
                if now >= ended_at + NOT_OPEN_S / 2 and not is_last:
                    is_last = True
                    reader.restart()
            until = min(until, now + self._deadline.left)
            if now >= until:
                break
            self._deliver(callback, reader.get(min(until - now, 0.1)))
        ending = log.ending
        self._deliver_rest(reader, callback)
        if ending is None or ending.how not in (How.FINISHED, How.CLOSED):
            reason = reader.failure or (ending and ending.error) or "it did not end in time"
            _log.warning("the log of build %s was not read to its end: %s", self.build_id, reason)

    def _deliver_rest(self, reader: Reader, callback: LogCallback) -> None:
        """Stop reading, and hand over all events that were read, however long the callback takes."""
        reader.stop()
        while events := reader.get(0):
            self._deliver(callback, events)

    def _deliver(self, callback: LogCallback, events: list[BuildLogEvent]) -> None:
        if not events:
            return
        self._latest.extend(events)
        self._in_callback = True
        is_in_time = deliver(callback, events, self._deadline)
        # If the build has ended, its result is more useful than a timeout.
        if not is_in_time and not self._has_ended:
            raise self._time_out()
        self._in_callback = False

    def _read_tail(self) -> tuple[str, ...]:
        if self.on_log is None and self.log_tail:
            log = BuildLog(self.client, self.template_id, str(self.build_id))
            log.build_has_ended = True
            until = time.monotonic() + min(LOG_TAIL_S, self._deadline.left)
            with Reader(log.read_in_background) as reader:
                while not reader.has_ended and time.monotonic() < until:
                    self._latest.extend(reader.get(until - time.monotonic()))
                while events := reader.get(0):
                    self._latest.extend(events)
        return tuple(self._show(line) for line in last_lines(self._latest))

    # The result

    def _raise_unless_ready(self) -> None:
        build = self._build
        if build is None or build.status is TemplateBuildStatus.READY:
            return
        build_id, template_id, reason = (
            self._show(text) for text in (build.id, build.template_id, build.error_message or "")
        )
        if build.status is TemplateBuildStatus.FAILED:
            error = BuildError.parse(reason, build_id=build_id, template_id=template_id)
            error.template_name = self._show(self.template_name)
            error.command = self._find_command(error)
            if self.spec is not None and error.step is not None and error.step_count == len(self.steps):
                error.place = self.spec.place_of(f"steps[{error.step - 1}]")
            error.log_tail = self._read_tail()
            if error.log_tail:
                error.add_note("\n  ".join(("It printed last:", *error.log_tail)))
            raise error
        because = f": {reason}" if reason else ""
        if build.status is TemplateBuildStatus.CANCELLED:
            message = f"build {build_id} of template {template_id} was cancelled{because}"
            raise BuildCancelledError(message, build_id, template_id)
        raise SandboxError(
            f"build {build_id} of template {template_id} has ended with the status {self._show(build.status)!r}"
            f"{because}, which this version does not know: update it, or look at the template with get_info()"
        )

    def _find_command(self, error: BuildError) -> str | None:
        """Return the command of the failed step, if this handle knows the steps."""
        if error.step is None or error.step_count != len(self.steps) or not 0 < error.step <= len(self.steps):
            return None
        step = self.steps[error.step - 1]
        return self._show(step.run) if isinstance(step, RunStep) else None

    # Leaving before the build has ended

    def _time_out(self) -> SandboxTimeoutError:
        build = f"build {self.build_id}" if self.build_id else "the newest build"
        seen = f"; its last status was {self._build.status}" if self._build else ""
        message = f"waiting for {build} of template {self.template_id} timed out after {self.timeout_s:g} s"
        self._timeout_error = SandboxTimeoutError(self._show(message + seen))
        return self._timeout_error

    def _leave(self, error: BaseException) -> None:
        """Cancel the build if the caller wants that, and add a note to the error that says how the build stands."""
        advice = ""
        if self.cancels and self.build_id is not None and not self._has_ended:
            with shielded():
                advice = self._cancel(self.build_id)
        advice += self._advise()
        if isinstance(error, SandboxTimeoutError) and error is self._timeout_error:
            error.hint = advice[0].lower() + advice[1:].rstrip(".")
        else:
            error.add_note(advice)

    def _cancel(self, build_id: str) -> str:
        until = time.monotonic() + CANCEL_S
        arguments = (self.template_id, build_id)
        try:
            self.client._call(
                cancel_template_build.sync_detailed,
                builds.cancel_build(*arguments).within(Options(CANCEL_S, attempts=3)),
                *arguments,
                client=self.client.raw,
            )
            # An accepted request proves nothing: the server also accepts it for a build that has ended.
            left = max(0.0, until - time.monotonic())
            self._build = self.client._call(
                get_template_build.sync_detailed,
                builds.get_build(*arguments).within(Options(left, attempts=3)),
                *arguments,
                client=self.client.raw,
            )
        except SandboxError as failure:
            return f"It is not known whether build {build_id} was cancelled: {failure}. "
        return ""

    def _advise(self) -> str:
        """Return a sentence on how the build stands, or how to find it again."""
        template = CONNECT.format(self.template_id)
        advice = (
            f"The build goes on; wait again with {template}.wait_until_ready(build_id={self.build_id!r})."
        )
        if self.build_id is None:
            advice = f"The build may go on; find it with {template}.list_builds()."
        elif self._build is not None and self._has_ended:
            advice = f"Build {self.build_id} of template {self.template_id} has ended: {self._build.status}."
        return self._show(advice)

    def _show(self, text: str) -> str:
        return self.client._plane.redactor.show(text)
