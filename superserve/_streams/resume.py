"""Reading each event of a build log once, although the server replays the log on every connection. No I/O.

Events have no ids. So the replay is compared, in order, with the events handed over before. The first event that differs
ends the comparison.
"""

import logging
from array import array

from superserve._streams.sse import is_trouble, read_event, read_message
from superserve.types import BuildLogEvent

_log = logging.getLogger("superserve")


class Replay:
    """Turns the messages of successive connections into one log for the caller."""

    def __init__(self) -> None:
        # An 8-byte fingerprint of each event handed over: its time as sent, its stream and its text.
        self._seen = array("q")
        # The events that a replay may lack; there are few.
        self._optional: set[int] = set()
        self._cursor = 0
        self._is_comparing = False
        self._has_warned = False
        self._trouble: set[str] = set()

    @property
    def count(self) -> int:
        """Number of events handed over."""
        return len(self._seen)

    @property
    def lasting(self) -> int:
        """Number of events handed over that were neither heartbeats nor the server's own trouble."""
        return len(self._seen) - len(self._optional)

    def begin(self) -> None:
        """Begin a new connection."""
        self._cursor = 0
        self._is_comparing = bool(self._seen)

    def take(self, data: str) -> BuildLogEvent | None:
        """Return the event of a message, or None if there is none, or if it was handed over before.

        Trouble is returned every time: it ends the connection.
        """
        payload = read_message(data)
        if payload is None:
            if not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "skipped a message of the build log that is not a log event; later ones are skipped silently"
                )
            return None
        timestamp, stream = payload.get("timestamp"), payload["stream"]
        fingerprint = hash((timestamp if type(timestamp) is str else None, stream, payload["text"]))
        if self._is_comparing and self._matches(fingerprint):
            if payload.get("finished") is True and is_trouble(event := read_event(payload)):
                return event
            return None
        event = read_event(payload)
        # The server reports its own trouble only once, and a heartbeat is one only while the build is queued.
        is_lasting = not is_trouble(event) if event.finished else stream != "system" or "status" in payload
        if self._is_comparing and is_lasting:
            self._is_comparing = False
            if self._cursor < len(self._seen):
                _log.warning("a part of the build log is missing: the server did not replay all of it")
                event = _after_gap(event)
        if not is_lasting:
            self._optional.add(len(self._seen))
        self._seen.append(fingerprint)
        return event

    def is_repeated(self, event: BuildLogEvent) -> bool:
        """Whether an event reports the same trouble as the last one."""
        if not is_trouble(event):
            return False
        is_known = event.text in self._trouble
        self._trouble.add(event.text)
        return is_known

    def _matches(self, fingerprint: int) -> bool:
        """Whether this event is the next one of the replay. Events that a replay may lack are skipped."""
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
