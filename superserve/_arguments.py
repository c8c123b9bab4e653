"""Checks of what callers pass in: each refusal names the argument, what was wrong, and what is allowed."""

import inspect
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from superserve.errors import SandboxError, ValidationError
from superserve.types import (
    BuildStep,
    EnvStep,
    EnvStepValue,
    RunStep,
    UserStep,
    UserStepValue,
    WorkdirStep,
)

TypedStep = RunStep | EnvStep | WorkdirStep | UserStep

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
WHERE_IDS_ARE = {
    "template_id": "Template.list(name_prefix=...) finds the id of a name",
    "build_id": "list_builds() tells the ids of a template's builds",
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9._/-]*[a-z0-9])?")
_NAME_LENGTH = 128
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
# More than this overflows a C integer somewhere below: in an operation on a socket, in the JSON of a request.
_MOST_SECONDS = 1e9
_MOST = 2**31 - 1
_SHOWN = 80


def identifier(argument: str, value: object) -> str:
    """Return `value` if it can be one segment of a path and nothing else."""
    checked = text(argument, value)
    if not _ID.fullmatch(checked):
        raise ValidationError(
            f"{argument}: expected an id such as '7a3f2b8c-1234-4c50-8888-8dd25736052a', got {_shown(value)}; "
            f"{WHERE_IDS_ARE[argument]}"
        )
    return checked


def usable_id(argument: str, value: str) -> str:
    """Return an id of the server's if it passes `identifier`. It is not shown: it may quote what the server was sent."""
    if not _ID.fullmatch(value):
        raise SandboxError(f"the server's answer cannot be understood: it has a {argument} that is no id")
    return value


def template_name(value: object) -> str:
    """Return `value` if the platform can take it as a template's name."""
    checked = text("name", value)
    if not _NAME.fullmatch(checked) or len(checked) > _NAME_LENGTH:
        raise ValidationError(
            f"name: expected 1 to {_NAME_LENGTH} lower-case letters, digits and . _ / - that start and end with a "
            f"letter or digit, got {_shown(value)}"
        )
    return checked


def base_image(value: object) -> str:
    """Return `value` if it can be an image reference: spaces would only be noticed when the build runs."""
    checked = text("from_", value)
    if any(character.isspace() for character in checked):
        raise ValidationError(f"from_: an image reference has no spaces, got {_shown(value)}")
    return checked


def text(argument: str, value: object, *, may_be_empty: bool = False) -> str:
    """Return `value` if it is a string that survives the way to the server unchanged."""
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


def optional_text(argument: str, value: object, *, may_be_empty: bool = False) -> str | None:
    """Return `value` if it is None or passes `text`."""
    return None if value is None else text(argument, value, may_be_empty=may_be_empty)


def count(argument: str, value: object) -> int:
    """Return `value` if it is a 32-bit integer of at least 1; closer bounds are the server's to know."""
    try:
        # Those of NumPy are integers, too.
        number = operator.index(value)  # type: ignore[arg-type]  # refused if it isn't one
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValidationError(f"{argument}: expected an integer, got {_kind(value)}")
    if not 1 <= number <= _MOST:
        raise ValidationError(f"{argument}: expected an integer from 1 to {_MOST}, got {_shown(value)}")
    return number


def optional_count(argument: str, value: object) -> int | None:
    """Return `value` if it is None or passes `count`."""
    return None if value is None else count(argument, value)


def seconds(argument: str, value: object) -> float:
    """Return `value` as a float if it is a number of seconds above zero that a clock can count."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{argument}: expected a number of seconds, got {_kind(value)}")
    if not 0 < value <= _MOST_SECONDS:
        raise ValidationError(
            f"{argument}: expected seconds above 0 and up to {_MOST_SECONDS:.0f}, got {_shown(value)}"
        )
    return float(value)


def optional_seconds(argument: str, value: object) -> float | None:
    """Return `value` if it is None or passes `seconds`."""
    return None if value is None else seconds(argument, value)


def flag(argument: str, value: object) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise ValidationError(f"{argument}: expected True or False, got {_kind(value)}")
    return value


def function(argument: str, value: Callable[..., object]) -> None:
    """Refuse what cannot be called, and what would do nothing when it is: functions that yield."""
    if not callable(value):
        raise ValidationError(f"{argument}: expected a function of one log event, got {_kind(value)}")
    if _is_one_of((inspect.isgeneratorfunction, inspect.isasyncgenfunction), value):
        raise ValidationError(f"{argument}: is a generator function, which does nothing when it is called")


def plain_function(argument: str, value: Callable[..., object]) -> None:
    """Refuse what cannot be called, and coroutine functions, which would never be awaited."""
    function(argument, value)
    if _is_one_of((inspect.iscoroutinefunction,), value):
        raise ValidationError(
            f"{argument}: is a coroutine function; use AsyncTemplate, or pass a plain function"
        )


def _is_one_of(kinds: tuple[Callable[[object], bool], ...], value: Callable[..., object]) -> bool:
    # An object with `async def __call__` is a coroutine function too.
    forms = (value, getattr(value, "__call__", None))  # noqa: B004
    return any(is_kind(form) for is_kind in kinds for form in forms)


def steps(value: Sequence[BuildStep]) -> list[TypedStep]:
    """Return the steps, plain dicts made into typed ones; a refusal names the step's index, counted from 0."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise ValidationError(f"steps: expected a list of steps, got {_kind(value)}")
    return [_step(f"steps[{index}]", step) for index, step in enumerate(value)]


