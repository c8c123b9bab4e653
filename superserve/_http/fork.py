"""Starting over in a forked process."""

import os
import weakref
from typing import Final, Protocol


class Beginner(Protocol):
    """An object whose state a forked process must not share with its parent."""

    def begin(self) -> object:
        """Start over, and return the old state."""


def begin_after_fork(beginner: Beginner) -> None:
    """Make an object start over in each forked process, for as long as the object lives."""
    _beginners.add(beginner)


def _begin_all() -> None:
    # Keep the parent's connections: closing them would wait for locks of its threads and end its TLS sessions.
    _inherited.extend(beginner.begin() for beginner in _beginners)


_beginners: Final[weakref.WeakSet[Beginner]] = weakref.WeakSet()
_inherited: Final[list[object]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)
