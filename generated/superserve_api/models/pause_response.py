# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.sandbox_status import SandboxStatus
from ..types import UNSET

T = TypeVar("T", bound="PauseResponse")

_FIELDS: frozenset[str] = frozenset(["status"])


@_attrs_define
class PauseResponse:
    """A pausing sandbox.

    Attributes:
        status (SandboxStatus): `starting`, `pausing`, `resuming` and `migrating` are temporary. `failed`: the machine
            is lost for good.
    """

    status: SandboxStatus
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status: str = self.status

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        status: SandboxStatus = src_dict.get("status", UNSET)
        if isinstance(status, str) is not True:
            raise wire.unexpected("status", status, "a string")

        pause_response = cls(
            status,
        )

        if not _FIELDS.issuperset(src_dict):
            pause_response.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return pause_response

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
