"""Templates: images that are built once, and from which any number of identical sandboxes start."""

import builtins
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

from superserve_api.api.templates import (
    cancel_template_build,
    create_template,
    create_template_build,
    delete_template,
    get_template,
    get_template_build,
    list_template_builds,
    list_templates,
)
from superserve_api.models import ApiError
from superserve_api.types import UNSET

from superserve import _arguments
from superserve._arguments import LogCallback
from superserve._async.build import AsyncBuild
from superserve._async.build_logs import AsyncBuildLog
from superserve._async.build_wait import AsyncBuildWait
from superserve._async.client import AsyncSuperserve, Send, client_for
from superserve._http.tasks_async import check_callback, deliver
from superserve._operations import builds, templates
from superserve._operations.operation import Operation
from superserve._polling import Deadline
from superserve._template_snapshot import TemplateSnapshot
from superserve.errors import NotFoundError, SandboxError
from superserve.types import (
    BuildLogEvent,
    BuildOutcome,
    BuildStep,
    BuildSummary,
    Plan,
    PruneOutcome,
    TemplateBuildInfo,
    TemplateInfo,
)

if TYPE_CHECKING:
    from superserve._async.sandboxes import AsyncSandbox
    from superserve._operations.sandboxes import Network
    from superserve.specs import TemplateSpec

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("superserve")


