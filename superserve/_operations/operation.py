"""An operation: everything about it except its generated function."""

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs
from superserve_api.types import Unset

from superserve._http.policy import Options
from superserve.errors import SandboxError

T = TypeVar("T")
V = TypeVar("V")
R_contra = TypeVar("R_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)


class UnreadableError(ValueError):
    """An answer that matches the contract but is unusable. The text says why."""


@attrs.frozen
class Operation(Generic[R_contra, T_co]):
    """One operation on one object.

    Attributes:
        action: The operation and its object in words, for error messages.
        read: Converts the generated answer into our value.
        read_empty: Returns the value for an answer that has no body by contract; None if it must have one.
        if_lost: Hint of an error after which it is not known whether the server acted.
        if_refused: Hint of a refusal as invalid (400).
        if_conflict: Hint of a refusal for the object's state (409).
        is_repeatable: Whether it may be sent again when its answer is lost.
        retries_conflict: Whether to repeat it after a 409 that will pass, because this side has just changed the object.
        extra_time_s: Seconds to add to the client's timeout.
        options: The options of this call, if they differ from the client's.
        explain: Returns a better error for a refused or lost request.
    """

    action: str
    read: Callable[[R_contra], T_co]
    read_empty: Callable[[], T_co] | None = None
    if_lost: str = ""
    if_refused: str = ""
    if_conflict: str = ""
    is_repeatable: bool = True
    retries_conflict: bool = False
    extra_time_s: float = 0.0
    options: Options | None = None
    explain: Callable[[SandboxError], SandboxError] | None = None

    def within(self, options: Options) -> "Operation[R_contra, T_co]":
        """Return the same operation with other options."""
        return attrs.evolve(self, options=options)


def read_nothing(_answer: object = None) -> None:
    """Convert an answer that has no body."""


def read_identifier(field: str, value: str) -> str:
    """Return an id from an answer, if it is not empty."""
    if not value:
        raise UnreadableError(f"field {field!r} is empty")
    return value


def none_if_unset(value: V | Unset) -> V | None:
    """Return the value of an optional field, None if it is missing."""
    return None if isinstance(value, Unset) else value
