# Written by scripts/unasync.py from superserve/_async/sandbox_life.py. Do not edit: change that, then run `nox -s generate`.
"""The life of a sandbox beyond single calls: tolerating a lagging row, waiting for states, finding a lost sandbox."""

import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from superserve_api.api.sandboxes import (
    activate_sandbox,
    create_sandbox,
    delete_sandbox,
    get_sandbox,
    list_sandboxes,
)
from superserve_api.models import ApiError, CreateSandboxRequest, Metadata, SandboxResponse
from superserve_api.types import Response, Unset

from superserve import _arguments
from superserve import _clock as time
from superserve._http.policy import Options
from superserve._http.tasks_sync import sleep
from superserve._operations import sandboxes
from superserve._operations.operation import Operation
from superserve._operations.sandboxes import MARKER, Opened, not_running_error
from superserve._polling import Deadline, Outage
from superserve._sync.client import Send, Superserve
from superserve.errors import (
    ConflictError,
    NotFoundError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
)
from superserve.types import SandboxStatus

if TYPE_CHECKING:
    from superserve._sync.sandboxes import Sandbox

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

SETTLE_S: Final = 5.0
"""Seconds to repeat a call that was refused for the sandbox's state after this side has changed it: its row may lag."""

PAUSING_S: Final = 30.0
"""Seconds to wait for a sandbox to finish pausing before it is activated."""

LEAVE_S: Final = 10.0
"""Seconds to try to kill the sandbox when a `with` block ends."""

ADOPT_S: Final = 10.0
"""Seconds to look for a sandbox after the answer to its create was lost."""

_FIRST_SETTLE_S: Final = 0.05
_LONGEST_SETTLE_S: Final = 0.25
_POLL_S: Final = 1.0
_QUICK_POLL_S: Final = 0.05
_QUICK_S: Final = 2.0

_log = logging.getLogger("superserve")


class Creation:
    """One create, and the search for its sandbox if the answer is lost."""

    def __init__(self, client: Superserve, body: CreateSandboxRequest, *, adopts: bool) -> None:
        self._client = client
        self._body = body
        self._mark: str | None = None
        if adopts:
            self._mark = secrets.token_hex(16)
            given = {} if isinstance(body.metadata, Unset) else body.metadata.additional_properties
            body.metadata = Metadata.from_dict({**given, MARKER: self._mark})

    def run(self) -> Opened:
        ids: list[str | None] = [None]

        def send(*, client: Any) -> Response[ApiError | SandboxResponse]:
            answer = create_sandbox.sync_detailed(client=client, body=self._body)
            ids.append(sandboxes.lost_id(answer.content))
            return answer

        operation = sandboxes.create_sandbox(self._body.name, sandboxes.now())
        try:
            return self._client._call(send, operation, client=self._client.raw)
        except SandboxError as error:
            if not operation.if_lost or error.hint != self._client._plane.redactor.hide(operation.if_lost):
                # Refused, or never sent: there is no sandbox.
                raise
            lost = error
            lost.sandbox_id = ids[-1]
            if lost.sandbox_id is not None:
                lost.hint = f"sandbox {lost.sandbox_id} has been created; Sandbox.kill_by_id() ends it"
        opened = self._find(lost) if self._mark is not None else None
        if opened is None:
            raise lost
        return opened

    def _find(self, lost: SandboxError) -> Opened | None:
        deadline = Deadline(ADOPT_S)
        filters = sandboxes.write_filters({MARKER: self._mark or ""})
        while not deadline.is_over:
            with suppress(SandboxConnectionError, SandboxTimeoutError, ServerError):
                found = self._client._call(
                    list_sandboxes.sync_detailed,
                    sandboxes.list_sandboxes().within(Options(deadline.left, 1)),
                    metadata_filters=filters,
                    client=self._client.raw,
                )
                if found:
                    lost.sandbox_id = found[0].id
                    if found[0].status == SandboxStatus.FAILED:
                        return None
                    with suppress(SandboxError):
                        return activate(self._client, found[0].id, None)
            sleep(min(_LONGEST_SETTLE_S, max(0.0, deadline.left)))
        return None


