"""Checking a spec: all errors and warnings at once, before anything is sent."""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

from superserve.specs import _canonical
from superserve.specs._problems import SpecProblem
from superserve.specs._spec import TemplateSpec
from superserve.types import EnvStep, RunStep, UserStep, WorkdirStep
from superserve.types._value import Value

Found = tuple[Literal["error", "warning"], str, str]

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._/-]*[a-z0-9])?")
_NAME_BYTES: Final = 128
_LIKE_AN_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RESERVED: Final = "superserve/"
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_BOUNDS: Final = {"vcpu": (1, 4, 2), "memory_mib": (256, 4096, 2048), "disk_mib": (1024, 8192, 8192)}
_STEP_KEYS: Final = ("run", "env", "workdir", "user")
_REPLACED: Final = frozenset({"PATH", "HOME", "USER", "TERM", "LANG", "SHELL"})
# The characters that Go trims. Python's strip() would also remove some control characters.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
_APT: Final = re.compile(r"\bapt(?:-get)?\s+(?P<before>(?:-\S+\s+)*)install\b(?P<after>[^\n;&|]*)")
_YES: Final = re.compile(r"(?:^|\s)(?:-[a-zA-Z]*[yq][a-zA-Z]*|--yes|--assume-yes)(?=\s|$)")
_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIALS?)(?:_|$)",
    re.IGNORECASE,
)
_SECRET: Final = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[opsur]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}|\bxox[abprs]-[\w-]{10,}|\bss_live_\w{10,}|\bAIza[\w-]{35}|\bnpm_[A-Za-z0-9]{36}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s:@$]+@"
)
_SECRETS_STAY: Final = "a template keeps it, and everybody who may use the template can read it"


def check(spec: TemplateSpec) -> list[SpecProblem]:
    """Return all problems of a spec, in the order of its parts."""
    found = [
        *_name(spec.name),
        *_image(spec.from_),
        *(found for key in _BOUNDS for found in _size(key, getattr(spec, key))),
        *(found for index, step in enumerate(spec.steps) for found in _step(f"steps[{index}]", step)),
        *_text("start_cmd", spec.start_cmd, optional=True),
        *_text("ready_cmd", spec.ready_cmd, optional=True),
        *_whole(spec),
    ]
    return [SpecProblem(message, severity, where, spec.place_of(where)) for severity, where, message in found]


