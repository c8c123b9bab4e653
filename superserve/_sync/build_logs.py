# Written by scripts/unasync.py from superserve/_async/build_logs.py. Do not edit: change that, then run `nox -s generate`.
"""Following a build: its row, which decides, and its log, which is only for reading."""

import math
import time
from collections import deque
from collections.abc import Generator
from contextlib import closing, suppress
from typing import TypeVar

import httpx

from superserve import _polling
from superserve._http import responses
from superserve._http.connections_sync import sleep
from superserve._operations import templates
from superserve._operations.templates import Call
from superserve._polling import Wait
from superserve._streams.reader_sync import LogPump
from superserve._streams.resume import LATEST, LogFeed, notice
from superserve._sync.client import Superserve
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent, TemplateBuildInfo, TemplateBuildStatus

T = TypeVar("T")
Events = list[BuildLogEvent]


def ask(client: Superserve, wait: Wait, call: Call[T]) -> T:
    """Make a call again and again until it has a good answer, as long as the wait bears with its errors."""
    while True:
        try:
            answer = client._run(call, wait.call_options(client.timeout_s))
        except SandboxError as error:
            wait.failed(error)
        else:
            wait.answered()
            return answer
        sleep(wait.pause())


def ended_build(client: Superserve, wait: Wait, template_id: str, build_id: str) -> TemplateBuildInfo:
    """Poll a build until it has ended."""
    while True:
        build = ask(client, wait, templates.get_build(template_id, build_id))
        wait.saw(build)
        if wait.has_ended:
            return build
        sleep(wait.pause())


class BuildLog:
    """The log of a build, followed to its end.

    Attributes:
        build: The build as it was when it was last asked for; after `follow` has come to its end it has ended.
        latest: The last events that came.
    """

    def __init__(
        self, client: Superserve, template_id: str, build_id: str, *, log_only: bool = False
    ) -> None:
        """Prepare to follow a log.

        With `log_only` the log's own last event is the end, too, and a log that cannot be read is an error.
        """
        self.build: TemplateBuildInfo
        self.latest: deque[BuildLogEvent] = deque(maxlen=LATEST)
        self._client = client
        self._log_only = log_only
        self._get_build = templates.get_build(template_id, build_id)
        self._stream = templates.stream_build_logs(template_id, build_id)
        self._feed = LogFeed()
        self._hints = 0
        self._heard_at = time.monotonic()

    def follow(self, wait: Wait) -> Generator[Events]:
        """Yield the log's events, each once and in order, until the build has ended and its log has been read.

        They come by batches, as many as have been read: passing each on by itself takes longer than reading it.
        """
        with self._pump() as pump:
            try:
                while not self._has_ended(wait):
                    with closing(self._until_next_poll(pump, wait)) as batches:
                        for events in batches:
                            yield events
                    if self._log_only and pump.is_done:
                        break
                else:
                    with closing(self._tail(pump, wait)) as batches:
                        for events in batches:
                            yield events
                yield self._leftovers(pump, wait)
            finally:
                # Here already: an interrupt may come at any point, so also at the start of one of two stops.
                pump.stop()

    def events(self, wait: Wait) -> Generator[BuildLogEvent]:
        """Yield the log's events one by one."""
        with closing(self.follow(wait)) as batches:
            for events in batches:
                for event in events:
                    yield event

    def read(self, wait: Wait) -> None:
        """Read the log of a build that has ended, for its `latest` events; without its end they stay empty."""
        with suppress(SandboxError):
            with closing(self.follow(wait)) as batches:
                for events in batches:
                    self.latest.extend(events)
        if not self._feed.has_its_end:
            self.latest.clear()

    def _pump(self) -> LogPump:
        def refuse(response: httpx.Response) -> SandboxError:
            return responses.refusal(self._stream, response, self._client._config)

        # The pump's connection is its own: that the client is not closed has to be seen here.
        self._client._pool.get()
        return LogPump(self._client._config, self._stream.request, self._feed, self._client._pace, refuse)

    def _until_next_poll(self, pump: LogPump, wait: Wait) -> Generator[Events]:
        if time.monotonic() - self._heard_at > _polling.SILENCE_S and self._feed.is_replayable:
            self._heard_at = time.monotonic()
            pump.reopen()
        until = time.monotonic() + wait.pause()
        while (left := until - time.monotonic()) > 0:
            if events := pump.get(left):
                yield events
                self._heard_at = time.monotonic()
            if self._log_only and pump.is_done:
                return
            # One may have come while the last poll was under way.
            if pump.hints != self._hints:
                self._hints = pump.hints
                wait.hurry()
                until = min(until, time.monotonic() + wait.pause())

    def _has_ended(self, wait: Wait) -> bool:
        try:
            self.build = self._client._run(self._get_build, wait.call_options(self._client.timeout_s))
        except SandboxError as error:
            wait.failed(error)
            return False
        wait.answered()
        wait.saw(self.build)
        return wait.has_ended

    def _tail(self, pump: LogPump, wait: Wait) -> Generator[Events]:
        """Yield what is left of the log of a build that has ended: soon all of it is there, or it never will be."""
        pump.build_has_ended()
        # Half of a wait's time at most: to ask what has become of the template takes some, too.
        until = time.monotonic() + min(_polling.tail_s(wait.seen), wait.at_most(math.inf) / 2)
        unanswered_until = time.monotonic() + _polling.TAIL_UNANSWERED_S
        refused_until = time.monotonic() + (_polling.OUTAGE_S if self._log_only else _polling.TAIL_REFUSED_S)
        if pump.is_failing:
            # It may be waiting for long before it tries again.
            pump.reopen()
        for attempt, quiet_s in enumerate(_polling.TAIL_QUIET_S):
            if attempt:
                pump.reopen()
            elif not self._feed.is_replayable:
                quiet_s = _polling.TAIL_LONG_QUIET_S  # noqa: PLW2901
            silent_at = time.monotonic() + quiet_s
            while not pump.is_done and (left := min(silent_at, until) - time.monotonic()) > 0:
                events = pump.get(left)
                yield events
                now = time.monotonic()
                # One that was opened before the end may be silent for good reasons, but who asks now is answered.
                is_due = attempt > 0 and not pump.is_open and now < unanswered_until
                is_refused = pump.is_failing and now < refused_until
                if events or is_due or is_refused:
                    silent_at = now + quiet_s
            is_unanswered = attempt > 0 and not pump.is_open
            if pump.is_done or self._feed.is_exhausted or is_unanswered or time.monotonic() >= until:
                break
        pump.stop()
        # What has been read is delivered, however long the caller takes for it.
        while events := pump.get(0.0):
            yield events

    def _leftovers(self, pump: LogPump, wait: Wait) -> Events:
        if pump.refusal is None:
            return self._feed.leftovers(cancelled=wait.seen is TemplateBuildStatus.CANCELLED)
        if self._log_only:
            raise pump.refusal
        return [notice(f"the build log cannot be read: {pump.refusal}")]
