"""The bodies of POST and PATCH of sandboxes: reading them, and checking them in the server's order."""

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from superserve.local._app import go_json
from superserve.local._app.errors import ApiError

Strings: TypeAlias = Mapping[str, str]

NAME_BYTES = 64
_TIMEOUT_S = (1, 604_800)
_AUTO_DELETE_S = (0, 2_592_000)
_ACCESS = ("public", "private")
_MOST_KEYS = 64
_KEY_BYTES = 256
_METADATA_BYTES = (2048, 16_384)
_ENV_BYTES = (8192, 65_536)
_MOST_SECRETS = 32
_RESERVED = ("superserve.", "_superserve")
_ENV_KEY = r"[A-Za-z_][A-Za-z0-9_]*"


class Network(NamedTuple):
    """Which addresses a sandbox may reach. It is stored, but not enforced: a sandbox has no network here."""

    allow_out: tuple[str, ...] = ()
    deny_out: tuple[str, ...] = ()

    def answer(self) -> dict[str, object]:
        """Return it in the form of the API: allowed addresses come before allowed names."""
        allow = sorted(self.allow_out, key=lambda rule: _read_network(rule) is None)
        return {"allow_out": allow, "deny_out": list(self.deny_out)}


class CreateSandbox(NamedTuple):
    """A body of POST /sandboxes that passed every check that does not need the stored rows."""

    name: str
    from_template: str | None
    from_snapshot: str | None
    timeout_seconds: int | None
    auto_delete_seconds: int | None
    metadata: Strings
    env_vars: Strings
    network: Network | None
    secrets: Strings
    preview_access: str


def read_create(body: bytes) -> CreateSandbox:
    """Read and check a body of POST /sandboxes; raises ApiError for the first check that fails."""
    names = (
        "name", "from_template", "from_snapshot", "timeout_seconds", "auto_delete_seconds", "metadata",
        "env_vars", "network", "secrets", "preview_access",
    )  # fmt: skip
    try:
        given = go_json.read_fields(go_json.read(body), "", *names)
        name = go_json.read_string(given.get("name", ""), "name")
        template, snapshot = (
            go_json.read_string(given[key], key) if key in given else None
            for key in ("from_template", "from_snapshot")
        )
        windows = _read_windows(given)
        network = _read_rules(given["network"]) if "network" in given else None
        metadata, env_vars, secrets = (
            _read_strings(given.get(key), key) for key in ("metadata", "env_vars", "secrets")
        )
        access = go_json.read_string(given.get("preview_access", "public"), "preview_access")
    except go_json.Malformed:
        raise refuse("invalid request body") from None
    if not 1 <= len(name.encode()) <= NAME_BYTES:
        raise refuse(f"name must be 1-{NAME_BYTES} bytes")
    _check_windows(windows)
    _check_network(network)
    check_metadata(metadata)
    _check_strings("env_vars", env_vars, *_ENV_BYTES)
    for key in env_vars:
        if "=" in key or "\0" in key:
            raise refuse("env_vars: a key must not contain '=' or NUL")
    _check_secrets(secrets, env_vars)
    _check_access(access)
    if template is not None and snapshot is not None:
        raise refuse("from_template and from_snapshot are mutually exclusive")
    return CreateSandbox(
        name=name,
        from_template=template,
        from_snapshot=snapshot,
        timeout_seconds=windows.get("timeout_seconds"),
        auto_delete_seconds=windows.get("auto_delete_seconds"),
        metadata=metadata,
        env_vars=env_vars,
        network=network,
        secrets=secrets,
        preview_access=access,
    )


def read_patch(body: bytes) -> dict[str, object]:
    """Read and check a body of PATCH. Return the new values by the names of the row's fields."""
    names = ("network", "metadata", "auto_delete_seconds", "timeout_seconds", "preview_access")
    try:
        value = go_json.read(body)
        given = go_json.read_fields(value, "", *names)
        nulls = (
            {str(key).lower() for key, item in value if item is None} if isinstance(value, list) else set()
        )
        windows: dict[str, int | None] = {**_read_windows(given)}
        windows |= dict.fromkeys(nulls & {"auto_delete_seconds", "timeout_seconds"})
        network = _read_rules(given["network"]) if "network" in given else None
        metadata = _read_strings(given["metadata"], "metadata") if "metadata" in given else None
        access = go_json.read_string(given.get("preview_access", ""), "preview_access")
    except go_json.Malformed:
        raise refuse("invalid request body") from None
    if not windows and network is None and metadata is None and "preview_access" not in given:
        raise refuse("at least one field is required")
    _check_windows(windows)
    _check_network(network)
    changes: dict[str, object] = {**windows}
    if network is not None:
        changes["network"] = network
    if metadata is not None:
        check_metadata(metadata)
        changes["metadata"] = metadata
    if "preview_access" in given:
        _check_access(access)
        changes["preview_access"] = access
    return changes


