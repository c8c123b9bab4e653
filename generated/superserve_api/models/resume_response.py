# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.sandbox_status import SandboxStatus
from ..types import UNSET, Unset

T = TypeVar("T", bound="ResumeResponse")

_FIELDS: frozenset[str] = frozenset(["id", "status", "access_token", "routing_hint"])


@_attrs_define
class ResumeResponse:
    """A sandbox that is running again.

    Attributes:
        id (str): The sandbox's id.
        status (SandboxStatus): `starting`, `pausing`, `resuming` and `migrating` are temporary. `failed`: the machine
            is lost for good.
        access_token (str): The access token of its data plane.
        routing_hint (str | Unset): The value of X-Superserve-Routing-Hint until the next answer, which may have none.
    """

    id: str
    status: SandboxStatus
    access_token: str = _attrs_field(repr=False)
    routing_hint: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        status: str = self.status

        access_token = self.access_token

        routing_hint = self.routing_hint

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "status": status,
                "access_token": access_token,
            }
        )
        if routing_hint is not UNSET:
            field_dict["routing_hint"] = routing_hint

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        id = src_dict.get("id", UNSET)
        if not isinstance(id, str):
            raise wire.unexpected("id", id, "a string")

        status: SandboxStatus = src_dict.get("status", UNSET)
        if isinstance(status, str) is not True:
            raise wire.unexpected("status", status, "a string")

        access_token = src_dict.get("access_token", UNSET)
        if not isinstance(access_token, str):
            raise wire.unexpected("access_token", access_token, "a string")

        routing_hint = src_dict.get("routing_hint")
        if routing_hint is None:
            routing_hint = UNSET
        elif not isinstance(routing_hint, str):
            raise wire.unexpected("routing_hint", routing_hint, "a string")

        resume_response = cls(
            id,
            status,
            access_token,
            routing_hint,
        )

        if not _FIELDS.issuperset(src_dict):
            resume_response.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return resume_response

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
