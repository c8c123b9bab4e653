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
from superserve._operations.sandboxes import Network, Opened, not_running_error
from superserve._sync.client import Send, Superserve, client_for
from superserve._sync.data_plane import DataPlane
from superserve._sync.sandbox_life import Creation, Poll, activate, call_until_settled, get_one, kill, leave
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

    Get one from `create`, `connect` or `get`; the class is not meant to be called. As a context manager it kills the
    sandbox at the end of the block; otherwise the sandbox runs until something ends it. `status` and the other properties
    are the values that this handle received last; `get_info` asks the server.

    Any call may raise AuthenticationError, RateLimitError, ServerError, SandboxConnectionError and SandboxTimeoutError;
    methods name the other errors. GET, DELETE and activate are retried up to the client's `max_attempts`, other calls
    never. For 5 s after this handle has created, paused or resumed the sandbox, a call that is refused for its state (409)
    is repeated: the server's row of the sandbox may lag.

    Attributes:
        commands: Runs commands in the sandbox.
        files: Reads and writes files in the sandbox.

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
        """Create a sandbox, and return it when it is running.

        Calls `createSandbox` (POST /sandboxes) once, without retries. Omitted arguments are not sent, so the server's
        defaults apply. The server may need 90 s: the call gets the client's `timeout_s` plus 70 s.

        Args:
            name: At most 64 bytes. It need not be unique.
            from_template: The name, id or handle of the template to start from. The server's default is
                `superserve/base`.
            from_snapshot: The id of a saved snapshot to start from, instead of a template.
            timeout_seconds: Seconds of being active after which the sandbox is paused, 1 to 604800. Default: never.
            auto_delete_seconds: Seconds of being paused after which the sandbox is deleted, 0 to 2592000. Default: never.
            metadata: Your own key-value pairs, all strings, at most 64. `list` can filter by them.
            env_vars: Environment variables for everything that runs in the sandbox, at most 64.
            secrets: The name of a secret for each environment variable that stands for one, at most 32.
            network: Where the sandbox may connect to: `NetworkConfig(...)`, or a dict such as
                `{"deny_out": ["0.0.0.0/0"]}`.
            preview_access: Who may reach its ports: `public`, the server's default, or `private`.
            adopt_lost: Whether to look for the sandbox if the answer is lost or cannot be understood. Adds the entry
                `sdk-create-id` to `metadata`, looks for it with `listSandboxes` for at most 10 s, and takes the sandbox
                over with `activateSandbox`.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: An argument is invalid, or the server refused one.
            NotFoundError: The template or snapshot does not exist.
            ConflictError: The template or snapshot is not ready.
            RateLimitError: There are too many requests or sandboxes (see `code`).
            SandboxError: The call failed in another way. If the sandbox may exist, the message says how to find it, and
                `sandbox_id` is its id, if known.
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
        """Return an existing sandbox, active. A paused sandbox is woken with `activateSandbox`.

        While the sandbox is pausing, the call is repeated for at most 30 s.

        Args:
            sandbox_id: The sandbox's id.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `sandbox_id` cannot be an id.
            SandboxNotRunningError: The sandbox cannot be woken: it has failed, or is gone.
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
        """Return an existing sandbox as it is, with `getSandbox`. A paused sandbox is not woken.

        Args:
            sandbox_id: The sandbox's id.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `sandbox_id` cannot be an id.
            NotFoundError: The sandbox does not exist, or belongs to another team.
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
        """Return the team's sandboxes, newest first, with `listSandboxes`, without deleted ones.

        Args:
            metadata: Only sandboxes with all of these entries.
            status: Only sandboxes with this status, or with one of several, which needs a newer server.
            q: Only sandboxes whose name contains this text. Case is ignored.
            sort: `created_at` (the server's default), `name` or `status`.
            order: `asc` or `desc` (the server's default).
            limit: The most sandboxes to return, 1 to 200. Default: all.
            offset: How many sandboxes to skip. Default: none.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: An argument is invalid, or the server refused one.
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
        """Iterate over the team's sandboxes, in pages of 100, with `listSandboxes`. Each sandbox comes once.

        If sandboxes are created or deleted meanwhile, the pages may shift, and a sandbox may be left out.

        Args:
            metadata: Only sandboxes with all of these entries.
            status: Only sandboxes with this status, or with one of several, which needs a newer server.
            q: Only sandboxes whose name contains this text. Case is ignored.
            sort: `created_at` (the server's default), `name` or `status`.
            order: `asc` or `desc` (the server's default).
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: An argument is invalid, or the server refused one.
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
            # Older servers ignore the limit, and send all sandboxes at once.
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
        """Delete a sandbox by its id, with `deleteSandbox`. It is not an error if there is none.

        The server may need 30 s: the call gets the client's `timeout_s` plus 30 s.

        Args:
            sandbox_id: The sandbox's id.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: `sandbox_id` cannot be an id.
            ConflictError: The sandbox is changing its status.
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
        """Change a sandbox by its id, with `patchSandbox`. See `update`.

        Args:
            sandbox_id: The sandbox's id.
            metadata: As in `update`.
            network: As in `update`.
            auto_delete_seconds: As in `update`.
            timeout_seconds: As in `update`.
            preview_access: As in `update`.
            api_key: The API key. Default: SUPERSERVE_API_KEY.
            base_url: The API's address. Default: SUPERSERVE_BASE_URL.
            sandbox_url: The address of sandboxes. Default: SUPERSERVE_SANDBOX_URL.
            client: The client to use. Default: the shared client for that key and address.

        Raises:
            ValidationError: An argument is invalid, there is none, or the server refused one.
            NotFoundError: The sandbox does not exist.
            ConflictError: The network cannot be changed, because the sandbox is not active.
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
        call_until_settled(
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
        """The name. Other sandboxes may have the same."""
        return self._info.name

    @property
    def status(self) -> SandboxStatus:
        """The status that this handle received last."""
        return self._info.status

    @property
    def metadata(self) -> Mapping[str, str]:
        """Your own key-value pairs, as this handle received them last."""
        return self._info.metadata

    @property
    def preview_access(self) -> PreviewAccess | None:
        """Who may reach its ports, as this handle received it last; None if the server did not say."""
        return self._info.preview_access

    @property
    def secrets(self) -> tuple[SandboxSecretBinding, ...] | None:
        """The secrets that it uses, as this handle received them last; None if the server did not say."""
        return self._info.secrets

    @property
    def commands(self) -> "Commands":
        """Runs commands in the sandbox."""
        from superserve._sync.commands import Commands

        return Commands(self)

    @property
    def files(self) -> "Files":
        """Reads and writes files in the sandbox."""
        from superserve._sync.files import Files

        return Files(self)

    def get_info(self) -> SandboxInfo:
        """Return the sandbox as it is now, with `getSandbox`. A paused sandbox is not woken.

        Raises:
            NotFoundError: The sandbox is gone.
        """
        opened = get_one(self._client, self._usable_id)
        self._set_state(opened)
        return opened.info

    def pause(
        self,
        *,
        wait: bool = True,
        timeout: float = 300.0,
        poll_interval_s: float | None = None,
        strict: bool = False,
    ) -> None:
        """Pause the sandbox, with `pauseSandbox`. It keeps memory, processes and disk, and loses connections and commands.

        It is not an error if the sandbox is already paused. If the server answers that the sandbox is still pausing or not
        active, its status is polled with `getSandbox` until it is paused. A sandbox that is deleted by the pause
        (`auto_delete_seconds=0`) counts as paused.

        Args:
            wait: Whether to wait until the sandbox is paused. If not, the server is asked to answer at once
                (`Prefer: respond-async`).
            timeout: Seconds after which to give up waiting. The sandbox goes on pausing.
            poll_interval_s: Seconds between polls. Default: 0.05 for 2 s, then 1.
            strict: Whether to raise an error if the sandbox is not active.

        Raises:
            ConflictError: The sandbox is neither active nor pausing; with `strict`, it is not active.
            NotFoundError: The sandbox is gone.
            SandboxNotRunningError: The sandbox has failed.
            SandboxTimeoutError: `timeout` has passed.
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
                elif not poll.wait_to_retry(status, SandboxStatus.STARTING, SandboxStatus.RESUMING):
                    raise self._conflict_error(error, status) from error
            else:
                self._note_change(SandboxStatus.PAUSED if is_paused else SandboxStatus.PAUSING)
        if waits and not is_paused:
            poll.wait_for(SandboxStatus.PAUSED, accept_gone=True)
            self._note_change()

    def resume(
        self, *, timeout: float = 300.0, poll_interval_s: float | None = None, strict: bool = False
    ) -> None:
        """Wake a paused sandbox, with `resumeSandbox`.

        It is not an error if the sandbox is already active. If the server refuses, the status is read with `getSandbox`, and
        polled while the sandbox is pausing or resuming.

        Args:
            timeout: Seconds after which to give up.
            poll_interval_s: Seconds between polls. Default: 0.05 for 2 s, then 1.
            strict: Whether to raise an error if the sandbox is not paused.

        Raises:
            ConflictError: With `strict`, the sandbox is not paused.
            NotFoundError: The sandbox is gone.
            RateLimitError: Too many sandboxes are active (`too_many_sandboxes`).
            SandboxNotRunningError: The sandbox has failed.
            SandboxTimeoutError: `timeout` has passed.
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
                    status = poll.wait_for(SandboxStatus.ACTIVE, SandboxStatus.PAUSED)
                    if status == SandboxStatus.PAUSED:
                        # The transition under way has ended here.
                        continue
                if status == SandboxStatus.ACTIVE and not is_strict:
                    return
                if not poll.wait_to_retry(status, SandboxStatus.PAUSING, SandboxStatus.PAUSED):
                    raise self._conflict_error(error, status) from error
            else:
                self._data.take(access)
                self._note_change(SandboxStatus.ACTIVE)
                return

    def activate(self) -> SandboxInfo:
        """Make the sandbox active, whether it is paused or not, and renew its access token, with `activateSandbox`.

        While the sandbox is pausing, the call is repeated for at most 30 s.

        Raises:
            SandboxNotRunningError: The sandbox cannot be woken: it has failed, or is gone.
            RateLimitError: Too many sandboxes are active (`too_many_sandboxes`).
        """
        opened = self._activate()
        self._set_state(opened)
        return opened.info

    def kill(self, *, strict: bool = False) -> None:
        """Delete the sandbox, with `deleteSandbox`. It is not an error if it is already gone.

        The server may need 30 s: the call gets the client's `timeout_s` plus 30 s.

        Args:
            strict: Whether to raise an error if the sandbox is already gone.

        Raises:
            ConflictError: The sandbox is changing its status, and not because of this handle.
            NotFoundError: With `strict`, the sandbox is gone.
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
        """Change the sandbox, with `patchSandbox`. Omitted arguments are not sent. Each given one replaces the old value.

        The changes are not atomic: if the server fails, earlier changes remain. Their order is network, metadata,
        auto_delete_seconds, timeout_seconds, preview_access.

        Args:
            metadata: All new entries; `{}` removes all.
            network: All new rules. A list that is left out becomes empty.
            auto_delete_seconds: As in `create`; None for never. For a paused sandbox the time starts now.
            timeout_seconds: As in `create`; None for never.
            preview_access: As in `create`.

        Raises:
            ValidationError: An argument is invalid, there is none, or the server refused one.
            NotFoundError: The sandbox is gone.
            ConflictError: The network cannot be changed, because the sandbox is not active.
        """
        body = sandboxes.write_patch(
            metadata=metadata,
            network=network,
            auto_delete_seconds=auto_delete_seconds,
            timeout_seconds=timeout_seconds,
            preview_access=preview_access,
        )
        self._call_until_settled(
            patch_sandbox.sync_detailed,
            sandboxes.patch_sandbox(self._usable_id),
            self._usable_id,
            body=body,
            client=self._client.raw,
        )

    def set_timeout(self, timeout_seconds: int | None) -> None:
        """Set the seconds of being active after which the sandbox is paused, with `patchSandbox`; None for never.

        Args:
            timeout_seconds: 1 to 604800. If that time has already passed, the sandbox is paused within half a minute.

        Raises:
            ValidationError: `timeout_seconds` is not such a number.
            NotFoundError: The sandbox is gone.
        """
        self.update(timeout_seconds=timeout_seconds)

    def get_preview_url(self, port: int) -> str:
        """Return the URL of a port on which a server of yours listens in the sandbox. Makes no request.

        Args:
            port: 1024 to 65535, except 49983.

        Raises:
            ValidationError: `port` is not such a number.
        """
        return sandboxes.preview_url(self._client.sandbox_url, self._usable_id, port)

    def wait_for_port(self, port: int, timeout_s: float = DEFAULT_WAIT_S, *, wake: bool = True) -> None:
        """Wait until something in the sandbox listens on a TCP port, on any address.

        Runs one command as `commands.run` does: a loop of the sandbox's `/bin/sh` that reads /proc/net/tcp.

        Args:
            port: 1 to 65535.
            timeout_s: Seconds after which to give up, more than 0; rounded up to whole seconds. Default 30.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            SandboxTimeoutError: Nothing listens on the port within `timeout_s`.
            CommandStartError: The sandbox has no `/bin/sh`, or the user of its commands may not run it.
            CommandError: The shell cannot look, for example because there is no `sleep`.
            OutcomeUnknownError: The connection broke meanwhile. Waiting again is safe.
        """
        self.commands._wait_for_port(port, timeout_s, wake=wake)

    def _activate(self) -> Opened:
        # The server itself waits while a sandbox starts or resumes, but not while it is pausing.
        is_pausing = self.status in (SandboxStatus.PAUSING, SandboxStatus.PAUSED)
        opened = activate(self._client, self._usable_id, self._changed_at if is_pausing else None)
        self._note_change(SandboxStatus.ACTIVE)
        return opened

    def _refresh(self, wake: bool) -> Access:
        """Get a new access token."""
        if self.status == SandboxStatus.DELETED:
            raise not_running_error(SandboxError("this handle has killed it"), self.id, SandboxStatus.DELETED)
        if wake:
            opened = self._activate()
        else:
            try:
                opened = get_one(self._client, self._usable_id)
            except NotFoundError as error:
                raise not_running_error(error, self.id, SandboxStatus.DELETED) from error
        self._info = opened.info
        if opened.info.status != SandboxStatus.ACTIVE and not wake:
            refused = SandboxError(
                f"it is {self.status}, and wake is False", action=f"reach sandbox {self.id}"
            )
            raise not_running_error(refused, self.id, self.status)
        if opened.access is None:
            raise SandboxError(
                "the server returned no access token", action=f"reach sandbox {self.id}",
                hint="the API key must have write permission",
            )  # fmt: skip
        return opened.access

    def _change(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Pause or resume the sandbox, as far as one request does."""
        try:
            return self._client._call(send, operation, *args, **kwargs)
        except SandboxError as error:
            if error.code != "gone":
                raise
            raise not_running_error(error, self.id, SandboxStatus.FAILED) from error

    def _call_until_settled(
        self, send: Send[P, ApiError | R], operation: Operation[R, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return call_until_settled(self._client, send, operation, self._changed_at, *args, **kwargs)

    def _conflict_error(self, error: ConflictError, status: SandboxStatus) -> SandboxError:
        """Return the error for a conflict, now that the sandbox's status is known."""
        if status == SandboxStatus.FAILED:
            return not_running_error(error, self.id, status)
        error.hint = f"it is {status}"
        return error

    def _set_state(self, opened: Opened) -> None:
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
        """Create a sandbox, and return it when it is running: `Sandbox.create` through this client."""
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
        """Iterate over the team's sandboxes: `Sandbox.iter` through this client."""
        return Sandbox.iter(
            metadata=metadata, status=status, q=q, sort=sort, order=order, client=self._client
        )

    def kill_by_id(self, sandbox_id: str) -> None:
        """Delete a sandbox by its id: `Sandbox.kill_by_id` through this client."""
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
