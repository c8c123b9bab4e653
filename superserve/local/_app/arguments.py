"""Checks of arguments: each returns the value, or raises an error that says what is wrong."""

import math
from typing import TypeVar

T = TypeVar("T")


def check_whole(name: str, value: int, lowest: int, highest: int | None = None) -> int:
    """Return a whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < lowest or (highest is not None and value > highest):
        bounds = f"at least {lowest}" if highest is None else f"{lowest}-{highest}"
        raise ValueError(f"{name} must be {bounds}, not {value}")
    return value


def check_seconds(name: str, value: float) -> float:
    """Return a time in seconds."""
    number = _check_number(name, value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be 0 or more seconds, not {value!r}")
    return number


def check_positive(name: str, value: float, highest: float = math.inf) -> float:
    """Return a finite number above 0, and not above `highest`."""
    number = _check_number(name, value)
    if not 0 < number <= highest or number == math.inf:
        bound = "" if highest == math.inf else f" and at most {highest}"
        raise ValueError(f"{name} must be more than 0{bound}, not {value!r}")
    return number


def check_flag(name: str, value: bool) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")
    return value


def check_text(name: str, value: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {value!r}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def check_key(name: str, value: str) -> str:
    """Return an API key that a client can send. The error does not show it: it is a secret."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text")
    if not value.strip():
        raise ValueError(f"{name} must not be empty")
    if not all("!" <= character <= "~" for character in value):
        raise ValueError(f"{name} must be printable ASCII characters without spaces")
    return value


def check_one_of(name: str, value: T, choices: tuple[T, ...]) -> T:
    """Return one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
    return value


def _check_number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    return value


def check_choice(name: str, value: str, *choices: str) -> str:
    """Return one of some words."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return value