class Poll:
    """Waits until a sandbox reaches a state."""

    def __init__(self, sandbox: "Sandbox", action: str, timeout_s: float, interval_s: float | None) -> None:
        self._sandbox = sandbox
        self._action = action
        self._timeout_s = _arguments.seconds("timeout", timeout_s)
        self._interval_s = _arguments.optional(_arguments.seconds, "poll_interval_s", interval_s)
        self._deadline = Deadline(self._timeout_s)
        self._began_at = time.monotonic()
        self._has_settled = False
        self._outage = Outage(sandbox._client._http.gate)

    def wait_for(self, *goals: SandboxStatus, accept_gone: bool = False) -> SandboxStatus:
        """Poll until the sandbox is in one of these states, and return its state."""
        # The current state is known: wait first.
        while not self._deadline.is_over:
            sleep(min(self._delay(), max(0.0, self._deadline.left)))
            status = self._ask(accept_gone=accept_gone)
            if status is not None and status in (*goals, SandboxStatus.DELETED):
                return status
            if status == SandboxStatus.FAILED:
                error = SandboxError("it has failed", action=self._action)
                raise not_running_error(error, self._sandbox.id, status)
        raise SandboxTimeoutError(
            f"the sandbox did not become {goals[0]} within {self._timeout_s:.3g} s",
            action=self._action,
            hint=f"it is still {self._sandbox.status}; get_info() returns its current state",
        )

    @property
    def may_lag(self) -> bool:
        """Whether the sandbox's row may lag, because this side has just changed the sandbox."""
        changed_at = self._sandbox._changed_at
        is_late = changed_at is None or time.monotonic() - changed_at >= SETTLE_S
        return not (is_late or self._deadline.is_over)

    def wait_to_retry(self, status: SandboxStatus, *passing: SandboxStatus) -> bool:
        """If asking again may help, wait a moment and return True: this side has just changed the sandbox.

        The row may lag, or may have changed since the refusal. Asking again does not help if the sandbox is in none of these
        states, now and a moment ago.
        """
        if not self.may_lag or (status not in passing and self._has_settled):
            return False
        self._has_settled = status not in passing
        sleep(_FIRST_SETTLE_S)
        return True

    def _ask(self, *, accept_gone: bool) -> SandboxStatus | None:
        sandbox = self._sandbox
        timeout_s = min(sandbox._client.timeout_s, max(self._deadline.left, 0.1))
        operation = sandboxes.get_sandbox(sandbox._usable_id).within(self._outage.ask(timeout_s))
        try:
            opened = sandbox._client._call(
                get_sandbox.sync_detailed, operation, sandbox._usable_id, client=sandbox._client.raw
            )
        except NotFoundError:
            if not accept_gone:
                raise
            sandbox._note_change(SandboxStatus.DELETED)
            return SandboxStatus.DELETED
        except SandboxError as error:
            if not self._outage.tolerates(error):
                raise
            return None
        self._outage.end()
        sandbox._set_state(opened)
        return opened.info.status

    def _delay(self) -> float:
        if self._outage.is_on:
            return max(self._interval_s or _POLL_S, self._outage.retry_after_s)
        if self._interval_s is not None:
            return self._interval_s
        return _QUICK_POLL_S if time.monotonic() - self._began_at < _QUICK_S else _POLL_S


def get_one(client: Superserve, sandbox_id: str) -> Opened:
    return client._call(
        get_sandbox.sync_detailed, sandboxes.get_sandbox(sandbox_id), sandbox_id, client=client.raw
    )


def activate(client: Superserve, sandbox_id: str, changed_at: float | None) -> Opened:
    deadline = Deadline(PAUSING_S)
    while True:
        try:
            return call_until_settled(
                client,
                activate_sandbox.sync_detailed,
                sandboxes.activate_sandbox(sandbox_id),
                changed_at,
                sandbox_id,
                client=client.raw,
            )
        except ConflictError as error:
            if error.code != "sandbox_pausing":
                raise not_running_error(error, sandbox_id, None) from error
            if deadline.is_over:
                raise
        except NotFoundError as error:
            raise not_running_error(error, sandbox_id, SandboxStatus.DELETED) from error
        except SandboxError as error:
            if error.code != "gone":
                raise
            raise not_running_error(error, sandbox_id, SandboxStatus.FAILED) from error
        sleep(_LONGEST_SETTLE_S)


def kill(client: Superserve, sandbox_id: str, changed_at: float | None, *, strict: bool) -> None:
    try:
        call_until_settled(
            client,
            delete_sandbox.sync_detailed,
            sandboxes.delete_sandbox(sandbox_id),
            changed_at,
            sandbox_id,
            client=client.raw,
        )
    except NotFoundError as error:
        if strict:
            raise
        if error.code is None:
            # The API's own 404 has a code. Without one, this may not be the API's address.
            _log.warning("%s; this counts as success. Is %s the address of the API?", error, client.base_url)


def call_until_settled(
    owner: Superserve,
    send: Send[P, ApiError | R],
    operation: Operation[R, T],
    changed_at: float | None,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Make a call. If it is refused for the sandbox's state soon after this side has changed it, repeat it."""
    delay_s = _FIRST_SETTLE_S
    while True:
        try:
            return owner._call(send, operation, *args, **kwargs)
        except ConflictError:
            bears = operation.retries_conflict and changed_at is not None
            if not bears or time.monotonic() - (changed_at or 0.0) >= SETTLE_S:
                raise
        sleep(delay_s)
        delay_s = min(2 * delay_s, _LONGEST_SETTLE_S)


def leave(client: Superserve, sandbox_id: str) -> bool:
    """Kill a sandbox at the end of a `with` block, within a time limit. Return whether it worked; if not, log a warning."""
    deadline = Deadline(LEAVE_S)
    operation = sandboxes.delete_sandbox(sandbox_id)
    problem: SandboxError | None = None
    while not deadline.is_over:
        options = Options(max(deadline.left, 0.1), client.max_attempts)
        try:
            client._call(
                delete_sandbox.sync_detailed, operation.within(options), sandbox_id, client=client.raw
            )
        except NotFoundError:
            return True
        except (ConflictError, ServerError, SandboxConnectionError) as error:
            problem = error
        except SandboxError as error:
            problem = error
            break
        else:
            return True
        sleep(min(_LONGEST_SETTLE_S, max(0.0, deadline.left)))
    _log.warning(
        "sandbox %s may still run: %s; Sandbox.kill_by_id(%r) ends it", sandbox_id, problem, sandbox_id
    )
    return False
