"""Builds and their logs, as people receive them."""

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class TemplateBuildStatus(OpenStrEnum):
    """The status of a build. A value that this version does not know is kept as it is."""

    PENDING = "pending"
    BUILDING = "building"
    SNAPSHOTTING = "snapshotting"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"

    @property
    def is_terminal(self) -> bool:
        """Whether the build has ended. An unknown status counts as running."""
        return self in _TERMINAL


_TERMINAL = frozenset({TemplateBuildStatus.READY, TemplateBuildStatus.FAILED, TemplateBuildStatus.CANCELLED})


@attrs.frozen(slots=False)
class TemplateBuildInfo(Value):
    """A build as the server last described it (`GET /templates/{template_id}/builds/{build_id}`)."""

    id: str
    template_id: str
    status: TemplateBuildStatus
    build_spec_hash: str
    """Equal for builds of the same image, steps and commands."""
    created_at: datetime
    error_message: str | None = None
    """`<code>: <detail>` of a failed build; see `BuildError.parse`."""
    started_at: datetime | None = None
    """When the build started to run; None while it is queued, or if it never ran."""
    finalized_at: datetime | None = None
    """When the build ended; None before."""

    @property
    def has_ended(self) -> bool:
        """Whether the build has ended, even with a status that this version does not know."""
        is_new = self.status not in TemplateBuildStatus.__members__.values()
        return self.status.is_terminal or (is_new and self.finalized_at is not None)


class BuildLogStream(OpenStrEnum):
    """The source of a log event. A value that this version does not know is kept as it is."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"
    ERROR = "error"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


@attrs.frozen(slots=False)
class BuildLogEvent(Value):
    """A piece of a build's log: the result of one read of the output, so not always whole lines."""

    stream: BuildLogStream
    text: str
    timestamp: datetime | None = None
    """When the build's host received the text; None if the server sent no time."""
    finished: bool = False
    """Whether this is the log's last event. The result of the build is in its row, not here."""
    status: str | None = None
    """The build's status in the log's last event: `ready`, `failed` or `cancelled`."""
    after_gap: bool = False
    """Whether text is missing before this event: the log was opened again, and the server did not replay all of it."""
