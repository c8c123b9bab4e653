"""What a build's log stream means, without any I/O: events, replays, holes, and the end.

The server replays a log from its start on every connection, without event ids, and a replay can have a hole
(at most 256 queued events are sent before live ones; the newest 10,000 are kept). `LogFeed` takes the events of one
connection after the other and lets each through once, in order. Where text is lost for good it says so, in its place.
"""

import json
from array import array
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from superserve._json import JSONObject
from superserve._json import moment as rfc3339
from superserve.types import BuildLogEvent, BuildLogStream

_REPLAY_QUEUE: Final = 256
# More than the server keeps, so that what it can replay can be recognised.
_REMEMBERED: Final = 16_384
_SHOWN: Final = 200

_SYSTEM = BuildLogStream.SYSTEM


def notice(text: str) -> BuildLogEvent:
    """Return the event by which this client says that log text is missing at this place."""
    return BuildLogEvent(stream=_SYSTEM, text=text, gap=True)


class LogFeed:
    """Turns the raw events of successive connections into the one log that the caller sees.

    Attributes:
        finished: Whether the log's own last event has been let through.
        complete: Whether there is nothing more to read: the last event came, or a connection that was opened after
            the build had ended was read to its proper end.
    """

    def __init__(self) -> None:
        self.finished = False
        self.complete = False
        # One fingerprint for each event let through, oldest first; 8 bytes each.
        self._seen = array("q")
        # Up to where `_seen` holds events that a replay must contain: heartbeats at its end are not replayed.
        self._lasting = 0
        self._oldest_half_until: datetime | None = None
        self._forgotten_until: datetime | None = None
        self._replaying = False
        self._cursor = 0
        self._taken = 0
        self._opened_at: datetime | None = None
        self._opened_after_end = False
        self._previous: datetime | None = None
        self._unconfirmed_end: BuildLogEvent | None = None

    def opened(self, date_header: str | None, *, after_end: bool) -> None:
        """Start reading a new connection; `after_end` tells that the build had ended before it was opened."""
        self._replaying = bool(self._seen)
        self._cursor = 0
        self._taken = 0
        self._opened_at = _http_date(date_header)
        self._opened_after_end = after_end

    def closed(self) -> None:
        """Take note that the server ended the connection properly."""
        if self._opened_after_end:
            self.complete = True

    def take(self, data: str) -> list[BuildLogEvent]:
        """Return what the caller gets to see for one event of the stream: nothing, it, or a notice and it."""
        payload = _payload(data)
        if payload is None:
            unreadable = notice(f"an event of the build log could not be read: {data[:_SHOWN]}")
            return self._let_through(unreadable, hash(data), lasting=True)
        event = _event(payload)
        if event.finished and "timestamp" not in payload:
            # The server's own trouble with the log, not the log's last event: the build may even be ready.
            self._unconfirmed_end = event
            return []
        heartbeat = event.stream is _SYSTEM and not event.finished and "status" not in payload
        fingerprint = hash((str(payload.get("timestamp")), event.stream, event.text))
        return self._let_through(event, fingerprint, lasting=not heartbeat)

    def leftovers(self) -> list[BuildLogEvent]:
        """Return what remains to be said when reading has stopped after the end of the build."""
        if self.finished:
            return []
        events = [notice("the end of the build log could not be read: text may be missing here")]
        if self._unconfirmed_end is not None:
            events.append(self._unconfirmed_end)
        return events

    def _let_through(self, event: BuildLogEvent, fingerprint: int, *, lasting: bool) -> list[BuildLogEvent]:
        events = []
        self._taken += 1
        if self._replaying:
            if self._is_replayed(event, fingerprint):
                return []
            if lasting:
                self._replaying = False
                if self._cursor < self._lasting:
                    events.append(notice("the server's replay has a hole: text may be missing here"))
        elif self._taken == _REPLAY_QUEUE + 1 and self._is_behind_full_replay(event):
            events.append(
                notice(f"the server replays {_REPLAY_QUEUE} events at most: text may be missing here")
            )
        self._remember(event, fingerprint, lasting=lasting)
        self._previous = event.timestamp
        if event.finished:
            self.finished = self.complete = True
        events.append(event)
        return events

    def _is_replayed(self, event: BuildLogEvent, fingerprint: int) -> bool:
        try:
            self._cursor = self._seen.index(fingerprint, self._cursor) + 1
        except ValueError:
            oldest = self._forgotten_until
            return bool(oldest and event.timestamp and event.timestamp <= oldest)
        return True

    def _is_behind_full_replay(self, event: BuildLogEvent) -> bool:
        # The queue was full of events from before the connection, and this one is from after it.
        before, opened, after = self._previous, self._opened_at, event.timestamp
        return bool(before and opened and after and before < opened <= after)

    def _remember(self, event: BuildLogEvent, fingerprint: int, *, lasting: bool) -> None:
        self._seen.append(fingerprint)
        if lasting:
            self._lasting = len(self._seen)
        if len(self._seen) % _REMEMBERED == 0:
            if len(self._seen) > _REMEMBERED:
                del self._seen[:_REMEMBERED]
                self._lasting = max(0, self._lasting - _REMEMBERED)
                self._cursor = max(0, self._cursor - _REMEMBERED)
                self._forgotten_until = self._oldest_half_until
            self._oldest_half_until = event.timestamp


def _payload(data: str) -> JSONObject | None:
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict):
        return None
    readable = isinstance(payload.get("text", ""), str | None) and isinstance(
        payload.get("stream", ""), str | None
    )
    return payload if readable else None


def _event(payload: JSONObject) -> BuildLogEvent:
    status = payload.get("status")
    return BuildLogEvent(
        stream=BuildLogStream(payload.get("stream") or "system"),
        text=payload.get("text") or "",
        timestamp=rfc3339(payload.get("timestamp")),
        finished=payload.get("finished") is True,
        status=status if isinstance(status, str) and status else None,
    )


def _http_date(header: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(header or "")
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
