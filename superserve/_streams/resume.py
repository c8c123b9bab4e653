"""Each event of a log once, although the server replays the log on every connection. No I/O.

The events carry no ids. The replay is compared, in order, with what was handed over; the first event that doesn't match
ends the comparison.
"""

import logging
from array import array

from superserve._streams.sse import is_trouble, read_event, read_message
from superserve.types import BuildLogEvent

_log = logging.getLogger("superserve")


class Replay:
    """Turns the messages of one connection after the other into the log that the caller sees."""

    def __init__(self) -> None:
        # A fingerprint for each event handed over, 8 bytes: of its time as sent, stream and text.
        self._seen = array("q")
        # Which of them a replay may lack: a few.
        self._optional: set[int] = set()
        self._cursor = 0
        self._is_comparing = False
        self._has_warned = False
        self._trouble: set[str] = set()

    @property
    def count(self) -> int:
        """How many events have been handed over."""
        return len(self._seen)

    @property
    def lasting(self) -> int:
        """How many of them were neither heartbeats nor the server's own trouble."""
        return len(self._seen) - len(self._optional)

    def begin(self) -> None:
        """Start with a new connection."""
        self._cursor = 0
        self._is_comparing = bool(self._seen)

    def take(self, data: str) -> BuildLogEvent | None:
        """Return the event that a message is; None if it is none, or was handed over before.

        Trouble is returned each time: it ends the connection.
        """
        payload = read_message(data)
        if payload is None:
            if not self._has_warned:
                self._has_warned = True
                _log.warning("a message of the build log is no log event, and is skipped, as others will be")
            return None
        timestamp, stream = payload.get("timestamp"), payload["stream"]
        fingerprint = hash((timestamp if type(timestamp) is str else None, stream, payload["text"]))
        if self._is_comparing and self._matches(fingerprint):
            if payload.get("finished") is True and is_trouble(event := read_event(payload)):
                return event
            return None
        event = read_event(payload)
        # The server tells its own trouble only once, and a heartbeat is one only while the build is queued.
        is_lasting = not is_trouble(event) if event.finished else stream != "system" or "status" in payload
        if self._is_comparing and is_lasting:
            self._is_comparing = False
            if self._cursor < len(self._seen):
                _log.warning("the build log has a hole: the server did not replay all of it")
                event = _after_gap(event)
        if not is_lasting:
            self._optional.add(len(self._seen))
        self._seen.append(fingerprint)
        return event

    def is_told_again(self, event: BuildLogEvent) -> bool:
        """Whether an event tells of trouble that was told before."""
        if not is_trouble(event):
            return False
        is_known = event.text in self._trouble
        self._trouble.add(event.text)
        return is_known

    def _matches(self, fingerprint: int) -> bool:
        """Whether this event was the next one; of those that a replay may lack, any number is passed over."""
        at = self._cursor
        seen, end = self._seen, len(self._seen)
        while at < end:
            if seen[at] == fingerprint:
                self._cursor = at + 1
                return True
            if at not in self._optional:
                break
            at += 1
        self._cursor = at
        return False


def _after_gap(event: BuildLogEvent) -> BuildLogEvent:
    return BuildLogEvent(
        event.stream, event.text, event.timestamp, event.finished, event.status, after_gap=True
    )
