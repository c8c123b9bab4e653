"""Rows are values: attrs classes that resources declare, and that the store keeps in tables."""

from collections.abc import Callable
from typing import Any, ClassVar

import attrs


@attrs.frozen
class Row:
    """What every row class is: frozen attrs, with the key of its table as first field.

    Fields are strings, integers, booleans or times of day, or have the metadata that `column` returns.
    """

    TABLE: ClassVar[str]
    """The name of its table in a state file."""


def column(
    *,
    references: str | None = None,
    write: Callable[[Any], str] | None = None,
    read: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """Return the metadata of a field that a state file keeps in a special way.

    Args:
        references: The table whose keys it holds.
        write: Turns a value that isn't None into text.
        read: Turns the text into the value; ValueError, TypeError or AttributeError if it makes no sense.

    """
    return {"references": references, "write": write, "read": read}
