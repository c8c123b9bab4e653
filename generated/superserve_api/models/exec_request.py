# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from .. import wire
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.string_map import StringMap


T = TypeVar("T", bound="ExecRequest")

_FIELDS: frozenset[str] = frozenset(["command", "args", "env", "working_dir", "timeout_s"])


@_attrs_define
class ExecRequest:
    """A command to run.

    Attributes:
        command (str): A command line for `/bin/sh -c`; with `args`, a program.
        args (list[str] | Unset): The program's arguments. If there are any, no shell is used.
        env (StringMap | Unset): Names and values.
        working_dir (str | Unset): The working directory. The server's default is the template's.
        timeout_s (int | Unset): The timeout in whole seconds, after which the command is killed. Without it, or with 0,
            it is 30 seconds over HTTP, and there is none over the WebSocket.
    """

    command: str
    args: list[str] | Unset = UNSET
    env: StringMap | Unset = UNSET
    working_dir: str | Unset = UNSET
    timeout_s: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        command = self.command

        args: list[str] | Unset = UNSET
        if not isinstance(self.args, Unset):
            args = self.args

        env: dict[str, Any] | Unset = UNSET
        if not isinstance(self.env, Unset):
            env = self.env.to_dict()

        working_dir = self.working_dir

        timeout_s = self.timeout_s

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "command": command,
            }
        )
        if args is not UNSET:
            field_dict["args"] = args
        if env is not UNSET:
            field_dict["env"] = env
        if working_dir is not UNSET:
            field_dict["working_dir"] = working_dir
        if timeout_s is not UNSET:
            field_dict["timeout_s"] = timeout_s

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.string_map import StringMap  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        command = src_dict.get("command", UNSET)
        if not isinstance(command, str):
            raise wire.unexpected("command", command, "a string")

        try:
            _args = src_dict.get("args", UNSET)
            args: list[str] | Unset = UNSET
            if _args is not None and _args is not UNSET:
                args = wire.array_of(str, _args)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "args", unreadable) from None

        try:
            _env = src_dict.get("env", UNSET)
            env: StringMap | Unset
            if _env is None or _env is UNSET:
                env = UNSET
            else:
                env = StringMap.from_dict(_env)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "env", unreadable) from None

        working_dir = src_dict.get("working_dir")
        if working_dir is None:
            working_dir = UNSET
        elif not isinstance(working_dir, str):
            raise wire.unexpected("working_dir", working_dir, "a string")

        timeout_s = src_dict.get("timeout_s")
        if timeout_s is None:
            timeout_s = UNSET
        elif type(timeout_s) is not int:
            raise wire.unexpected("timeout_s", timeout_s, "an integer")

        exec_request = cls(
            command,
            args,
            env,
            working_dir,
            timeout_s,
        )

        if not _FIELDS.issuperset(src_dict):
            exec_request.additional_properties = wire.other_fields(src_dict, _FIELDS)
        return exec_request

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