def _step(place: str, step: object) -> TypedStep:
    match step:
        case Mapping():
            key = _only_key(place, step)
            return _STEP_MAKERS[key](f"{place}.{key}", step[key])
        case RunStep():
            return _run_step(f"{place}.run", step.run)
        case EnvStep():
            return _env_step(f"{place}.env", step.env)
        case WorkdirStep():
            return _workdir_step(f"{place}.workdir", step.workdir)
        case UserStep():
            return _user_step(f"{place}.user", step.user)
    raise ValidationError(
        f"{place}: expected a RunStep, EnvStep, WorkdirStep, UserStep or a dict such as {{'run': 'make'}}, "
        f"got {_kind(step)}"
    )


def _only_key(place: str, step: Mapping[str, object]) -> str:
    expected = ", ".join(_STEP_MAKERS)
    unknown = [key for key in step if key not in _STEP_MAKERS]
    if unknown:
        raise ValidationError(
            f"{place}: unknown key {_shown(unknown[0])}; expected exactly one of {expected}"
        )
    if len(step) != 1:
        got = " and ".join(step) or "none"
        raise ValidationError(f"{place}: expected exactly one of {expected}, got {got}")
    return next(iter(step))


def _run_step(place: str, value: object) -> RunStep:
    return RunStep(text(place, value))


def _workdir_step(place: str, value: object) -> WorkdirStep:
    return WorkdirStep(text(place, value))


def _env_step(place: str, value: object) -> EnvStep:
    if isinstance(value, EnvStepValue):
        value = {"key": value.key, "value": value.value}
    fields = _fields(place, value, required=("key", "value"), example='{"key": "DEBUG", "value": "1"}')
    key, content = fields["key"], fields["value"]
    checked = text(f"{place}.key", key)
    if "=" in checked or any(character.isspace() for character in checked):
        # Not shown: who writes "TOKEN=..." here has put the secret into the key.
        raise ValidationError(
            f"{place}.key: must not contain '=' or spaces; the value goes into {place}.value"
        )
    return EnvStep(EnvStepValue(checked, text(f"{place}.value", content, may_be_empty=True)))


def _user_step(place: str, value: object) -> UserStep:
    if isinstance(value, UserStepValue):
        value = {"name": value.name, "sudo": value.sudo}
    fields = _fields(
        place, value, required=("name",), optional=("sudo",), example='{"name": "app", "sudo": True}'
    )
    name, sudo = fields["name"], fields.get("sudo", False)
    checked = text(f"{place}.name", name)
    if not _USER_NAME.fullmatch(checked):
        raise ValidationError(
            f"{place}.name: expected at most 31 of a-z, 0-9, _ and - that start with a letter or _, got {_shown(name)}"
        )
    return UserStep(UserStepValue(checked, flag(f"{place}.sudo", sudo)))


_STEP_MAKERS: dict[str, Callable[[str, object], TypedStep]] = {
    "run": _run_step,
    "env": _env_step,
    "workdir": _workdir_step,
    "user": _user_step,
}


def _fields(
    place: str, value: object, *, required: tuple[str, ...], optional: tuple[str, ...] = (), example: str
) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValidationError(f"{place}: expected a dict such as {example}, got {_kind(value)}")
    for key in value:
        if key not in (*required, *optional):
            raise ValidationError(f"{place}: unknown key {_shown(key)}; expected a dict such as {example}")
    for key in required:
        if key not in value:
            raise ValidationError(f"{place}: {key!r} is missing; expected a dict such as {example}")
    return value


def _kind(value: object) -> str:
    """Return what a value of the wrong type is; the value itself may hold a secret."""
    return "None" if value is None else type(value).__name__


def _shown(value: object) -> str:
    """Return a value of the right type."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__ of the caller's must not hide the refusal
        return type(value).__name__
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
