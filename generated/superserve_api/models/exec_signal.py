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
from ..models.signal_name import SignalName
from ..types import UNSET

T = TypeVar("T", bound="ExecSignal")

_FIELDS: frozenset[str] = frozenset(["type", "name"])


@_attrs_define
class ExecSignal:
    """A client's text frame on the WebSocket: a signal for the command and its children.

    Attributes:
        type_ (Literal['signal']): The kind of the frame.
        name (SignalName): The signals that can be sent to a command. The server ignores others.
    """

    type_: Literal["signal"]
    name: SignalName
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_

        name: str = self.name

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
                "name": name,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            type_ = cast(Literal["signal"], src_dict["type"])
            if type_ != "signal":
                raise ValueError(f"type must match const 'signal', got '{type_}'")
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "type", unreadable) from None

        name: SignalName = src_dict.get("name", UNSET)
        if isinstance(name, str) is not True:
            raise wire.unexpected("name", name, "a string")

        exec_signal = cls(
            type_,
            name,
        )

        if not _FIELDS.issuperset(src_dict):
            exec_signal.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return exec_signal

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
