# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET

T = TypeVar("T", bound="FileWriteResult")

_FIELDS: frozenset[str] = frozenset(["path", "size"])


@_attrs_define
class FileWriteResult:
    """A file that was written.

    Attributes:
        path (str): Its path, normalized.
        size (int): The number of bytes written.
    """

    path: str
    size: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        path = self.path

        size = self.size

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "path": path,
                "size": size,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        path = src_dict.get("path", UNSET)
        if not isinstance(path, str):
            raise wire.unexpected("path", path, "a string")

        size = src_dict.get("size", UNSET)
        if type(size) is not int:
            raise wire.unexpected("size", size, "an integer")

        file_write_result = cls(
            path,
            size,
        )

        if not _FIELDS.issuperset(src_dict):
            file_write_result.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return file_write_result

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
