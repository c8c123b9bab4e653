# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire

if TYPE_CHECKING:
    from ..models.api_error_detail import ApiErrorDetail


T = TypeVar("T", bound="ApiError")

_FIELDS: frozenset[str] = frozenset(["error"])


@_attrs_define
class ApiError:
    """The form of all errors of the API.

    Attributes:
        error (ApiErrorDetail): An error. Some errors have more fields.
    """

    error: ApiErrorDetail
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        error = self.error.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "error": error,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.api_error_detail import ApiErrorDetail  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            error = ApiErrorDetail.from_dict(src_dict["error"])
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "error", unreadable) from None

        api_error = cls(
            error,
        )

        if not _FIELDS.issuperset(src_dict):
            api_error.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return api_error

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
