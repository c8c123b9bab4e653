"""Checks of arguments. Each error names the argument, says what is wrong, and what is allowed."""

import inspect
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

from superserve.errors import SandboxError, SpecError, ValidationError
from superserve.types import (
    BuildLogEvent,
    BuildStep,
    EnvStep,
    EnvStepValue,
    RunStep,
    UserStep,
    UserStepValue,
    WorkdirStep,
)

if TYPE_CHECKING:
    from superserve.specs import TemplateSpec

T = TypeVar("T")
V = TypeVar("V", EnvStepValue, UserStepValue)

LogCallback = Callable[[BuildLogEvent], object]
"""A callback for log events: a plain function or, in async code, a coroutine function."""

TypedStep = RunStep | EnvStep | WorkdirStep | UserStep

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_SANDBOX_ID = re.compile(r"(sb-[a-z0-9]{1,32}-)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
WHERE_IDS_ARE = {
    "template_id": "Template.list(name_prefix=...) finds the id of a name",
    "build_id": "list_builds() returns the builds of a template with their ids",
    "sandbox_id": "Sandbox.list(q=...) finds the id of a name",
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9._/-]*[a-z0-9])?")
_NAME_LENGTH = 128
_STEP_KEYS = ("run", "env", "workdir", "user")
_ONE_STEP_KEY = f"expected exactly one of {', '.join(_STEP_KEYS)}"
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
# A larger number overflows a C integer somewhere: in a socket operation, or in the JSON of a request.
_MOST_SECONDS = 1e9
_MOST = 2**31 - 1
_SHOWN = 80


def identifier(argument: str, value: object) -> str:
    """Return `value` if it can be one segment of a URL path."""
    checked = text(argument, value)
    if not _ID.fullmatch(checked):
        raise ValidationError(
            f"{argument}: expected an id such as '7a3f2b8c-1234-4c50-8888-8dd25736052a', got {_show(value)}; "
            f"{WHERE_IDS_ARE[argument]}"
        )
    return checked


def sandbox_id(value: object) -> str:
    """Return `value` if it is a sandbox id, with or without its region."""
    checked = identifier("sandbox_id", value)
    if not is_sandbox_id(checked):
        raise ValidationError(
            "sandbox_id: expected an id such as '7a3f2b8c-1234-4c50-8888-8dd25736052a', with or without a region such as "
            f"'sb-usw-' in front, got {_show(value)}; {WHERE_IDS_ARE['sandbox_id']}"
        )
    return checked


def is_sandbox_id(text: str) -> bool:
    """Whether a text is a sandbox id, with or without its region."""
    return _SANDBOX_ID.fullmatch(text) is not None


def usable_id(argument: str, value: str) -> str:
    """Return an id from an answer if it passes `identifier`. The error does not show it: it may quote what was sent."""
    if not _ID.fullmatch(value):
        raise SandboxError(f"the server's answer cannot be understood: it has an invalid {argument}")
    return value


def template_name(value: object) -> str:
    """Return `value` if the platform accepts it as a template name."""
    checked = text("name", value)
    if not _NAME.fullmatch(checked) or len(checked) > _NAME_LENGTH:
        raise ValidationError(
            f"name: expected 1 to {_NAME_LENGTH} lower-case letters, digits and . _ / - that start and end with a "
            f"letter or digit, got {_show(value)}"
        )
    return checked


def base_image(value: object) -> str:
    """Return `value` if it can be an image reference. The server would notice spaces only when the build runs."""
    checked = text("from_", value)
    if any(character.isspace() for character in checked):
        raise ValidationError(f"from_: an image reference has no spaces, got {_show(value)}")
    return checked


def text(argument: str, value: object, *, may_be_empty: bool = False) -> str:
    """Return `value` if it is a string that can be sent unchanged."""
    if not isinstance(value, str):
        hint = "; pass its .id" if argument in WHERE_IDS_ARE and hasattr(value, "id") else ""
        raise ValidationError(f"{argument}: expected a string, got {_kind(value)}{hint}")
    if not value.strip() and not may_be_empty:
        raise ValidationError(f"{argument}: must not be empty, got {value!r}")
    if "\0" in value:
        raise ValidationError(f"{argument}: must not contain a NUL character")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValidationError(f"{argument}: must not contain half of a surrogate pair")
    return value


def integer(argument: str, value: object) -> int:
    """Return `value` if it is an integer."""
    try:
        # NumPy's integers are accepted, too.
        number = operator.index(value)  # type: ignore[arg-type]  # raises TypeError if it isn't one
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValidationError(f"{argument}: expected an integer, got {_kind(value)}")
    return number


def strings(argument: str, value: object) -> dict[str, str]:
    """Return `value` as a dict if it is a mapping of strings to strings."""
    if not isinstance(value, Mapping):
        raise ValidationError(f"{argument}: expected a dict of strings, got {_kind(value)}")
    return {
        text(f"{argument}: a key", key): text(f"{argument}[{_show(key)}]", entry, may_be_empty=True)
        for key, entry in value.items()
    }


def count(argument: str, value: object, *, least: int = 1) -> int:
    """Return `value` if it is a 32-bit integer of at least `least`. The server checks closer limits."""
    number = integer(argument, value)
    if not least <= number <= _MOST:
        raise ValidationError(f"{argument}: expected an integer from {least} to {_MOST}, got {_show(value)}")
    return number


def size(argument: str, value: object) -> int:
    """Return `value` if it is a number of bytes."""
    number = integer(argument, value)
    if number < 0:
        raise ValidationError(f"{argument}: expected a number of bytes, got {_show(value)}")
    return number


