# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.preview_access import PreviewAccess
from ..models.sandbox_status import SandboxStatus
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.network_config import NetworkConfig
    from ..models.string_map import StringMap


T = TypeVar("T", bound="SandboxListItem")

_FIELDS: frozenset[str] = frozenset(
    [
        "id",
        "name",
        "status",
        "vcpu_count",
        "memory_mib",
        "created_at",
        "metadata",
        "preview_access",
        "timeout_seconds",
        "auto_delete_seconds",
        "auto_delete_at",
        "network",
        "snapshot_id",
        "source_snapshot_id",
    ]
)


@_attrs_define
class SandboxListItem:
    """A sandbox in a list.

    Attributes:
        id (str): The sandbox's id. It may start with its region.
        name (str): The name. Other sandboxes may have the same.
        status (SandboxStatus): `starting`, `pausing`, `resuming` and `migrating` are temporary. `failed`: the machine
            is lost for good.
        vcpu_count (int): Virtual CPUs.
        memory_mib (int): Memory, in MiB.
        created_at (datetime.datetime): When the sandbox was created.
        metadata (StringMap): Names and values.
        preview_access (PreviewAccess | Unset): Who may reach the ports of a sandbox. `legacy_public`, only for older
            sandboxes: everybody may reach every port.
        timeout_seconds (int | Unset): Seconds of being active after which the sandbox is paused; absent for never.
        auto_delete_seconds (int | Unset): Seconds of being paused after which the sandbox is deleted; absent for never.
        auto_delete_at (datetime.datetime | Unset): When the sandbox will be deleted; only while it is paused.
        network (NetworkConfig | Unset): Where a sandbox may connect to. It can never connect to private addresses or
            IPv6. This replaces both lists of the sandbox: a list that is missing becomes empty. A server returns the
            entries in its own order.
        snapshot_id (str | Unset): The server's own checkpoint of a pause, not for clients.
        source_snapshot_id (str | Unset): The id of the saved snapshot that the sandbox was started from.
    """

    id: str
    name: str
    status: SandboxStatus
    vcpu_count: int
    memory_mib: int
    created_at: datetime.datetime
    metadata: StringMap
    preview_access: PreviewAccess | Unset = UNSET
    timeout_seconds: int | Unset = UNSET
    auto_delete_seconds: int | Unset = UNSET
    auto_delete_at: datetime.datetime | Unset = UNSET
    network: NetworkConfig | Unset = UNSET
    snapshot_id: str | Unset = UNSET
    source_snapshot_id: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        status: str = self.status

        vcpu_count = self.vcpu_count

        memory_mib = self.memory_mib

        created_at = self.created_at.isoformat()

        metadata = self.metadata.to_dict()

        preview_access: str | Unset = UNSET
        if not isinstance(self.preview_access, Unset):
            preview_access = self.preview_access

        timeout_seconds = self.timeout_seconds

        auto_delete_seconds = self.auto_delete_seconds

        auto_delete_at: str | Unset = UNSET
        if not isinstance(self.auto_delete_at, Unset):
            auto_delete_at = self.auto_delete_at.isoformat()

        network: dict[str, Any] | Unset = UNSET
        if not isinstance(self.network, Unset):
            network = self.network.to_dict()

        snapshot_id = self.snapshot_id

        source_snapshot_id = self.source_snapshot_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "status": status,
                "vcpu_count": vcpu_count,
                "memory_mib": memory_mib,
                "created_at": created_at,
                "metadata": metadata,
            }
        )
        if preview_access is not UNSET:
            field_dict["preview_access"] = preview_access
        if timeout_seconds is not UNSET:
            field_dict["timeout_seconds"] = timeout_seconds
        if auto_delete_seconds is not UNSET:
            field_dict["auto_delete_seconds"] = auto_delete_seconds
        if auto_delete_at is not UNSET:
            field_dict["auto_delete_at"] = auto_delete_at
        if network is not UNSET:
            field_dict["network"] = network
        if snapshot_id is not UNSET:
            field_dict["snapshot_id"] = snapshot_id
        if source_snapshot_id is not UNSET:
            field_dict["source_snapshot_id"] = source_snapshot_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.network_config import NetworkConfig  # noqa: PLC0415
        from ..models.string_map import StringMap  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        id = src_dict.get("id", UNSET)
        if not isinstance(id, str):
            raise wire.unexpected("id", id, "a string")

        name = src_dict.get("name", UNSET)
        if not isinstance(name, str):
            raise wire.unexpected("name", name, "a string")

        status: SandboxStatus = src_dict.get("status", UNSET)
        if isinstance(status, str) is not True:
            raise wire.unexpected("status", status, "a string")

        vcpu_count = src_dict.get("vcpu_count", UNSET)
        if type(vcpu_count) is not int:
            raise wire.unexpected("vcpu_count", vcpu_count, "an integer")

        memory_mib = src_dict.get("memory_mib", UNSET)
        if type(memory_mib) is not int:
            raise wire.unexpected("memory_mib", memory_mib, "an integer")

        try:
            created_at = wire.parse_datetime(src_dict["created_at"])
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "created_at", unreadable) from None

        try:
            metadata = StringMap.from_dict(src_dict["metadata"])
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "metadata", unreadable) from None

        preview_access: PreviewAccess | Unset | None = src_dict.get("preview_access")
        if preview_access is None:
            preview_access = UNSET
        elif isinstance(preview_access, str) is not True:
            raise wire.unexpected("preview_access", preview_access, "a string")

        timeout_seconds = src_dict.get("timeout_seconds")
        if timeout_seconds is None:
            timeout_seconds = UNSET
        elif type(timeout_seconds) is not int:
            raise wire.unexpected("timeout_seconds", timeout_seconds, "an integer")

        auto_delete_seconds = src_dict.get("auto_delete_seconds")
        if auto_delete_seconds is None:
            auto_delete_seconds = UNSET
        elif type(auto_delete_seconds) is not int:
            raise wire.unexpected("auto_delete_seconds", auto_delete_seconds, "an integer")

        try:
            _auto_delete_at = src_dict.get("auto_delete_at", UNSET)
            auto_delete_at: datetime.datetime | Unset
            if _auto_delete_at is None or _auto_delete_at is UNSET:
                auto_delete_at = UNSET
            else:
                auto_delete_at = wire.parse_datetime(_auto_delete_at)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "auto_delete_at", unreadable) from None

        try:
            _network = src_dict.get("network", UNSET)
            network: NetworkConfig | Unset
            if _network is None or _network is UNSET:
                network = UNSET
            else:
                network = NetworkConfig.from_dict(_network)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "network", unreadable) from None

        snapshot_id = src_dict.get("snapshot_id")
        if snapshot_id is None:
            snapshot_id = UNSET
        elif not isinstance(snapshot_id, str):
            raise wire.unexpected("snapshot_id", snapshot_id, "a string")

        source_snapshot_id = src_dict.get("source_snapshot_id")
        if source_snapshot_id is None:
            source_snapshot_id = UNSET
        elif not isinstance(source_snapshot_id, str):
            raise wire.unexpected("source_snapshot_id", source_snapshot_id, "a string")

        sandbox_list_item = cls(
            id,
            name,
            status,
            vcpu_count,
            memory_mib,
            created_at,
            metadata,
            preview_access,
            timeout_seconds,
            auto_delete_seconds,
            auto_delete_at,
            network,
            snapshot_id,
            source_snapshot_id,
        )

        if not _FIELDS.issuperset(src_dict):
            sandbox_list_item.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return sandbox_list_item

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
