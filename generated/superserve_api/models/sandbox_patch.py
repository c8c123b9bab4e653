# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from .. import wire
from ..models.preview_access_policy import (
    PreviewAccessPolicy,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.metadata import Metadata
    from ..models.network_config import NetworkConfig


T = TypeVar("T", bound="SandboxPatch")


@_attrs_define
class SandboxPatch:
    """Changes of a sandbox; at least one field.

    Attributes:
        network (NetworkConfig | Unset): Where a sandbox may connect to. It can never connect to private addresses or
            IPv6. This replaces both lists of the sandbox: a list that is missing becomes empty. A server returns the
            entries in its own order.
        metadata (Metadata | Unset): Your own key-value pairs of a sandbox, which listSandboxes can filter by: at most
            64, with keys of 1 to 256 bytes and values of at most 2048, and 16384 in all. Keys that start with `superserve.`
            or `_superserve`, in any case, are refused.
        auto_delete_seconds (int | None | Unset): As in CreateSandboxRequest; null for never. For a paused sandbox the
            time starts now.
        timeout_seconds (int | None | Unset): As in CreateSandboxRequest; null for never.
        preview_access (PreviewAccessPolicy | Unset): Who may reach the ports of a sandbox. The server's default is
            `public`.
    """

    network: NetworkConfig | Unset = UNSET
    metadata: Metadata | Unset = UNSET
    auto_delete_seconds: int | None | Unset = UNSET
    timeout_seconds: int | None | Unset = UNSET
    preview_access: PreviewAccessPolicy | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        network: dict[str, Any] | Unset = UNSET
        if not isinstance(self.network, Unset):
            network = self.network.to_dict()

        metadata: dict[str, Any] | Unset = UNSET
        if not isinstance(self.metadata, Unset):
            metadata = self.metadata.to_dict()

        auto_delete_seconds: int | None | Unset
        if isinstance(self.auto_delete_seconds, Unset):
            auto_delete_seconds = UNSET
        else:
            auto_delete_seconds = self.auto_delete_seconds

        timeout_seconds: int | None | Unset
        if isinstance(self.timeout_seconds, Unset):
            timeout_seconds = UNSET
        else:
            timeout_seconds = self.timeout_seconds

        preview_access: str | Unset = UNSET
        if not isinstance(self.preview_access, Unset):
            preview_access = self.preview_access

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if network is not UNSET:
            field_dict["network"] = network
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if auto_delete_seconds is not UNSET:
            field_dict["auto_delete_seconds"] = auto_delete_seconds
        if timeout_seconds is not UNSET:
            field_dict["timeout_seconds"] = timeout_seconds
        if preview_access is not UNSET:
            field_dict["preview_access"] = preview_access

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.metadata import Metadata  # noqa: PLC0415
        from ..models.network_config import NetworkConfig  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        try:
            _network = src_dict.get("network", UNSET)
            network: NetworkConfig | Unset
            if _network is None or _network is UNSET:
                network = UNSET
            else:
                network = NetworkConfig.from_dict(_network)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "network", unreadable) from None

        try:
            _metadata = src_dict.get("metadata", UNSET)
            metadata: Metadata | Unset
            if _metadata is None or _metadata is UNSET:
                metadata = UNSET
            else:
                metadata = Metadata.from_dict(_metadata)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "metadata", unreadable) from None

        try:

            def _parse_auto_delete_seconds(data: object) -> int | None | Unset:
                if data is None:
                    return data
                if isinstance(data, Unset):
                    return data
                return cast(int | None | Unset, wire.one_of(data, int))

            auto_delete_seconds = _parse_auto_delete_seconds(src_dict.get("auto_delete_seconds", UNSET))
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "auto_delete_seconds", unreadable) from None

        try:

            def _parse_timeout_seconds(data: object) -> int | None | Unset:
                if data is None:
                    return data
                if isinstance(data, Unset):
                    return data
                return cast(int | None | Unset, wire.one_of(data, int))

            timeout_seconds = _parse_timeout_seconds(src_dict.get("timeout_seconds", UNSET))
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "timeout_seconds", unreadable) from None

        preview_access: PreviewAccessPolicy | Unset | None = src_dict.get("preview_access")
        if preview_access is None:
            preview_access = UNSET
        elif isinstance(preview_access, str) is not True:
            raise wire.unexpected("preview_access", preview_access, "a string")

        sandbox_patch = cls(
            network,
            metadata,
            auto_delete_seconds,
            timeout_seconds,
            preview_access,
        )

        return sandbox_patch
