"""Sandboxes, and the values for creating them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

import attrs

from superserve.errors import ValidationError
from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class SandboxStatus(OpenStrEnum):
    """The status of a sandbox. A value that this version does not know is kept as it is."""

    STARTING = "starting"
    ACTIVE = "active"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    MIGRATING = "migrating"
    FAILED = "failed"
    """The machine is lost for good."""
    DELETED = "deleted"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


class PreviewAccess(OpenStrEnum):
    """Who may reach the ports of a sandbox. A value that this version does not know is kept as it is."""

    PUBLIC = "public"
    PRIVATE = "private"
    LEGACY_PUBLIC = "legacy_public"
    """Only for older sandboxes: everybody may reach every port."""
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


def _as_tuple(entries: Sequence[str] | None) -> tuple[str, ...] | None:
    # A string is a sequence, too, of single characters.
    if isinstance(entries, str | bytes) or not isinstance(entries, Sequence | None):
        raise ValidationError(
            f"network: expected lists such as allow_out=['pypi.org'], got {type(entries).__name__}"
        )
    return None if entries is None else tuple(entries)


@attrs.frozen(slots=False)
class NetworkConfig(Value):
    """Where a sandbox may connect to. It can never connect to private addresses or IPv6.

    It replaces both lists of a sandbox: a list that is None becomes empty. The server returns the entries in its own
    order.
    """

    allow_out: Sequence[str] | None = attrs.field(default=None, converter=_as_tuple)
    """IPv4 addresses, ranges (CIDR) and domains to allow. `*.example.com` stands for every name below it."""
    deny_out: Sequence[str] | None = attrs.field(default=None, converter=_as_tuple)
    """IPv4 addresses and ranges to deny. `0.0.0.0/0` stands for all."""


class NetworkConfigDict(TypedDict, total=False):
    """`{"allow_out": ["pypi.org"], "deny_out": ["0.0.0.0/0"]}`."""

    allow_out: Sequence[str]
    deny_out: Sequence[str]


@attrs.frozen(slots=False)
class SandboxSecretBinding(Value):
    """A secret that a sandbox uses."""

    env_key: str
    """The environment variable that stands for the secret."""
    secret_name: str
    revoked: bool = False
    """Whether the secret has been deleted."""


@attrs.frozen(slots=False)
class SandboxInfo(Value):
    """A sandbox as the server last described it (`GET /sandboxes/{sandbox_id}`)."""

    id: str
    name: str
    """Other sandboxes may have the same name."""
    status: SandboxStatus
    vcpu_count: int
    """Virtual CPUs."""
    memory_mib: int
    """Memory in MiB."""
    created_at: datetime
    metadata: dict[str, str] = attrs.field(factory=dict, hash=False)
    preview_access: PreviewAccess | None = None
    timeout_seconds: int | None = None
    """Seconds of being active after which the sandbox is paused; None for never."""
    auto_delete_seconds: int | None = None
    """Seconds of being paused after which the sandbox is deleted; None for never."""
    auto_delete_at: datetime | None = None
    """When the sandbox will be deleted; set only while it is paused."""
    network: NetworkConfig | None = None
    source_snapshot_id: str | None = None
    """The id of the saved snapshot that the sandbox was started from."""
    secrets: tuple[SandboxSecretBinding, ...] | None = None
    """The secrets that the sandbox uses; None if the server does not say: in lists, and after most operations."""
