"""Builds and their logs, as people receive them."""

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class TemplateBuildStatus(OpenStrEnum):
    """Where a build stands; a value this version does not know is kept as it came."""

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
        """Whether the build has ended. A status this version does not know counts as going on."""
        return self in _TERMINAL


_TERMINAL = frozenset({TemplateBuildStatus.READY, TemplateBuildStatus.FAILED, TemplateBuildStatus.CANCELLED})


@attrs.frozen(slots=False)
class TemplateBuildInfo(Value):
    """A build as the server last described it (`GET /templates/{template_id}/builds/{build_id}`)."""

    id: str
    template_id: str
    status: TemplateBuildStatus
    build_spec_hash: str
    """The same for builds of the same image, steps and commands."""
    created_at: datetime
    error_message: str | None = None
    """`<code>: <detail>` of a failed build; see `BuildError.parse`."""
    started_at: datetime | None = None
    """When it began to run; None if it has only been in the queue."""
    finalized_at: datetime | None = None
    """When it ended; None before that."""

    @property
    def has_ended(self) -> bool:
        """Whether the build has ended, also in a way that this version does not know."""
        is_new = self.status not in TemplateBuildStatus.__members__.values()
        return self.status.is_terminal or (is_new and self.finalized_at is not None)


class BuildLogStream(OpenStrEnum):
    """Where a log event comes from; a value this version does not know is kept as it came."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"
    ERROR = "error"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


@attrs.frozen(slots=False)
class BuildLogEvent(Value):
    """A piece of a build's log: what one read of the output gave, so not always whole lines."""

    stream: BuildLogStream
    text: str
    timestamp: datetime | None = None
    """When the build's host took the text in; None where the server gave no time."""
    finished: bool = False
    """Whether this is the log's last event. The build itself is judged by its row, not by this."""
    status: str | None = None
    """What the log's last event says of the build: `ready`, `failed` or `cancelled`."""
    after_gap: bool = False
    """Whether text is missing before this event: the log was opened again, and the server did not replay all of it."""
