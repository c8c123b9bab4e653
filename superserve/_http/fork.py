"""What begins anew in a forked process."""

import os
import weakref
from typing import Final, Protocol


class Beginner(Protocol):
    """Holds what a forked process must not share with its parent."""

    def begin(self) -> object:
        """Begin anew, and return what was there."""


def begin_after_fork(beginner: Beginner) -> None:
    """Have an object begin anew in each forked process, as long as it lives."""
    _beginners.add(beginner)


def _begin_all() -> None:
    # Kept: to close the parent's connections would wait for locks of its threads, and end its TLS sessions.
    _inherited.extend(beginner.begin() for beginner in _beginners)


_beginners: Final[weakref.WeakSet[Beginner]] = weakref.WeakSet()
_inherited: Final[list[object]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)
