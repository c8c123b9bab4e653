# Written by scripts/unasync.py from superserve/_async/build_log.py. Do not edit: change that, then run `nox -s generate`.
"""Following a build: its row, which decides, and its log, which is only for reading."""

import time
from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

from superserve import _calls
from superserve._calls import Call
from superserve._io_sync import LogPump, sleep
from superserve._logs import notice
from superserve._sync.client import Superserve
from superserve._wait import TAIL_QUIET_S, TAIL_S, Wait
from superserve.errors import SandboxError
from superserve.types import BuildLogEvent, TemplateBuildInfo

T = TypeVar("T")


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
        build = ask(client, wait, _calls.get_build(template_id, build_id))
        wait.seen = build.status
        if build.status.is_terminal:
            return build
        sleep(wait.pause())


class BuildLog:
    """The log of a build, followed to its end.

    Attributes:
        build: The build as it was when it was last asked for; after `follow` has come to its end it has ended.
    """

    def __init__(self, client: Superserve, template_id: str, build_id: str) -> None:
        self.build: TemplateBuildInfo
        self._client = client
        self._get_build = _calls.get_build(template_id, build_id)
        self._stream = _calls.stream_build_logs(template_id, build_id)

    def follow(self, wait: Wait, *, log_only: bool = False) -> Generator[BuildLogEvent]:
        """Yield each event of the log once and in order, until the build has ended and its log has been read.

        With `log_only` the log's own last event is the end, too, and a log that cannot be read is an error.
        """
        pump, feed = self._client._read_log(self._stream)
        with pump:
            while not self._has_ended(wait):
                with closing(self._until_next_poll(pump, wait)) as events:
                    for event in events:
                        yield event
                        wait.bounded(0.0)
                if log_only and (feed.finished or pump.refusal) and pump.is_done:
                    break
            else:
                with closing(self._tail(pump, wait)) as events:
                    for event in events:
                        yield event
            if pump.refusal is None:
                for event in feed.leftovers():
                    yield event
            elif log_only:
                raise pump.refusal
            else:
                yield notice(f"the build log cannot be read: {pump.refusal}")

    def _until_next_poll(self, pump: LogPump, wait: Wait) -> Generator[BuildLogEvent]:
        hints = pump.hints
        until = time.monotonic() + wait.pause()
        while (left := until - time.monotonic()) > 0:
            for event in pump.get(left):
                yield event
            if pump.hints != hints:
                hints = pump.hints
                wait.hurry()
                until = min(until, time.monotonic() + wait.pause())

    def _has_ended(self, wait: Wait) -> bool:
        try:
            self.build = self._client._run(self._get_build, wait.call_options(self._client.timeout_s))
        except SandboxError as error:
            wait.failed(error)
            return False
        wait.answered()
        wait.seen = self.build.status
        return self.build.status.is_terminal

    def _tail(self, pump: LogPump, wait: Wait) -> Generator[BuildLogEvent]:
        """Yield what is left of the log of a build that has ended: soon all of it is there, or it never will be."""
        pump.build_has_ended()
        until = time.monotonic() + wait.at_most(TAIL_S)
        for quiet_s in TAIL_QUIET_S:
            silent_at = time.monotonic() + quiet_s
            while not pump.is_done and (left := min(silent_at, until) - time.monotonic()) > 0:
                events = pump.get(left)
                for event in events:
                    yield event
                if events:
                    silent_at = time.monotonic() + quiet_s
            if pump.is_done or time.monotonic() >= until:
                return
            pump.reopen()