def check_metadata(metadata: Strings) -> None:
    """Raise ApiError for invalid metadata, or an invalid filter for it."""
    _check_strings("metadata", metadata, *_METADATA_BYTES)
    for key in metadata:
        if key.lower().startswith(_RESERVED):
            raise refuse(f'metadata: the key "{key}" is reserved')


def refuse(message: str) -> ApiError:
    """Return the error for an invalid body."""
    return ApiError(400, "bad_request", message)


def _read_windows(given: Mapping[str, object]) -> dict[str, int]:
    keys = ("timeout_seconds", "auto_delete_seconds")
    return {key: go_json.read_int32(given[key], key) for key in keys if key in given}


def _read_strings(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, list) or not all(isinstance(item, tuple) for item in value):
        raise go_json.Malformed(f"{where}: expected an object")
    return {str(key): go_json.read_string(item, where) for key, item in value}


def _read_rules(value: object) -> Network:
    given = go_json.read_fields(value, "network", "allow_out", "deny_out")
    rules = (
        tuple(go_json.read_string(item, key) for item in go_json.read_array(given.get(key, []), key))
        for key in ("allow_out", "deny_out")
    )
    return Network(*rules)


def _check_windows(windows: Mapping[str, int | None]) -> None:
    for key, (low, high) in {"timeout_seconds": _TIMEOUT_S, "auto_delete_seconds": _AUTO_DELETE_S}.items():
        seconds = windows.get(key)
        if seconds is not None and not low <= seconds <= high:
            raise refuse(f"{key} must be {low}-{high}")


def _check_network(network: Network | None) -> None:
    if network is None:
        return
    for rule in (*network.allow_out, *network.deny_out):
        if ":" in rule and _is_address(rule):
            raise refuse(f'network: "{rule}": IPv6 is not supported')
    for rule in network.deny_out:
        if _read_network(rule) is None:
            raise refuse(f'network.deny_out: "{rule}" is neither an IPv4 address nor a CIDR')


def _is_address(rule: str) -> bool:
    try:
        ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False
    return True


def _read_network(rule: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(rule, strict=False)
    except ValueError:
        return None


def _check_strings(where: str, values: Strings, value_bytes: int, all_bytes: int) -> None:
    if len(values) > _MOST_KEYS:
        raise refuse(f"{where}: at most {_MOST_KEYS} keys")
    total = 0
    for key, value in values.items():
        if not 1 <= len(key.encode()) <= _KEY_BYTES:
            raise refuse(f"{where}: a key must be 1-{_KEY_BYTES} bytes")
        if len(value.encode()) > value_bytes:
            raise refuse(f"{where}: a value must be at most {value_bytes} bytes")
        total += len(key.encode()) + len(value.encode())
    if total > all_bytes:
        raise refuse(f"{where}: at most {all_bytes} bytes in all")


def _check_secrets(secrets: Strings, env_vars: Strings) -> None:
    if len(secrets) > _MOST_SECRETS:
        raise refuse(f"secrets: at most {_MOST_SECRETS} entries")
    for key, name in secrets.items():
        if not re.fullmatch(_ENV_KEY, key):
            raise refuse(f'secrets: "{key}" is no name of an environment variable')
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,127}", name):
            raise refuse(f'secrets: "{name}" is no name of a secret')
    for key in secrets:
        if key in env_vars:
            raise refuse(f'"{key}" is in both env_vars and secrets')
    for name in secrets.values():
        raise ApiError(400, "secret_not_found", f'there is no secret named "{name}"')


def _check_access(access: str) -> None:
    if access not in _ACCESS:
        raise refuse(f"preview_access must be {' or '.join(_ACCESS)}")
