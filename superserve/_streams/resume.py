"""What a build's log stream means, without any I/O: events, replays, holes, and the end.

The server replays a log from its start on every connection, without event ids, and a replay can have a hole
(at most 256 queued events are sent before live ones; the newest 10,000 are kept). `LogFeed` takes the events of one
connection after the other and lets each through once, in order. Where text is lost for good it says so, in its place.

Times in a log are by the clock of the build's host. How far that is from ours nobody knows, and the API's, which a Date
header tells, may be a third one: see `_may_follow_full_replay`.
"""

import json
import math
import re
from array import array
from collections.abc import Iterable
from datetime import datetime
from time import monotonic
from typing import Final

from superserve._json import JSONObject, any_json
from superserve._json import moment as rfc3339
from superserve.types import BuildLogEvent, BuildLogStream

REPLAYED: Final = 256
"""How many events the server replays at most before it goes on with live ones."""

# More than the server keeps, so that what it can replay can be recognised.
_REMEMBERED: Final = 16_384
_SHOWN: Final = 200
# How much longer than the first event of a replay a live one may be under way, on top of what the answer to the request
# took: it waits for the rest of the replay, which takes a few round trips. In all it is bounded, or fast logs that lack
# nothing would be told to have holes.
_DELAY_S: Final = 0.05
_LONGEST_DELAY_S: Final = 0.5

LATEST: Final = 50
"""How many of a log's events are kept for `last_lines`."""

_SYSTEM: Final = BuildLogStream.SYSTEM
_STREAMS: Final = {stream.value: stream for stream in BuildLogStream}
_decode: Final = json.JSONDecoder().raw_decode
_TEXT: Final = (str, type(None))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LINES: Final = 20
_LONGEST_LINE: Final = 500
# The colours and cursor movements of terminals, and what else they would obey.
_CONTROL: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def notice(text: str) -> BuildLogEvent:
    """Return the event by which this client says that log text is missing at this place."""
    return BuildLogEvent(stream=_SYSTEM, text=text, gap=True)


def last_lines(events: Iterable[BuildLogEvent]) -> tuple[str, ...]:
    """Return the last lines of output among events, as a terminal can show them."""
    output = (BuildLogStream.STDOUT, BuildLogStream.STDERR)
    lines = "\n".join(event.text for event in events if event.stream in output).split("\n")
    # Of a line that was written over, as progress bars are, what stands there at the end.
    shown = (_CONTROL.sub("", line.rstrip().rpartition("\r")[2]) for line in lines)
    return tuple(_shown(line, _LONGEST_LINE) for line in shown if line)[-_LINES:]


