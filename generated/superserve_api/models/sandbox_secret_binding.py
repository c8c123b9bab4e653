# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET, Unset

T = TypeVar("T", bound="SandboxSecretBinding")

_FIELDS: frozenset[str] = frozenset(["env_key", "secret_name", "revoked"])


@_attrs_define
class SandboxSecretBinding:
    """A secret that a sandbox uses.

    Attributes:
        env_key (str): The environment variable that stands for the secret.
        secret_name (str): The secret's name.
        revoked (bool | Unset): Whether the secret has been deleted.
    """

    env_key: str
    secret_name: str
    revoked: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        env_key = self.env_key

        secret_name = self.secret_name

        revoked = self.revoked

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "env_key": env_key,
                "secret_name": secret_name,
            }
        )
        if revoked is not UNSET:
            field_dict["revoked"] = revoked

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        env_key = src_dict.get("env_key", UNSET)
        if not isinstance(env_key, str):
            raise wire.unexpected("env_key", env_key, "a string")

        secret_name = src_dict.get("secret_name", UNSET)
        if not isinstance(secret_name, str):
            raise wire.unexpected("secret_name", secret_name, "a string")

        revoked = src_dict.get("revoked")
        if revoked is None:
            revoked = UNSET
        elif not isinstance(revoked, bool):
            raise wire.unexpected("revoked", revoked, "a boolean")

        sandbox_secret_binding = cls(
            env_key,
            secret_name,
            revoked,
        )

        if not _FIELDS.issuperset(src_dict):
            sandbox_secret_binding.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return sandbox_secret_binding

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
