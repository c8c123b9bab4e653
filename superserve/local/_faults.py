"""Faults on demand: `server.faults`."""

from collections.abc import Callable, Iterator, Mapping
from typing import get_args

from superserve.local import _checks as checks
from superserve.local._build_fault import BuildFault, BuildOutcome
from superserve.local._checks import NOT_GIVEN
from superserve.local._fault import Aim, Book, Fault
from superserve.local._operations import LOGS, Pattern
from superserve.local._strikes import Answer, Delay, Duplicate, Effect, End, Ending, Garble, Garbling, Reorder


class Faults:
    """Makes requests and builds go wrong; obtained as `server.faults`, and for any thread.

    Each method sets one fault and returns it. The first argument of most names the requests that it is for: a method
    and a path where a part in braces stands for any text (`GET /templates/{id}`), a path alone, an operation of the
    contract (`getTemplate`), or `*` for all. Requests to `/_local/` are never struck.

    A fault strikes the next request that it is for, unless these arguments, which all methods take, say otherwise:

    - `times`: strike so many;
    - `share`: strike each with this chance, more than 0 and at most 1. Without `times` there is no end to it:
      `share=1` strikes all;
    - `skip`: let so many go first;
    - `seed`: makes what is left to chance the same on every run. By default it comes from `LocalServer(seed=)`.

    A request is struck by one fault: of those that are for it and have strikes left, the one that was set first.

    Faults end with `fault.remove()`, `clear()`, `server.reset()` and `server.stop()`; with the first two, a request
    that is struck already stays so until its client leaves. Wrong arguments raise ValueError or TypeError.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     fault = server.faults.answer("GET /templates", 503, headers={"Retry-After": "0"}, times=2)
        ...     found = Template.list(api_key=server.api_key, base_url=server.base_url)
        ...     fault.struck, server.requests.count("GET", "/templates")
        (2, 3)

    """

    def __init__(self, book: Book, check: Callable[[], object] = lambda: None) -> None:
        self._book = book
        self._check = check

    def answer(
        self,
        on: str,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        json: object = NOT_GIVEN,
        delay_s: float = 0.0,
        handled: bool = False,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Answer in the server's place, as a gateway does that can't reach it.

        Args:
            on: The requests.
            status: 200 to 599.
            headers: More headers, or another Content-Type.
            body: The body as text or bytes.
            json: The body as a value that JSON can show. With neither, errors have the API's envelope and the code
                that goes with the status, and other answers have no body.
            delay_s: Real seconds until the answer, whatever the server's speed.
            handled: Whether the request is carried out all the same, and only its answer lost.
            times: How many are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each.
            skip: How many go first.
            seed: For what is left to chance.

        """
        checks.whole("status", status, 200, 599)
        content, content_type = checks.answer_body(status, body, json)
        effect = Answer(
            status=status,
            headers=checks.answer_headers(headers or {}, content_type),
            body=content,
            delay_s=checks.seconds("delay_s", delay_s),
            handled=checks.flag("handled", handled),
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
        return self._for_requests("answer", on, effect, options, _aim(times, share, skip, seed))

    def garble(
        self,
        on: str,
        how: Garbling | None = None,
        *,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Answer as the server does, but with another body; in a log stream, every event is spoiled.

        Args:
            on: The requests.
            how: `truncated`: JSON that stops somewhere. `html`: a gateway's page. `text`: a sentence. `empty`: no
                body. `binary`: bytes that are no UTF-8. `mistyped`: JSON of another shape, a list for an object or an
                object for a list. By default any of them.
            times: How many are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each.
            skip: How many go first.
            seed: For what is left to chance.

        """
        if how is not None:
            checks.one_of("how", how, get_args(Garbling))
        return self._for_requests("garble", on, Garble(how), {"how": how}, _aim(times, share, skip, seed))

    def delay(
        self,
        on: str,
        seconds: float,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Let the answer come late: all of it, or what follows a place in its body.

        The request is carried out at once.

        Args:
            on: The requests.
            seconds: How late; real seconds, whatever the server's speed.
            after_bytes: Send so many bytes of the body in time. 0 sends the headers.
            after_events: Send so many events in time, of log streams only.
            times: How many are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each.
            skip: How many go first.
            seed: For what is left to chance.

        """
        effect = Delay(
            checks.seconds("seconds", seconds),
            checks.place(after_bytes=after_bytes, after_events=after_events),
        )
        options = {"seconds": seconds, "after_bytes": after_bytes, "after_events": after_events}
        return self._for_requests("delay", on, effect, options, _aim(times, share, skip, seed))

    def cut(
        self,
        on: str,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        clean: bool = False,
        handled: bool = False,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Close the connection before the answer or in the midst of it.

        Args:
            on: The requests.
            after_bytes: Send so many bytes of the body, up to the middle of a chunk if need be. 0 sends the headers.
            after_events: Send so many events, of log streams only.
            head_bytes: Send so many bytes of the status line and the headers. Without any of the three nothing is
                sent, and the request is not carried out.
            clean: End the answer in good order at that place, as if there were no more of it, and keep the connection.
            handled: Whether the request is carried out although nothing is sent.
            times: How many are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each.
            skip: How many go first.
            seed: For what is left to chance.

        """
        if checks.flag("clean", clean) and after_bytes is None and after_events is None:
            raise ValueError("clean needs a place: after_bytes or after_events")
        return self._end(
            "cut",
            on,
            "end" if clean else "cut",
            after_bytes=after_bytes,
            after_events=after_events,
            head_bytes=head_bytes,
            handled=handled,
            aim=_aim(times, share, skip, seed),
        )

    def reset(
        self,
        on: str,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        handled: bool = False,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Reset the connection (RST) before the answer or in the midst of it.

        As it is with resets, what the client hasn't received by then it may never receive.

        Args:
            on: The requests.
            after_bytes: Send so many bytes of the body. 0 sends the headers.
            after_events: Send so many events, of log streams only.
            head_bytes: Send so many bytes of the status line and the headers. Without any of the three nothing is
                sent, and the request is not carried out.
            handled: Whether the request is carried out although nothing is sent.
            times: How many are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each.
            skip: How many go first.
            seed: For what is left to chance.

        """
        return self._end(
            "reset",
            on,
            "reset",
            after_bytes=after_bytes,
            after_events=after_events,
            head_bytes=head_bytes,
            handled=handled,
            aim=_aim(times, share, skip, seed),
        )

    def stall(
        self,
        on: str,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        head_bytes: int | None = None,
        handled: bool = False,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Fall silent before the answer or in the midst of it, until the client leaves or the server stops.

        A log stream is silent like this with `stall("streamTemplateBuildLogs")`, which sends no headers either, as the
        real server does as long as a build prints nothing.

        Args:
            on: The requests.
            after_bytes: Send so many bytes of the body. 0 sends the headers.
            after_events: Send so many events, of log streams only.
            head_bytes: Send so many bytes of the status line and the headers. Without any of the three nothing is
                sent, and the request is not carried out.
            handled: Whether the request is carried out although nothing is sent.
            times: How many are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each.
            skip: How many go first.
            seed: For what is left to chance.

        """
        return self._end(
            "stall",
            on,
            "stall",
            after_bytes=after_bytes,
            after_events=after_events,
            head_bytes=head_bytes,
            handled=handled,
            aim=_aim(times, share, skip, seed),
        )

    def duplicate(
        self,
        on: str = LOGS,
        *,
        chance: float = 1.0,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Send events of a log stream twice.

        Args:
            on: The log streams.
            chance: The chance of each event.
            times: How many streams are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each stream.
            skip: How many streams go first.
            seed: For what is left to chance.

        """
        effect = Duplicate(checks.chance("chance", chance))
        options = {"chance": chance}
        return self._for_logs("duplicate", on, effect, options, _aim(times, share, skip, seed))

    def reorder(
        self,
        on: str = LOGS,
        *,
        group: int = 4,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Send the events of a log stream in another order, the last one included.

        Args:
            on: The log streams.
            group: How many events in a row are mixed; they are held back until all of them are there, or the log ends.
            times: How many streams are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each stream.
            skip: How many streams go first.
            seed: For what is left to chance.

        """
        effect = Reorder(checks.whole("group", group, 2))
        return self._for_logs("reorder", on, effect, {"group": group}, _aim(times, share, skip, seed))

    def build(
        self,
        outcome: BuildOutcome,
        *,
        step: int | None = None,
        exit_code: int | None = None,
        message: str | None = None,
        template: str | None = None,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
        seed: int | None = None,
    ) -> Fault:
        """Let a build that starts end badly.

        Args:
            outcome: A failure code, such as `step_failed` or `boot_failed`. Or `hang`: nothing happens any more, until
                the builder's limit of 15 minutes. `time_out`: with the queue's next tick it counts as too old, which
                leaves its template as it was. `lose`: the host forgets it, as when it restarts.
            step: At the end of which step, counted from 1. By default `step_failed` is for the first step, other codes
                come where they belong, and the rest at the start. A build that has no such step, or no start_cmd or
                ready_cmd that could fail, isn't struck.
            exit_code: Of `step_failed`, 1 by default.
            message: The whole error message of the build, for another one than the code's.
            template: Only builds of the template with this name or id.
            times: How many builds are struck, as are `share`, `skip` and `seed`: see the class.
            share: The chance of each build.
            skip: How many builds go first.
            seed: For what is left to chance.

        """
        checks.one_of("outcome", outcome, get_args(BuildOutcome))
        if exit_code is not None and (outcome != "step_failed" or message is not None):
            raise ValueError("exit_code is only for step_failed without a message")
        if message is not None and outcome in {"hang", "lose", "time_out"}:
            raise ValueError(
                f"message is for failures: what a build that is to {outcome} says is the server's own"
            )
        fault = BuildFault(
            outcome=outcome,
            step=None if step is None else checks.whole("step", step, 1),
            exit_code=1 if exit_code is None else checks.whole("exit_code", exit_code, -1, 255),
            message=None if message is None else checks.text("message", message),
            template=None if template is None else checks.text("template", template),
        )
        options = {
            "outcome": outcome, "step": step, "exit_code": exit_code, "message": message, "template": template,
        }  # fmt: skip
        return self._add("build", fault, options, _aim(times, share, skip, seed))

    def clear(self) -> None:
        """Remove all faults."""
        self._book.clear()

    def __iter__(self) -> Iterator[Fault]:
        """Yield the faults that weren't removed, those that won't strike any more included."""
        return iter(self._book.faults())

    def __len__(self) -> int:
        return len(self._book.faults())

    def __repr__(self) -> str:
        return "<Faults>" + "".join(f"\n  {fault!r}" for fault in self)

    def _end(
        self,
        kind: str,
        on: str,
        how: Ending,
        *,
        after_bytes: int | None,
        after_events: int | None,
        head_bytes: int | None,
        handled: bool,
        aim: Aim,
    ) -> Fault:
        place = checks.place(after_bytes=after_bytes, after_events=after_events, head_bytes=head_bytes)
        if checks.flag("handled", handled) and place is not None:
            raise ValueError("handled is for requests without any answer: the others are carried out anyway")
        options = {
            "after_bytes": after_bytes,
            "after_events": after_events,
            "head_bytes": head_bytes,
            "clean": how == "end",
            "handled": handled,
        }
        return self._for_requests(kind, on, End(how, place, handled), options, aim)

    def _for_requests(
        self, kind: str, on: str, effect: Effect, options: Mapping[str, object], aim: Aim
    ) -> Fault:
        if options.get("after_events") is not None:
            return self._for_logs(kind, on, effect, options, aim)
        return self._add(kind, (Pattern.read(on), effect), {"on": on, **options}, aim)

    def _for_logs(self, kind: str, on: str, effect: Effect, options: Mapping[str, object], aim: Aim) -> Fault:
        pattern = Pattern.read(on)
        if not pattern.reads_logs:
            raise ValueError(f"only log streams have events: {on!r} is more than {LOGS!r}")
        return self._add(kind, (pattern, effect), {"on": on, **options}, aim)

    def _add(
        self,
        kind: str,
        target: tuple[Pattern, Effect] | BuildFault,
        options: Mapping[str, object],
        aim: Aim,
    ) -> Fault:
        self._check()
        given = {**options, **aim.given}
        shown = {name: value for name, value in given.items() if value is not None and value is not False}
        return self._book.add(kind, shown, target, aim)


def _aim(times: int | None, share: float | None, skip: int, seed: int | None) -> Aim:
    return Aim(
        times=None if times is None else checks.whole("times", times, 1),
        share=None if share is None else checks.chance("share", share),
        skip=checks.whole("skip", skip, 0),
        seed=None if seed is None else checks.whole("seed", seed, 0),
    )