class AsyncTemplate(TemplateSnapshot):
    """A template of the authenticated team, or one of the system's.

    Get one from `create` or `connect`; the class is not meant to be called. Its properties are what the server said at
    that moment, and never change; `get_info` asks the server again.

    Any call may raise AuthenticationError, RateLimitError, ServerError, SandboxConnectionError and SandboxTimeoutError;
    methods name the other errors. GET and DELETE are retried up to the client's `max_attempts`, POST never.

    Example:
        >>> from superserve import AsyncTemplate
        >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "make"}])
        >>> info = await template.wait_until_ready()
        >>> print(info.name, info.status)
        my-env ready
        >>> await template.delete()
    """

    __slots__ = ("_client", "_spec", "_started_build_id", "_steps")
    _client: AsyncSuperserve

    def __init__(
        self,
        info: TemplateInfo,
        *,
        client: AsyncSuperserve,
        started_build_id: str | None = None,
        steps: Sequence[_arguments.TypedStep] = (),
        spec: "TemplateSpec | None" = None,
    ) -> None:
        super().__init__(info)
        self._client = client
        self._spec = spec
        # The newest build that this handle started.
        self._started_build_id = started_build_id
        self._steps = steps

    @overload
    @classmethod
    async def create(
        cls,
        *,
        spec: "TemplateSpec",
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Self: ...
    @overload
    @classmethod
    async def create(
        cls,
        *,
        name: str,
        from_: str,
        vcpu: int | None = None,
        memory_mib: int | None = None,
        disk_mib: int | None = None,
        steps: Sequence[BuildStep] | None = None,
        start_cmd: str | None = None,
        ready_cmd: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Self: ...
    @classmethod
    async def create(
        cls,
        *,
        name: str | None = None,
        from_: str | None = None,
        vcpu: int | None = None,
        memory_mib: int | None = None,
        disk_mib: int | None = None,
        steps: Sequence[BuildStep] | None = None,
        start_cmd: str | None = None,
        ready_cmd: str | None = None,
        spec: "TemplateSpec | None" = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Self:
        """Create a template and queue its first build. `wait_until_ready` waits for the build.

        Calls `createTemplate` (POST /templates) once, without retries. Omitted arguments are not sent, so the server's
        defaults apply.

        Args:
            name: Unique in the team; lower-case letters, digits and `. _ / -`. Deleting the template frees its name.
            from_: The OCI image to start from, such as `python:3.11`.
            vcpu: Virtual CPUs, 1 to 4; the server's default is 1.
            memory_mib: Memory in MiB, 256 to 4096; the server's default is 1024.
            disk_mib: Disk in MiB, 1024 to 8192; the server's default is 4096.
            steps: The steps of the build, in order. Dicts such as `{"run": "pip install numpy"}` and typed steps such as
                `RunStep("pip install numpy")` may be mixed.
            start_cmd: A process to start and keep running in the template.
            ready_cmd: A command that succeeds once that process is ready. The server tries it every 2 s.
            spec: All of the above in one value, instead of the other arguments.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: An argument is invalid, or the server refused one.
            SpecError: `spec` has errors: all that `spec.check` finds. SpecError is a ValidationError.
            ConflictError: The name is taken.
            RateLimitError: There are too many requests, builds or templates (see `code`).
            SandboxError: The call failed in another way. If the template may exist, the message says so.

        Example:
            >>> template = await AsyncTemplate.create(
            ...     name="my-server",
            ...     from_="python:3.11",
            ...     steps=[{"workdir": "/app"}, RunStep("pip install numpy")],
            ...     start_cmd="python -m http.server 8080",
            ...     ready_cmd="curl -f http://localhost:8080/",
            ... )
            >>> print(template.status)
            building
        """
        if spec is not None:
            given = (name, from_, vcpu, memory_mib, disk_mib, steps, start_cmd, ready_cmd)
            _arguments.whole_spec(spec, is_alone=all(value is None for value in given))
            name, from_, steps = spec.name, spec.from_, spec.steps or None
            vcpu, memory_mib, disk_mib = spec.vcpu, spec.memory_mib, spec.disk_mib
            start_cmd, ready_cmd = spec.start_cmd, spec.ready_cmd
        checked_steps = None if steps is None else _arguments.steps(steps)
        body = templates.write_create_request(
            name=name,
            from_=from_,
            vcpu=vcpu,
            memory_mib=memory_mib,
            disk_mib=disk_mib,
            steps=checked_steps,
            start_cmd=start_cmd,
            ready_cmd=ready_cmd,
        )
        used = client_for(client, api_key=api_key, base_url=base_url)
        info = await used._call(
            create_template.asyncio_detailed, templates.create_template(body.name), body=body, client=used.raw
        )
        return cls(
            info,
            client=used,
            started_build_id=info.latest_build_id,
            steps=tuple(checked_steps or ()),
            spec=spec,
        )

    @classmethod
    async def connect(
        cls,
        template_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Self:
        """Load an existing template by its id, with `getTemplate`. `get_by_name` loads one by its name.

        Args:
            template_id: The template's id.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `template_id` cannot be an id.
            NotFoundError: The template does not exist, or belongs to another team.
        """
        checked_id = _arguments.identifier("template_id", template_id)
        used = client_for(client, api_key=api_key, base_url=base_url)
        return cls(await _get(used, checked_id), client=used)

    @classmethod
    async def list(
        cls,
        *,
        name_prefix: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> builtins.list[TemplateInfo]:
        """Return the team's templates and the system's, newest first, with `listTemplates`.

        Args:
            name_prefix: Only templates whose name starts with this text. Default: all.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `name_prefix` is not a string.
        """
        prefix = _arguments.text("name_prefix", "" if name_prefix is None else name_prefix, may_be_empty=True)
        used = client_for(client, api_key=api_key, base_url=base_url)
        return await used._call(
            list_templates.asyncio_detailed,
            templates.list_templates(prefix),
            name_prefix=prefix or UNSET,
            client=used.raw,
        )

    @classmethod
    async def delete_by_id(
        cls,
        template_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> None:
        """Delete a template by its id, with `deleteTemplate`. It is not an error if there is none.

        Templates of other teams and of the system count as missing: they are not deleted.

        The server may need 30 s: the call gets the client's `timeout_s` plus 30 s.

        Args:
            template_id: The template's id.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `template_id` cannot be an id.
            ConflictError: A sandbox that is not destroyed still uses the template, or one of its builds is running.
        """
        checked_id = _arguments.identifier("template_id", template_id)
        await _delete(client_for(client, api_key=api_key, base_url=base_url), checked_id)

    @classmethod
    async def get_by_name(
        cls,
        name: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Self:
        """Load an existing template by its exact name, the team's own before the system's, with `listTemplates`.

        If both have a template with that name, a second request tells them apart.

        Args:
            name: The whole name.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `name` cannot be a template name.
            NotFoundError: No template has that name.

        Example:
            >>> created = await AsyncTemplate.create(name="my-env", from_="python:3.11")
            >>> (await AsyncTemplate.get_by_name("my-env")).id == created.id
            True
        """
        from superserve._async import plans

        checked_name = _arguments.template_name(name)
        return await plans.get_by_name(
            cls, client_for(client, api_key=api_key, base_url=base_url), checked_name
        )

    @classmethod
    async def plan(
        cls,
        spec: "TemplateSpec",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Plan:
        """Return what `ensure` would do for a spec, and why. Changes nothing.

        Finds the template with `listTemplates` (see `get_by_name`), and its newest build with `listTemplateBuilds`. A
        template matches a spec if its build has the spec's hash, and if it has the resources that the spec names.
        Resources that the spec leaves out are not compared.

        Args:
            spec: The spec.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            SpecError: The spec has errors: all of them.

        Example:
            >>> spec = TemplateSpec(name="my-env", from_="python:3.11").run("make")
            >>> print(await AsyncTemplate.plan(spec))
            create: there is no template 'my-env'
        """
        from superserve._async import plans

        _arguments.whole_spec(spec)
        return await plans.plan(cls, client_for(client, api_key=api_key, base_url=base_url), spec)

    @classmethod
    async def ensure(
        cls,
        spec: "TemplateSpec",
        *,
        wait: bool = True,
        on_plan: Callable[[Plan], object] | None = None,
        on_log: LogCallback | None = None,
        poll_interval_s: float = 2.0,
        timeout_s: float | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> Self:
        """Return the template that a spec describes. It is created, built again, or used as it is.

        Makes a plan (see `plan`), and carries it out with `createTemplate` or `createTemplateBuild`, or replaces a template
        that differs: with `cancelTemplateBuild` for a running build, `deleteTemplate` and `createTemplate`. The service
        refuses to delete a template that sandboxes use. Then calls `wait_until_ready`. Processes that do this at the same
        time end up with the same template: the slower one makes a new plan, up to five times.

        Args:
            spec: The spec.
            wait: Whether to wait until the template is ready. Default True.
            on_plan: A plain function, called with each plan before it is carried out. An exception stops the plan.
            on_log: Called for each log event of the build that is waited for, such as `print_log()`.
            poll_interval_s: Seconds between polls of the build, more than 0. Default 2.
            timeout_s: Seconds after which to stop waiting for the build. Default: no limit.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            SpecError: The spec has errors: all of them.
            ConflictError: A template that differs is in use, or it is not known whether it differs.
            BuildError: The build failed.
            RateLimitError: There are too many requests, builds or templates (see `code`).

        Example:
            >>> spec = TemplateSpec(name="my-env", from_="python:3.11").run("make")
            >>> template = await AsyncTemplate.ensure(spec, on_plan=print)
            create: there is no template 'my-env'
            >>> template = await AsyncTemplate.ensure(spec, on_plan=print)
            reuse: the spec is the same, and the template is ready
        """
        from superserve._async import plans

        _arguments.whole_spec(spec)
        if on_plan is not None:
            _arguments.plain_function("on_plan", on_plan)
        if on_log is not None:
            check_callback("on_log", on_log)
        return await plans.ensure(
            cls,
            client_for(client, api_key=api_key, base_url=base_url),
            spec,
            wait=_arguments.flag("wait", wait),
            on_plan=on_plan,
            on_log=on_log,
            poll_interval_s=_arguments.seconds("poll_interval_s", poll_interval_s),
            timeout_s=_arguments.optional(_arguments.seconds, "timeout_s", timeout_s),
        )

    @classmethod
    async def build_all(
        cls,
        specs: "Iterable[TemplateSpec]",
        *,
        concurrency: int | None = None,
        wait_for_slot: bool = True,
        slot_timeout_s: float = 1800.0,
        on_build: Callable[[AsyncBuild], object] | None = None,
        on_outcome: Callable[[BuildOutcome], object] | None = None,
        poll_interval_s: float = 2.0,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> BuildSummary:
        """Do for many specs what `ensure` does for one, as many at once as the team may; return the outcome of each.

        Each spec makes the requests of `ensure`. Running builds are polled with `getTemplateBuild`. How many builds a team
        may run at once shows when the service refuses one (429 `too_many_builds`). A build that fails does not stop the
        others. If the call is interrupted, the error's notes name the builds that are still running.

        Args:
            specs: The specs; names may not be doubled.
            concurrency: At most so many builds at a time; by default as many as the service takes.
            wait_for_slot: Whether to wait for a free slot where the team has no more builds at a time. Default True.
            slot_timeout_s: Seconds to wait for a slot while none of the running builds are this call's. Default 1800.
            on_build: Called with the handle of each build as it is started, or found to be going on, a plain function.
            on_outcome: Called with the outcome of each spec as it ends, a plain function.
            poll_interval_s: Seconds between rounds of polls, more than 0. Default 2.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            SpecError: Specs have errors: all of them, of all specs; nothing was sent.
            ValidationError: Two specs have the same name, or an argument is invalid.

        Example:
            >>> base = TemplateSpec(name="a", from_="python:3.11")
            >>> summary = await AsyncTemplate.build_all([base, base.renamed("b").run("exit 3")], poll_interval_s=0.1)
            >>> print(summary)
            1 of 2 templates are ready
              b: BuildError: build ... step_failed: step 1/1 failed after 10ms: exited with code 3; ...
        """
        from superserve._async import many

        for argument, function in (("on_build", on_build), ("on_outcome", on_outcome)):
            if function is not None:
                _arguments.plain_function(argument, function)
        return await many.AsyncBuildAll(
            cls,
            client_for(client, api_key=api_key, base_url=base_url),
            specs,
            concurrency=_arguments.optional(_arguments.count, "concurrency", concurrency),
            wait_for_slot=_arguments.flag("wait_for_slot", wait_for_slot),
            slot_timeout_s=_arguments.seconds("slot_timeout_s", slot_timeout_s),
            on_build=on_build,
            on_outcome=on_outcome,
            poll_interval_s=_arguments.seconds("poll_interval_s", poll_interval_s),
        ).run()

    @classmethod
    async def prune(
        cls,
        *,
        name_prefix: str | None = None,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncSuperserve | None = None,
    ) -> builtins.list[PruneOutcome]:
        """Delete templates of the team that are no longer needed. By default, only return which these are.

        Finds templates with `listTemplates`, and deletes them with `deleteTemplate`. A template that sandboxes use, or that is
        being built, stays: its outcome has the ConflictError.

        Args:
            name_prefix: Only templates whose name starts with this text.
            keep: How many of the newest to keep, by the time of their last build.
            older_than: Only templates whose last build (or creation, if never built) is longer ago than this.
            dry_run: Whether to delete nothing. Default True.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: None of the first three arguments is given, or one is invalid.

        Example:
            >>> for name in ("ci-1", "ci-2"):
            ...     template = await AsyncTemplate.ensure(TemplateSpec(name=name, from_="python:3.11"))
            >>> for outcome in await AsyncTemplate.prune(name_prefix="ci-", keep=1, dry_run=False):
            ...     print(outcome.is_deleted)
            True
        """
        from superserve._async import many

        return await many.prune(
            cls,
            client_for(client, api_key=api_key, base_url=base_url),
            name_prefix=name_prefix,
            keep=keep,
            older_than=older_than,
            dry_run=_arguments.flag("dry_run", dry_run),
        )

    async def get_info(self) -> TemplateInfo:
        """Return the template as it is now, with `getTemplate`. This object's own properties stay as they are.

        Raises:
            NotFoundError: The template has been deleted.
        """
        return await _get(self._client, self._usable_id)

    async def wait_until_ready(
        self,
        *,
        on_log: LogCallback | None = None,
        poll_interval_s: float = 2.0,
        timeout_s: float | None = None,
        build_id: str | None = None,
        log_tail: bool = False,
        cancel_on_interrupt: bool = False,
    ) -> TemplateInfo:
        """Wait until a build has ended, and return the template as it is then. This handle's own properties don't change.

        Polls `getTemplateBuild`, which alone decides. Then reads the template with `getTemplate`, at the same interval until
        its row is ready too, for at most 10 s. With `on_log` it also reads the log, with `streamTemplateBuildLogs`; the log
        never decides, never fails the wait, and delays it by at most 5 s. If neither `build_id` nor the latest build is
        known, it first looks for the newest build with `listTemplateBuilds`.

        A failed poll that may pass is repeated. Without `timeout_s` the wait ends with the build, which the platform limits
        to about half an hour, or after 60 s without an answer to a poll.

        A ready template whose builds you may not see (one of the system's) is returned as it is.

        Args:
            on_log: Called for each event of the log, in the caller's own thread or task. A coroutine function
                (AsyncTemplate only) is awaited. An exception ends the wait and is raised.
            poll_interval_s: Seconds between polls, more than 0, varied by up to 10 %. Default 2.
            timeout_s: Seconds after which to give up. The build goes on, and the error says how to wait again. Default: no
                limit.
            build_id: The build to wait for. Default: the newest that this handle started, else `latest_build_id`, else
                the newest of `list_builds`.
            log_tail: Whether to read the log of a failed build, once and for at most 2 s, for the error's `log_tail`. With
                `on_log` the error always has the last lines.
            cancel_on_interrupt: Whether to cancel the build (with `cancelTemplateBuild`, for at most 5 s) if the wait is
                interrupted (Ctrl-C, a cancelled task, an exception of the callback) or times out.

        Raises:
            BuildError: The build failed.
            BuildCancelledError: The build was cancelled.
            SandboxTimeoutError: `timeout_s` has passed.
            NotFoundError: The build does not exist.
            SandboxError: There was no answer to a poll for 60 s, or the template has never had a build.

        Example:
            >>> def show(event):
            ...     if event.stream == "stdout":
            ...         print(event.text)
            >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
            >>> info = await template.wait_until_ready(on_log=show, timeout_s=600)
            hi
            >>> print(info.status)
            ready
        """
        if on_log is not None:
            check_callback("on_log", on_log)
        wait = AsyncBuildWait(
            self._client,
            self._usable_id,
            self.name,
            self._steps,
            self._spec,
            self._find_build(build_id),
            _arguments.seconds("poll_interval_s", poll_interval_s),
            _arguments.optional(_arguments.seconds, "timeout_s", timeout_s),
            on_log,
            log_tail=_arguments.flag("log_tail", log_tail),
            cancels=_arguments.flag("cancel_on_interrupt", cancel_on_interrupt),
        )
        return await wait.run()

    async def stream_build_logs(
        self, *, on_event: LogCallback, build_id: str | None = None, idle_timeout_s: float | None = None
    ) -> None:
        """Call `on_event` for each event of a build's log, from its start, until the server says that it is finished.

        Reads `streamTemplateBuildLogs` and nothing else. It also returns when the server closes the log without an error.
        If the connection breaks, or the server is busy (429, 502, 503, 504), it opens the log again and skips the events
        that the server replays. After three attempts without a new event it gives up. The end of the log is not the end of
        the build: `wait_until_ready` waits for that.

        Args:
            on_event: Called for each event. A coroutine function (AsyncTemplate only) is awaited. An exception ends the
                reading and is raised.
            build_id: The build. Default: the newest that this handle started, else `latest_build_id`.
            idle_timeout_s: Seconds without an event after which to give up. Default: no limit, because a step may be silent
                for many minutes.

        Raises:
            SandboxError: It is not known which build to read, or the log cannot be read.
            NotFoundError: The build does not exist.
            SandboxTimeoutError: There was no event for `idle_timeout_s`.

        Example:
            >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
            >>> events = []
            >>> await template.stream_build_logs(on_event=events.append)
            >>> print([event.text for event in events if event.stream == "stdout"])
            ['hi']
        """
        check_callback("on_event", on_event)
        async with aclosing(self._read_log(build_id, idle_timeout_s)) as batches:
            async for events in batches:
                await deliver(on_event, events, Deadline())

    def iter_build_logs(
        self, *, build_id: str | None = None, idle_timeout_s: float | None = None
    ) -> AsyncGenerator[BuildLogEvent]:
        """Return an iterator over the events of a build's log. Arguments and events are those of `stream_build_logs`.

        Close it (`contextlib.aclosing`) to stop reading early.

        Example:
            >>> template = await AsyncTemplate.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
            >>> async for event in template.iter_build_logs():
            ...     if event.stream == "stdout":
            ...         print(event.text)
            hi
        """
        return _flatten(self._read_log(build_id, idle_timeout_s))

    async def rebuild(self) -> TemplateBuildInfo:
        """Queue a new build, or return the one that is already running, with `createTemplateBuild`.

        Sent once, without retries. `wait_until_ready` waits for the build.

        Raises:
            NotFoundError: The template is deleted, or one of the system's.
            RateLimitError: There are too many requests, or too many builds at once (see `code`).
        """
        build = await self._client._call(
            create_template_build.asyncio_detailed,
            builds.create_build(self._usable_id),
            self._usable_id,
            client=self._client.raw,
        )
        self._started_build_id = build.id
        return build

    async def list_builds(self, *, limit: int | None = None) -> builtins.list[TemplateBuildInfo]:
        """Return the template's recent builds, newest first, with `listTemplateBuilds`; none for the system's templates.

        Args:
            limit: The most builds to return, at least 1. Default: the server's own limit (20), which is also its maximum.

        Raises:
            ValidationError: `limit` is not an integer of at least 1.
        """
        count = _arguments.optional(_arguments.count, "limit", limit)
        return await self._client._call(
            list_template_builds.asyncio_detailed,
            builds.list_builds(self._usable_id, count),
            self._usable_id,
            limit=count or UNSET,
            client=self._client.raw,
        )

    async def get_build(self, build_id: str) -> TemplateBuildInfo:
        """Return one build, with `getTemplateBuild`.

        Args:
            build_id: The build's id.

        Raises:
            ValidationError: `build_id` cannot be an id.
            NotFoundError: The template has no such build.
        """
        checked_id = _arguments.identifier("build_id", build_id)
        return await self._client._call(
            get_template_build.asyncio_detailed,
            builds.get_build(self._usable_id, checked_id),
            self._usable_id,
            checked_id,
            client=self._client.raw,
        )

    async def cancel_build(self, build_id: str) -> None:
        """Cancel a build, with `cancelTemplateBuild`. It is not an error if it has ended, or does not exist.

        Args:
            build_id: The build's id.

        Raises:
            ValidationError: `build_id` cannot be an id.
        """
        checked_id = _arguments.identifier("build_id", build_id)
        await _ignore_missing(
            self._client,
            cancel_template_build.asyncio_detailed,
            builds.cancel_build(self._usable_id, checked_id),
            self._usable_id,
            checked_id,
            client=self._client.raw,
        )

    def build(self, build_id: str | None = None) -> AsyncBuild:
        """Return the handle of one build, without asking the server.

        Args:
            build_id: The build. Default: the newest that this handle started, else `latest_build_id`.

        Raises:
            ValidationError: `build_id` cannot be an id.
            SandboxError: It is not known which build. `latest_build` asks the server.
        """
        found = self._find_build(build_id)
        if found is None:
            raise SandboxError(
                f"template {self._show(self.id)} does not name its latest build: call latest_build()"
            )
        return AsyncBuild(self, found)

    async def latest_build(self) -> AsyncBuild:
        """Return the handle of the template's newest build, with `listTemplateBuilds`.

        Raises:
            NotFoundError: The template has no build, or this team may not see it, as with the system's templates.
        """
        builds = await self.list_builds(limit=1)
        if not builds:
            raise NotFoundError(f"template {self._show(self.id)} has no build that this team can see")
        return AsyncBuild(self, _arguments.usable_id("build_id", builds[0].id))

    async def delete(self) -> None:
        """Delete the template, with `deleteTemplate`. It is not an error if it is already gone.

        The server may need 30 s: the call gets the client's `timeout_s` plus 30 s.

        Raises:
            ConflictError: A sandbox that is not destroyed still uses the template, or one of its builds is running.
        """
        await _delete(self._client, self._usable_id)

    async def start(
        self,
        *,
        name: str,
        timeout_seconds: int | None = None,
        auto_delete_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        env_vars: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        network: "Network | None" = None,
        preview_access: str | None = None,
        adopt_lost: bool = False,
    ) -> "AsyncSandbox":
        """Start a sandbox from the template: `AsyncSandbox.create` with `from_template=` and this handle's client."""
        from superserve._async.sandboxes import AsyncSandbox

        return await AsyncSandbox.create(
            name=name,
            from_template=self,
            timeout_seconds=timeout_seconds,
            auto_delete_seconds=auto_delete_seconds,
            metadata=metadata,
            env_vars=env_vars,
            secrets=secrets,
            network=network,
            preview_access=preview_access,
            adopt_lost=adopt_lost,
            client=self._client,
        )

    def _find_build(self, build_id: str | None) -> str | None:
        if build_id is not None:
            return _arguments.identifier("build_id", build_id)
        latest = self._started_build_id or self.latest_build_id
        return None if latest is None else _arguments.usable_id("build_id", latest)

    def _read_log(
        self, build_id: str | None, idle_timeout_s: float | None
    ) -> AsyncGenerator[builtins.list[BuildLogEvent]]:
        idle_s = _arguments.optional(_arguments.seconds, "idle_timeout_s", idle_timeout_s)
        build = self._find_build(build_id)
        if build is None:
            raise SandboxError(
                f"template {self._show(self.id)} does not name its latest build: pass build_id=, list_builds() has the ids"
            )
        return AsyncBuildLog(self._client, self._usable_id, build).read(idle_s)


class AsyncTemplates:
    """The team's templates, through one client: `client.templates`."""

    def __init__(self, client: AsyncSuperserve) -> None:
        self._client = client

    @overload
    async def create(self, *, spec: "TemplateSpec") -> AsyncTemplate: ...
    @overload
    async def create(
        self,
        *,
        name: str,
        from_: str,
        vcpu: int | None = None,
        memory_mib: int | None = None,
        disk_mib: int | None = None,
        steps: Sequence[BuildStep] | None = None,
        start_cmd: str | None = None,
        ready_cmd: str | None = None,
    ) -> AsyncTemplate: ...
    async def create(
        self,
        *,
        name: str | None = None,
        from_: str | None = None,
        vcpu: int | None = None,
        memory_mib: int | None = None,
        disk_mib: int | None = None,
        steps: Sequence[BuildStep] | None = None,
        start_cmd: str | None = None,
        ready_cmd: str | None = None,
        spec: "TemplateSpec | None" = None,
    ) -> AsyncTemplate:
        """Create a template and queue its first build: `AsyncTemplate.create` through this client."""
        # `create` takes either half of these, and refuses a mixture.
        given: dict[str, Any] = {
            "name": name,
            "from_": from_,
            "vcpu": vcpu,
            "memory_mib": memory_mib,
            "disk_mib": disk_mib,
            "steps": steps,
            "start_cmd": start_cmd,
            "ready_cmd": ready_cmd,
            "spec": spec,
        }
        return await AsyncTemplate.create(**given, client=self._client)

    async def connect(self, template_id: str) -> AsyncTemplate:
        """Load an existing template by its id: `AsyncTemplate.connect` through this client."""
        return await AsyncTemplate.connect(template_id, client=self._client)

    async def list(self, *, name_prefix: str | None = None) -> builtins.list[TemplateInfo]:
        """Return the team's templates and the system's: `AsyncTemplate.list` through this client."""
        return await AsyncTemplate.list(name_prefix=name_prefix, client=self._client)

    async def delete_by_id(self, template_id: str) -> None:
        """Delete a template by its id: `AsyncTemplate.delete_by_id` through this client."""
        await AsyncTemplate.delete_by_id(template_id, client=self._client)

    async def get_by_name(self, name: str) -> AsyncTemplate:
        """Load an existing template by its exact name; see `AsyncTemplate.get_by_name`."""
        return await AsyncTemplate.get_by_name(name, client=self._client)

    async def plan(self, spec: "TemplateSpec") -> Plan:
        """Return what `ensure` would do for a spec; see `AsyncTemplate.plan`."""
        return await AsyncTemplate.plan(spec, client=self._client)

    async def ensure(
        self,
        spec: "TemplateSpec",
        *,
        wait: bool = True,
        on_plan: Callable[[Plan], object] | None = None,
        on_log: LogCallback | None = None,
        poll_interval_s: float = 2.0,
        timeout_s: float | None = None,
    ) -> AsyncTemplate:
        """Return the template that a spec describes; see `AsyncTemplate.ensure`."""
        return await AsyncTemplate.ensure(
            spec,
            wait=wait,
            on_plan=on_plan,
            on_log=on_log,
            poll_interval_s=poll_interval_s,
            timeout_s=timeout_s,
            client=self._client,
        )

    async def build_all(
        self,
        specs: "Iterable[TemplateSpec]",
        *,
        concurrency: int | None = None,
        wait_for_slot: bool = True,
        slot_timeout_s: float = 1800.0,
        on_build: Callable[[AsyncBuild], object] | None = None,
        on_outcome: Callable[[BuildOutcome], object] | None = None,
        poll_interval_s: float = 2.0,
    ) -> BuildSummary:
        """Do for many specs what `ensure` does for one; see `AsyncTemplate.build_all`."""
        return await AsyncTemplate.build_all(
            specs,
            concurrency=concurrency,
            wait_for_slot=wait_for_slot,
            slot_timeout_s=slot_timeout_s,
            on_build=on_build,
            on_outcome=on_outcome,
            poll_interval_s=poll_interval_s,
            client=self._client,
        )

    async def prune(
        self,
        *,
        name_prefix: str | None = None,
        keep: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = True,
    ) -> builtins.list[PruneOutcome]:
        """Delete templates of the team that are no longer needed; see `AsyncTemplate.prune`."""
        return await AsyncTemplate.prune(
            name_prefix=name_prefix, keep=keep, older_than=older_than, dry_run=dry_run, client=self._client
        )


async def _flatten(batches: AsyncGenerator[builtins.list[BuildLogEvent]]) -> AsyncGenerator[BuildLogEvent]:
    async with aclosing(batches):
        async for events in batches:
            for event in events:
                yield event


async def _get(client: AsyncSuperserve, template_id: str) -> TemplateInfo:
    return await client._call(
        get_template.asyncio_detailed, templates.get_template(template_id), template_id, client=client.raw
    )


async def _delete(client: AsyncSuperserve, template_id: str) -> None:
    await _ignore_missing(
        client,
        delete_template.asyncio_detailed,
        templates.delete_template(template_id),
        template_id,
        client=client.raw,
    )


async def _ignore_missing(
    owner: AsyncSuperserve,
    send: Send[P, ApiError | R],
    operation: Operation[R, None],
    *args: P.args,
    **kwargs: P.kwargs,
) -> None:
    """Make a call that removes something. It is not an error if that does not exist."""
    try:
        await owner._call(send, operation, *args, **kwargs)
    except NotFoundError as error:
        if error.code is None:
            # The API's own 404 has a code. Without one, this may not be the API's address.
            _log.warning("%s; this counts as success. Is %s the address of the API?", error, owner.base_url)
