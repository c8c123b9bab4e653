"""Rows are values: attrs classes that the resources declare, and the store keeps in tables."""

from collections.abc import Callable
from typing import Any, ClassVar

import attrs


@attrs.frozen
class Row:
    """The base of all row classes: frozen attrs classes, whose first field is the key of their table.

    A field is a string, an integer, a boolean or a time of day, or has the metadata that `column` returns.
    """

    TABLE: ClassVar[str]
    """The name of the table in a state file."""


def column(
    *,
    references: str | None = None,
    write: Callable[[Any], str] | None = None,
    read: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """Return the metadata of a field with a special form in a state file.

    Args:
        references: The table whose keys it contains.
        write: Converts a value that is not None to text.
        read: Converts the text to the value; ValueError, TypeError or AttributeError if it is invalid.

    """
    return {"references": references, "write": write, "read": read}
