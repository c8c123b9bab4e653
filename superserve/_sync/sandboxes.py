# Written by scripts/unasync.py from superserve/_async/sandboxes.py. Do not edit: change that, then run `nox -s generate`.
"""Sandboxes: isolated machines, each started from a template or a snapshot."""

import builtins
import logging
from collections.abc import Generator, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

import attrs
from superserve_api.api.sandboxes import (
    list_sandboxes,
    patch_sandbox,
    pause_sandbox,
    resume_sandbox,
)
from superserve_api.models import ApiError
from superserve_api.types import UNSET

from superserve import _arguments
from superserve import _clock as time
from superserve._http.planes import Access
from superserve._http.tasks_sync import shielded
from superserve._operations import sandboxes
from superserve._operations.operation import Operation
from superserve._operations.sandboxes import Network, Opened, not_running
from superserve._sync.client import Send, Superserve, client_for
from superserve._sync.data_plane import DataPlane
from superserve._sync.sandbox_life import Creation, Poll, activate, get_one, kill, leave, settled
from superserve._template_snapshot import TemplateSnapshot
from superserve.errors import (
    ConflictError,
    NotFoundError,
    SandboxError,
)
from superserve.types import (
    PreviewAccess,
    SandboxInfo,
    SandboxSecretBinding,
    SandboxStatus,
)

if TYPE_CHECKING:
    from superserve._sync.commands import Commands
    from superserve._sync.files import Files

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

DEFAULT_WAIT_S: Final = 30.0
_PAGE: Final = 100

_log = logging.getLogger("superserve")


