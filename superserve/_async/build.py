"""A build of a template: the handle that `template.build()` and `template.latest_build()` return."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from superserve._arguments import LogCallback
from superserve._timeline import timeline
from superserve.types import BuildLogEvent, BuildTimeline, TemplateBuildInfo, TemplateInfo

if TYPE_CHECKING:
    from superserve._async.templates import AsyncTemplate


class AsyncBuild:
    """The handle of one build. It has a template's methods for builds, without the `build_id` argument.

    Get one from `AsyncTemplate.build` or `AsyncTemplate.latest_build`; the class is not meant to be called.

    Example:
        >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "make"}])
        >>> build = template.build()
        >>> info = await build.wait()
        >>> print(info.status, (await build.get_info()).status)
        ready ready
    """

    __slots__ = ("_id", "_template")

    def __init__(self, template: "AsyncTemplate", build_id: str) -> None:
        self._template = template
        self._id = build_id

    def __repr__(self) -> str:
        return self._template._show(f"<{type(self).__name__} {self._id} of {self._template.name!r}>")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncBuild):
            return NotImplemented
        return (self._id, self._template) == (other._id, other._template)

    def __hash__(self) -> int:
        return hash((type(self), self._id))

    @property
    def id(self) -> str:
        """The build's id."""
        return self._id

    @property
    def template(self) -> "AsyncTemplate":
        """The template of this build."""
        return self._template

    async def get_info(self) -> TemplateBuildInfo:
        """Return the build as it is now, with `getTemplateBuild`.

        Raises:
            NotFoundError: The template has no such build.
        """
        return await self._template.get_build(self._id)

    async def wait(
        self,
        *,
        on_log: LogCallback | None = None,
        poll_interval_s: float = 2.0,
        timeout_s: float | None = None,
        log_tail: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> TemplateInfo:
        """Wait until this build has ended: `AsyncTemplate.wait_until_ready`, with the same arguments and errors."""
        return await self._template.wait_until_ready(
            on_log=on_log,
            poll_interval_s=poll_interval_s,
            timeout_s=timeout_s,
            build_id=self._id,
            log_tail=log_tail,
            cancel_on_interrupt=cancel_on_interrupt,
        )

    def logs(self, *, idle_timeout_s: float | None = None) -> AsyncGenerator[BuildLogEvent]:
        """Return an iterator over the events of the log: `AsyncTemplate.iter_build_logs`.

        Args:
            idle_timeout_s: Seconds without an event after which to give up. Default: no limit.
        """
        return self._template.iter_build_logs(build_id=self._id, idle_timeout_s=idle_timeout_s)

    async def cancel(self) -> None:
        """Cancel the build, with `cancelTemplateBuild`. Nothing happens if it has already ended."""
        await self._template.cancel_build(self._id)

    async def timeline(self, *, idle_timeout_s: float | None = None) -> BuildTimeline:
        """Return how long each part of the build took: reads the log (`streamTemplateBuildLogs`), then `getTemplateBuild`.

        The log is read to its end. If the build is still running, this waits for it.

        Args:
            idle_timeout_s: Seconds without an event of the log after which to give up. Default: no limit.

        Raises:
            SandboxError: The log cannot be read.
            NotFoundError: The template has no such build.
            SandboxTimeoutError: There was no event for `idle_timeout_s`.

        Example:
            >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "sleep 1"}])
            >>> info = await template.wait_until_ready()
            >>> timeline = await template.build().timeline()
            >>> print(timeline.slowest.label, timeline.slowest.seconds)
            Step 1/1  $ sleep 1 1.01
        """
        events: list[BuildLogEvent] = []
        await self._template.stream_build_logs(
            on_event=events.append, build_id=self._id, idle_timeout_s=idle_timeout_s
        )
        return timeline(await self.get_info(), events)