def did_you_mean(key: object, known: tuple[str, ...]) -> str:
    """Return the end of a message about an unknown key: a question, or the known keys."""
    close = get_close_matches(str(key).lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; the known keys are {', '.join(known)}"


_KINDS: Final = {
    type(None): "nothing",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "a table",
    list: "a list",
}


def kind(value: object) -> str:
    """Return the type of a value, in the words of TOML and JSON. The value is not shown."""
    return _KINDS.get(type(value), type(value).__name__)


def _text(where: str, value: object, *, optional: bool = False) -> Iterator[Found]:
    if value is None and optional:
        return
    if not isinstance(value, str):
        yield "error", where, f"expected a string, got {kind(value)}"
        return
    if "\0" in value:
        yield "error", where, "must not contain a NUL character: the service cannot store it"
    if any("\ud800" <= character <= "\udfff" for character in value):
        yield "warning", where, "contains half of a surrogate pair, which cannot be sent"


def _name(name: object) -> Iterator[Found]:
    if not isinstance(name, str):
        yield from _text("name", name)
    elif not _NAME.fullmatch(name) or len(name.encode("utf-8", "replace")) > _NAME_BYTES:
        yield (
            "error",
            "name",
            (
                f"expected 1 to {_NAME_BYTES} lower-case letters, digits and . _ / - that start and end with a letter "
                f"or digit, got {name[:80]!r}"
            ),
        )
    elif name.startswith(_RESERVED):
        yield "error", "name", f"names that start with {_RESERVED} are reserved for the system's templates"
    elif _LIKE_AN_ID.fullmatch(name):
        yield "warning", "name", "looks like an id: sandboxes cannot be started from it by name"


def _image(image: object) -> Iterator[Found]:
    yield from _text("from", image)
    if not isinstance(image, str):
        return
    if not image.strip(_SPACE):
        yield "error", "from", "an image such as python:3.11 is required"
        return
    lowered = image.lower()
    if "alpine" in lowered:
        yield (
            "error",
            "from",
            "alpine images are not supported (musl, no init): use a Debian or Ubuntu image",
        )
    if "distroless" in lowered:
        yield "error", "from", "distroless images are not supported (no shell)"
    if any(character.isspace() for character in image):
        yield "warning", "from", "an image reference has no spaces: the build will fail with bad_reference"
    elif (
        image.partition("@")[0].rpartition("/")[2].partition(":")[0]
        != lowered.partition("@")[0].rpartition("/")[2].partition(":")[0]
    ):
        yield "warning", "from", "an image name is in lower case: the build will fail with bad_reference"


def _size(key: str, value: object) -> Iterator[Found]:
    low, high, usual = _BOUNDS[key]
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        yield "error", key, f"expected an integer, got {kind(value)}"
    elif not low <= value <= high:
        yield "warning", key, f"the service accepts {low} to {high}, got {str(value)[:20]}"
    elif value > usual:
        yield (
            "warning",
            key,
            f"a team may have up to {usual} unless the service has raised its limit, got {value}",
        )


def _step(where: str, step: Any) -> Iterator[Found]:
    match step:
        case RunStep(run=command):
            yield from _run(f"{where}.run", command)
        case WorkdirStep(workdir=path):
            yield from _text(f"{where}.workdir", path)
            if isinstance(path, str) and not path.strip():
                yield "warning", f"{where}.workdir", "is empty: give a path"
        case EnvStep(env=variable):
            yield from _variable(f"{where}.env", variable.key, variable.value)
        case UserStep(user=user):
            yield from _user(f"{where}.user", user.name, user.sudo)
        case Mapping():
            yield from _malformed(where, step)
        case _:
            yield "error", where, f"expected a step such as {{'run': 'make'}}, got {kind(step)}"


def _malformed(where: str, step: Mapping[Any, Any]) -> Iterator[Found]:
    for key in step:
        if key not in _STEP_KEYS:
            yield "error", where, f"unknown key {str(key)[:40]!r}{did_you_mean(key, _STEP_KEYS)}"
    known = [key for key in step if key in _STEP_KEYS]
    # The unknown key was reported above.
    if len(known) > 1 or not step:
        yield (
            "error",
            where,
            f"a step has exactly one of {', '.join(_STEP_KEYS)}, got {' and '.join(known) or 'none'}"
            + ("; make one step of each" if known else ""),
        )
    for key in known:
        value = step[key]
        place = f"{where}.{key}"
        if key in {"run", "workdir"}:
            yield from _text(place, value)
        elif not isinstance(value, Mapping):
            example = '{key = "DEBUG", value = "1"}' if key == "env" else '{name = "app"}'
            yield "error", place, f"expected a table such as {example}, got {kind(value)}"
        else:
            fields = ("key", "value") if key == "env" else ("name", "sudo")
            unknown = [field for field in value if str(field).lower() not in fields]
            for field in unknown:
                yield "error", place, f"unknown key {str(field)[:40]!r}{did_you_mean(field, fields)}"
            # An unknown key may be the one that is missing.
            if key == "env" and not (unknown and "key" not in value):
                yield from _variable(place, value.get("key", ""), value.get("value", ""))
            elif key == "user" and not (unknown and "name" not in value):
                yield from _user(place, value.get("name", ""), value.get("sudo", False))


def _run(where: str, command: object) -> Iterator[Found]:
    yield from _text(where, command)
    if not isinstance(command, str):
        return
    if not command.strip():
        yield "warning", where, "is empty: it does nothing"
    for install in _APT.finditer(command):
        if not _YES.search(f"{install['before']} {install['after']}"):
            yield "warning", where, "apt-get install without -y: it will wait for an answer that never comes"
            break
    if _SECRET.search(command):
        yield "warning", where, f"contains something that looks like a credential: {_SECRETS_STAY}"


def _variable(where: str, key: object, value: object) -> Iterator[Found]:
    yield from _text(f"{where}.key", key)
    yield from _text(f"{where}.value", value)
    if key == "":
        yield "error", f"{where}.key", "a variable needs a name"
    if not isinstance(key, str):
        return
    if "=" in key or any(character.isspace() for character in key):
        # Not shown: a caller who writes "TOKEN=..." here has put the secret into the key.
        yield "warning", f"{where}.key", "contains '=' or spaces: shells cannot read such a variable"
    elif key in _REPLACED:
        yield (
            "warning",
            f"{where}.key",
            f"sandboxes set {key} themselves: this value applies only during the build",
        )
    if isinstance(value, str) and value and (_SECRET_NAME.search(key) or _SECRET.search(value)):
        yield "warning", f"{where}.value", f"looks like a credential: {_SECRETS_STAY}"


def _user(where: str, name: object, sudo: object) -> Iterator[Found]:
    if not isinstance(name, str):
        yield from _text(f"{where}.name", name)
    elif not _USER.fullmatch(name):
        yield (
            "error",
            f"{where}.name",
            "expected at most 31 of a-z, 0-9, _ and - that start with a letter or _, got " + repr(name[:40]),
        )
    if not isinstance(sudo, bool):
        yield "error", f"{where}.sudo", f"expected true or false, got {kind(sudo)}"


def _whole(spec: TemplateSpec) -> Iterator[Found]:
    try:
        size = spec.size_bytes
    except (TypeError, ValueError):
        # A part of it cannot be JSON, which was reported above.
        return
    if size > _canonical.LARGEST:
        largest = max(range(len(spec.steps)), key=lambda index: _bytes(spec.steps[index]), default=None)
        where = "" if largest is None else f"steps[{largest}]"
        yield (
            "warning",
            where,
            f"the spec has {size:,} bytes, and a build can have {_canonical.LARGEST:,} at most",
        )


def _bytes(step: object) -> int:
    return len(json.dumps(step.to_dict() if isinstance(step, Value) else step, default=str))
