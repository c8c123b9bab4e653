# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.create_template_status import (
    CreateTemplateStatus,
)
from ..types import UNSET

T = TypeVar("T", bound="CreateTemplateResponse")

_FIELDS: frozenset[str] = frozenset(
    ["id", "team_id", "name", "status", "vcpu", "memory_mib", "disk_mib", "created_at", "build_id"]
)


@_attrs_define
class CreateTemplateResponse:
    """A new template, and the id of its first build.

    Attributes:
        id (str): The template's id.
        team_id (str): The id of the team that owns the template.
        name (str): The name.
        status (CreateTemplateStatus): The status of a new template; in practice `building`.
        vcpu (int): Virtual CPUs of sandboxes started from the template.
        memory_mib (int): Memory of those sandboxes, in MiB.
        disk_mib (int): Disk of those sandboxes, in MiB.
        created_at (datetime.datetime): When the template was created.
        build_id (str): The id of the first build, to read its log or to poll it.
    """

    id: str
    team_id: str
    name: str
    status: CreateTemplateStatus
    vcpu: int
    memory_mib: int
    disk_mib: int
    created_at: datetime.datetime
    build_id: str
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

        build_id = self.build_id

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
                "build_id": build_id,
            }
        )

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

        status: CreateTemplateStatus = src_dict.get("status", UNSET)
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

        build_id = src_dict.get("build_id", UNSET)
        if not isinstance(build_id, str):
            raise wire.unexpected("build_id", build_id, "a string")

        create_template_response = cls(
            id,
            team_id,
            name,
            status,
            vcpu,
            memory_mib,
            disk_mib,
            created_at,
            build_id,
        )

        if not _FIELDS.issuperset(src_dict):
            create_template_response.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return create_template_response

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
