"""The behaviour of sandboxes where the real service varies: `server.sandboxes.behave(...)`."""

from typing import NamedTuple, Self

from superserve.local._app import arguments
from superserve.local._machines.sandboxes.agent import MOST_PROCESSES

_MIB = 1 << 20


class Behaviour(NamedTuple):
    """The default behaviour, which a test can change. Seconds are those of the server's clock."""

    starting_s: float = 0.0
    """Seconds for which a sandbox's row is `starting` after its creation was answered. Commands already run."""
    resuming_s: float = 0.0
    """Seconds for which the row is `resuming` after resume and activate were answered."""
    pausing_s: float | None = None
    """Seconds of a pause that is answered at once, with 202; None pauses before the answer, with 204."""
    stale_s: float = 0.0
    """Seconds for which commands still reach a sandbox's machine after it was paused: 502."""
    is_full: bool = False
    """Whether the disk is full for files."""
    disk_bytes: int | None = None
    """How much a sandbox's files may take; None for what its template has, `disk_mib`."""
    processes: int = MOST_PROCESSES
    """How many processes may run in a sandbox that is started from now on; at more than that, all are killed."""
    has_old_texts: bool = False
    """Whether the edge reports a missing or paused sandbox as text, as it did in May 2026."""
    gives_hints: bool = False
    """Whether answers have a routing hint."""
    hint_s: float = 3600.0
    """Seconds from an answer to the expiry in its routing hint; 0 for a hint that has already expired."""
    idle_s: float | None = None
    """Seconds without a byte of an answer after which the load balancer answers 504. The command goes on. None for never."""
    output_bytes: int = 8 * _MIB
    """The most output that POST /exec keeps, as JSON text."""
    upload_bytes: int = 4096 * _MIB
    """The largest file that is accepted."""
    zip_entries: int = 100_000
    """The most files and folders in a zip archive. The rest is left out silently."""
    zip_bytes: int = 2048 * _MIB
    """The size at which a zip archive is cut."""
    listed: int = 10_000
    """The most names in a listing."""
    connections: int | None = 200
    """The most requests at once to one sandbox; None for no limit, as with `limits=False`."""
    address_connections: int | None = 100
    """The most requests at once from one address, to all sandboxes."""

    def but(self, **changes: object) -> Self:
        """Return a copy with some changes; TypeError or ValueError for invalid ones."""
        for name, value in changes.items():
            if name not in self._fields:
                raise TypeError(f"there is no {name!r}: choose from {', '.join(self._fields)}")
            _check(name, value, self._field_defaults[name])
        return self._replace(**changes)  # type: ignore[arg-type]  # checked above


_MAY_BE_NONE = {"disk_bytes", "pausing_s", "idle_s", "connections", "address_connections"}


def _check(name: str, value: object, default: object) -> None:
    if value is None and name in _MAY_BE_NONE:
        return
    if isinstance(default, bool):
        arguments.check_flag(name, value)  # type: ignore[arg-type]  # the function checks the type
    elif name.endswith("_s"):
        arguments.check_seconds(name, value)  # type: ignore[arg-type]
    else:
        arguments.check_whole(name, value, 0)  # type: ignore[arg-type]
