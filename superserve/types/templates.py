"""The values that people pass and receive: frozen, comparable, picklable."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

import attrs

__all__ = [
    "BuildLogEvent",
    "BuildLogStream",
    "BuildStep",
    "EnvStep",
    "EnvStepValue",
    "RunStep",
    "TemplateBuildInfo",
    "TemplateBuildStatus",
    "TemplateInfo",
    "TemplateStatus",
    "UserStep",
    "UserStepValue",
    "WorkdirStep",
]


class _OpenStrEnum(StrEnum):
    """A string enum that takes values it does not know: a newer server must not break an older client."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not registered with the class: what servers invent must not pile up in this process.
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member


class TemplateStatus(_OpenStrEnum):
    """Where a template stands; a value this version does not know is kept as it came."""

    PENDING = "pending"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class TemplateBuildStatus(_OpenStrEnum):
    """Where a build stands; a value this version does not know is kept as it came."""

    PENDING = "pending"
    BUILDING = "building"
    SNAPSHOTTING = "snapshotting"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the build has ended. A status this version does not know counts as going on."""
        return self in _TERMINAL


_TERMINAL = frozenset({TemplateBuildStatus.READY, TemplateBuildStatus.FAILED, TemplateBuildStatus.CANCELLED})


class BuildLogStream(_OpenStrEnum):
    """Where a log event comes from; a value this version does not know is kept as it came."""

    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"
    ERROR = "error"


# What comes by the thousand has no slots: attrs fills those of frozen classes through object.__setattr__, and that
# takes twice as long.
@attrs.frozen(slots=False)
class TemplateInfo:
    """A template as the server last told it (`GET /templates/{template_id}`)."""

    id: str
    name: str
    team_id: str
    status: TemplateStatus
    vcpu: int
    memory_mib: int
    disk_mib: int
    created_at: datetime
    size_bytes: int | None = None
    """Size of the snapshot in bytes; None until a build has succeeded."""
    error_message: str | None = None
    """Why the last build failed or was cancelled, if it did."""
    built_at: datetime | None = None
    """When the latest successful build ended; None until one has."""
    latest_build_id: str | None = None
    """The most recent build, where the server tells it."""


@attrs.frozen(slots=False)
class TemplateBuildInfo:
    """A build as the server last told it (`GET /templates/{template_id}/builds/{build_id}`)."""

    id: str
    template_id: str
    status: TemplateBuildStatus
    build_spec_hash: str
    created_at: datetime
    error_message: str | None = None
    """`<code>: <detail>` of a failed build; see `BuildError.parse`."""
    started_at: datetime | None = None
    finalized_at: datetime | None = None


@attrs.frozen(slots=False)
class BuildLogEvent:
    """A piece of a build's log: what one read of the output gave, so not always whole lines."""

    stream: BuildLogStream
    text: str
    timestamp: datetime | None = None
    """When the build's host took the text in; None where the server gave no time."""
    finished: bool = False
    """Whether this is the log's last event. The build itself is judged by its row, not by this."""
    status: str | None = None
    """What the log's last event says of the build: `ready`, `failed` or `cancelled`."""
    gap: bool = False
    """Whether this client put the event in (on `system`), to say that text is missing at this place."""


@attrs.frozen
class RunStep:
    """Run a shell command."""

    run: str


@attrs.frozen
class EnvStepValue:
    """An environment variable."""

    key: str
    value: str


@attrs.frozen
class EnvStep:
    """Set an environment variable for the steps that follow and for the template."""

    env: EnvStepValue


@attrs.frozen
class WorkdirStep:
    """Create a folder and make it the working directory of what follows."""

    workdir: str


@attrs.frozen
class UserStepValue:
    """A user of the template."""

    name: str
    sudo: bool = False


@attrs.frozen
class UserStep:
    """Create a user, if need be, and run what follows as that user."""

    user: UserStepValue


BuildStep = RunStep | EnvStep | WorkdirStep | UserStep | Mapping[str, object]
"""A step, typed or as a plain dict: `{"run": "pip install numpy"}`, `{"env": {"key": "DEBUG", "value": "1"}}`,
`{"workdir": "/app"}`, `{"user": {"name": "app", "sudo": True}}`."""
