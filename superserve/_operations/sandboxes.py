"""Sandboxes: create, get, list, change, pause, resume, activate, delete."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import EllipsisType
from typing import Final, TypeVar

import attrs
import httpx
from superserve_api.models import (
    CreateSandboxRequest,
    EnvVars,
    Metadata,
    MetadataFilters,
    PauseResponse,
    ResumeResponse,
    SandboxListItem,
    SandboxPatch,
    SandboxResponse,
    SecretBindings,
)
from superserve_api.models import NetworkConfig as RawNetwork
from superserve_api.types import UNSET, Unset

from superserve import _arguments
from superserve._http.planes import Access
from superserve._operations.operation import (
    Operation,
    UnreadableError,
    none_if_unset,
    read_identifier,
    read_nothing,
)
from superserve._template_snapshot import TemplateSnapshot
from superserve.errors import SandboxError, SandboxNotRunningError, ValidationError
from superserve.types import (
    NetworkConfig,
    NetworkConfigDict,
    PreviewAccess,
    SandboxInfo,
    SandboxSecretBinding,
    SandboxStatus,
)

T = TypeVar("T")

Network = NetworkConfig | NetworkConfigDict

LONGEST_START_S: Final = 100.0
"""Seconds that the start of a sandbox may take: the server gives up after two attempts of 45 s."""

MARKER: Final = "sdk-create-id"
"""The metadata entry that `adopt_lost` looks for."""

# The server answers only after the machine has stopped.
_SLOW_STOP_S: Final = 30.0
_SLOW_START_S: Final = LONGEST_START_S - 30.0
_MOST_NAME: Final = 64
_PORTS: Final = range(1024, 65536)
# The agent's port.
_RESERVED_PORT: Final = 49983
_PRINTABLE: Final = re.compile(r"[!-~]+")
_STATUSES: Final = {status.value: status for status in SandboxStatus}


@attrs.frozen
class Opened:
    """A sandbox, with its access if the server sent one."""

    info: SandboxInfo
    access: Access | None


def create_sandbox(name: str, began_at: datetime) -> Operation[SandboxResponse, Opened]:
    """Describe `createSandbox`, POST /sandboxes."""
    return Operation(
        f"create sandbox {name!r}",
        read_sandbox,
        if_lost=(
            "the sandbox may have been created; look for one with that name, created after "
            f"{began_at:%Y-%m-%dT%H:%M:%SZ}, with Sandbox.list(q={name!r}); adopt_lost=True does this for you"
        ),
        if_conflict="wait until the template or snapshot is ready",
        is_repeatable=False,
        extra_time_s=_SLOW_START_S,
    )


def get_sandbox(sandbox_id: str) -> Operation[SandboxResponse, Opened]:
    """Describe `getSandbox`, GET /sandboxes/{sandbox_id}."""
    return Operation(f"get sandbox {sandbox_id}", read_sandbox)


def list_sandboxes() -> Operation[list[SandboxListItem], list[SandboxInfo]]:
    """Describe `listSandboxes`, GET /sandboxes."""

    def read(answer: list[SandboxListItem]) -> list[SandboxInfo]:
        return [_read_info(sandbox) for sandbox in answer]

    return Operation("list sandboxes", read)


def delete_sandbox(sandbox_id: str) -> Operation[object, None]:
    """Describe `deleteSandbox`, DELETE /sandboxes/{sandbox_id}."""
    return Operation(
        f"kill sandbox {sandbox_id}",
        read_nothing,
        read_nothing,
        if_lost="it may still run; kill() again",
        if_conflict="it is changing its status; try again in a moment",
        extra_time_s=_SLOW_STOP_S,
        retries_conflict=True,
    )


def patch_sandbox(sandbox_id: str) -> Operation[object, None]:
    """Describe `patchSandbox`, PATCH /sandboxes/{sandbox_id}."""
    return Operation(
        f"update sandbox {sandbox_id}",
        read_nothing,
        read_nothing,
        if_lost="some of it may be changed; update() again is safe",
        if_conflict="the network of a sandbox can only be changed while it is active",
        is_repeatable=False,
        retries_conflict=True,
    )


def pause_sandbox(sandbox_id: str) -> Operation[PauseResponse, bool]:
    """Describe `pauseSandbox`, POST /sandboxes/{sandbox_id}/pause. Its answer is whether the sandbox is already paused."""
    return Operation(
        f"pause sandbox {sandbox_id}",
        lambda _answer: False,
        lambda: True,
        if_lost="it may be paused; get_info() shows its status",
        is_repeatable=False,
        extra_time_s=_SLOW_STOP_S,
        retries_conflict=True,
    )


def resume_sandbox(sandbox_id: str) -> Operation[ResumeResponse, Access]:
    """Describe `resumeSandbox`, POST /sandboxes/{sandbox_id}/resume."""
    return Operation(
        f"resume sandbox {sandbox_id}",
        _read_access,
        if_lost="it may be active; get_info() shows its status",
        is_repeatable=False,
        extra_time_s=_SLOW_START_S,
        retries_conflict=True,
    )


def activate_sandbox(sandbox_id: str) -> Operation[SandboxResponse, Opened]:
    """Describe `activateSandbox`, POST /sandboxes/{sandbox_id}/activate, which may be repeated."""
    return Operation(
        f"activate sandbox {sandbox_id}",
        read_sandbox,
        if_lost="it may be active; get_info() shows its status",
        extra_time_s=_SLOW_START_S,
        retries_conflict=True,
    )


def read_sandbox(answer: SandboxResponse) -> Opened:
    """Convert a sandbox, with its token if there is one."""
    return Opened(_read_info(answer), _access(answer.access_token, answer.routing_hint))


def lost_id(content: bytes) -> str | None:
    """Return the id from the answer to a create, even if the rest cannot be understood."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if isinstance(found, str) and _arguments.is_sandbox_id(found) else None