class Sandbox:
    """A sandbox of the authenticated team.

    Made by `create`, `connect` and `get`, not by calling the class. As a context manager it kills the sandbox when the
    block is left; without one it runs until something ends it. `status` and the other properties are what this handle
    last heard; `get_info` asks.

    Any call may raise AuthenticationError, RateLimitError, ServerError, SandboxConnectionError and SandboxTimeoutError;
    methods name what else they raise. GET, DELETE and activate are repeated as the client's `max_attempts` says, other
    calls never are. For 5 s after this handle has created, paused or resumed the sandbox, a refusal for its state (409)
    is borne with: the server's own record of it may lag.

    Attributes:
        commands: Runs commands in it.
        files: Reads and writes its files.

    Example:
        >>> from superserve import Sandbox
        >>> with Sandbox.create(name="my-sandbox") as sandbox:
        ...     result = sandbox.commands.run("echo hello")
        ...     print(result.stdout)
        hello
    """

    def __init__(self, info: SandboxInfo, *, client: Superserve, access: Access | None = None) -> None:
        self._info = info
        self._client = client
        self._changed_at: float | None = None
        self._data = DataPlane(client, info.id, access, self._refresh)

    @classmethod
    def create(
        cls,
        *,
        name: str,
        from_template: str | TemplateSnapshot | None = None,
        from_snapshot: str | None = None,
        timeout_seconds: int | None = None,
        auto_delete_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        env_vars: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        network: Network | None = None,
        preview_access: str | None = None,
        adopt_lost: bool = False,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> Self:
        """Create a sandbox and return it when it runs.

        Calls `createSandbox` (POST /sandboxes), once: it is never repeated on its own. What is not given is not sent, so
        that the server's defaults apply. The server may take 90 s: the client's `timeout_s` and 70 s are what it gets.

        Args:
            name: At most 64 bytes; it need not be unique.
            from_template: What to start from: the name or the id of a template, or its handle. The server's default is
                `superserve/base`.
            from_snapshot: The id of a saved snapshot to start from instead.
            timeout_seconds: Pause it after so many seconds of being active, 1 to 604800; by default never.
            auto_delete_seconds: Delete it after so many seconds of being paused, 0 to 2592000; by default never.
            metadata: Your own notes on it, by which `list` finds it: at most 64, of strings.
            env_vars: Environment variables for all that runs in it; at most 64.
            secrets: The names of secrets, by the environment variable through which each is used; at most 32.
            network: Where it may connect to: `NetworkConfig(...)`, or a dict such as `{"deny_out": ["0.0.0.0/0"]}`.
            preview_access: Who may reach its ports: `public`, the server's default, or `private`.
            adopt_lost: Whether to find the sandbox when the answer is lost or cannot be understood: adds the entry
                `sdk-create-id` to `metadata`, looks for it with `listSandboxes` for at most 10 s, and takes what has it
                over with `activateSandbox`.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: An argument is wrong, or the server refused one.
            NotFoundError: There is no such template or snapshot.
            ConflictError: The template or snapshot is not ready.
            RateLimitError: Too many requests or sandboxes (see `code`).
            SandboxError: Anything else went wrong. Where the sandbox may exist all the same, the message says how to find
                it, and `sandbox_id` is its id if that is known.
        """
        body = sandboxes.write_create_request(
            name=name,
            from_template=from_template,
            from_snapshot=from_snapshot,
            timeout_seconds=timeout_seconds,
            auto_delete_seconds=auto_delete_seconds,
            metadata=metadata,
            env_vars=env_vars,
            secrets=secrets,
            network=network,
            preview_access=preview_access,
        )
        adopts = _arguments.flag("adopt_lost", adopt_lost)
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        opened = Creation(used, body, adopts=adopts).run()
        sandbox = cls(opened.info, client=used, access=opened.access)
        sandbox._note_change()
        return sandbox

    @classmethod
    def connect(
        cls,
        sandbox_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> Self:
        """Return an existing sandbox, active: a paused one is woken, with `activateSandbox`.

        While it is being paused, that is asked for again, for at most 30 s.

        Args:
            sandbox_id: The sandbox's id.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: `sandbox_id` cannot be an id.
            SandboxNotRunningError: It cannot be woken: it has failed, or is gone.
        """
        checked_id = _arguments.sandbox_id(sandbox_id)
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        opened = activate(used, checked_id, None)
        sandbox = cls(opened.info, client=used, access=opened.access)
        sandbox._note_change()
        return sandbox

    @classmethod
    def get(
        cls,
        sandbox_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> Self:
        """Return an existing sandbox as it is, with `getSandbox`: a paused one is not woken.

        Args:
            sandbox_id: The sandbox's id.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: `sandbox_id` cannot be an id.
            NotFoundError: There is no such sandbox, or it is another team's.
        """
        checked_id = _arguments.sandbox_id(sandbox_id)
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        opened = get_one(used, checked_id)
        return cls(opened.info, client=used, access=opened.access)

    @classmethod
    def list(
        cls,
        *,
        metadata: Mapping[str, str] | None = None,
        status: str | Sequence[str] | None = None,
        q: str | None = None,
        sort: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> builtins.list[SandboxInfo]:
        """Return the team's sandboxes, newest first, with `listSandboxes`; deleted ones are not among them.

        Args:
            metadata: Only those with all of these entries.
            status: Only those with this status, or with one of several, which needs a newer server.
            q: Only those whose name contains this text, in any case.
            sort: `created_at`, the server's default, `name` or `status`.
            order: `asc` or `desc`, the server's default.
            limit: The most to return, 1 to 200; by default all.
            offset: How many to skip; by default none.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: An argument is wrong, or the server refused one.
        """
        filters: dict[str, Any] = {
            "metadata_filters": sandboxes.write_filters(metadata),
            "q": sandboxes.words("q", q),
            "status": sandboxes.write_statuses(status),
            "sort": sandboxes.words("sort", sort),
            "order": sandboxes.words("order", order),
            "limit": sandboxes.limit(limit),
            "offset": sandboxes.offset(offset),
        }
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        return used._call(
            list_sandboxes.sync_detailed, sandboxes.list_sandboxes(), client=used.raw, **filters
        )

    @classmethod
    def iter(
        cls,
        *,
        metadata: Mapping[str, str] | None = None,
        status: str | Sequence[str] | None = None,
        q: str | None = None,
        sort: str | None = None,
        order: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> Generator[SandboxInfo]:
        """Go through the team's sandboxes, page by page of 100, with `listSandboxes`; each comes once.

        One that is made or deleted meanwhile may shift the pages, so that another is left out.

        Args:
            metadata: Only those with all of these entries.
            status: Only those with this status, or with one of several, which needs a newer server.
            q: Only those whose name contains this text, in any case.
            sort: `created_at`, the server's default, `name` or `status`.
            order: `asc` or `desc`, the server's default.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: An argument is wrong, or the server refused one.
        """
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        seen: set[str] = set()
        offset = 0
        while True:
            page = cls.list(
                metadata=metadata,
                status=status,
                q=q,
                sort=sort,
                order=order,
                limit=_PAGE,
                offset=offset,
                client=used,
            )
            for info in page:
                if info.id not in seen:
                    seen.add(info.id)
                    yield info
            # Older servers send all of them at once.
            if len(page) != _PAGE:
                return
            offset += _PAGE

    @classmethod
    def kill_by_id(
        cls,
        sandbox_id: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> None:
        """End a sandbox for good by its id, with `deleteSandbox`; if there is none, that is fine too.

        The server may take 30 s to answer: the client's `timeout_s` counts on top of that.

        Args:
            sandbox_id: The sandbox's id.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: `sandbox_id` cannot be an id.
            ConflictError: It changes its status just now.
        """
        checked_id = _arguments.sandbox_id(sandbox_id)
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        kill(used, checked_id, None, strict=False)

    @classmethod
    def update_by_id(
        cls,
        sandbox_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        network: Network | None = None,
        auto_delete_seconds: int | EllipsisType | None = ...,
        timeout_seconds: int | EllipsisType | None = ...,
        preview_access: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        sandbox_url: str | None = None,
        client: Superserve | None = None,
    ) -> None:
        """Change a sandbox by its id, with `patchSandbox`, as `update` does.

        Args:
            sandbox_id: The sandbox's id.
            metadata: As in `update`.
            network: As in `update`.
            auto_delete_seconds: As in `update`.
            timeout_seconds: As in `update`.
            preview_access: As in `update`.
            api_key: Instead of SUPERSERVE_API_KEY.
            base_url: Instead of SUPERSERVE_BASE_URL.
            sandbox_url: Instead of SUPERSERVE_SANDBOX_URL.
            client: Instead of the shared client for that key and address.

        Raises:
            ValidationError: An argument is wrong, nothing was given, or the server refused something.
            NotFoundError: There is no such sandbox.
            ConflictError: The network of a sandbox that is not active was to be changed.
        """
        checked_id = _arguments.sandbox_id(sandbox_id)
        body = sandboxes.write_patch(
            metadata=metadata,
            network=network,
            auto_delete_seconds=auto_delete_seconds,
            timeout_seconds=timeout_seconds,
            preview_access=preview_access,
        )
        used = client_for(client, api_key=api_key, base_url=base_url, sandbox_url=sandbox_url)
        settled(
            used,
            patch_sandbox.sync_detailed,
            sandboxes.patch_sandbox(checked_id),
            None,
            checked_id,
            body=body,
            client=used.raw,
        )

    def __repr__(self) -> str:
        shown: str = self._client._plane.redactor.show(f"<{type(self).__name__} {self.name!r} {self.id}>")
        return shown

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self.id == other.id and self._client is other._client

    def __hash__(self) -> int:
        return hash((type(self), self.id))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with shielded():
            if leave(self._client, self._usable_id):
                self._note_change(SandboxStatus.DELETED)

    @property
    def id(self) -> str:
        """The sandbox's id."""
        return self._info.id

    @property
    def name(self) -> str:
        """The name; others may have the same."""
        return self._info.name

    @property
    def status(self) -> SandboxStatus:
        """Where it stood when this handle last heard of it."""
        return self._info.status

    @property
    def metadata(self) -> Mapping[str, str]:
        """Your own notes on it, as last heard."""
        return self._info.metadata

    @property
    def preview_access(self) -> PreviewAccess | None:
        """Who may reach its ports, as last heard; None if the server does not tell."""
        return self._info.preview_access

    @property
    def secrets(self) -> tuple[SandboxSecretBinding, ...] | None:
        """The secrets that it uses, as last heard; None if the server did not tell."""
        return self._info.secrets

    @property
    def commands(self) -> "Commands":
        """Runs commands in it."""
        from superserve._sync.commands import Commands

        return Commands(self)

    @property
    def files(self) -> "Files":
        """Reads and writes its files."""
        from superserve._sync.files import Files

        return Files(self)

    def get_info(self) -> SandboxInfo:
        """Return the sandbox as it is now, with `getSandbox`. Doesn't wake it.

        Raises:
            NotFoundError: It is gone.
        """
        opened = get_one(self._client, self._usable_id)
        self._hear(opened)
        return opened.info

    def pause(
        self,
        *,
        wait: bool = True,
        timeout: float = 300.0,
        poll_interval_s: float | None = None,
        strict: bool = False,
    ) -> None:
        """Pause the sandbox, with `pauseSandbox`: memory, processes and disk stay, connections and running commands don't.

        One that is paused already is fine. Where the server says that it goes on pausing, or refuses because the sandbox is
        not active, it is asked for with `getSandbox` until it is paused. One that is deleted with the pause
        (`auto_delete_seconds=0`) counts as paused.

        Args:
            wait: Whether to wait until it is paused. Without, the server is asked to answer at once
                (`Prefer: respond-async`).
            timeout: Seconds after which to give up. The pause goes on.
            poll_interval_s: Seconds between questions; by default 0.05 for 2 s, then 1.
            strict: Whether one that is not active is an error.

        Raises:
            ConflictError: It is not active, and is not being paused; with `strict`, whatever else it is.
            NotFoundError: It is gone.
            SandboxNotRunningError: It has failed.
            SandboxTimeoutError: `timeout` is over.
        """
        waits, is_strict = _arguments.flag("wait", wait), _arguments.flag("strict", strict)
        operation = sandboxes.pause_sandbox(self._usable_id)
        poll = Poll(self, operation.action, timeout, poll_interval_s)
        is_paused: bool | None = None
        while is_paused is None:
            try:
                is_paused = self._change(
                    pause_sandbox.sync_detailed,
                    operation,
                    self._usable_id,
                    client=self._client.raw,
                    prefer=UNSET if waits else "respond-async",
                )
            except ConflictError as error:
                if is_strict and not poll.may_lag:
                    raise
                status = (self.get_info()).status
                if status in (SandboxStatus.PAUSED, SandboxStatus.PAUSING) and not is_strict:
                    is_paused = status == SandboxStatus.PAUSED
                elif not poll.settles(status, SandboxStatus.STARTING, SandboxStatus.RESUMING):
                    raise self._told(error, status) from error
            else:
                self._note_change(SandboxStatus.PAUSED if is_paused else SandboxStatus.PAUSING)
        if waits and not is_paused:
            poll.until(SandboxStatus.PAUSED, is_gone_too=True)
            self._note_change()

    def resume(
        self, *, timeout: float = 300.0, poll_interval_s: float | None = None, strict: bool = False
    ) -> None:
        """Have a paused sandbox active again, with `resumeSandbox`.

        One that is active already is fine. Where the server refuses, it is asked with `getSandbox` where the sandbox stands:
        while it is being paused or resumed that is waited for.

        Args:
            timeout: Seconds after which to give up.
            poll_interval_s: Seconds between questions; by default 0.05 for 2 s, then 1.
            strict: Whether one that is not paused is an error.

        Raises:
            ConflictError: With `strict`, it is not paused.
            NotFoundError: It is gone.
            RateLimitError: Too many sandboxes are active (`too_many_sandboxes`).
            SandboxNotRunningError: It has failed.
            SandboxTimeoutError: `timeout` is over.
        """
        is_strict = _arguments.flag("strict", strict)
        operation = sandboxes.resume_sandbox(self._usable_id)
        poll = Poll(self, operation.action, timeout, poll_interval_s)
        while True:
            try:
                access = self._change(
                    resume_sandbox.sync_detailed, operation, self._usable_id, client=self._client.raw
                )
            except ConflictError as error:
                if is_strict and not poll.may_lag:
                    raise
                status = (self.get_info()).status
                if not is_strict and status not in (SandboxStatus.ACTIVE, SandboxStatus.PAUSED):
                    status = poll.until(SandboxStatus.ACTIVE, SandboxStatus.PAUSED)
                    if status == SandboxStatus.PAUSED:
                        # What it was on its way to.
                        continue
                if status == SandboxStatus.ACTIVE and not is_strict:
                    return
                if not poll.settles(status, SandboxStatus.PAUSING, SandboxStatus.PAUSED):
                    raise self._told(error, status) from error
            else:
                self._data.take(access)
                self._note_change(SandboxStatus.ACTIVE)
                return

    def activate(self) -> SandboxInfo:
        """Have the sandbox active, paused or not, and get another access token, with `activateSandbox`.

        While it is being paused, that is asked for again, for at most 30 s.

        Raises:
            SandboxNotRunningError: It cannot be woken: it has failed, or is gone.
            RateLimitError: Too many sandboxes are active (`too_many_sandboxes`).
        """
        opened = self._activate()
        self._hear(opened)
        return opened.info

    def kill(self, *, strict: bool = False) -> None:
        """End the sandbox for good, with `deleteSandbox`; if it is gone already, that is fine too.

        The server may take 30 s to answer: the client's `timeout_s` counts on top of that.

        Args:
            strict: Whether one that is gone is an error.

        Raises:
            ConflictError: It changes its status just now, and not because of this handle.
            NotFoundError: With `strict`, it is gone.
        """
        is_strict = _arguments.flag("strict", strict)
        kill(self._client, self._usable_id, self._changed_at, strict=is_strict)
        self._note_change(SandboxStatus.DELETED)

    def update(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        network: Network | None = None,
        auto_delete_seconds: int | EllipsisType | None = ...,
        timeout_seconds: int | EllipsisType | None = ...,
        preview_access: str | None = None,
    ) -> None:
        """Change the sandbox, with `patchSandbox`. Only what is given is sent, and replaces what was there as a whole.

        Not as one: what the server has changed before it fails stays changed, in the order network, metadata,
        auto_delete_seconds, timeout_seconds, preview_access.

        Args:
            metadata: All of its notes; `{}` for none.
            network: All of its rules: a list that is left out is then empty.
            auto_delete_seconds: As in `create`; None for never. For a paused sandbox it counts from now.
            timeout_seconds: As in `create`; None for never.
            preview_access: As in `create`.

        Raises:
            ValidationError: An argument is wrong, nothing was given, or the server refused something.
            NotFoundError: It is gone.
            ConflictError: The network of a sandbox that is not active was to be changed.
        """
        body = sandboxes.write_patch(
            metadata=metadata,
            network=network,
            auto_delete_seconds=auto_delete_seconds,
            timeout_seconds=timeout_seconds,
            preview_access=preview_access,
        )
        self._settled(
            patch_sandbox.sync_detailed,
            sandboxes.patch_sandbox(self._usable_id),
            self._usable_id,
            body=body,
            client=self._client.raw,
        )

    def set_timeout(self, timeout_seconds: int | None) -> None:
        """Have the sandbox paused after so many seconds of being active, with `patchSandbox`; None for never.

        Args:
            timeout_seconds: 1 to 604800. Below what has passed already, it is paused within half a minute.

        Raises:
            ValidationError: It is no such number.
            NotFoundError: The sandbox is gone.
        """
        self.update(timeout_seconds=timeout_seconds)

    def get_preview_url(self, port: int) -> str:
        """Return the address of a port of the sandbox, on which a server of yours listens. Asks for nothing.

        Args:
            port: 1024 to 65535, except 49983.

        Raises:
            ValidationError: It is no such port.
        """
        return sandboxes.preview_url(self._client.sandbox_url, self._usable_id, port)

    def wait_for_port(self, port: int, timeout_s: float = DEFAULT_WAIT_S, *, wake: bool = True) -> None:
        """Wait until something in the sandbox listens on a TCP port, on whatever address.

        Runs one command, a loop of the sandbox's `/bin/sh` that reads /proc/net/tcp, as `commands.run` does.

        Args:
            port: 1 to 65535.
            timeout_s: Seconds after which to give up, more than 0; rounded up to whole seconds. Default 30.
            wake: Whether to wake the sandbox if it is paused.

        Raises:
            SandboxTimeoutError: Nothing listens there within `timeout_s`.
            CommandStartError: The sandbox has no `/bin/sh`.
        """
        self.commands._wait_for_port(port, timeout_s, wake=wake)

    def _activate(self) -> Opened:
        # The server itself waits for what starts or resumes, not for what is being paused.
        is_pausing = self.status in (SandboxStatus.PAUSING, SandboxStatus.PAUSED)
        opened = activate(self._client, self._usable_id, self._changed_at if is_pausing else None)
        self._note_change(SandboxStatus.ACTIVE)
        return opened

    def _refresh(self, wake: bool) -> Access:
        """Get what opens the sandbox anew."""
        if self.status == SandboxStatus.DELETED:
            raise not_running(SandboxError("this handle has killed it"), self.id, SandboxStatus.DELETED)
        if wake:
            opened = self._activate()
        else:
            try:
                opened = get_one(self._client, self._usable_id)
            except NotFoundError as error:
                raise not_running(error, self.id, SandboxStatus.DELETED) from error
        self._info = opened.info
        if opened.info.status != SandboxStatus.ACTIVE and not wake:
            refused = SandboxError(
                f"it is {self.status}, and is not to be woken", action=f"reach sandbox {self.id}"
            )
            raise not_running(refused, self.id, self.status)
        if opened.access is None:
            raise SandboxError(
                "the server gives no access token", action=f"reach sandbox {self.id}",
                hint="the API key has to be allowed to write",
            )  # fmt: skip
        return opened.access

    def _change(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Pause or resume it, as far as one request does."""
        try:
            return self._client._call(send, operation, *args, **kwargs)
        except SandboxError as error:
            if error.code != "gone":
                raise
            raise not_running(error, self.id, SandboxStatus.FAILED) from error

    def _settled(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return settled(self._client, send, operation, self._changed_at, *args, **kwargs)

    def _told(self, error: ConflictError, status: SandboxStatus) -> SandboxError:
        """Return the error that stands for a conflict, now that it is known where the sandbox stands."""
        if status == SandboxStatus.FAILED:
            return not_running(error, self.id, status)
        error.hint = f"it is {status}"
        return error

    def _hear(self, opened: Opened) -> None:
        self._info = opened.info
        if opened.access is not None:
            self._data.take(opened.access)

    def _note_change(self, status: SandboxStatus | None = None) -> None:
        self._changed_at = time.monotonic()
        if status is not None:
            self._info = attrs.evolve(self._info, status=status)
        if status == SandboxStatus.DELETED:
            self._data.forget()

    @property
    def _usable_id(self) -> str:
        return _arguments.usable_id("sandbox_id", self.id)


class Sandboxes:
    """The team's sandboxes, through one client: `client.sandboxes`."""

    def __init__(self, client: Superserve) -> None:
        self._client = client

    def create(
        self,
        *,
        name: str,
        from_template: str | TemplateSnapshot | None = None,
        from_snapshot: str | None = None,
        timeout_seconds: int | None = None,
        auto_delete_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        env_vars: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        network: Network | None = None,
        preview_access: str | None = None,
        adopt_lost: bool = False,
    ) -> Sandbox:
        """Create a sandbox and return it when it runs: `Sandbox.create` through this client."""
        return Sandbox.create(
            name=name,
            from_template=from_template,
            from_snapshot=from_snapshot,
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

    def connect(self, sandbox_id: str) -> Sandbox:
        """Return an existing sandbox, active: `Sandbox.connect` through this client."""
        return Sandbox.connect(sandbox_id, client=self._client)

    def get(self, sandbox_id: str) -> Sandbox:
        """Return an existing sandbox as it is: `Sandbox.get` through this client."""
        return Sandbox.get(sandbox_id, client=self._client)

    def list(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        status: str | Sequence[str] | None = None,
        q: str | None = None,
        sort: str | None = None,
        order: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> builtins.list[SandboxInfo]:
        """Return the team's sandboxes: `Sandbox.list` through this client."""
        return Sandbox.list(
            metadata=metadata,
            status=status,
            q=q,
            sort=sort,
            order=order,
            limit=limit,
            offset=offset,
            client=self._client,
        )

    def iter(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        status: str | Sequence[str] | None = None,
        q: str | None = None,
        sort: str | None = None,
        order: str | None = None,
    ) -> Generator[SandboxInfo]:
        """Go through the team's sandboxes, page by page: `Sandbox.iter` through this client."""
        return Sandbox.iter(
            metadata=metadata, status=status, q=q, sort=sort, order=order, client=self._client
        )

    def kill_by_id(self, sandbox_id: str) -> None:
        """End a sandbox for good by its id: `Sandbox.kill_by_id` through this client."""
        Sandbox.kill_by_id(sandbox_id, client=self._client)

    def update_by_id(
        self,
        sandbox_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        network: Network | None = None,
        auto_delete_seconds: int | EllipsisType | None = ...,
        timeout_seconds: int | EllipsisType | None = ...,
        preview_access: str | None = None,
    ) -> None:
        """Change a sandbox by its id: `Sandbox.update_by_id` through this client."""
        Sandbox.update_by_id(
            sandbox_id,
            metadata=metadata,
            network=network,
            auto_delete_seconds=auto_delete_seconds,
            timeout_seconds=timeout_seconds,
            preview_access=preview_access,
            client=self._client,
        )
