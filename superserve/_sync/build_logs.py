# Written by scripts/unasync.py from superserve/_async/build_logs.py. Do not edit: change that, then run `nox -s generate`.
"""Reading the log of a build, over as many connections as it takes."""

import enum
import math
from collections.abc import Generator, Iterator
from typing import Final

import attrs
import httpx
from httpx_sse import EventSource
from superserve_api.api.templates import stream_template_build_logs

from superserve import _clock as time
from superserve._http import policy, responses, retry
from superserve._operations import builds
from superserve._streams import sse
from superserve._streams.resume import Replay
from superserve._sync.client import Superserve
from superserve._sync.reader import Reader
from superserve.errors import SandboxError, SandboxTimeoutError
from superserve.types import BuildLogEvent

ATTEMPTS: Final = 3
"""How many connections without a new event, one after the other, end the reading of a log."""

REOPEN_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
"""Seconds before a log is opened again while its build goes on; the last one counts for all further ones."""

# Once a build runs there are no heartbeats, and the headers come with the first event: silence means nothing.
_TIMEOUT: Final = httpx.Timeout(connect=policy.CONNECT_TIMEOUT_S, read=None, write=10.0, pool=None)
_HEADERS: Final = {"Accept": sse.KIND, "Accept-Encoding": "identity", "Cache-Control": "no-store"}


class How(enum.Enum):
    """How one connection of a log has ended."""

    FINISHED = enum.auto()
    TROUBLE = enum.auto()
    CLOSED = enum.auto()
    REFUSED = enum.auto()
    BROKEN = enum.auto()


@attrs.frozen
class Ending:
    """The end of one connection of a log.

    Attributes:
        how: How it came.
        error: What it stands for, if it was refused or broke.
        may_pass: Whether the next connection may do better.
        retry_after_s: Seconds that the server asked to wait.
    """

    how: How
    error: SandboxError | None = None
    may_pass: bool = True
    retry_after_s: float | None = None


class _Body(httpx.SyncByteStream):
    """The body of a log, which hands over the events of each piece before it asks for the next one.

    Attributes:
        is_over: Whether no further piece is wanted.
        has_message: Whether a message has ended since that was last looked at.
    """

    def __init__(self, log: "BuildLog", reader: Reader, response: httpx.Response) -> None:
        self.is_over = self.has_message = False
        self._pending = 0
        self._log = log
        self._reader = reader
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._response.iter_bytes():
            self._pending += len(piece)
            policy.refuse_length(self._response.request, self._pending)
            yield piece
            # The decoder is through with it.
            if self._log.events:
                self._log.hand_over(self._reader, self._pending)
            if self.has_message:
                self.has_message = False
                self._pending = 0
            if self.is_over:
                return


