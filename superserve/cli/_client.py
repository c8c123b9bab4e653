"""The client of a command, and telling ids from names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from superserve import Superserve

_AN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@contextmanager
def connected() -> "Iterator[Superserve]":
    """Yield a client with the environment's settings."""
    from superserve import Superserve

    with Superserve() as client:
        yield client


def is_id(text: str) -> bool:
    """Whether a text is an id, not a name."""
    return _AN_ID.fullmatch(text) is not None
