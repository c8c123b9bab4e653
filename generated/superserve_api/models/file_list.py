# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire

if TYPE_CHECKING:
    from ..models.file_entry import FileEntry


T = TypeVar("T", bound="FileList")

_FIELDS: frozenset[str] = frozenset(["entries"])


@_attrs_define
class FileList:
    """The content of a folder.

    Attributes:
        entries (list[FileEntry]): An entry for each file or folder.
    """

    entries: list[FileEntry]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        entries = []
        for entries_item_data in self.entries:
            entries_item = entries_item_data.to_dict()
            entries.append(entries_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "entries": entries,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.file_entry import FileEntry  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            entries = []
            _entries = wire.array(src_dict["entries"])
            try:
                for entries_item_data in _entries:
                    entries_item = FileEntry.from_dict(entries_item_data)

                    entries.append(entries_item)
            except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
                raise wire.in_item(len(entries), unreadable) from None
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "entries", unreadable) from None

        file_list = cls(
            entries,
        )

        if not _FIELDS.issuperset(src_dict):
            file_list.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return file_list

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
