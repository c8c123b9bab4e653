"""The faults of requests: `server.faults.on(...)`."""

from collections.abc import Callable, Mapping
from typing import get_args

from superserve.local._app import arguments
from superserve.local._app.patterns import Operations
from superserve.local._faults.arguments import NOT_GIVEN, read_body, read_headers, read_place
from superserve.local._faults.effects import (
    Answer,
    Delay,
    Drip,
    Duplicate,
    Effect,
    End,
    Ending,
    Garble,
    Garbling,
    Reorder,
)
from superserve.local._faults.registry import Aim, Fault


class RequestFaults:
    """The faults of some requests, from `server.faults.on(...)`. Each method sets a fault."""

    def __init__(self, add: Callable[..., Fault], operations: Operations, on: str, aim: Aim) -> None:
        self._add_fault = add
        self._operations = operations
        self._pattern = operations.read(on)
        self._aim = aim

    def answer(
        self,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        json: object = NOT_GIVEN,
        delay_s: float = 0.0,
        handled: bool = False,
    ) -> Fault:
        """Answer in the server's place, like a gateway that cannot reach the server.

        Args:
            status: 200 to 599.
            headers: More headers, or another Content-Type.
            body: The body as text or bytes.
            json: The body as a JSON value. With neither body nor json, an error has the API's envelope with the code for
                its status, and another answer has no body.
            delay_s: Real seconds until the answer, whatever the server's speed. Default 0.
            handled: Whether the request is carried out, and only its answer lost.

        """
        arguments.check_whole("status", status, 200, 599)
        content, content_type = read_body(status, body, json)
        effect = Answer(
            status=status,
            headers=read_headers(headers or {}, content_type),
            body=content,
            delay_s=arguments.check_seconds("delay_s", delay_s),
            handled=arguments.check_flag("handled", handled),
        )
        options: dict[str, object] = {
            "status": status,
            "headers": headers,
            "body": body.decode("utf-8", "replace") if isinstance(body, bytes) else body,
            "delay_s": delay_s or None,
            "handled": handled,
        }
        if json is not NOT_GIVEN:
            options["json"] = json
        return self._add("answer", effect, options)

    def garble(self, how: Garbling | None = None) -> Fault:
        """Replace the body of the server's answer; in a log stream, spoil every event.

        Args:
            how: `truncated`: JSON that stops somewhere. `html`: a gateway's page. `text`: a sentence. `empty`: no
                    body. `binary`: bytes that are not UTF-8. `mistyped`: JSON of another type, a list for an object or an
                    object for a list. Default: a random one.

        """
        if how is not None:
            arguments.check_one_of("how", how, get_args(Garbling))
        return self._add("garble", Garble(how), {"how": how})

    def delay(
        self, seconds: float, *, after_bytes: int | None = None, after_events: int | None = None
    ) -> Fault:
        """Delay the answer, or the rest of its body after some place.

        The request is carried out at once.

        Args:
            seconds: Real seconds, 0 or more, whatever the server's speed.
            after_bytes: Send this many bytes of the body first. 0 sends the headers.
            after_events: Send this many events first, only for log streams.

        """
        place = read_place(after_bytes=after_bytes, after_events=after_events)
        effect = Delay(arguments.check_seconds("seconds", seconds), place)
        options = {"seconds": seconds, "after_bytes": after_bytes, "after_events": after_events}
        return self._add("delay", effect, options)

    def drip(self, every_s: float, *, count: int = 1) -> Fault:
        """Send the body a few bytes at a time, each after a pause. Frames of a WebSocket are not slowed down.

        Args:
            every_s: Real seconds between pieces, 0 or more, whatever the server's speed.
            count: The number of bytes in a piece. Default 1.

        """
        effect = Drip(arguments.check_seconds("every_s", every_s), arguments.check_whole("count", count, 1))
        return self._add("drip", effect, {"every_s": every_s, "count": count})

    def cut(
        self,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        clean: bool = False,
        handled: bool = False,
    ) -> Fault:
        """Close the connection before the answer or within it.

        Args:
            after_bytes: Send this many bytes of the body first, even if that ends within a chunk. 0 sends the headers.
            after_events: Send this many events first, only for log streams.
            head_bytes: Send this many bytes of the status line and the headers. Without any of the three, nothing is
                sent, and the request is not carried out.
            clean: End the answer properly at that place, as if it were complete, and keep the connection.
            handled: Whether the request is carried out although nothing is sent.

        """
        if arguments.check_flag("clean", clean) and after_bytes is None and after_events is None:
            raise ValueError("clean needs a place: after_bytes or after_events")
        return self._end(
            "cut",
            "end" if clean else "cut",
            handled=handled,
            after_bytes=after_bytes,
            after_events=after_events,
            head_bytes=head_bytes,
        )

    def reset(
        self,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        handled: bool = False,
    ) -> Fault:
        """Reset the connection (RST) before the answer or within it.

        The client may lose what it has not received by then. That is normal for a reset.

        Args:
            after_bytes: Send this many bytes of the body first. 0 sends the headers.
            after_events: Send this many events first, only for log streams.
            head_bytes: Send this many bytes of the status line and the headers. Without any of the three, nothing is
                sent, and the request is not carried out.
            handled: Whether the request is carried out although nothing is sent.

        """
        return self._end(
            "reset",
            "reset",
            handled=handled,
            after_bytes=after_bytes,
            after_events=after_events,
            head_bytes=head_bytes,
        )

    def stall(
        self,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        handled: bool = False,
    ) -> Fault:
        """Stop sending before the answer or within it, until the client leaves or the server stops.

        A log stream that stalls without a place sends no headers either, like the real server while a build prints
        nothing.

        Args:
            after_bytes: Send this many bytes of the body first. 0 sends the headers.
            after_events: Send this many events first, only for log streams.
            head_bytes: Send this many bytes of the status line and the headers. Without any of the three, nothing is
                sent, and the request is not carried out.
            handled: Whether the request is carried out although nothing is sent.

        """
        return self._end(
            "stall",
            "stall",
            handled=handled,
            after_bytes=after_bytes,
            after_events=after_events,
            head_bytes=head_bytes,
        )

    def duplicate(self, *, chance: float = 1.0) -> Fault:
        """Send events of a log stream twice.

        Args:
            chance: The probability for each event, more than 0 and at most 1.

        """
        effect = Duplicate(arguments.check_positive("chance", chance, 1))
        return self._add("duplicate", effect, {"chance": chance}, needs_events=True)

    def reorder(self, *, group: int = 4) -> Fault:
        """Send the events of a log stream in another order, including the last one.

        Args:
            group: The number of events in a row to shuffle, 2 or more. They are held back until all have come, or the log
                    ends.

        """
        return self._add(
            "reorder", Reorder(arguments.check_whole("group", group, 2)), {"group": group}, needs_events=True
        )

    def _end(self, kind: str, how: Ending, *, handled: bool, **places: int | None) -> Fault:
        place = read_place(**places)
        if arguments.check_flag("handled", handled) and place is not None:
            raise ValueError(
                "handled is only for requests without any answer: the others are carried out anyway"
            )
        options = {**places, "clean": how == "end", "handled": handled}
        return self._add(kind, End(how, place, handled), options)

    def _add(
        self, kind: str, effect: Effect, options: Mapping[str, object], *, needs_events: bool = False
    ) -> Fault:
        on = self._pattern.text
        if needs_events or options.get("after_events") is not None:
            self._operations.check_event_streams(self._pattern)
        return self._add_fault(kind, (self._pattern, effect), {"on": on, **options}, self._aim)