class BuildLog:
    """The log of one build.

    Attributes:
        is_open: Whether the server sends it just now.
        build_has_ended: Whether the build is known to have ended: one attempt more is made then, and no other.
        goes_on_at: When the build was last seen going on, on the clock of `time.monotonic`.
        heard_at: When the last events came, or a wait has begun to open it since.
        ending: How the last connection ended; None before that, and while there is another one.
        replay: What has been read.
        events: What was read and is not yet handed over.
    """

    def __init__(self, client: Superserve, template_id: str, build_id: str) -> None:
        self.is_open = False
        self.build_has_ended = False
        self.goes_on_at = 0.0
        self.heard_at = time.monotonic()
        self.ending: Ending | None = None
        self.replay = Replay()
        self.events: list[BuildLogEvent] = []
        self._client = client
        self._operation = builds.stream_build_logs(template_id, build_id)
        self._request = stream_template_build_logs.request_arguments(template_id, build_id)

    def read(self, idle_timeout_s: float | None) -> Generator[list[BuildLogEvent]]:
        """Yield the log's events by batches, until the server says that it is finished or closes it.

        Raises:
            SandboxError: The log was refused, or broke three times without anything new.
            SandboxTimeoutError: Nothing has come for `idle_timeout_s`.
        """
        # What the caller takes for events is no silence: meanwhile the reader may not have had its turn.
        asked_at = time.monotonic()
        with Reader(self._read_to_its_end) as reader:
            while True:
                idle_s = math.inf
                if idle_timeout_s is not None:
                    idle_s = max(self.heard_at, asked_at) + idle_timeout_s - time.monotonic()
                # Asked first: an event may be the last thing that it does.
                has_ended = reader.has_ended
                events = reader.get(0 if has_ended else idle_s)
                if events:
                    yield events
                    asked_at = time.monotonic()
                elif has_ended:
                    if reader.failure is not None:
                        raise reader.failure
                    return
                elif idle_s <= 0:
                    raise SandboxTimeoutError(
                        f"nothing has come for {idle_timeout_s:g} s",
                        action=self._operation.action,
                        hint="the build may go on; idle_timeout_s= bounds the silence",
                    )

    def read_beside(self, reader: Reader) -> None:
        """Read the log for a wait, which says how the build stands; whatever becomes of the log is no error."""
        pauses = iter(REOPEN_PAUSES_S)
        while not reader.is_stopped:
            is_last = self.build_has_ended
            before = self.replay.lasting
            self.ending = None
            self.heard_at = time.monotonic()
            self.ending = self._read_once(reader)
            ended_at = time.monotonic()
            # Who waits may ask for the build sooner.
            reader.put([], 0)
            if self.ending.how is How.FINISHED or is_last:
                return
            if self.ending.how is How.CLOSED and self.build_has_ended:
                return
            if self.replay.lasting > before:
                pauses = iter(REOPEN_PAUSES_S)
            not_before = ended_at + next(pauses, REOPEN_PAUSES_S[-1])
            while not (self.build_has_ended or reader.is_stopped):
                now = time.monotonic()
                if now >= not_before and self.goes_on_at > ended_at:
                    break
                reader.pause(max(not_before - now, 0.05) if self.goes_on_at > ended_at else 60.0)

    def hand_over(self, reader: Reader, size: int) -> None:
        """Hand over what was read."""
        self.heard_at = time.monotonic()
        events = self.events.copy()
        self.events.clear()
        reader.put(events, size)

    def _read_to_its_end(self, reader: Reader) -> None:
        failures = 0
        while not reader.is_stopped:
            before = self.replay.count
            ending = self._read_once(reader)
            if ending.error is None or reader.is_stopped:
                return
            failures = 0 if self.replay.count > before else failures + 1
            if not ending.may_pass or failures == ATTEMPTS:
                raise ending.error
            reader.pause(retry.delay_s(max(failures, 1), ending.retry_after_s))

    def _read_once(self, reader: Reader) -> Ending:
        http = self._client._http
        if delay := http.gate.delay(math.inf):
            reader.pause(delay)
        try:
            with http.stream(**self._request, headers=_HEADERS, timeout=_TIMEOUT) as response:
                if not sse.is_event_stream(response):
                    return self._refuse(response)
                policy.refuse_packing(response)
                sse.keep_alive(response)
                self.replay.begin()
                self.is_open = True
                return self._read_events(reader, response)
        except httpx.RequestError as error:
            failure = responses.failure(
                self._operation,
                error,
                self._client._plane,
                timeout_s=self._client.timeout_s
                if isinstance(error, httpx.ReadTimeout)
                else policy.CONNECT_TIMEOUT_S,
                proxy=self._client._pool_maker.proxy,
            )
            return Ending(How.BROKEN, failure, may_pass=policy.may_pass(error))
        finally:
            self.is_open = False
            if self.events:
                self.hand_over(reader, 0)

    def _read_events(self, reader: Reader, response: httpx.Response) -> Ending:
        # Looked up once: a log is a flood of events.
        take, keep = self.replay.take, self.events.append
        how = How.CLOSED
        body = _Body(self, reader, response)
        for message in EventSource(sse.wrap(response, body)).iter_sse():
            body.has_message = True
            data = message.data
            # What comes after the last event is not read.
            if not data or body.is_over or (event := take(data)) is None:
                continue
            if event.finished:
                body.is_over = True
                how = How.TROUBLE if sse.is_trouble(event) else How.FINISHED
                if self.replay.is_told_again(event):
                    continue
            keep(event)
        return Ending(how)

    def _refuse(self, response: httpx.Response) -> Ending:
        status = response.status_code
        if 200 <= status < 300:  # noqa: PLR2004 - 2xx
            kind = self._client._plane.redactor.quote(response.headers.get("content-type", ""))
            return Ending(
                How.REFUSED,
                SandboxError(
                    f"the server's answer is no event stream but {kind or 'something without a type'}",
                    action=self._operation.action,
                    status_code=status,
                ),
                may_pass=False,
            )
        return Ending(
            How.REFUSED,
            responses.refusal(self._operation, response, self._client._plane),
            may_pass=status in policy.REPEATED_STATUSES and policy.is_worth_repeating(response),
            retry_after_s=policy.retry_after(response.headers),
        )