def seconds(argument: str, value: object) -> float:
    """Return `value` as a float if it is a number of seconds above zero that a clock can count."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{argument}: expected a number of seconds, got {_kind(value)}")
    if not 0 < value <= _MOST_SECONDS:
        raise ValidationError(
            f"{argument}: expected seconds above 0 and up to {_MOST_SECONDS:.0f}, got {_show(value)}"
        )
    return float(value)


def optional(check: Callable[[str, object], T], argument: str, value: object) -> T | None:
    """Return `value` if it is None or passes a check."""
    return None if value is None else check(argument, value)


def flag(argument: str, value: object) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise ValidationError(f"{argument}: expected True or False, got {_kind(value)}")
    return value


def function(argument: str, value: Callable[..., object]) -> None:
    """Refuse what cannot be called, and generator functions: calling one does nothing."""
    if not callable(value):
        raise ValidationError(f"{argument}: expected a function of one argument, got {_kind(value)}")
    if _is(inspect.isgeneratorfunction, value) or _is(inspect.isasyncgenfunction, value):
        raise ValidationError(
            f"{argument}: is a generator function, and calling it does nothing; pass a plain function"
        )


def plain_function(argument: str, value: Callable[..., object]) -> None:
    """Refuse what cannot be called, and coroutine functions: nothing would await them."""
    function(argument, value)
    if _is(inspect.iscoroutinefunction, value):
        raise ValidationError(
            f"{argument}: is a coroutine function; use the asynchronous class, or pass a plain function"
        )


def _is(is_kind: Callable[[object], bool], value: Callable[..., object]) -> bool:
    # An object with `async def __call__` counts as a coroutine function.
    return is_kind(value) or is_kind(getattr(value, "__call__", None))  # noqa: B004


def steps(value: Sequence[BuildStep]) -> list[TypedStep]:
    """Return the steps as typed steps. An error names the index of the step, counted from 0."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise ValidationError(f"steps: expected a list of steps, got {_kind(value)}")
    return [_step(f"steps[{index}]", step) for index, step in enumerate(value)]


def whole_spec(value: "TemplateSpec", *, is_alone: bool = True) -> None:
    """Refuse a value that is not a spec, a spec next to other arguments, and a spec with errors."""
    from superserve.specs import TemplateSpec

    if not isinstance(value, TemplateSpec):
        raise ValidationError(f"spec: expected a TemplateSpec, got {_kind(value)}")
    if not is_alone:
        raise ValidationError("spec: holds the whole template; leave the other arguments out")
    errors = [problem for problem in value.check() if problem.severity == "error"]
    if errors:
        raise SpecError.of(errors)


def _step(place: str, step: object) -> TypedStep:
    if isinstance(step, RunStep | EnvStep | WorkdirStep | UserStep):
        step = attrs.asdict(step, recurse=False)
    if not isinstance(step, Mapping):
        raise ValidationError(
            f"{place}: expected a RunStep, EnvStep, WorkdirStep, UserStep or a dict such as {{'run': 'make'}}, "
            f"got {_kind(step)}"
        )
    for key in step:
        if key not in _STEP_KEYS:
            raise ValidationError(f"{place}: unknown key {_show(key)}; {_ONE_STEP_KEY}")
    if len(step) != 1:
        raise ValidationError(f"{place}: {_ONE_STEP_KEY}, got {' and '.join(step) or 'none'}")
    [(key, value)] = step.items()
    place = f"{place}.{key}"
    match key:
        case "run":
            return RunStep(text(place, value))
        case "workdir":
            return WorkdirStep(text(place, value))
        case "env":
            return EnvStep(_variable(place, value))
    return UserStep(_user(place, value))


def _variable(place: str, value: object) -> EnvStepValue:
    variable = _typed(EnvStepValue, place, value, example='{"key": "DEBUG", "value": "1"}')
    key = text(f"{place}.key", variable.key)
    if "=" in key or any(character.isspace() for character in key):
        # Not shown: a caller who writes "TOKEN=..." here has put the secret into the key.
        raise ValidationError(
            f"{place}.key: must not contain '=' or spaces; put the value into {place}.value"
        )
    return EnvStepValue(key, text(f"{place}.value", variable.value, may_be_empty=True))


def _user(place: str, value: object) -> UserStepValue:
    user = _typed(UserStepValue, place, value, example='{"name": "app", "sudo": True}')
    name = text(f"{place}.name", user.name)
    if not _USER_NAME.fullmatch(name):
        raise ValidationError(
            f"{place}.name: expected at most 31 of a-z, 0-9, _ and - that start with a letter or _, got {_show(name)}"
        )
    return UserStepValue(name, flag(f"{place}.sudo", user.sudo))


def _typed(kind: type[V], place: str, value: object, *, example: str) -> V:
    """Return the typed form of a dict. Its fields are checked later."""
    if isinstance(value, kind):
        return value
    expected = f"expected a dict such as {example}"
    if not isinstance(value, Mapping):
        raise ValidationError(f"{place}: {expected}, got {_kind(value)}")
    fields = attrs.fields_dict(kind)
    for key in value:
        if key not in fields:
            raise ValidationError(f"{place}: unknown key {_show(key)}; {expected}")
    for key, field in fields.items():
        if key not in value and field.default is attrs.NOTHING:
            raise ValidationError(f"{place}: {key!r} is missing; {expected}")
    return kind(**value)


def _kind(value: object) -> str:
    """Return the type of a value, for an error. The value itself may hold a secret."""
    return "None" if value is None else type(value).__name__


def _show(value: object) -> str:
    """Return the repr of a value of the right type, shortened."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ of the caller's must not hide the error
        return type(value).__name__
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
