# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from .. import wire
from ..models.preview_access_policy import (
    PreviewAccessPolicy,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.env_vars import EnvVars
    from ..models.metadata import Metadata
    from ..models.network_config import NetworkConfig
    from ..models.secret_bindings import SecretBindings


T = TypeVar("T", bound="CreateSandboxRequest")


@_attrs_define
class CreateSandboxRequest:
    """A sandbox to create.

    Attributes:
        name (str): A name of at most 64 bytes. It need not be unique.
        from_template (str | Unset): The id or the name of the template to start from. The server's default is
            `superserve/base`.
        from_snapshot (str | Unset): The id of the saved snapshot to start from, instead of a template.
        timeout_seconds (int | Unset): Seconds of being active after which the sandbox is paused. Default never.
        auto_delete_seconds (int | Unset): Seconds of being paused after which the sandbox is deleted; 0 deletes it with
            the pause. Default never.
        metadata (Metadata | Unset): Your own key-value pairs of a sandbox, which listSandboxes can filter by: at most
            64, with keys of 1 to 256 bytes and values of at most 2048, and 16384 in all. Keys that start with `superserve.`
            or `_superserve`, in any case, are refused.
        env_vars (EnvVars | Unset): Environment variables: at most 64, with names of 1 to 256 bytes without `=` and NUL,
            values of at most 8192, and 65536 in all.
        network (NetworkConfig | Unset): Where a sandbox may connect to. It can never connect to private addresses or
            IPv6. This replaces both lists of the sandbox: a list that is missing becomes empty. A server returns the
            entries in its own order.
        secrets (SecretBindings | Unset): The name of a secret for each environment variable that stands for one; at
            most 32.
        preview_access (PreviewAccessPolicy | Unset): Who may reach the ports of a sandbox. The server's default is
            `public`.
    """

    name: str
    from_template: str | Unset = UNSET
    from_snapshot: str | Unset = UNSET
    timeout_seconds: int | Unset = UNSET
    auto_delete_seconds: int | Unset = UNSET
    metadata: Metadata | Unset = UNSET
    env_vars: EnvVars | Unset = UNSET
    network: NetworkConfig | Unset = UNSET
    secrets: SecretBindings | Unset = UNSET
    preview_access: PreviewAccessPolicy | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        from_template = self.from_template

        from_snapshot = self.from_snapshot

        timeout_seconds = self.timeout_seconds

        auto_delete_seconds = self.auto_delete_seconds

        metadata: dict[str, Any] | Unset = UNSET
        if not isinstance(self.metadata, Unset):
            metadata = self.metadata.to_dict()

        env_vars: dict[str, Any] | Unset = UNSET
        if not isinstance(self.env_vars, Unset):
            env_vars = self.env_vars.to_dict()

        network: dict[str, Any] | Unset = UNSET
        if not isinstance(self.network, Unset):
            network = self.network.to_dict()

        secrets: dict[str, Any] | Unset = UNSET
        if not isinstance(self.secrets, Unset):
            secrets = self.secrets.to_dict()

        preview_access: str | Unset = UNSET
        if not isinstance(self.preview_access, Unset):
            preview_access = self.preview_access

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
            }
        )
        if from_template is not UNSET:
            field_dict["from_template"] = from_template
        if from_snapshot is not UNSET:
            field_dict["from_snapshot"] = from_snapshot
        if timeout_seconds is not UNSET:
            field_dict["timeout_seconds"] = timeout_seconds
        if auto_delete_seconds is not UNSET:
            field_dict["auto_delete_seconds"] = auto_delete_seconds
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if env_vars is not UNSET:
            field_dict["env_vars"] = env_vars
        if network is not UNSET:
            field_dict["network"] = network
        if secrets is not UNSET:
            field_dict["secrets"] = secrets
        if preview_access is not UNSET:
            field_dict["preview_access"] = preview_access

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.env_vars import EnvVars  # noqa: PLC0415
        from ..models.metadata import Metadata  # noqa: PLC0415
        from ..models.network_config import NetworkConfig  # noqa: PLC0415
        from ..models.secret_bindings import SecretBindings  # noqa: PLC0415

        if type(src_dict) is not dict:
            wire.check_object(src_dict)

        name = src_dict.get("name", UNSET)
        if not isinstance(name, str):
            raise wire.unexpected("name", name, "a string")

        from_template = src_dict.get("from_template")
        if from_template is None:
            from_template = UNSET
        elif not isinstance(from_template, str):
            raise wire.unexpected("from_template", from_template, "a string")

        from_snapshot = src_dict.get("from_snapshot")
        if from_snapshot is None:
            from_snapshot = UNSET
        elif not isinstance(from_snapshot, str):
            raise wire.unexpected("from_snapshot", from_snapshot, "a string")

        timeout_seconds = src_dict.get("timeout_seconds")
        if timeout_seconds is None:
            timeout_seconds = UNSET
        elif type(timeout_seconds) is not int:
            raise wire.unexpected("timeout_seconds", timeout_seconds, "an integer")

        auto_delete_seconds = src_dict.get("auto_delete_seconds")
        if auto_delete_seconds is None:
            auto_delete_seconds = UNSET
        elif type(auto_delete_seconds) is not int:
            raise wire.unexpected("auto_delete_seconds", auto_delete_seconds, "an integer")

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
            _env_vars = src_dict.get("env_vars", UNSET)
            env_vars: EnvVars | Unset
            if _env_vars is None or _env_vars is UNSET:
                env_vars = UNSET
            else:
                env_vars = EnvVars.from_dict(_env_vars)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "env_vars", unreadable) from None

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
            _secrets = src_dict.get("secrets", UNSET)
            secrets: SecretBindings | Unset
            if _secrets is None or _secrets is UNSET:
                secrets = UNSET
            else:
                secrets = SecretBindings.from_dict(_secrets)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_field(src_dict, "secrets", unreadable) from None

        preview_access: PreviewAccessPolicy | Unset | None = src_dict.get("preview_access")
        if preview_access is None:
            preview_access = UNSET
        elif isinstance(preview_access, str) is not True:
            raise wire.unexpected("preview_access", preview_access, "a string")

        create_sandbox_request = cls(
            name,
            from_template,
            from_snapshot,
            timeout_seconds,
            auto_delete_seconds,
            metadata,
            env_vars,
            network,
            secrets,
            preview_access,
        )

        return create_sandbox_request
