# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from .. import wire
from ..types import UNSET

T = TypeVar("T", bound="BuildEnv")


@_attrs_define
class BuildEnv:
    """An environment variable for the following steps and for sandboxes.

    Attributes:
        key (str): The variable's name.
        value (str): Its value.
    """

    key: str
    value: str

    def to_dict(self) -> dict[str, Any]:
        key = self.key

        value = self.value

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "key": key,
                "value": value,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        key = src_dict.get("key", UNSET)
        if not isinstance(key, str):
            raise wire.unexpected("key", key, "a string")

        value = src_dict.get("value", UNSET)
        if not isinstance(value, str):
            raise wire.unexpected("value", value, "a string")

        build_env = cls(
            key,
            value,
        )

        return build_env
