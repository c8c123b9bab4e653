# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from .. import wire
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.build_step import BuildStep


T = TypeVar("T", bound="BuildSpec")


@_attrs_define
class BuildSpec:
    """How to build a template.

    Attributes:
        from_ (str): The OCI image to start from, for linux/amd64. Images with `alpine` or `distroless` in their name
            are refused.
        steps (list[BuildStep] | Unset): The steps, in order.
        start_cmd (str | Unset): A command to start after the last step. It runs in every sandbox from the start.
        ready_cmd (str | Unset): A command that exits with 0 once start_cmd is ready to be captured. The server tries it
            every 2 seconds for 10 minutes.
    """

    from_: str
    steps: list[BuildStep] | Unset = UNSET
    start_cmd: str | Unset = UNSET
    ready_cmd: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from_ = self.from_

        steps: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.steps, Unset):
            steps = []
            for steps_item_data in self.steps:
                steps_item = steps_item_data.to_dict()
                steps.append(steps_item)

        start_cmd = self.start_cmd

        ready_cmd = self.ready_cmd

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "from": from_,
            }
        )
        if steps is not UNSET:
            field_dict["steps"] = steps
        if start_cmd is not UNSET:
            field_dict["start_cmd"] = start_cmd
        if ready_cmd is not UNSET:
            field_dict["ready_cmd"] = ready_cmd

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.build_step import BuildStep  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        from_ = src_dict.get("from", UNSET)
        if not isinstance(from_, str):
            raise wire.unexpected("from", from_, "a string")

        try:
            _steps = src_dict.get("steps", UNSET)
            steps: list[BuildStep] | Unset = UNSET
            if _steps is not None and _steps is not UNSET:
                steps = []
                _steps = wire.array(_steps)
                try:
                    for steps_item_data in _steps:
                        steps_item = BuildStep.from_dict(steps_item_data)

                        steps.append(steps_item)
                except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
                    raise wire.in_item(len(steps), unreadable) from None
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "steps", unreadable) from None

        start_cmd = src_dict.get("start_cmd")
        if start_cmd is None:
            start_cmd = UNSET
        elif not isinstance(start_cmd, str):
            raise wire.unexpected("start_cmd", start_cmd, "a string")

        ready_cmd = src_dict.get("ready_cmd")
        if ready_cmd is None:
            ready_cmd = UNSET
        elif not isinstance(ready_cmd, str):
            raise wire.unexpected("ready_cmd", ready_cmd, "a string")

        build_spec = cls(
            from_,
            steps,
            start_cmd,
            ready_cmd,
        )

        return build_spec
