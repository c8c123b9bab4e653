# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.build_log_status import BuildLogStatus
from ..models.build_log_stream import BuildLogStream
from ..types import UNSET, Unset

T = TypeVar("T", bound="BuildLogEvent")

_FIELDS: frozenset[str] = frozenset(["stream", "text", "timestamp", "finished", "status"])


@_attrs_define
class BuildLogEvent:
    """The data of one event of a build's log stream.

    Attributes:
        stream (BuildLogStream): The source of a piece of log. `system`: the build runner. `error`: the coded reason why
            the build is about to fail.
        text (str): A piece of output. It may contain several lines, or end within one.
        timestamp (datetime.datetime | Unset): When the text was written; absent if the stream itself has failed.
        finished (bool | Unset): Whether this is the last event.
        status (BuildLogStatus | Unset): The result of the build, on the last event; empty on the others.
    """

    stream: BuildLogStream
    text: str
    timestamp: datetime.datetime | Unset = UNSET
    finished: bool | Unset = UNSET
    status: BuildLogStatus | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        stream: str = self.stream

        text = self.text

        timestamp: str | Unset = UNSET
        if not isinstance(self.timestamp, Unset):
            timestamp = self.timestamp.isoformat()

        finished = self.finished

        status: str | Unset = UNSET
        if not isinstance(self.status, Unset):
            status = self.status

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "stream": stream,
                "text": text,
            }
        )
        if timestamp is not UNSET:
            field_dict["timestamp"] = timestamp
        if finished is not UNSET:
            field_dict["finished"] = finished
        if status is not UNSET:
            field_dict["status"] = status

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        stream: BuildLogStream = src_dict.get("stream", UNSET)
        if isinstance(stream, str) is not True:
            raise wire.unexpected("stream", stream, "a string")

        text = src_dict.get("text", UNSET)
        if not isinstance(text, str):
            raise wire.unexpected("text", text, "a string")

        try:
            _timestamp = src_dict.get("timestamp", UNSET)
            timestamp: datetime.datetime | Unset
            if _timestamp is None or _timestamp is UNSET:
                timestamp = UNSET
            else:
                timestamp = wire.parse_datetime(_timestamp)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "timestamp", unreadable) from None

        finished = src_dict.get("finished")
        if finished is None:
            finished = UNSET
        elif not isinstance(finished, bool):
            raise wire.unexpected("finished", finished, "a boolean")

        status: BuildLogStatus | Unset | None = src_dict.get("status")
        if status is None:
            status = UNSET
        elif isinstance(status, str) is not True:
            raise wire.unexpected("status", status, "a string")

        build_log_event = cls(
            stream,
            text,
            timestamp,
            finished,
            status,
        )

        if not _FIELDS.issuperset(src_dict):
            build_log_event.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return build_log_event

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
