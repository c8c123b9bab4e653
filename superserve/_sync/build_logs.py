# Written by scripts/unasync.py from superserve/_async/build_logs.py. Do not edit: change that, then run `nox -s generate`.
"""Reading the log of a build, over several connections if necessary."""

import enum
import math
from collections.abc import Generator
from typing import Final

import attrs
import httpx
from superserve_api.api.templates import stream_template_build_logs

from superserve import _clock as time
from superserve._http import policy, responses, retry
from superserve._http.tasks_sync import messages
from superserve._operations import builds
from superserve._streams import sse
from superserve._streams.resume import Replay
from superserve._sync.client import Superserve
from superserve._sync.reader import Reader
from superserve.errors import SandboxError, SandboxTimeoutError
from superserve.types import BuildLogEvent

# After this many connections in a row without a new event, reading fails.
ATTEMPTS: Final = 3
# Pauses before the log of a running build is opened again. The last one is used for all further attempts.
REOPEN_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
# A running build sends no heartbeats, and the response headers come with the first event: silence means nothing.
_TIMEOUT: Final = httpx.Timeout(connect=policy.CONNECT_TIMEOUT_S, read=None, write=10.0, pool=None)
_HEADERS: Final = {"Accept": sse.KIND, "Accept-Encoding": "identity", "Cache-Control": "no-store"}


class How(enum.Enum):
    """How one connection of a log ended."""

    FINISHED = enum.auto()
    TROUBLE = enum.auto()
    CLOSED = enum.auto()
    FAILED = enum.auto()


@attrs.frozen
class Ending:
    """The end of one connection of a log. After a failure it has the error, and whether another attempt may help."""

    how: How
    error: SandboxError | None = None
    may_pass: bool = True
    retry_after_s: float | None = None


class BuildLog:
    """The log of one build.

    Attributes:
        is_open: Whether a connection is open and the server sends the log.
        build_has_ended: Whether the build is known to have ended. Then the log is opened only once more.
        goes_on_at: When a poll last saw the build running, on the clock of `time.monotonic`.
        heard_at: When the last events came, or when a wait last began to open the log.
        ending: How the last connection ended; None before the first end, and while there is another connection.
        replay: The events read so far.
    """

    def __init__(self, client: Superserve, template_id: str, build_id: str) -> None:
        self.is_open = False
        self.build_has_ended = False
        self.goes_on_at = 0.0
        self.heard_at = time.monotonic()
        self.ending: Ending | None = None
        self.replay = Replay()
        self._client = client
        self._operation = builds.stream_build_logs(template_id, build_id)
        self._request = stream_template_build_logs.request_arguments(template_id, build_id)

    def read(self, idle_timeout_s: float | None) -> Generator[list[BuildLogEvent]]:
        """Yield the log's events in batches, until the server says that the log is finished, or closes it.

        Raises:
            SandboxError: The log was refused, or broke three times in a row without a new event.
            SandboxTimeoutError: There was no event for `idle_timeout_s`.
        """
        # The time that the caller spends on events is not silence: the reader may not have had its turn.
        asked_at = time.monotonic()
        with Reader(self._read_to_its_end) as reader:
            while True:
                idle_s = math.inf
                if idle_timeout_s is not None:
                    idle_s = max(self.heard_at, asked_at) + idle_timeout_s - time.monotonic()
                # This is read first: the reader's last act may be to add an event.
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
                        f"no event for {idle_timeout_s:g} s",
                        action=self._operation.action,
                        hint="the build may still be running; pass a larger idle_timeout_s to wait longer",
                    )

    def read_in_background(self, reader: Reader) -> None:
        """Read the log for a wait, which polls the build. A failure of the log is not an error here."""
        pauses = iter(REOPEN_PAUSES_S)
        while not reader.is_stopped:
            is_last = self.build_has_ended
            before = self.replay.lasting
            self.ending = None
            self.heard_at = time.monotonic()
            self.ending = self._read_once(reader)
            ended_at = time.monotonic()
            # The wait may poll sooner now.
            reader.notify()
            is_over = How.CLOSED if self.build_has_ended else How.FINISHED
            if is_last or self.ending.how in (How.FINISHED, is_over):
                return
            if self.replay.lasting > before:
                pauses = iter(REOPEN_PAUSES_S)
            not_before = ended_at + next(pauses, REOPEN_PAUSES_S[-1])
            while not (self.build_has_ended or reader.is_stopped):
                now = time.monotonic()
                if now >= not_before and self.goes_on_at > ended_at:
                    break
                reader.pause(max(not_before - now, 0.05) if self.goes_on_at > ended_at else 60.0)

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
                policy.refuse_encoding(response)
                sse.keep_alive(response)
                self.replay.begin()
                self.is_open = True
                return self._read_events(reader, response)
        except httpx.RequestError as error:
            is_read = isinstance(error, httpx.ReadTimeout)
            failure = responses.failure(
                self._operation,
                error,
                self._client._plane,
                timeout_s=self._client.timeout_s if is_read else policy.CONNECT_TIMEOUT_S,
                proxy=self._client._pool_maker.proxy,
            )
            return Ending(How.FAILED, failure, policy.may_pass(error))
        finally:
            self.is_open = False

    def _read_events(self, reader: Reader, response: httpx.Response) -> Ending:
        # Bound to local names for speed: a log may have many events.
        take, put, now = self.replay.take, reader.put, time.monotonic
        with messages(sse.wrap(response, self._checked_body(response))) as found:
            for message in found:
                self._pending = 0
                data = message.data
                if not data or (event := take(data)) is None:
                    continue
                self.heard_at = now()
                is_last = event.finished
                if not (is_last and self.replay.is_repeated(event)) and put(event):
                    reader.wait_for_room()
                # Nothing is read after the last event.
                if is_last:
                    return Ending(How.TROUBLE if sse.is_trouble(event) else How.FINISHED)
        return Ending(How.CLOSED)

    def _checked_body(self, response: httpx.Response) -> Generator[bytes]:
        """Yield the body; raise if one message is longer than what is read into memory."""
        self._pending = 0
        for piece in response.iter_bytes():
            self._pending += len(piece)
            policy.refuse_length(response.request, self._pending)
            yield piece

    def _refuse(self, response: httpx.Response) -> Ending:
        status, plane = response.status_code, self._client._plane
        if 200 <= status < 300:  # noqa: PLR2004 - 2xx
            kind = (
                plane.redactor.quote(response.headers.get("content-type", ""))
                or "an answer without a content type"
            )
            message = f"the server's answer is not an event stream but {kind}"
            error = SandboxError(message, action=self._operation.action, status_code=status)
            return Ending(How.FAILED, error, may_pass=False)
        return Ending(
            How.FAILED,
            responses.refusal(self._operation, response, plane),
            policy.is_worth_repeating(response),
            policy.retry_after(response.headers),
        )
