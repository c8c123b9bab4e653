# Written by scripts/unasync.py from superserve/_async/templates.py. Do not edit: change that, then run `nox -s generate`.
"""Templates: reusable base images, built once and then used to start any number of identical sandboxes."""

import builtins
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Self

from superserve import _arguments, _convert, _polling
from superserve._http import responses
from superserve._http.connections_sync import LogCallback, check_callback, deliver, shielded
from superserve._http.policy import Options
from superserve._operations import templates
from superserve._operations.templates import Call
from superserve._polling import Wait, raise_unless_ready
from superserve._streams.resume import last_lines
from superserve._sync.build_logs import BuildLog, ask, ended_build
from superserve._sync.client import Superserve, client_for
from superserve.errors import NotFoundError, SandboxError
from superserve.types import (
    BuildLogEvent,
    BuildStep,
    TemplateBuildInfo,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
)


class Template:
    """A template of the authenticated team, or one of the system's.

    Made by `create` and `connect`, not by calling the class. Its properties are what the server said at that moment and
    never change; `get_info` asks again.

    Example:
        >>> from superserve import Template
        >>> template = Template.create(name="my-env", from_="python:3.11", steps=[{"run": "make"}])
        >>> info = template.wait_until_ready()
        >>> print(info.name, info.status)
        my-env ready
        >>> template.delete()
    """

    __slots__ = ("_client", "_info", "_started_build_id")

    def __init__(
        self, info: TemplateInfo, *, client: Superserve, started_build_id: str | None = None
    ) -> None:
        self._info = info
        self._client = client
        # The newest build that was started through this handle.
        self._started_build_id = started_build_id

    def __repr__(self) -> str:
        return self._shown(f"<{type(self).__name__} {self.name!r} {self.id} {self.status}>")

    @classmethod
    def create(
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
        client: Superserve | None = None,
    ) -> Self:
        """Register a template and queue its first build; `wait_until_ready` waits for that.

        Calls `createTemplate` (POST /templates), once: it is never repeated on its own. What is not given is not
        sent, so that the server's defaults apply.

        Args:
            name: Unique in the team; lower-case letters, digits and `. _ / -`. Free again once the template is deleted.
            from_: The OCI image to start from, such as `python:3.11`.
            vcpu: Virtual CPUs; the server's default is 1.
            memory_mib: Memory in MiB; the server's default is 1024.
            disk_mib: Disk in MiB; the server's default is 4096.
            steps: What to do with the image, in order; dicts such as `{"run": "pip install numpy"}` and typed steps
                such as `RunStep("pip install numpy")` may be mixed.
            start_cmd: A process to start and keep running in the template.
            ready_cmd: A command that succeeds once that process is ready; tried every 2 s.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: An argument is wrong, or the server refused one.
            ConflictError: The name is taken.
            RateLimitError: Too many requests, builds or templates (see `code`).
            SandboxError: Anything else went wrong; where the template may exist all the same, the message says so.

        Example:
            >>> template = Template.create(
            ...     name="my-server",
            ...     from_="python:3.11",
            ...     steps=[{"workdir": "/app"}, RunStep("pip install numpy")],
            ...     start_cmd="python -m http.server 8080",
            ...     ready_cmd="curl -f http://localhost:8080/",
            ... )
            >>> print(template.status)
            building
        """
        body = _convert.create_request(
            name=name,
            from_=from_,
            vcpu=vcpu,
            memory_mib=memory_mib,
            disk_mib=disk_mib,
            steps=steps,
            start_cmd=start_cmd,
            ready_cmd=ready_cmd,
        )
        used = client_for(client, api_key=api_key, base_url=base_url)
        info = used._run(templates.create_template(body))
        return cls(info, client=used, started_build_id=info.latest_build_id)

    @classmethod
    def connect(
        cls,
        template_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: Superserve | None = None,
    ) -> Self:
        """Load an existing template by its id, with `getTemplate`; names are found with `list`.

        Raises:
            ValidationError: `template_id` cannot be an id.
            NotFoundError: There is no such template, or it is another team's.
        """
        call = templates.get_template(template_id)
        used = client_for(client, api_key=api_key, base_url=base_url)
        return cls(used._run(call), client=used)

    @classmethod
    def list(
        cls,
        *,
        name_prefix: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: Superserve | None = None,
    ) -> builtins.list[TemplateInfo]:
        """Return the team's templates and the system's, newest first, with `listTemplates`.

        Args:
            name_prefix: Only those whose name begins exactly so.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            client: Instead of the shared client for that key and address.
        """
        call = templates.list_templates(name_prefix)
        return client_for(client, api_key=api_key, base_url=base_url)._run(call)

    @classmethod
    def delete_by_id(
        cls,
        template_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: Superserve | None = None,
    ) -> None:
        """Delete a template by its id, with `deleteTemplate`; if there is none, that is fine too.

        Others' templates, the system's among them, are none in this sense: nothing happens to them.

        The server may take 30 s to answer: the client's `timeout_s` counts on top of that.

        Raises:
            ConflictError: A sandbox that is not destroyed still uses it, or a build of it is going on.
        """
        call = templates.delete_template(template_id)
        _unless_gone(client_for(client, api_key=api_key, base_url=base_url), call)

    @property
    def id(self) -> str:
        """The template's id."""
        return self._info.id

    @property
    def name(self) -> str:
        """The name, unique in the team."""
        return self._info.name

    @property
    def team_id(self) -> str:
        """The id of the team that owns it."""
        return self._info.team_id

    @property
    def status(self) -> TemplateStatus:
        """The status when this object was made; `get_info` tells the present one."""
        return self._info.status

    @property
    def vcpu(self) -> int:
        """Virtual CPUs that it boots with."""
        return self._info.vcpu

    @property
    def memory_mib(self) -> int:
        """Memory that it boots with, in MiB."""
        return self._info.memory_mib

    @property
    def disk_mib(self) -> int:
        """Disk that it boots with, in MiB."""
        return self._info.disk_mib

    @property
    def size_bytes(self) -> int | None:
        """Size of the snapshot in bytes; None if no build had succeeded."""
        return self._info.size_bytes

    @property
    def error_message(self) -> str | None:
        """Why the last build failed or was cancelled, if it did."""
        return self._info.error_message

    @property
    def created_at(self) -> datetime:
        """When the template was created."""
        return self._info.created_at

    @property
    def built_at(self) -> datetime | None:
        """When the latest successful build ended; None if there was none."""
        return self._info.built_at

    @property
    def latest_build_id(self) -> str | None:
        """The most recent build when this object was made, if the server told it."""
        return self._info.latest_build_id

    def get_info(self) -> TemplateInfo:
        """Return the template as it is now, with `getTemplate`. This object's own properties stay as they are.

        Raises:
            NotFoundError: It has been deleted.
        """
        return self._client._run(templates.get_template(self._usable_id))

    def wait_until_ready(
        self,
        *,
        on_log: LogCallback | None = None,
        poll_interval_s: float = 2.0,
        timeout_s: float | None = None,
        build_id: str | None = None,
        cancel_on_interrupt: bool = False,
    ) -> TemplateInfo:
        """Wait until a build has ended, and return the template as it is then.

        Polls `getTemplateBuild`, whose answer alone decides. Meanwhile `on_log` gets each event of the build's log
        once and in order, in the caller's own thread or task; without it, the log is read only if the build has failed,
        for at most 2 s, for the error's `log_tail`. Without `timeout_s` the wait ends with the build, which the platform
        limits to about half an hour, or after 60 s without one good answer from the server.

        A ready template whose builds are not shown to you (the system's) is returned as it is.

        Args:
            on_log: Called for each log event; a coroutine function is awaited (AsyncTemplate only). What it raises
                ends the wait and is raised.
            poll_interval_s: Seconds between polls, more or less: they are spread out, and go slower when the server
                asks for that.
            timeout_s: Seconds after which to give up. The build goes on, and the error says how to wait again.
            build_id: The build to wait for; by default the newest that this object started, else `latest_build_id`,
                else the newest of `list_builds`.
            cancel_on_interrupt: Whether to cancel the build (for at most 5 s) when the wait is interrupted (Ctrl-C,
                a cancelled task, an error of the callback's) or times out.

        Raises:
            BuildError: The build failed; its `log_tail` has the last lines that it printed.
            ConflictError: The build was cancelled.
            SandboxTimeoutError: `timeout_s` is over.
            NotFoundError: The build does not exist.
            SandboxError: The server gave no good answer for 60 s, or the template has never had a build.

        Example:
            >>> def show(event):
            ...     if event.stream == "stdout":
            ...         print(event.text)
            >>> template = Template.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
            >>> info = template.wait_until_ready(on_log=show, timeout_s=600)
            hi
            >>> print(info.status)
            ready
        """
        if on_log is not None:
            check_callback("on_log", on_log)
        wait = Wait(
            self._client._pace,
            template_id=self.id,
            poll_interval_s=_arguments.seconds("poll_interval_s", poll_interval_s),
            timeout_s=_arguments.optional_seconds("timeout_s", timeout_s),
            cancels=_arguments.flag("cancel_on_interrupt", cancel_on_interrupt),
            template_class="Template",
            shown=self._shown,
        )
        wait.build_id = self._build_to_wait_for(build_id)
        try:
            return self._wait(wait, on_log)
        except GeneratorExit:
            # Nobody waits any more: nothing can be asked of the server now.
            raise
        except BaseException as error:
            if wait.is_left_by(error):
                self._leave(wait, error)
            raise

    def stream_build_logs(self, *, on_event: LogCallback, build_id: str | None = None) -> None:
        """Call `on_event` for each event of a build's log, from its start until it ends.

        Reads `streamTemplateBuildLogs` and opens it again when it breaks. The end of the log is not the end of the
        build: `wait_until_ready` waits for that.

        Args:
            on_event: Called for each log event; a coroutine function is awaited (AsyncTemplate only). What it raises
                ends the reading and is raised.
            build_id: Whose log; by default the newest build that this object started, else `latest_build_id`.

        Raises:
            SandboxError: It isn't known which build, or the log cannot be read.
            NotFoundError: The build does not exist.

        Example:
            >>> template = Template.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
            >>> events = []
            >>> template.stream_build_logs(on_event=events.append)
            >>> print([event.text for event in events if event.stream == "stdout"])
            ['hi']
        """
        check_callback("on_event", on_event)
        wait, log = self._log(build_id)
        self._deliver(log, wait, on_event)

    def iter_build_logs(self, *, build_id: str | None = None) -> Generator[BuildLogEvent]:
        """Return an iterator of each event of a build's log, from its start until it ends, as `stream_build_logs` does.

        Close it (`contextlib.closing`) to stop reading early.

        Example:
            >>> template = Template.create(name="my-env", from_="python:3.11", steps=[{"run": "echo hi"}])
            >>> for event in template.iter_build_logs():
            ...     if event.stream == "stdout":
            ...         print(event.text)
            hi
        """
        wait, log = self._log(build_id)
        return log.events(wait)

    def rebuild(self) -> TemplateBuildInfo:
        """Queue a new build, or return the one that is going on already, with `createTemplateBuild`.

        `wait_until_ready` then waits for it. It is sent once, not repeated on its own.

        Raises:
            NotFoundError: The template is deleted, or the system's.
            RateLimitError: Too many requests, or too many builds at once (see `code`).
        """
        build = self._client._run(templates.create_build(self._usable_id))
        self._started_build_id = build.id
        return build

    def list_builds(self, *, limit: int | None = None) -> builtins.list[TemplateBuildInfo]:
        """Return the template's recent builds, newest first, with `listTemplateBuilds`.

        Args:
            limit: At most so many; the server never returns more than its own limit (20).
        """
        return self._client._run(templates.list_builds(self._usable_id, limit))

    def get_build(self, build_id: str) -> TemplateBuildInfo:
        """Return one build, with `getTemplateBuild`.

        Raises:
            NotFoundError: The template has no such build.
        """
        return self._client._run(templates.get_build(self._usable_id, build_id))

    def cancel_build(self, build_id: str) -> None:
        """Cancel a build, with `cancelTemplateBuild`; one that has ended, or does not exist, is fine too."""
        _unless_gone(self._client, templates.cancel_build(self._usable_id, build_id))

    def delete(self) -> None:
        """Delete the template, with `deleteTemplate`; if it is gone already, that is fine too.

        The server may take 30 s to answer: the client's `timeout_s` counts on top of that.

        Raises:
            ConflictError: A sandbox that is not destroyed still uses it, or a build of it is going on.
        """
        _unless_gone(self._client, templates.delete_template(self._usable_id))

    @property
    def _usable_id(self) -> str:
        return _arguments.usable_id("template_id", self.id)

    def _build_to_wait_for(self, build_id: str | None) -> str | None:
        if build_id is not None:
            return _arguments.identifier("build_id", build_id)
        latest = self._started_build_id or self.latest_build_id
        return None if latest is None else _arguments.usable_id("build_id", latest)

    def _log(self, build_id: str | None) -> tuple[Wait, BuildLog]:
        build = self._build_to_wait_for(build_id)
        if build is None:
            raise SandboxError(
                f"template {self._shown(self.id)} does not tell its latest build: pass build_id=, list_builds() has the ids"
            )
        return self._wait_for_log(build), BuildLog(self._client, self._usable_id, build, log_only=True)

    def _wait_for_log(self, build_id: str, timeout_s: float | None = None) -> Wait:
        wait = Wait(
            self._client._pace,
            template_id=self.id,
            poll_interval_s=_polling.LOG_POLL_INTERVAL_S,
            timeout_s=timeout_s,
        )
        wait.build_id = build_id
        return wait

    def _log_tail(self, log: BuildLog | None, wait: Wait) -> tuple[str, ...]:
        build_id = str(wait.build_id)
        if log is None:
            log = BuildLog(self._client, self._usable_id, build_id)
            log.read(self._wait_for_log(build_id, wait.at_most(_polling.LOG_TAIL_S)))
        return tuple(self._shown(line) for line in last_lines(log.latest))

    def _shown(self, text: str) -> str:
        return responses.shown(text, self._client._config)

    def _wait(self, wait: Wait, on_log: LogCallback | None) -> TemplateInfo:
        if wait.build_id is None:
            builds = ask(self._client, wait, templates.list_builds(self._usable_id, limit=1))
            if not builds:
                # The builds of the system's templates are not shown.
                info = ask(self._client, wait, templates.get_template(self._usable_id))
                if info.status is TemplateStatus.READY:
                    return info
                raise SandboxError(
                    f"template {self._shown(self.id)} has no build to wait for; rebuild() starts one"
                )
            wait.build_id = _arguments.usable_id("build_id", builds[0].id)
        log = None
        if on_log is None:
            build = ended_build(self._client, wait, self._usable_id, wait.build_id)
        else:
            log = BuildLog(self._client, self._usable_id, wait.build_id)
            self._deliver(log, wait, on_log)
            build = log.build
        has_failed = build.status is TemplateBuildStatus.FAILED
        raise_unless_ready(build, self._log_tail(log, wait) if has_failed else (), self._shown)
        return ask(self._client, wait, templates.get_template(self._usable_id))

    def _deliver(self, log: BuildLog, wait: Wait, callback: LogCallback) -> None:
        with closing(log.follow(wait)) as batches:
            for events in batches:
                log.latest.extend(events)
                deliver(callback, events, wait)
                if wait.is_over and wait.has_ended:
                    # What the build has come to says more than that the time is over.
                    return
                wait.check()

    def _leave(self, wait: Wait, error: BaseException) -> None:
        """Cancel the build if that was asked for, and add to an error what has become of the build."""
        if wait.is_to_be_cancelled:
            with shielded():
                wait.tell(error, self._cancelled(wait))
        else:
            wait.tell(error, wait.how_to_go_on())

    def _cancelled(self, wait: Wait) -> str:
        build_id = str(wait.build_id)
        until = time.monotonic() + _polling.CANCEL_S
        try:
            self._client._run(
                templates.cancel_build(self._usable_id, build_id), Options(_polling.CANCEL_S, attempts=3)
            )
            # That it was accepted says nothing: it is for builds that have ended, too.
            left = max(0.0, until - time.monotonic())
            build = self._client._run(
                templates.get_build(self._usable_id, build_id), Options(left, attempts=3)
            )
        except SandboxError as failure:
            return f"Whether build {build_id} was cancelled is not known: {failure}. {wait.how_to_go_on()}"
        wait.saw(build)
        return wait.how_to_go_on()


def _unless_gone(client: Superserve, call: Call[None]) -> None:
    """Make a call that takes something away; that it is not there is what was wanted."""
    try:
        client._run(call)
    except NotFoundError as error:
        # The API's own has a code. Any other comes from an address behind which there is no API.
        if error.code is None:
            raise
