"""The process of a server."""

import os


class Process:
    """Distinguishes a forked process: it has a copy of the server's objects, but no thread that serves."""

    def __init__(self) -> None:
        self._pid: int | None = None

    def begin(self) -> None:
        """Record that the server runs in this process."""
        self._pid = os.getpid()

    def end(self) -> None:
        """Record that the server was stopped: from now on its objects can be read in any process."""
        self._pid = None

    @property
    def is_forked(self) -> bool:
        """Whether the server runs in a process that this one was forked from."""
        return self._pid not in (None, os.getpid())

    def check(self) -> None:
        """Raise RuntimeError in a forked process. It would wait for an answer that never comes, or change a copy."""
        if self.is_forked:
            raise RuntimeError(
                f"this server runs in process {self._pid}, which this process ({os.getpid()}) was forked from: only requests "
                "to its base_url work here; do anything else in that process"
            )
