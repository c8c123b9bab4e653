# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import (
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire

T = TypeVar("T", bound="ExecStdinClose")

_FIELDS: frozenset[str] = frozenset(["type"])


@_attrs_define
class ExecStdinClose:
    """A client's text frame on the WebSocket: the end of the input.

    Attributes:
        type_ (Literal['stdin_close']): The kind of the frame.
    """

    type_: Literal["stdin_close"]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            type_ = cast(Literal["stdin_close"], src_dict["type"])
            if type_ != "stdin_close":
                raise ValueError(f"type must match const 'stdin_close', got '{type_}'")
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "type", unreadable) from None

        exec_stdin_close = cls(
            type_,
        )

        if not _FIELDS.issuperset(src_dict):
            exec_stdin_close.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return exec_stdin_close

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
