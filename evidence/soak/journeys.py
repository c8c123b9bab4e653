"""What is done with each build of the soak, and what must come of it: sync and async from one source."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, closing
from contextvars import ContextVar
from typing import Final

import attrs
from builds import Build, Kind, judge, judge_advice
from travel import PASSING, PAUSE_S, TRIES, Figures, Traveller, WrongError, finish

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    BuildError,
    BuildLogEvent,
    ConflictError,
    NotFoundError,
    Superserve,
    Template,
)

AnyTemplate = Template | AsyncTemplate

_POLL_INTERVALS_S: Final = (0.2, 0.5, 2.0)
_TIMEOUT_S: Final = 2.0
# What a wait may take past its timeout: 5 s for cancelling the build, and the rest for a machine that is busy.
_LATE_S: Final = 5.0 + 15.0
_SLOW_CALLBACK_S: Final = 0.002
# A stalled log looks like a step that prints nothing, and only this ends the reading; the builds are never so long silent.
_IDLE_TIMEOUT_S: Final = 5.0
_END_IS_LOST: Final = "was not read to its end"

_warnings: ContextVar[list[str]] = ContextVar("_warnings")


class GivenUpError(Exception):
    """What the callbacks of the soak raise."""


class _Listener(logging.Handler):
    """Gives each wait the warnings that are made in its thread or task."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        if (kept := _warnings.get(None)) is not None:
            kept.append(record.getMessage())


logging.getLogger("superserve").addHandler(_Listener(logging.WARNING))


@attrs.define
class BuildFigures(Figures):
    """What has been seen of builds and their logs."""

    builds: int = 0
    logs: int = 0
    events: int = 0
    flags: int = 0
    missing: int = 0
    needless: int = 0
    dropped: int = 0
    logs_without_end: int = 0
    lost: int = 0


def _notes(error: BaseException | None) -> list[str]:
    return getattr(error, "__notes__", [])


