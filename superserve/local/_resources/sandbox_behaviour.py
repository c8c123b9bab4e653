"""How sandboxes behave where the real service can behave in more than one way: `server.sandboxes.behave(...)`."""

from typing import Self

import attrs

from superserve.local._app import arguments
from superserve.local._machines.sandboxes.agent import MOST_PROCESSES

_MIB = 1 << 20


@attrs.frozen
class Behaviour:
    """What is so by default, and what a test can have otherwise. Seconds are real ones, whatever the server's speed."""

    starting_s: float = 0.0
    """How long a sandbox's row says `starting` after its creation was answered; commands run already."""
    resuming_s: float = 0.0
    """How long the row says `resuming` after resume and activate were answered."""
    pausing_s: float | None = None
    """How long a pause takes that is answered at once, with 202; None pauses before the answer, with 204."""
    stale_s: float = 0.0
    """How long commands still go to a sandbox's machine after it was paused: 502."""
    is_full: bool = False
    """Whether files find no space left."""
    disk_bytes: int | None = None
    """How much a sandbox's files may take; None for what its template has, `disk_mib`."""
    processes: int = MOST_PROCESSES
    """How many processes may run in a sandbox that is started from now on; at more than that, all are killed."""
    has_old_texts: bool = False
    """Whether the edge says that a sandbox is gone or paused as text, as it did in May 2026."""
    gives_hints: bool = False
    """Whether answers have a routing hint."""
    idle_s: float | None = None
    """After so long without a byte of an answer the load balancer answers 504; what runs goes on. None for never."""
    output_bytes: int = 8 * _MIB
    """How much output POST /exec keeps, as JSON text."""
    upload_bytes: int = 4096 * _MIB
    """The largest file that is taken."""
    zip_entries: int = 100_000
    """How many files and folders a zip holds at most; the rest is left out without a word."""
    zip_bytes: int = 2048 * _MIB
    """How large a zip gets before the rest is left out."""
    listed: int = 10_000
    """How many names a listing has at most."""
    connections: int | None = 200
    """How many requests to one sandbox are served at a time; None for no end, as with `limits=False`."""
    address_connections: int | None = 100
    """How many from one address, to all sandboxes."""

    def but(self, **changes: object) -> Self:
        """Return this with some changes; TypeError or ValueError for what makes no sense."""
        for name, value in changes.items():
            if name not in _NAMES:
                raise TypeError(f"there is no {name!r}: choose from {', '.join(_NAMES)}")
            _check(name, value, getattr(type(self)(), name))
        return attrs.evolve(self, **changes)  # type: ignore[arg-type]  # checked above


_NAMES = tuple(field.name for field in attrs.fields(Behaviour))
_MAY_BE_NONE = {"disk_bytes", "pausing_s", "idle_s", "connections", "address_connections"}


def _check(name: str, value: object, default: object) -> None:
    if value is None and name in _MAY_BE_NONE:
        return
    if isinstance(default, bool):
        arguments.check_flag(name, value)  # type: ignore[arg-type]  # that is what it checks
    elif name.endswith("_s"):
        arguments.check_seconds(name, value)  # type: ignore[arg-type]
    else:
        arguments.check_whole(name, value, 0)  # type: ignore[arg-type]
