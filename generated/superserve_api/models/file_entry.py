# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET

T = TypeVar("T", bound="FileEntry")

_FIELDS: frozenset[str] = frozenset(["name", "is_dir", "size", "modified_unix"])


@_attrs_define
class FileEntry:
    """A file or a folder.

    Attributes:
        name (str): The name, without the folder.
        is_dir (bool): Whether it is a folder. False for a link to a folder.
        size (int): Its size in bytes.
        modified_unix (int): When it was last changed, in seconds since 1970; 0 if unknown.
    """

    name: str
    is_dir: bool
    size: int
    modified_unix: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        is_dir = self.is_dir

        size = self.size

        modified_unix = self.modified_unix

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "is_dir": is_dir,
                "size": size,
                "modified_unix": modified_unix,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        name = src_dict.get("name", UNSET)
        if not isinstance(name, str):
            raise wire.unexpected("name", name, "a string")

        is_dir = src_dict.get("is_dir", UNSET)
        if not isinstance(is_dir, bool):
            raise wire.unexpected("is_dir", is_dir, "a boolean")

        size = src_dict.get("size", UNSET)
        if type(size) is not int:
            raise wire.unexpected("size", size, "an integer")

        modified_unix = src_dict.get("modified_unix", UNSET)
        if type(modified_unix) is not int:
            raise wire.unexpected("modified_unix", modified_unix, "an integer")

        file_entry = cls(
            name,
            is_dir,
            size,
            modified_unix,
        )

        if not _FIELDS.issuperset(src_dict):
            file_entry.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return file_entry

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
