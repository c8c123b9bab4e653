"""Faults on demand: `server.faults`."""

from collections.abc import Callable, Iterator, Mapping
from typing import get_args

from superserve.local._app import arguments
from superserve.local._app.patterns import Operations, Pattern
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
from superserve.local._faults.outcomes import BuildFault, BuildOutcome, FailureCode
from superserve.local._faults.registry import Aim, Fault, Registry


class Faults:
    """Makes requests and builds go wrong; obtained as `server.faults`, and for any thread.

    `on()` says which requests a fault is for, `on_build()` which builds; a method of what they return says what goes
    wrong, sets the fault and returns it. A fault strikes the next request or build that it is for, unless `times` or
    `share` say otherwise. A request is struck by one fault: of those that are for it and have strikes left, the one
    that was set first. Requests to `/_local/` are never struck.

    Faults end with `fault.remove()`, `clear()`, `server.reset()` and `server.stop()`; with the first two, a request
    that is struck already stays so until its client leaves. Wrong arguments raise ValueError or TypeError.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     fault = server.faults.on("GET /templates", times=2).answer(503, headers={"Retry-After": "0"})
        ...     found = Template.list(api_key=server.api_key, base_url=server.base_url)
        ...     fault.struck, server.requests.count("GET", "/templates")
        (2, 3)

    """

    def __init__(
        self, registry: Registry, operations: Operations, check: Callable[[], object] = lambda: None
    ) -> None:
        self._registry = registry
        self._operations = operations
        self._check = check

    def on(
        self,
        on: str,
        /,
        *,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> "RequestFaults":
        """Choose requests; a method of the result says what goes wrong with them.

        Args:
            on: A method and a path where a part in braces stands for any text (`GET /templates/{id}`), a path alone,
                an operation of the contract (`getTemplate`), or `*` for all.
            times: Strike at most so many, 1 or more. By default one, and with `share` without end.
            share: Strike each with this chance, more than 0 and at most 1. `share=1` strikes all.
            skip: Let so many go first; 0 by default.
            seed: Makes what is left to chance the same on every run, 0 or more. By default it comes from
                `LocalServer(seed=)`.

        """
        return RequestFaults(self._add, self._operations, on, Aim.read(times, share, skip, seed))

    def on_build(
        self,
        template: str | None = None,
        *,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> "BuildFaults":
        """Choose builds that are still to start; a method of the result says how they end.

        Args:
            template: Only builds of the template with this name or id; of any by default.
            times: Strike at most so many, 1 or more. By default one, and with `share` without end.
            share: Strike each with this chance, more than 0 and at most 1. `share=1` strikes all.
            skip: Let so many go first; 0 by default.
            seed: Makes what is left to chance the same on every run, 0 or more. By default it comes from
                `LocalServer(seed=)`.

        """
        if template is not None:
            arguments.text("template", template)
        return BuildFaults(self._add, template, Aim.read(times, share, skip, seed))

    def clear(self) -> None:
        """Remove all faults."""
        self._registry.clear()

    def __iter__(self) -> Iterator[Fault]:
        """Yield the faults that weren't removed, those that won't strike any more included."""
        return iter(self._registry.faults())

    def __len__(self) -> int:
        return len(self._registry.faults())

    def __repr__(self) -> str:
        return "<Faults>" + "".join(f"\n  {fault!r}" for fault in self)

    def _add(
        self, kind: str, target: tuple[Pattern, Effect] | BuildFault, options: Mapping[str, object], aim: Aim
    ) -> Fault:
        self._check()
        given = {**options, **aim.given}
        shown = {name: value for name, value in given.items() if value is not None and value is not False}
        return self._registry.add(kind, shown, target, aim)


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
        arguments.whole("status", status, 200, 599)
        content, content_type = read_body(status, body, json)
        effect = Answer(
            status=status,
            headers=read_headers(headers or {}, content_type),
            body=content,
            delay_s=arguments.seconds("delay_s", delay_s),
            handled=arguments.flag("handled", handled),
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
            arguments.one_of("how", how, get_args(Garbling))
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
        effect = Delay(arguments.seconds("seconds", seconds), place)
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
        if arguments.flag("clean", clean) and after_bytes is None and after_events is None:
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
        effect = Duplicate(arguments.chance("chance", chance))
        return self._add("duplicate", effect, {"chance": chance}, needs_events=True)

    def reorder(self, *, group: int = 4) -> Fault:
        """Send the events of a log stream in another order, the last one included.

        Args:
            group: How many events in a row are mixed, 2 or more; they are held back until all of them are there, or
                the log ends.

        """
        return self._add(
            "reorder", Reorder(arguments.whole("group", group, 2)), {"group": group}, needs_events=True
        )

    def _end(self, kind: str, how: Ending, *, handled: bool, **places: int | None) -> Fault:
        place = read_place(**places)
        if arguments.flag("handled", handled) and place is not None:
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


class BuildFaults:
    """How some builds can end; obtained as `server.faults.on_build(...)`. Each method sets a fault.

    Each takes `step`: the end of which step, counted from 1, it comes at. A build that has no such step isn't struck.
    """

    def __init__(self, add: Callable[..., Fault], template: str | None, aim: Aim) -> None:
        self._add_fault = add
        self._template = template
        self._aim = aim

    def fail(
        self,
        code: FailureCode,
        *,
        step: int | None = None,
        exit_code: int | None = None,
        message: str | None = None,
    ) -> Fault:
        """Let a build fail, after what it printed until then.

        Args:
            code: The failure's code, such as `step_failed` or `boot_failed`.
            step: At the end of which step, counted from 1. By default `step_failed` is for the first step, and other
                codes come where they belong: a build without a start_cmd or ready_cmd that could fail isn't struck.
            exit_code: Of `step_failed`, -1 to 255; 1 by default.
            message: The whole error message of the build, for another one than the code's.

        """
        arguments.one_of("code", code, get_args(FailureCode))
        if exit_code is not None and (code != "step_failed" or message is not None):
            raise ValueError("exit_code is only for step_failed without a message")
        if exit_code is not None:
            arguments.whole("exit_code", exit_code, -1, 255)
        if message is not None:
            arguments.text("message", message)
        options = {"code": code, "step": step, "exit_code": exit_code, "message": message}
        return self._add(
            "fail", code, step, options, exit_code=1 if exit_code is None else exit_code, message=message
        )

    def hang(self, *, step: int | None = None) -> Fault:
        """Let nothing happen any more, until the builder's limit of 15 minutes of the server's clock.

        Args:
            step: From the end of which step on, counted from 1; by default from the start.

        """
        return self._add("hang", "hang", step, {"step": step})

    def time_out(self, *, step: int | None = None) -> Fault:
        """Make the build too old for the queue with its next tick, which leaves its template as it was.

        Args:
            step: At the end of which step, counted from 1; by default at the start.

        """
        return self._add("time_out", "time_out", step, {"step": step})

    def lose(self, *, step: int | None = None) -> Fault:
        """Make the host forget the build, as when it restarts.

        Args:
            step: At the end of which step, counted from 1; by default at the start.

        """
        return self._add("lose", "lose", step, {"step": step})

    def _add(
        self,
        kind: str,
        outcome: BuildOutcome,
        step: int | None,
        options: Mapping[str, object],
        *,
        exit_code: int = 1,
        message: str | None = None,
    ) -> Fault:
        if step is not None:
            arguments.whole("step", step, 1)
        fault = BuildFault(outcome, step, exit_code, message, self._template)
        return self._add_fault(kind, fault, {**options, "template": self._template}, self._aim)
