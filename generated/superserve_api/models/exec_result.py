# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET, Unset

T = TypeVar("T", bound="ExecResult")

_FIELDS: frozenset[str] = frozenset(["stdout", "stderr", "exit_code", "truncated"])


@_attrs_define
class ExecResult:
    """The result of a command.

    Attributes:
        stdout (str): Its output. Invalid UTF-8 is replaced.
        stderr (str): Its output on stderr.
        exit_code (int): The exit code; 124 after the timeout, 128 plus the number of the signal that killed it.
        truncated (bool | Unset): Whether output above 8 MiB was dropped. Then a notice is at the end of stderr.
    """

    stdout: str
    stderr: str
    exit_code: int
    truncated: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        stdout = self.stdout

        stderr = self.stderr

        exit_code = self.exit_code

        truncated = self.truncated

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "stdout": stdout,
                "stderr": stderr,
                "exit_code": exit_code,
            }
        )
        if truncated is not UNSET:
            field_dict["truncated"] = truncated

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        stdout = src_dict.get("stdout", UNSET)
        if not isinstance(stdout, str):
            raise wire.unexpected("stdout", stdout, "a string")

        stderr = src_dict.get("stderr", UNSET)
        if not isinstance(stderr, str):
            raise wire.unexpected("stderr", stderr, "a string")

        exit_code = src_dict.get("exit_code", UNSET)
        if type(exit_code) is not int:
            raise wire.unexpected("exit_code", exit_code, "an integer")

        truncated = src_dict.get("truncated")
        if truncated is None:
            truncated = UNSET
        elif not isinstance(truncated, bool):
            raise wire.unexpected("truncated", truncated, "a boolean")

        exec_result = cls(
            stdout,
            stderr,
            exit_code,
            truncated,
        )

        if not _FIELDS.issuperset(src_dict):
            exec_result.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return exec_result

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
