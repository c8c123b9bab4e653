"""The rows of sandboxes."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

import attrs

from superserve.local._app.answers import drop_none
from superserve.local._app.clock import format_time_exactly
from superserve.local._resources.sandbox_spec import Network
from superserve.local._store.rows import Row, column

RUNNING = ("active", "starting", "resuming")
TRANSITIONS = ("starting", "pausing", "resuming")


def _write_network(network: Network) -> str:
    return json.dumps(network._asdict())


def _read_network(text: str) -> Network:
    return Network(**{key: tuple(rules) for key, rules in json.loads(text).items()})


@attrs.frozen(slots=False)
class SandboxRow(Row):
    """A sandbox."""

    TABLE: ClassVar[str] = "sandboxes"

    id: str
    team_id: str
    name: str
    status: str
    vcpu_count: int
    memory_mib: int
    created_at: datetime
    changed_at: datetime
    """When its status last changed."""
    template_id: str
    metadata: Mapping[str, str] = attrs.field(metadata=column(write=json.dumps, read=json.loads))
    network: Network | None = attrs.field(
        default=None, metadata=column(write=_write_network, read=_read_network)
    )
    preview_access: str = "public"
    timeout_seconds: int | None = None
    auto_delete_seconds: int | None = None
    snapshot_id: str | None = None
    # On the clock that a test cannot change:
    active_since: datetime | None = None
    paused_since: datetime | None = None
    """The start of the time of auto_delete_seconds."""

    def answer(self) -> dict[str, object]:
        """Return the sandbox in the form of lists: fields that are not set are left out."""
        delete_at = None
        if self.status == "paused" and self.auto_delete_seconds is not None and self.paused_since:
            delete_at = self.paused_since + timedelta(seconds=self.auto_delete_seconds)
        return drop_none(
            id=self.id,
            name=self.name,
            status=self.status,
            vcpu_count=self.vcpu_count,
            memory_mib=self.memory_mib,
            snapshot_id=self.snapshot_id,
            created_at=format_time_exactly(self.created_at),
            timeout_seconds=self.timeout_seconds,
            auto_delete_seconds=self.auto_delete_seconds,
            auto_delete_at=delete_at and format_time_exactly(delete_at),
            network=self.network and self.network.answer(),
            metadata=dict(self.metadata),
            preview_access=self.preview_access,
        )
