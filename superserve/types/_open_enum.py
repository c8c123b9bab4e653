"""String enums whose values a newer server may extend."""

from enum import StrEnum
from typing import Self


class OpenStrEnum(StrEnum):
    """A string enum that accepts unknown values: a newer server must not break an older client.

    Each subclass has the member `_A_NEWER_VALUE`, for type checkers only: a `match` over the other members is not exhaustive.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not added to the class: unknown values must not accumulate in this process.
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member
