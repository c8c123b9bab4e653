# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET

T = TypeVar("T", bound="ApiErrorDetail")

_FIELDS: frozenset[str] = frozenset(["code", "message"])


@_attrs_define
class ApiErrorDetail:
    """An error. Some errors have more fields.

    Attributes:
        code (str): A stable identifier, for programs.
        message (str): An explanation for people. Its wording may change.
    """

    code: str
    message: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        code = self.code

        message = self.message

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "code": code,
                "message": message,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        code = src_dict.get("code", UNSET)
        if not isinstance(code, str):
            raise wire.unexpected("code", code, "a string")

        message = src_dict.get("message", UNSET)
        if not isinstance(message, str):
            raise wire.unexpected("message", message, "a string")

        api_error_detail = cls(
            code,
            message,
        )

        if not _FIELDS.issuperset(src_dict):
            api_error_detail.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return api_error_detail

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