def not_running_error(
    error: SandboxError, sandbox_id: str, status: SandboxStatus | None
) -> SandboxNotRunningError:
    """Return the error for a sandbox that does not run, made from the server's refusal."""
    raised = SandboxNotRunningError(
        error.message,
        action=error.action,
        status_code=error.status_code,
        code=error.code,
        headers=error.headers,
        request_id=error.request_id,
        hint=recovery_hint(sandbox_id, status),
    )
    raised.status = status
    return raised


def recovery_hint(sandbox_id: str, status: SandboxStatus | None) -> str:
    """Return the hint for a sandbox that does not run."""
    match status:
        case SandboxStatus.PAUSED:
            return "it is paused: resume() it"
        case SandboxStatus.FAILED:
            return "it does not run again: kill() it, and create another"
        case SandboxStatus.DELETED:
            return "it is gone: create another"
    return f"get_info() shows the status of sandbox {sandbox_id}"


def write_create_request(
    *,
    name: str,
    from_template: str | TemplateSnapshot | None,
    from_snapshot: str | None,
    timeout_seconds: int | None,
    auto_delete_seconds: int | None,
    metadata: Mapping[str, str] | None,
    env_vars: Mapping[str, str] | None,
    secrets: Mapping[str, str] | None,
    network: Network | None,
    preview_access: str | None,
) -> CreateSandboxRequest:
    """Check the arguments of `Sandbox.create`, and build the request's body. An argument that is None is not sent."""
    if from_template is not None and from_snapshot is not None:
        raise ValidationError(
            "from_snapshot: a sandbox starts from a template or from a snapshot, not from both"
        )
    variables = None if env_vars is None else _arguments.strings("env_vars", env_vars)
    bindings = None if secrets is None else _arguments.strings("secrets", secrets)
    both = sorted({*(variables or ())} & {*(bindings or ())})
    if both:
        raise ValidationError(f"secrets: {both[0]!r} is in env_vars, too")
    return CreateSandboxRequest(
        name=_name(name),
        from_template=_optional(_template, "from_template", from_template),
        from_snapshot=_optional(_identifier, "from_snapshot", from_snapshot),
        timeout_seconds=_optional(_arguments.count, "timeout_seconds", timeout_seconds),
        auto_delete_seconds=_optional(_window, "auto_delete_seconds", auto_delete_seconds),
        metadata=_optional(_metadata, "metadata", metadata),
        env_vars=UNSET if variables is None else EnvVars.from_dict(variables),
        secrets=UNSET if bindings is None else SecretBindings.from_dict(bindings),
        network=_optional(_network, "network", network),
        preview_access=_optional(_preview_access, "preview_access", preview_access),  # type: ignore[arg-type]
    )