class Journey(Traveller):
    """One template's way from its creation to its deletion."""

    figures: BuildFigures

    def __init__(self, client: Superserve | AsyncSuperserve, build: Build, dice: random.Random) -> None:
        super().__init__(client, dice, BuildFigures())
        self._build = build
        self._class = AsyncTemplate if self._is_async else Template

    async def travel(self, name: str) -> BuildFigures:
        """Go the way of that name, and return what was seen on it; raise WrongError if something was wrong."""
        start = time.monotonic()
        template = await self._create()
        await WAYS[name](self, template)
        await self._persist(template.delete)
        try:
            await self._persist(template.get_info)
        except NotFoundError:
            pass
        else:
            raise WrongError("the template is still there after its deletion")
        self.figures.longest_s = time.monotonic() - start
        return self.figures

    async def follow(self, template: AnyTemplate) -> None:
        """Wait with `on_log`."""
        events: list[BuildLogEvent] = []
        end_is_lost = await self._wait(template, on_log=self._callback(events.append))
        self._judge(events, may_lack_end=end_is_lost)

    async def stream(self, template: AnyTemplate) -> None:
        """Have the log streamed, then ask how the build ended."""
        build_id = await self._newest_build(template)

        async def read(events: list[BuildLogEvent]) -> None:
            await self._now(
                template.stream_build_logs(
                    on_event=self._callback(events.append),
                    build_id=build_id,
                    idle_timeout_s=_IDLE_TIMEOUT_S,
                )
            )

        await self._read(read)
        await self._wait(template)

    async def iterate(self, template: AnyTemplate) -> None:
        """Iterate over the log, perhaps not to its end the first time."""
        build_id = await self._newest_build(template)
        if self._dice.random() < 0.3:  # noqa: PLR2004 - now and then
            await self._iterate(template, build_id, most=self._dice.randint(1, 20))
        await self._iterate(template, build_id)
        await self._wait(template)

    async def read_late(self, template: AnyTemplate) -> None:
        """Wait without reading the log, and read it when all is over."""
        await self._wait(template)
        await self._iterate(template, await self._newest_build(template))

    async def rebuild(self, template: AnyTemplate) -> None:
        """Build twice."""
        await self.follow(template)
        build = await self._persist(template.rebuild)
        await self.follow(template)
        newest = (await self._persist(template.list_builds))[0]
        if newest.id != build.id:
            raise WrongError(f"rebuild() started {build.id}, but the newest build is {newest.id}")

    async def cancel(self, template: AnyTemplate) -> None:
        """Cancel the build out of the callback, as soon as it begins with what has no end."""
        build_id = await self._newest_build(template)
        events: list[BuildLogEvent] = []
        last = f"Step {len(self._build.commands)}/{len(self._build.commands)}"

        def take(event: BuildLogEvent) -> Coroutine[object, object, None] | None:
            events.append(event)
            return self._persist(template.cancel_build, build_id) if event.text == last else None

        await self._wait(template, on_log=self._callback(take))
        self._judge(events, whole=False)

    async def time_out(self, template: AnyTemplate) -> None:
        """Wait for less time than the build takes, and let it be cancelled then."""
        build_id = await self._newest_build(template)
        events: list[BuildLogEvent] = []
        start = time.monotonic()
        try:
            if self._is_async and self._dice.random() < 0.5:  # noqa: PLR2004 - half of them
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._wait(template, on_log=events.append, cancel_on_interrupt=True)
            else:
                await self._wait(
                    template, on_log=events.append, timeout_s=_TIMEOUT_S, cancel_on_interrupt=True
                )
        except TimeoutError as error:
            # asyncio.timeout makes its error of the one that came out of the wait.
            advice = "\n".join([str(error), *_notes(error), *_notes(error.__cause__)])
        else:
            raise WrongError("the wait ended before its time")
        if (taken := time.monotonic() - start) > _TIMEOUT_S + _LATE_S:
            raise WrongError(f"the wait ended after {taken:.1f} s, its timeout was {_TIMEOUT_S:g} s")
        self._judge(events, whole=False)
        build = await self._persist(template.get_build, build_id)
        if (problem := judge_advice(advice, build.status)) is not None:
            raise WrongError(problem)
        await self._persist(template.cancel_build, build_id)
        await self._wait(template)

    async def give_up(self, template: AnyTemplate) -> None:
        """Raise an exception in the callback, then wait again."""
        events: list[BuildLogEvent] = []
        most = self._dice.randint(1, min(len(self._build.log), 100))
        reason = GivenUpError()

        def take(event: BuildLogEvent) -> None:
            events.append(event)
            if len(events) == most:
                raise reason

        try:
            end_is_lost = await self._wait(template, on_log=self._callback(take))
        except GivenUpError as error:
            notes = " ".join(_notes(error))
            if error is not reason or not ("wait again" in notes or "has ended" in notes):
                raise WrongError("the callback's exception came out changed, or without advice") from error
        else:
            if len(events) >= most or not end_is_lost:
                raise WrongError("the callback's exception did not come out")
        self._judge(events, whole=False)
        await self.follow(template)

    async def _create(self) -> AnyTemplate:
        build = self._build
        for _ in range(TRIES):
            try:
                return await self._now(
                    self._class.create(
                        name=build.name, from_=build.from_, steps=build.steps, client=self._client
                    )
                )
            except PASSING as error:
                self._note("create", error)
                # What the message advises: a POST is not repeated by the client.
                advice = f"Template.list(name_prefix={build.name!r})" in str(error)
            found = await self._persist(self._class.list, name_prefix=build.name, client=self._client)
            for info in found:
                if info.name == build.name:
                    if not advice:
                        raise WrongError("a create whose answer was lost did not say that it may have worked")
                    return await self._persist(self._class.connect, info.id, client=self._client)
        raise WrongError(f"the template could not be created in {TRIES} tries")

    async def _wait(self, template: AnyTemplate, **options: object) -> bool:
        """Wait for the build, which must end as it is meant to; return whether a warning says that the log's end is lost."""
        warnings: list[str] = []
        _warnings.set(warnings)
        interval_s = self._dice.choice(_POLL_INTERVALS_S)
        build = self._build
        try:
            info = await self._now(template.wait_until_ready(poll_interval_s=interval_s, **options))
        except BuildError as error:
            outcome = f"{error.code} {error.step}/{error.step_count} {error.exit_code}"
        except ConflictError:
            outcome = "cancelled"
        else:
            outcome = str(info.status)
        count = len(build.commands)
        expected = {
            Kind.READY: "ready",
            Kind.FLOODING: "ready",
            Kind.FAILING: f"step_failed {count}/{count} {build.exit_code}",
            Kind.UNPULLABLE: "image_pull_failed None/None None",
            Kind.ENDLESS: "cancelled",
        }[build.kind]
        if outcome != expected:
            raise WrongError(f"the build ended {outcome!r}, not {expected!r}")
        self.figures.builds += 1
        self.figures.outcomes[outcome.partition(" ")[0]] += 1
        return any(_END_IS_LOST in warning for warning in warnings)

    async def _read(
        self, read: Callable[[list[BuildLogEvent]], Awaitable[None]], *, whole: bool = True
    ) -> None:
        """Have a log read into a list until that works, as people do; what came before an error must be right, too."""
        for left in reversed(range(TRIES)):
            events: list[BuildLogEvent] = []
            try:
                await read(events)
            except PASSING as error:
                self._note("read the log", error)
                self._judge(events, whole=False)
                if not left:
                    raise
            else:
                self._judge(events, whole=whole)
                return
            await self._now(self._sleep(PAUSE_S))

    async def _iterate(self, template: AnyTemplate, build_id: str, most: int | None = None) -> None:
        """Iterate over a log: to its end, or over so many events."""

        async def read(events: list[BuildLogEvent]) -> None:
            log = template.iter_build_logs(build_id=build_id, idle_timeout_s=_IDLE_TIMEOUT_S)
            if self._is_async:
                async with aclosing(log):
                    async for event in log:
                        events.append(event)
                        if len(events) == most:
                            break
            else:
                with closing(log):
                    for event in log:
                        events.append(event)
                        if len(events) == most:
                            break

        await self._read(read, whole=most is None)

    async def _newest_build(self, template: AnyTemplate) -> str:
        if self._dice.random() < 0.5 and template.latest_build_id:  # noqa: PLR2004 - half of them
            return template.latest_build_id
        return (await self._persist(template.list_builds, limit=1))[0].id

    def _callback(self, take: Callable[[BuildLogEvent], object]) -> Callable[[BuildLogEvent], object]:
        """Return a callback of one form or another, and now and then a slow one."""
        slow_s = _SLOW_CALLBACK_S if self._dice.random() < 0.05 else 0.0  # noqa: PLR2004 - now and then

        async def listen(event: BuildLogEvent) -> None:
            await asyncio.sleep(slow_s)
            await self._now(take(event))

        def hear(event: BuildLogEvent) -> object:
            if not self._is_async:
                time.sleep(slow_s)
            result = take(event)
            return result if self._is_async or result is None else finish(result)

        return listen if self._is_async and self._dice.random() < 0.5 else hear  # noqa: PLR2004 - half of them

    def _judge(self, events: list[BuildLogEvent], *, whole: bool = True, may_lack_end: bool = False) -> None:
        reading = judge(self._build, events, whole=whole, may_lack_end=may_lack_end)
        if reading.problem is not None:
            raise WrongError(reading.problem)
        self.figures.logs += 1
        self.figures.events += len(events)
        self.figures.flags += reading.flags
        self.figures.missing += reading.missing
        self.figures.needless += reading.needless
        self.figures.dropped += reading.dropped
        self.figures.logs_without_end += bool(reading.lost)
        self.figures.lost += reading.lost


WAYS: Final[dict[str, Callable[[Journey, AnyTemplate], Awaitable[None]]]] = {
    "follow": Journey.follow,
    "stream": Journey.stream,
    "iterate": Journey.iterate,
    "read late": Journey.read_late,
    "rebuild": Journey.rebuild,
    "cancel": Journey.cancel,
    "time out": Journey.time_out,
    "give up": Journey.give_up,
}
