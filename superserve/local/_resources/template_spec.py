"""The body of POST /templates: reading it, checking it in the server's order, and the canonical form of its build spec."""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple, TypeAlias

import attrs

from superserve.local._app import go_json
from superserve.local._app.errors import ApiError
from superserve.local._app.limits import TeamLimits
from superserve.local._machines.jobs import Step

Ranges: TypeAlias = Mapping[str, tuple[int, int]]

NAME_BYTES = 128
SYSTEM_PREFIX = "superserve/"
# The characters that Go's strings.TrimSpace removes. Python's strip() would also remove some control characters.
SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)

_NAME = r"[a-z0-9]([a-z0-9._/-]*[a-z0-9])?"
_USER = r"[a-z_][a-z0-9_-]{0,30}"
_PLATFORM = {"vcpu": (1, 4), "memory_mib": (256, 4096), "disk_mib": (1024, 8192)}
_NEWER_PLATFORM = {"vcpu": (1, 10), "memory_mib": (256, 20480), "disk_mib": (1024, 65536)}
_DEFAULTS = {"vcpu": 1, "memory_mib": 1024, "disk_mib": 4096}


@attrs.frozen(slots=False)
class BuildSpec:
    """How a template is built. It is stored as it was sent, and never returned."""

    from_: str
    steps: tuple[Step, ...] = ()
    start_cmd: str = ""
    ready_cmd: str = ""

    @cached_property
    def canonical(self) -> bytes:
        """The spec as compact JSON, without empty values. Equal specs have equal bytes."""
        value: dict[str, object] = {"from": self.from_}
        if self.steps:
            value["steps"] = [_write_step(step) for step in self.steps]
        if self.start_cmd:
            value["start_cmd"] = self.start_cmd
        if self.ready_cmd:
            value["ready_cmd"] = self.ready_cmd
        return go_json.write(value)

    @cached_property
    def hash(self) -> str:
        """The spec's build_spec_hash."""
        return hashlib.sha256(self.canonical).hexdigest()

    def write(self) -> str:
        """Return the spec as text, for a state file."""
        return self.canonical.decode()

    @staticmethod
    def read(text: str) -> "BuildSpec":
        """Return the spec that `write` has turned into a text."""
        return read_spec(go_json.read(text.encode()))

    @property
    def has_nul(self) -> bool:
        """Whether a string contains a NUL, which the database cannot store."""
        return b"\\u0000" in self.canonical.replace(b"\\\\", b"")


def _write_step(step: Step) -> dict[str, object]:
    if step.run is not None:
        return {"run": step.run}
    if step.env is not None:
        return {"env": {"key": step.env[0], "value": step.env[1]}}
    if step.workdir is not None:
        return {"workdir": step.workdir}
    name, sudo = step.user or ("", False)
    return {"user": {"name": name, "sudo": True} if sudo else {"name": name}}


class CreateTemplate(NamedTuple):
    """A body of POST /templates that passed every check that does not need the stored rows."""

    name: str
    vcpu: int
    memory_mib: int
    disk_mib: int
    spec: BuildSpec


def read_create_template(
    body: bytes, *, newer: bool, limits: TeamLimits | None, is_system_team: bool
) -> CreateTemplate:
    """Read and check a body of POST /templates; raises ApiError for the first check that fails."""
    try:
        request = go_json.read_fields(
            go_json.read(body), "", "name", "vcpu", "memory_mib", "disk_mib", "build_spec", kept=["name"]
        )
        name = go_json.read_string(request.get("name", ""), "name").strip(SPACE)
        sizes = {
            key: go_json.read_int32(request.get(key, default), key) for key, default in _DEFAULTS.items()
        }
        spec = read_spec(request["build_spec"]) if "build_spec" in request else None
    except go_json.Malformed as error:
        raise _refuse(f"request validation failed: {error}") from None
    _check_name(name, is_system_team=is_system_team)
    _check_sizes(sizes, _NEWER_PLATFORM if newer else _PLATFORM, None if is_system_team else limits)
    if spec is None:
        raise _refuse("build_spec is required")
    _check_image(spec.from_)
    for index, step in enumerate(spec.steps):
        _check_step(step, f"build_spec.steps[{index}]")
    return CreateTemplate(name, sizes["vcpu"], sizes["memory_mib"], sizes["disk_mib"], spec)


