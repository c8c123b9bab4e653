# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from .. import wire
from ..types import UNSET, Unset

T = TypeVar("T", bound="BuildUser")


@_attrs_define
class BuildUser:
    """The user for the following steps. It is created if it does not exist.

    Attributes:
        name (str): The user's name.
        sudo (bool | Unset): Whether the user may become root without a password. The server's default is false.
    """

    name: str
    sudo: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        sudo = self.sudo

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
            }
        )
        if sudo is not UNSET:
            field_dict["sudo"] = sudo

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        name = src_dict.get("name", UNSET)
        if not isinstance(name, str):
            raise wire.unexpected("name", name, "a string")

        sudo = src_dict.get("sudo")
        if sudo is None:
            sudo = UNSET
        elif not isinstance(sudo, bool):
            raise wire.unexpected("sudo", sudo, "a boolean")

        build_user = cls(
            name,
            sudo,
        )

        return build_user