def write_patch(
    *,
    metadata: Mapping[str, str] | None,
    network: Network | None,
    auto_delete_seconds: int | EllipsisType | None,
    timeout_seconds: int | EllipsisType | None,
    preview_access: str | None,
) -> SandboxPatch:
    """Check the arguments of `update`, and build the request's body. Omitted arguments are not sent."""
    patch = SandboxPatch(
        network=_optional(_network, "network", network),
        metadata=_optional(_metadata, "metadata", metadata),
        auto_delete_seconds=_clearable(_window, "auto_delete_seconds", auto_delete_seconds),
        timeout_seconds=_clearable(_arguments.count, "timeout_seconds", timeout_seconds),
        preview_access=_optional(_preview_access, "preview_access", preview_access),  # type: ignore[arg-type]
    )
    if not patch.to_dict():
        raise ValidationError(
            "update: there is nothing to change; pass metadata=, network=, auto_delete_seconds=, timeout_seconds= or "
            "preview_access="
        )
    return patch


def write_filters(metadata: Mapping[str, str] | None) -> MetadataFilters | Unset:
    """Return the metadata filters of a list as parameters of the request."""
    entries = {} if metadata is None else _arguments.strings("metadata", metadata)
    if not entries:
        return UNSET
    return MetadataFilters.from_dict({f"metadata.{key}": value for key, value in entries.items()})


def write_statuses(status: str | Sequence[str] | None) -> str | Unset:
    """Return one status or several as a parameter of the request."""
    if status is None:
        return UNSET
    statuses = [status] if isinstance(status, str) else status
    if not isinstance(statuses, Sequence) or not statuses:
        raise ValidationError(
            "status: expected a status or several, such as 'active' or ['active', 'paused']"
        )
    return ",".join(str(_arguments.text("status", each)) for each in statuses)


def limit(value: object) -> int | Unset:
    """Return the parameter for the most sandboxes to return."""
    return _optional(_arguments.count, "limit", value)


def offset(value: object) -> int | Unset:
    """Return the parameter for the number of sandboxes to skip."""
    return _optional(_window, "offset", value)


def words(argument: str, value: object) -> str | Unset:
    """Return a text as a parameter of the request."""
    return _optional(_arguments.text, argument, value)


def preview_url(sandbox_url: str, sandbox_id: str, port: object) -> str:
    """Return the URL of a port of a sandbox."""
    number = _arguments.count("port", port)
    if number not in _PORTS or number == _RESERVED_PORT:
        raise ValidationError(f"port: expected 1024 to 65535 and not {_RESERVED_PORT}, got {number}")
    url = httpx.URL(sandbox_url)
    # Host names below localhost lead to this machine. An IP address cannot have names below it.
    is_local = url.host.startswith("127.") or url.host == "::1"
    host = "localhost" if is_local else url.host
    return f"{url.scheme}://{number}-{sandbox_id}.{host}{'' if url.port is None else f':{url.port}'}"


def now() -> datetime:
    """Return the current time, for messages."""
    return datetime.now(UTC)


