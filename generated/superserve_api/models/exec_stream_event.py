# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..models.exec_error_code import ExecErrorCode
from ..types import UNSET, Unset

T = TypeVar("T", bound="ExecStreamEvent")

_FIELDS: frozenset[str] = frozenset(
    ["timestamp", "stdout", "stderr", "finished", "exit_code", "error", "code"]
)


@_attrs_define
class ExecStreamEvent:
    """The data of one event of a command's stream: a piece of output of one stream, or the end. The end has `exit_code`,
    or `error` and `code` if there is none.

        Attributes:
            timestamp (datetime.datetime | Unset): The time of the event; absent from errors.
            stdout (str | Unset): A piece of output. It may end within a line.
            stderr (str | Unset): A piece of output on stderr.
            finished (bool | Unset): Whether this is the last event.
            exit_code (int | Unset): The exit code of the command.
            error (str | Unset): Why there is no exit code.
            code (ExecErrorCode | Unset): `bad_request` and `exec_failed`: the command could not be started. `gone`: the
                machine was lost while it ran.
    """

    timestamp: datetime.datetime | Unset = UNSET
    stdout: str | Unset = UNSET
    stderr: str | Unset = UNSET
    finished: bool | Unset = UNSET
    exit_code: int | Unset = UNSET
    error: str | Unset = UNSET
    code: ExecErrorCode | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        timestamp: str | Unset = UNSET
        if not isinstance(self.timestamp, Unset):
            timestamp = self.timestamp.isoformat()

        stdout = self.stdout

        stderr = self.stderr

        finished = self.finished

        exit_code = self.exit_code

        error = self.error

        code: str | Unset = UNSET
        if not isinstance(self.code, Unset):
            code = self.code

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if timestamp is not UNSET:
            field_dict["timestamp"] = timestamp
        if stdout is not UNSET:
            field_dict["stdout"] = stdout
        if stderr is not UNSET:
            field_dict["stderr"] = stderr
        if finished is not UNSET:
            field_dict["finished"] = finished
        if exit_code is not UNSET:
            field_dict["exit_code"] = exit_code
        if error is not UNSET:
            field_dict["error"] = error
        if code is not UNSET:
            field_dict["code"] = code

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            _timestamp = src_dict.get("timestamp", UNSET)
            timestamp: datetime.datetime | Unset
            if _timestamp is None or _timestamp is UNSET:
                timestamp = UNSET
            else:
                timestamp = wire.parse_datetime(_timestamp)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "timestamp", unreadable) from None

        stdout = src_dict.get("stdout")
        if stdout is None:
            stdout = UNSET
        elif not isinstance(stdout, str):
            raise wire.unexpected("stdout", stdout, "a string")

        stderr = src_dict.get("stderr")
        if stderr is None:
            stderr = UNSET
        elif not isinstance(stderr, str):
            raise wire.unexpected("stderr", stderr, "a string")

        finished = src_dict.get("finished")
        if finished is None:
            finished = UNSET
        elif not isinstance(finished, bool):
            raise wire.unexpected("finished", finished, "a boolean")

        exit_code = src_dict.get("exit_code")
        if exit_code is None:
            exit_code = UNSET
        elif type(exit_code) is not int:
            raise wire.unexpected("exit_code", exit_code, "an integer")

        error = src_dict.get("error")
        if error is None:
            error = UNSET
        elif not isinstance(error, str):
            raise wire.unexpected("error", error, "a string")

        code: ExecErrorCode | Unset | None = src_dict.get("code")
        if code is None:
            code = UNSET
        elif isinstance(code, str) is not True:
            raise wire.unexpected("code", code, "a string")

        exec_stream_event = cls(
            timestamp,
            stdout,
            stderr,
            finished,
            exit_code,
            error,
            code,
        )

        if not _FIELDS.issuperset(src_dict):
            exec_stream_event.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return exec_stream_event

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