def read_spec(value: object) -> BuildSpec:
    """Read a build spec in the form of the API; raises Malformed for any other form."""
    where = "build_spec"
    texts = ("from", "start_cmd", "ready_cmd")
    spec = go_json.read_fields(value, where, "steps", *texts, kept=texts)
    items = go_json.read_array(spec.get("steps", []), f"{where}.steps")
    return BuildSpec(
        from_=go_json.read_string(spec.get("from", ""), f"{where}.from"),
        steps=tuple(_read_step(item, f"{where}.steps[{index}]") for index, item in enumerate(items)),
        start_cmd=go_json.read_string(spec.get("start_cmd", ""), f"{where}.start_cmd"),
        ready_cmd=go_json.read_string(spec.get("ready_cmd", ""), f"{where}.ready_cmd"),
    )


def _read_step(value: object, where: str) -> Step:
    step = go_json.read_fields(value, where, "run", "env", "workdir", "user")
    env: tuple[str, str] | None = None
    if "env" in step:
        pair = go_json.read_fields(step["env"], f"{where}.env", "key", "value", kept=["key", "value"])
        env = (
            go_json.read_string(pair.get("key", ""), f"{where}.env.key"),
            go_json.read_string(pair.get("value", ""), f"{where}.env.value"),
        )
    user: tuple[str, bool] | None = None
    if "user" in step:
        who = go_json.read_fields(step["user"], f"{where}.user", "name", "sudo", kept=["name", "sudo"])
        user = (
            go_json.read_string(who.get("name", ""), f"{where}.user.name"),
            go_json.read_boolean(who.get("sudo", False), f"{where}.user.sudo"),
        )
    return Step(
        run=go_json.read_string(step["run"], f"{where}.run") if "run" in step else None,
        env=env,
        workdir=go_json.read_string(step["workdir"], f"{where}.workdir") if "workdir" in step else None,
        user=user,
    )


def _check_name(name: str, *, is_system_team: bool) -> None:
    if not name or len(name.encode()) > NAME_BYTES:
        raise _refuse(f"name is required and takes 1-{NAME_BYTES} bytes")
    if not re.fullmatch(_NAME, name):
        raise _refuse(
            "name takes lower-case letters, digits and . _ / - and must start and end with a letter or a digit"
        )
    if name.startswith(SYSTEM_PREFIX) and not is_system_team:
        raise _refuse(f"names that start with {SYSTEM_PREFIX} are reserved for system templates")


def _check_sizes(sizes: dict[str, int], platform: Ranges, limits: TeamLimits | None) -> None:
    for key, (low, high) in platform.items():
        if not low <= sizes[key] <= high:
            raise _refuse(f"{key} must be {low}-{high}")
    if limits is None:
        return
    caps = {"vcpu": limits.vcpu, "memory_mib": limits.memory_mib, "disk_mib": limits.disk_mib}
    for key, cap in caps.items():
        if sizes[key] > cap:
            raise _refuse(
                f"{key} must be {platform[key][0]}-{cap}: that is your team's limit, contact support to raise it"
            )


def _check_image(reference: str) -> None:
    if not reference.strip(SPACE):
        raise _refuse("build_spec.from is required")
    lowered = reference.lower()
    if "alpine" in lowered:
        raise _refuse("build_spec.from: alpine images are not supported (musl, no init)")
    if "distroless" in lowered:
        raise _refuse("build_spec.from: distroless images are not supported (no shell)")


def _check_step(step: Step, where: str) -> None:
    if step.env is not None and not step.env[0]:
        raise _refuse(f"{where}.env.key is required")
    if step.user is not None and not re.fullmatch(_USER, step.user[0]):
        raise _refuse(f"{where}.user.name is required, up to 31 of a-z 0-9 _ - and a letter or _ first")
    if sum(field is not None for field in (step.run, step.env, step.workdir, step.user)) != 1:
        raise _refuse(f"{where} must have exactly one of run, env, workdir, user")


def _refuse(message: str) -> ApiError:
    return ApiError(400, "bad_request", message)
