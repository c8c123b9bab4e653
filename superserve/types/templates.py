"""Templates."""

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class TemplateStatus(OpenStrEnum):
    """The status of a template. A value that this version does not know is kept as it is."""

    PENDING = "pending"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


@attrs.frozen(slots=False)
class TemplateInfo(Value):
    """A template as the server last described it (`GET /templates/{template_id}`)."""

    id: str
    name: str
    """Unique in the team."""
    team_id: str
    status: TemplateStatus
    vcpu: int
    """Virtual CPUs."""
    memory_mib: int
    """Memory in MiB."""
    disk_mib: int
    """Disk in MiB."""
    created_at: datetime
    size_bytes: int | None = None
    """Size of the snapshot in bytes; None until a build has succeeded."""
    error_message: str | None = None
    """Why the last build failed or was cancelled, or None."""
    built_at: datetime | None = None
    """When the latest successful build ended; None before the first."""
    latest_build_id: str | None = None
    """The id of the most recent build; None if the server does not name it."""
