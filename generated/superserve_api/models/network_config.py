# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET, Unset

T = TypeVar("T", bound="NetworkConfig")

_FIELDS: frozenset[str] = frozenset(["allow_out", "deny_out"])


@_attrs_define
class NetworkConfig:
    """Where a sandbox may connect to. It can never connect to private addresses or IPv6. This replaces both lists of the
    sandbox: a list that is missing becomes empty. A server returns the entries in its own order.

        Attributes:
            allow_out (list[str] | Unset): IPv4 addresses, ranges (CIDR) and domains to allow. `*.example.com` stands for
                every name below it. With any entry, everything else is denied.
            deny_out (list[str] | Unset): IPv4 addresses and ranges to deny. `0.0.0.0/0` stands for all.
    """

    allow_out: list[str] | Unset = UNSET
    deny_out: list[str] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        allow_out: list[str] | Unset = UNSET
        if not isinstance(self.allow_out, Unset):
            allow_out = self.allow_out

        deny_out: list[str] | Unset = UNSET
        if not isinstance(self.deny_out, Unset):
            deny_out = self.deny_out

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if allow_out is not UNSET:
            field_dict["allow_out"] = allow_out
        if deny_out is not UNSET:
            field_dict["deny_out"] = deny_out

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            _allow_out = src_dict.get("allow_out", UNSET)
            allow_out: list[str] | Unset = UNSET
            if _allow_out is not None and _allow_out is not UNSET:
                allow_out = wire.array_of(str, _allow_out)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "allow_out", unreadable) from None

        try:
            _deny_out = src_dict.get("deny_out", UNSET)
            deny_out: list[str] | Unset = UNSET
            if _deny_out is not None and _deny_out is not UNSET:
                deny_out = wire.array_of(str, _deny_out)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "deny_out", unreadable) from None

        network_config = cls(
            allow_out,
            deny_out,
        )

        if not _FIELDS.issuperset(src_dict):
            network_config.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return network_config

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
