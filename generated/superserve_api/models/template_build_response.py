# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.template_build_status import (
    TemplateBuildStatus,
)
from ..types import UNSET, Unset

T = TypeVar("T", bound="TemplateBuildResponse")

_FIELDS: frozenset[str] = frozenset(
    [
        "id",
        "template_id",
        "status",
        "build_spec_hash",
        "created_at",
        "error_message",
        "started_at",
        "finalized_at",
    ]
)


@_attrs_define
class TemplateBuildResponse:
    """One build of a template.

    Attributes:
        id (str): The build's id.
        template_id (str): The id of the build's template.
        status (TemplateBuildStatus): `ready`, `failed` and `cancelled` are final.
        build_spec_hash (str): A fingerprint of the build spec. Equal for equal specs, otherwise opaque.
        created_at (datetime.datetime): When the build was queued.
        error_message (str | Unset): Why the build failed or was cancelled, usually as `<code>:` and a detail; absent
            otherwise.
        started_at (datetime.datetime | Unset): When the build started to run; absent while it is queued.
        finalized_at (datetime.datetime | Unset): When the build ended; absent before.
    """

    id: str
    template_id: str
    status: TemplateBuildStatus
    build_spec_hash: str
    created_at: datetime.datetime
    error_message: str | Unset = UNSET
    started_at: datetime.datetime | Unset = UNSET
    finalized_at: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        template_id = self.template_id

        status: str = self.status

        build_spec_hash = self.build_spec_hash

        created_at = self.created_at.isoformat()

        error_message = self.error_message

        started_at: str | Unset = UNSET
        if not isinstance(self.started_at, Unset):
            started_at = self.started_at.isoformat()

        finalized_at: str | Unset = UNSET
        if not isinstance(self.finalized_at, Unset):
            finalized_at = self.finalized_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "template_id": template_id,
                "status": status,
                "build_spec_hash": build_spec_hash,
                "created_at": created_at,
            }
        )
        if error_message is not UNSET:
            field_dict["error_message"] = error_message
        if started_at is not UNSET:
            field_dict["started_at"] = started_at
        if finalized_at is not UNSET:
            field_dict["finalized_at"] = finalized_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        id = src_dict.get("id", UNSET)
        if not isinstance(id, str):
            raise wire.unexpected("id", id, "a string")

        template_id = src_dict.get("template_id", UNSET)
        if not isinstance(template_id, str):
            raise wire.unexpected("template_id", template_id, "a string")

        status: TemplateBuildStatus = src_dict.get("status", UNSET)
        if isinstance(status, str) is not True:
            raise wire.unexpected("status", status, "a string")

        build_spec_hash = src_dict.get("build_spec_hash", UNSET)
        if not isinstance(build_spec_hash, str):
            raise wire.unexpected("build_spec_hash", build_spec_hash, "a string")

        try:
            created_at = wire.parse_datetime(src_dict["created_at"])
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "created_at", unreadable) from None

        error_message = src_dict.get("error_message")
        if error_message is None:
            error_message = UNSET
        elif not isinstance(error_message, str):
            raise wire.unexpected("error_message", error_message, "a string")

        try:
            _started_at = src_dict.get("started_at", UNSET)
            started_at: datetime.datetime | Unset
            if _started_at is None or _started_at is UNSET:
                started_at = UNSET
            else:
                started_at = wire.parse_datetime(_started_at)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "started_at", unreadable) from None

        try:
            _finalized_at = src_dict.get("finalized_at", UNSET)
            finalized_at: datetime.datetime | Unset
            if _finalized_at is None or _finalized_at is UNSET:
                finalized_at = UNSET
            else:
                finalized_at = wire.parse_datetime(_finalized_at)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "finalized_at", unreadable) from None

        template_build_response = cls(
            id,
            template_id,
            status,
            build_spec_hash,
            created_at,
            error_message,
            started_at,
            finalized_at,
        )

        if not _FIELDS.issuperset(src_dict):
            template_build_response.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return template_build_response

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
