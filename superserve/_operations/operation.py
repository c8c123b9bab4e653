"""What there is to know of an operation beyond its generated function."""

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
    """An answer that fits the contract and still says nothing that can be used; the text tells what."""


@attrs.frozen
class Operation(Generic[R_contra, T_co]):
    """One operation on one object.

    Attributes:
        action: What it does and to which object, for error messages.
        read: Turns the generated answer into our value.
        read_empty: Gives the value where the answer has no body, by contract; None where it has one.
        if_lost: What to add to an error after which it is unknown whether the server acted.
        if_refused: What to add when the server says that the request makes no sense (400).
        if_conflict: What to add when the server says that the object's state does not allow it (409).
        is_repeatable: Whether it may be sent again when its answer is lost.
        bears_conflict: Whether a refusal for the object's state (409) passes by itself where this side has just changed it.
        extra_time_s: Seconds granted on top of the client's timeout.
        options: What this one call may take, where that is not what the client says.
        explain: Gives the error to raise for a refused or lost request, where that says less than is known.
    """

    action: str
    read: Callable[[R_contra], T_co]
    read_empty: Callable[[], T_co] | None = None
    if_lost: str = ""
    if_refused: str = ""
    if_conflict: str = ""
    is_repeatable: bool = True
    bears_conflict: bool = False
    extra_time_s: float = 0.0
    options: Options | None = None
    explain: Callable[[SandboxError], SandboxError] | None = None

    def within(self, options: Options) -> "Operation[R_contra, T_co]":
        """Return the same operation for a call that may take so much."""
        return attrs.evolve(self, options=options)


def read_nothing(_answer: object = None) -> None:
    """Read an answer that has no body."""


def read_identifier(field: str, value: str) -> str:
    """Return an id of the server's, which has to say something."""
    if not value:
        raise UnreadableError(f"field {field!r} is empty")
    return value


def none_if_unset(value: V | Unset) -> V | None:
    """Return an optional field's value as people know it."""
    return None if isinstance(value, Unset) else value