class LogFeed:
    """Turns the raw events of successive connections into the one log that the caller sees.

    Attributes:
        finished: Whether the log's own last event has been let through.
        complete: Whether there is nothing more to read.
    """

    def __init__(self) -> None:
        self.finished = False
        self.complete = False
        # One fingerprint for each event let through, oldest first; 8 bytes each.
        self._seen = array("q")
        # Up to where `_seen` holds events that a replay must contain: heartbeats at its end are not replayed.
        self._lasting = 0
        # Whether the server can replay events that `_seen` lacks: they were forgotten, or lost and told as such.
        self._is_patchy = False
        self._latest: datetime | None = None
        # What to add to the host's times to have them by our clock, at most: no event comes before it is written.
        self._lag = math.inf
        # Of the present connection: by when the server had made its replay, whether the build had ended when it was
        # asked for, what a replay may contain, up to where it has got with that, and what else has come.
        self._replayed_by = math.inf
        self._delay_s = 0.0
        self._opened_after_end = False
        self._replaying = False
        self._replayable = 0
        self._cursor = 0
        self._taken = 0
        self._has_news = False
        self._trouble: BuildLogEvent | None = None

    @property
    def is_replayable(self) -> bool:
        """Whether another connection would get the whole log, as far as can be known."""
        return len(self._seen) < REPLAYED

    @property
    def has_its_end(self) -> bool:
        """Whether what was let through last is what the log ends with, as far as can be known."""
        return self.finished or (self.complete and self.is_replayable)

    @property
    def is_exhausted(self) -> bool:
        """Whether the present connection, opened after the build's end, has shown that there is nothing more."""
        if not self._opened_after_end:
            return False
        is_all_known = self._cursor >= self._replayable and not self._has_news
        return is_all_known or self._taken >= REPLAYED or self._trouble is not None

    def opened(self, *, answered_within_s: float, after_end: bool) -> None:
        """Start with a new connection.

        Args:
            answered_within_s: How long it took to connect, to ask, and to be answered.
            after_end: Whether the build had ended when it was asked for, so that it can have the whole log.
        """
        self._delay_s = min(_DELAY_S + answered_within_s, _LONGEST_DELAY_S)
        self._opened_after_end = after_end
        self._replaying = bool(self._seen)
        self._replayable = self._lasting
        self._cursor = 0
        self._taken = 0
        self._has_news = False
        self._trouble = None

    def closed(self, *, in_order: bool) -> None:
        """Take note that the connection has ended: by the server's will, or otherwise."""
        if in_order and self.is_exhausted:
            self.complete = True
        self._opened_after_end = False

    def take(self, data: str) -> list[BuildLogEvent]:
        """Return what the caller gets to see for one event of the stream: nothing, it, or a notice and it."""
        payload = _payload(data)
        if payload is None:
            unreadable = notice(f"an event of the build log could not be read: {_shown(_printable(data))}")
            return self._let_through(unreadable, hash(data), lasting=True)
        get = payload.get
        stream, text, timestamp, status = (
            get("stream") or "system",
            get("text") or "",
            get("timestamp"),
            get("status"),
        )
        event = BuildLogEvent(
            _STREAMS.get(stream) or BuildLogStream(_printable(stream)),
            text if text.isascii() else _printable(text),
            None if timestamp is None else rfc3339(timestamp),
            get("finished") is True,
            _printable(status) if status and isinstance(status, str) else None,
        )
        if event.finished and timestamp is None and status == "failed" and text != "failed":
            # The server's own trouble with the log, not the log's last event: the build may even be ready.
            self._trouble = event
            return []
        fingerprint = hash((timestamp if isinstance(timestamp, str) else None, stream, text))
        heartbeat = event.stream is _SYSTEM and "status" not in payload and not event.finished
        return self._let_through(event, fingerprint, lasting=not heartbeat)

    def leftovers(self, *, cancelled: bool = False) -> list[BuildLogEvent]:
        """Return what remains to be said when reading has stopped after the end of the build."""
        if self.finished:
            return []
        if cancelled:
            return [notice("the build was cancelled: what its host may go on writing to the log is not read")]
        events = [notice("the end of the build log could not be read: text may be missing here")]
        if self._trouble is not None:
            events.append(self._trouble)
        return events

    def _let_through(self, event: BuildLogEvent, fingerprint: int, *, lasting: bool) -> list[BuildLogEvent]:
        if lasting:
            self._taken += 1
            if self._taken <= REPLAYED + 1:
                self._compare_clocks(event.timestamp)
        else:
            # A build that is still queued: the replay comes when it no longer is.
            self._taken = 0
        events = [event]
        if self._replaying or self._taken == REPLAYED + 1:
            if self._replaying and self._is_replayed(event, fingerprint, lasting=lasting):
                return []
            events[:0] = self._hole_before(lasting=lasting)
        self._has_news = True
        if event.timestamp is not None:
            self._latest = event.timestamp
        if event.finished:
            self.finished = self.complete = True
        seen = self._seen
        seen.append(fingerprint)
        if lasting:
            self._lasting = len(seen)
        if len(seen) == 2 * _REMEMBERED:
            self._forget_half()
        return events

    def _hole_before(self, *, lasting: bool) -> list[BuildLogEvent]:
        is_hole = self._taken == REPLAYED + 1 and self._may_follow_full_replay()
        if self._replaying and lasting:
            self._replaying = False
            is_hole = is_hole or self._cursor < self._replayable
        if not is_hole:
            return []
        self._is_patchy = True
        return [notice("the server's replay of the log has a hole: text may be missing here")]

    def _is_replayed(self, event: BuildLogEvent, fingerprint: int, *, lasting: bool) -> bool:
        try:
            self._cursor = self._seen.index(fingerprint, self._cursor, self._replayable) + 1
        except ValueError:
            if not lasting and event.timestamp is not None and fingerprint in self._seen:
                # No heartbeat, whose time is always a new one: a server that leaves the status of its output out.
                return True
            # What turns up late stays lost: nothing comes out of order.
            return bool(
                self._is_patchy and self._latest and event.timestamp and event.timestamp < self._latest
            )
        return True

    def _compare_clocks(self, timestamp: datetime | None) -> None:
        now = monotonic()
        if self._taken == 1:
            self._replayed_by = now
        if timestamp is not None:
            self._lag = min(self._lag, now - timestamp.timestamp())

    def _may_follow_full_replay(self) -> bool:
        # A full replay ends with an event from before it was made. When was the last one written, by our clock? At its
        # own time plus `_lag`, or earlier: less so, the fresher any event came, and what follows a hole is fresh.
        latest = self._latest
        return latest is None or latest.timestamp() + self._lag < self._replayed_by + self._delay_s

    def _forget_half(self) -> None:
        del self._seen[:_REMEMBERED]
        self._lasting = max(0, self._lasting - _REMEMBERED)
        self._is_patchy = True


def _payload(data: str) -> JSONObject | None:
    """Return the JSON object that an event is, its text and stream checked; None if it isn't one."""
    data = data.strip()
    try:
        # Twice as fast as json.loads.
        payload, end = _decode(data)
    except RecursionError:
        return None
    except ValueError:
        try:
            payload, end = any_json(data), len(data)
        except (ValueError, RecursionError):
            return None
    if end != len(data) or not isinstance(payload, dict):
        return None
    is_readable = isinstance(payload.get("text"), _TEXT) and isinstance(payload.get("stream"), _TEXT)
    return payload if is_readable else None


def _printable(text: str) -> str:
    # JSON can hold half of a surrogate pair, which no file or terminal can.
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _shown(data: str, longest: int = _SHOWN) -> str:
    return data if len(data) <= longest else f"{data[: longest - 1]}…"
