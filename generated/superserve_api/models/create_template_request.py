# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from .. import wire
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.build_spec import BuildSpec


T = TypeVar("T", bound="CreateTemplateRequest")


@_attrs_define
class CreateTemplateRequest:
    """A template to create.

    Attributes:
        name (str): A name, unique in the team; sandboxes can be started by it. Lower-case letters, digits and `. _ /
            -`, starting and ending with a letter or a digit. Names that start with `superserve/` are reserved for the
            system's templates.
        build_spec (BuildSpec): How to build a template.
        vcpu (int | Unset): Virtual CPUs. The server's default is 1. A team's own limit may be lower than the maximum.
        memory_mib (int | Unset): Memory, in MiB. The server's default is 1024. A team's own limit may be lower than the
            maximum.
        disk_mib (int | Unset): Disk, in MiB. The server's default is 4096. A team's own limit may be lower than the
            maximum.
    """

    name: str
    build_spec: BuildSpec
    vcpu: int | Unset = UNSET
    memory_mib: int | Unset = UNSET
    disk_mib: int | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        build_spec = self.build_spec.to_dict()

        vcpu = self.vcpu

        memory_mib = self.memory_mib

        disk_mib = self.disk_mib

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "build_spec": build_spec,
            }
        )
        if vcpu is not UNSET:
            field_dict["vcpu"] = vcpu
        if memory_mib is not UNSET:
            field_dict["memory_mib"] = memory_mib
        if disk_mib is not UNSET:
            field_dict["disk_mib"] = disk_mib

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.build_spec import BuildSpec  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        name = src_dict.get("name", UNSET)
        if not isinstance(name, str):
            raise wire.unexpected("name", name, "a string")

        try:
            build_spec = BuildSpec.from_dict(src_dict["build_spec"])
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "build_spec", unreadable) from None

        vcpu = src_dict.get("vcpu")
        if vcpu is None:
            vcpu = UNSET
        elif type(vcpu) is not int:
            raise wire.unexpected("vcpu", vcpu, "an integer")

        memory_mib = src_dict.get("memory_mib")
        if memory_mib is None:
            memory_mib = UNSET
        elif type(memory_mib) is not int:
            raise wire.unexpected("memory_mib", memory_mib, "an integer")

        disk_mib = src_dict.get("disk_mib")
        if disk_mib is None:
            disk_mib = UNSET
        elif type(disk_mib) is not int:
            raise wire.unexpected("disk_mib", disk_mib, "an integer")

        create_template_request = cls(
            name,
            build_spec,
            vcpu,
            memory_mib,
            disk_mib,
        )

        return create_template_request
