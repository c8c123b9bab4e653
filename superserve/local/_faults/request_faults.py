"""What can go wrong with requests: `server.faults.on(...)`."""

from collections.abc import Callable, Mapping
from typing import get_args

from superserve.local._app import arguments
from superserve.local._app.patterns import Operations
from superserve.local._faults.arguments import NOT_GIVEN, read_body, read_headers, read_place
from superserve.local._faults.effects import (
    Answer,
    Delay,
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
    """What can go wrong with some requests; obtained as `server.faults.on(...)`. Each method sets a fault."""

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
        """Answer in the server's place, as a gateway does that can't reach it.

        Args:
            status: 200 to 599.
            headers: More headers, or another Content-Type.
            body: The body as text or bytes.
            json: The body as a value that JSON can show. With neither, errors have the API's envelope and the code
                that goes with the status, and other answers have no body.
            delay_s: Real seconds until the answer, whatever the server's speed; 0 by default.
            handled: Whether the request is carried out all the same, and only its answer lost.

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
        """Answer as the server does, but with another body; in a log stream, every event is spoiled.

        Args:
            how: `truncated`: JSON that stops somewhere. `html`: a gateway's page. `text`: a sentence. `empty`: no
                body. `binary`: bytes that are no UTF-8. `mistyped`: JSON of another shape, a list for an object or an
                object for a list. By default any of them.

        """
        if how is not None:
            arguments.check_one_of("how", how, get_args(Garbling))
        return self._add("garble", Garble(how), {"how": how})

    def delay(
        self, seconds: float, *, after_bytes: int | None = None, after_events: int | None = None
    ) -> Fault:
        """Let the answer come late: all of it, or what follows a place in its body.

        The request is carried out at once.

        Args:
            seconds: How late, 0 or more; real seconds, whatever the server's speed.
            after_bytes: Send so many bytes of the body in time. 0 sends the headers.
            after_events: Send so many events in time, of log streams only.

        """
        place = read_place(after_bytes=after_bytes, after_events=after_events)
        effect = Delay(arguments.check_seconds("seconds", seconds), place)
        options = {"seconds": seconds, "after_bytes": after_bytes, "after_events": after_events}
        return self._add("delay", effect, options)

    def cut(
        self,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        clean: bool = False,
        handled: bool = False,
    ) -> Fault:
        """Close the connection before the answer or inside it.

        Args:
            after_bytes: Send so many bytes of the body, up to the middle of a chunk if need be. 0 sends the headers.
            after_events: Send so many events, of log streams only.
            head_bytes: Send so many bytes of the status line and the headers. Without any of the three nothing is
                sent, and the request is not carried out.
            clean: End the answer in good order at that place, as if there were no more of it, and keep the connection.
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
        """Reset the connection (RST) before the answer or inside it.

        What the client hasn't received by then it may never receive, as is the way of resets.

        Args:
            after_bytes: Send so many bytes of the body. 0 sends the headers.
            after_events: Send so many events, of log streams only.
            head_bytes: Send so many bytes of the status line and the headers. Without any of the three nothing is
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
        """Fall silent before the answer or inside it, until the client leaves or the server stops.

        A log stream that stalls without a place sends no headers either, as the real server does as long as a build
        prints nothing.

        Args:
            after_bytes: Send so many bytes of the body. 0 sends the headers.
            after_events: Send so many events, of log streams only.
            head_bytes: Send so many bytes of the status line and the headers. Without any of the three nothing is
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
            chance: The chance of each event, more than 0 and at most 1.

        """
        effect = Duplicate(arguments.check_positive("chance", chance, 1))
        return self._add("duplicate", effect, {"chance": chance}, needs_events=True)

    def reorder(self, *, group: int = 4) -> Fault:
        """Send the events of a log stream in another order, the last one included.

        Args:
            group: How many events in a row are mixed, 2 or more; they are held back until all of them are there, or
                the log ends.

        """
        return self._add(
            "reorder", Reorder(arguments.check_whole("group", group, 2)), {"group": group}, needs_events=True
        )

    def _end(self, kind: str, how: Ending, *, handled: bool, **places: int | None) -> Fault:
        place = read_place(**places)
        if arguments.check_flag("handled", handled) and place is not None:
            raise ValueError("handled is for requests without any answer: the others are carried out anyway")
        options = {**places, "clean": how == "end", "handled": handled}
        return self._add(kind, End(how, place, handled), options)

    def _add(
        self, kind: str, effect: Effect, options: Mapping[str, object], *, needs_events: bool = False
    ) -> Fault:
        on = self._pattern.text
        if needs_events or options.get("after_events") is not None:
            self._operations.check_event_streams(self._pattern)
        return self._add_fault(kind, (self._pattern, effect), {"on": on, **options}, self._aim)
