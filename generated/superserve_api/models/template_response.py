# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.template_status import TemplateStatus
from ..types import UNSET, Unset

T = TypeVar("T", bound="TemplateResponse")

_FIELDS: frozenset[str] = frozenset(
    [
        "id",
        "team_id",
        "name",
        "status",
        "vcpu",
        "memory_mib",
        "disk_mib",
        "created_at",
        "size_bytes",
        "error_message",
        "built_at",
        "latest_build_id",
    ]
)


@_attrs_define
class TemplateResponse:
    """A template. Its build spec is never returned.

    Attributes:
        id (str): The template's id.
        team_id (str): The id of the team that owns the template.
        name (str): The name, unique in its team. The name of a system template starts with `superserve/`.
        status (TemplateStatus): `pending`: the first build is queued. `building`: the first build runs. `ready`:
            sandboxes can be started. `failed`: the latest build failed.
        vcpu (int): Virtual CPUs of sandboxes started from the template.
        memory_mib (int): Memory of those sandboxes, in MiB.
        disk_mib (int): Disk of those sandboxes, in MiB.
        created_at (datetime.datetime): When the template was created.
        size_bytes (int | Unset): The size of the image, in bytes; absent before the first successful build.
        error_message (str | Unset): Why the latest build failed; absent if it did not.
        built_at (datetime.datetime | Unset): When the latest successful build ended; absent before the first.
        latest_build_id (str | Unset): The id of the newest build. Older servers don't send it.
    """

    id: str
    team_id: str
    name: str
    status: TemplateStatus
    vcpu: int
    memory_mib: int
    disk_mib: int
    created_at: datetime.datetime
    size_bytes: int | Unset = UNSET
    error_message: str | Unset = UNSET
    built_at: datetime.datetime | Unset = UNSET
    latest_build_id: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        team_id = self.team_id

        name = self.name

        status: str = self.status

        vcpu = self.vcpu

        memory_mib = self.memory_mib

        disk_mib = self.disk_mib

        created_at = self.created_at.isoformat()

        size_bytes = self.size_bytes

        error_message = self.error_message

        built_at: str | Unset = UNSET
        if not isinstance(self.built_at, Unset):
            built_at = self.built_at.isoformat()

        latest_build_id = self.latest_build_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "team_id": team_id,
                "name": name,
                "status": status,
                "vcpu": vcpu,
                "memory_mib": memory_mib,
                "disk_mib": disk_mib,
                "created_at": created_at,
            }
        )
        if size_bytes is not UNSET:
            field_dict["size_bytes"] = size_bytes
        if error_message is not UNSET:
            field_dict["error_message"] = error_message
        if built_at is not UNSET:
            field_dict["built_at"] = built_at
        if latest_build_id is not UNSET:
            field_dict["latest_build_id"] = latest_build_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        id = src_dict.get("id", UNSET)
        if not isinstance(id, str):
            raise wire.unexpected("id", id, "a string")

        team_id = src_dict.get("team_id", UNSET)
        if not isinstance(team_id, str):
            raise wire.unexpected("team_id", team_id, "a string")

        name = src_dict.get("name", UNSET)
        if not isinstance(name, str):
            raise wire.unexpected("name", name, "a string")

        status: TemplateStatus = src_dict.get("status", UNSET)
        if isinstance(status, str) is not True:
            raise wire.unexpected("status", status, "a string")

        vcpu = src_dict.get("vcpu", UNSET)
        if type(vcpu) is not int:
            raise wire.unexpected("vcpu", vcpu, "an integer")

        memory_mib = src_dict.get("memory_mib", UNSET)
        if type(memory_mib) is not int:
            raise wire.unexpected("memory_mib", memory_mib, "an integer")

        disk_mib = src_dict.get("disk_mib", UNSET)
        if type(disk_mib) is not int:
            raise wire.unexpected("disk_mib", disk_mib, "an integer")

        try:
            created_at = wire.parse_datetime(src_dict["created_at"])
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "created_at", unreadable) from None

        size_bytes = src_dict.get("size_bytes")
        if size_bytes is None:
            size_bytes = UNSET
        elif type(size_bytes) is not int:
            raise wire.unexpected("size_bytes", size_bytes, "an integer")

        error_message = src_dict.get("error_message")
        if error_message is None:
            error_message = UNSET
        elif not isinstance(error_message, str):
            raise wire.unexpected("error_message", error_message, "a string")

        try:
            _built_at = src_dict.get("built_at", UNSET)
            built_at: datetime.datetime | Unset
            if _built_at is None or _built_at is UNSET:
                built_at = UNSET
            else:
                built_at = wire.parse_datetime(_built_at)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "built_at", unreadable) from None

        latest_build_id = src_dict.get("latest_build_id")
        if latest_build_id is None:
            latest_build_id = UNSET
        elif not isinstance(latest_build_id, str):
            raise wire.unexpected("latest_build_id", latest_build_id, "a string")

        template_response = cls(
            id,
            team_id,
            name,
            status,
            vcpu,
            memory_mib,
            disk_mib,
            created_at,
            size_bytes,
            error_message,
            built_at,
            latest_build_id,
        )

        if not _FIELDS.issuperset(src_dict):
            template_response.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return template_response

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
