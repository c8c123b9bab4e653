"""The values of a template's handle, the same for sync and async."""

from datetime import datetime
from typing import Any

from superserve import _arguments
from superserve.types import TemplateInfo, TemplateStatus


class TemplateSnapshot:
    """A template as the server described it when the handle was made. `get_info` asks again, and changes nothing here."""

    __slots__ = ("_info",)

    # Sync or async, like the handle.
    _client: Any

    def __init__(self, info: TemplateInfo) -> None:
        self._info = info

    def __repr__(self) -> str:
        # Without the status, which may be out of date.
        return self._show(f"<{type(self).__name__} {self.name!r} {self.id}>")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TemplateSnapshot) or type(self) is not type(other):
            return NotImplemented
        return self.id == other.id and self._client is other._client

    def __hash__(self) -> int:
        return hash((type(self), self.id))

    @property
    def id(self) -> str:
        """The template's id."""
        return self._info.id

    @property
    def name(self) -> str:
        """The name, unique in the team."""
        return self._info.name

    @property
    def team_id(self) -> str:
        """The id of the team that owns the template."""
        return self._info.team_id

    @property
    def status(self) -> TemplateStatus:
        """The status when this handle was made. Neither `get_info` nor `wait_until_ready` changes it: they return the new one."""
        return self._info.status

    @property
    def vcpu(self) -> int:
        """Virtual CPUs of a sandbox started from the template."""
        return self._info.vcpu

    @property
    def memory_mib(self) -> int:
        """Memory of a sandbox started from the template, in MiB."""
        return self._info.memory_mib

    @property
    def disk_mib(self) -> int:
        """Disk of a sandbox started from the template, in MiB."""
        return self._info.disk_mib

    @property
    def size_bytes(self) -> int | None:
        """Size of the snapshot in bytes; None if no build had succeeded."""
        return self._info.size_bytes

    @property
    def error_message(self) -> str | None:
        """Why the last build failed or was cancelled, or None."""
        return self._info.error_message

    @property
    def created_at(self) -> datetime:
        """When the template was created."""
        return self._info.created_at

    @property
    def built_at(self) -> datetime | None:
        """When the latest successful build ended, or None."""
        return self._info.built_at

    @property
    def latest_build_id(self) -> str | None:
        """The id of the most recent build when this handle was made, or None if the server did not name it."""
        return self._info.latest_build_id

    @property
    def _usable_id(self) -> str:
        return _arguments.usable_id("template_id", self.id)

    def _show(self, text: str) -> str:
        shown: str = self._client._plane.redactor.show(text)  # noqa: SLF001 - a handle and its client are friends
        return shown