def _read_info(answer: SandboxResponse | SandboxListItem) -> SandboxInfo:
    secrets = answer.secrets if isinstance(answer, SandboxResponse) else UNSET
    return SandboxInfo(
        id=answer.id or read_identifier("id", answer.id),
        name=answer.name,
        status=_STATUSES.get(answer.status) or SandboxStatus(answer.status),
        vcpu_count=answer.vcpu_count,
        memory_mib=answer.memory_mib,
        created_at=answer.created_at,
        metadata=dict(answer.metadata.additional_properties),
        preview_access=PreviewAccess(answer.preview_access) if answer.preview_access else None,
        timeout_seconds=none_if_unset(answer.timeout_seconds),
        auto_delete_seconds=none_if_unset(answer.auto_delete_seconds),
        auto_delete_at=none_if_unset(answer.auto_delete_at),
        network=_read_network(answer.network),
        source_snapshot_id=none_if_unset(answer.source_snapshot_id),
        secrets=(
            tuple(
                SandboxSecretBinding(each.env_key, each.secret_name, each.revoked or False)
                for each in secrets
            )
            if secrets
            else None
        ),
    )


def _read_network(network: RawNetwork | Unset) -> NetworkConfig | None:
    if not network:
        return None
    return NetworkConfig(none_if_unset(network.allow_out), none_if_unset(network.deny_out))


def _read_access(answer: ResumeResponse) -> Access:
    access = _access(answer.access_token, answer.routing_hint)
    if access is None:
        raise UnreadableError("field 'access_token' is empty")
    return access


def _access(token: str | Unset | None, hint: str | Unset | None) -> Access | None:
    if not token:
        return None
    if not _PRINTABLE.fullmatch(token):
        raise UnreadableError("field 'access_token' cannot be sent in a header")
    # The hint is optional: an unusable one is ignored.
    return Access(token, hint if hint and _PRINTABLE.fullmatch(hint) else None)


def _name(value: object) -> str:
    name = _arguments.text("name", value)
    if len(name.encode()) > _MOST_NAME:
        raise ValidationError(f"name: expected at most {_MOST_NAME} bytes, got {len(name.encode())}")
    return name


def _template(argument: str, value: object) -> str:
    return value.id if isinstance(value, TemplateSnapshot) else _arguments.text(argument, value)


def _identifier(argument: str, value: object) -> str:
    # A snapshot's handle has an id.
    return _arguments.text(argument, getattr(value, "id", value))


def _window(argument: str, value: object) -> int:
    return _arguments.count(argument, value, least=0)


def _metadata(argument: str, value: object) -> Metadata:
    return Metadata.from_dict(_arguments.strings(argument, value))


def _network(argument: str, value: object) -> RawNetwork:
    if isinstance(value, NetworkConfig):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise ValidationError(f"{argument}: expected NetworkConfig or a dict, got {type(value).__name__}")
    if unknown := sorted(set(map(str, value)) - {"allow_out", "deny_out"}):
        raise ValidationError(f"{argument}: unknown key {unknown[0]!r}; expected allow_out, deny_out")
    return RawNetwork(
        **{
            key: _entries(f"{argument}.{key}", entries)
            for key, entries in value.items()
            if entries is not None
        }
    )


def _entries(argument: str, value: object) -> list[str]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValidationError(f"{argument}: expected a list of strings, got {type(value).__name__}")
    return [_arguments.text(f"{argument}[{index}]", entry) for index, entry in enumerate(value)]


def _preview_access(argument: str, value: object) -> str:
    return str(_arguments.text(argument, value))


def _optional(check: Callable[[str, object], T], argument: str, value: object) -> T | Unset:
    return UNSET if value is None else check(argument, value)


def _clearable(check: Callable[[str, object], T], argument: str, value: object) -> T | Unset | None:
    if value is ...:
        return UNSET
    return None if value is None else check(argument, value)
