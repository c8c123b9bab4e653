"""Sandboxes as people receive them, and what they are made with."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

import attrs

from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class SandboxStatus(OpenStrEnum):
    """Where a sandbox stands; a value this version does not know is kept as it came."""

    STARTING = "starting"
    ACTIVE = "active"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    MIGRATING = "migrating"
    FAILED = "failed"
    """Its machine is lost for good."""
    DELETED = "deleted"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


class PreviewAccess(OpenStrEnum):
    """Who may reach the ports that a sandbox publishes; a value this version does not know is kept as it came."""

    PUBLIC = "public"
    PRIVATE = "private"
    LEGACY_PUBLIC = "legacy_public"
    """Of older sandboxes only: every port is published, to everybody."""
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


def _as_tuple(entries: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if entries is None else tuple(entries)


@attrs.frozen(slots=False)
class NetworkConfig(Value):
    """Where a sandbox may connect to; private addresses and IPv6 it never may.

    Given to a sandbox it replaces both lists: one that is None is then empty. A server returns the entries in an order of
    its own.
    """

    allow_out: Sequence[str] | None = attrs.field(default=None, converter=_as_tuple)
    """IPv4 addresses, ranges (CIDR) and domains that may be reached; `*.example.com` is every name below it."""
    deny_out: Sequence[str] | None = attrs.field(default=None, converter=_as_tuple)
    """IPv4 addresses and ranges that may not be reached; `0.0.0.0/0` is all of them."""


class NetworkConfigDict(TypedDict, total=False):
    """`{"allow_out": ["pypi.org"], "deny_out": ["0.0.0.0/0"]}`."""

    allow_out: Sequence[str]
    deny_out: Sequence[str]


@attrs.frozen(slots=False)
class SandboxSecretBinding(Value):
    """A secret that a sandbox uses."""

    env_key: str
    """The environment variable through which it is used."""
    secret_name: str
    revoked: bool = False
    """Whether the secret has been deleted."""


@attrs.frozen(slots=False)
class SandboxInfo(Value):
    """A sandbox as the server last described it (`GET /sandboxes/{sandbox_id}`)."""

    id: str
    name: str
    """Others may have the same."""
    status: SandboxStatus
    vcpu_count: int
    """Virtual CPUs."""
    memory_mib: int
    """Memory in MiB."""
    created_at: datetime
    metadata: dict[str, str] = attrs.field(factory=dict, hash=False)
    preview_access: PreviewAccess | None = None
    timeout_seconds: int | None = None
    """Seconds of being active after which it is paused; None if it never is."""
    auto_delete_seconds: int | None = None
    """Seconds of being paused after which it is deleted; None if it never is."""
    auto_delete_at: datetime | None = None
    """When it will be deleted; only while it is paused."""
    network: NetworkConfig | None = None
    source_snapshot_id: str | None = None
    """The saved snapshot that it was started from."""
    secrets: tuple[SandboxSecretBinding, ...] | None = None
    """The secrets that it uses; None where the server does not tell: in lists, and after most operations."""
