"""String enums that servers may add values to."""

from enum import StrEnum
from typing import Self


class OpenStrEnum(StrEnum):
    """A string enum that takes values it does not know: a newer server must not break an older client.

    Its subclasses have a member for type checkers alone, `_A_NEWER_VALUE`: a `match` over the others is not exhaustive.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not registered with the class: what servers invent must not pile up in this process.
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member
