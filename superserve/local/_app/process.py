"""The process that a server runs in."""

import os


class Process:
    """Tells a process that was forked from the server's: it has a copy of everything, and no thread that serves."""

    def __init__(self) -> None:
        self._pid: int | None = None

    def begin(self) -> None:
        """Take note that the server runs, in this process."""
        self._pid = os.getpid()

    def end(self) -> None:
        """Take note that the server was stopped: what is left of it can be read anywhere."""
        self._pid = None

    @property
    def is_forked(self) -> bool:
        """Whether the server runs in a process that this one was forked from."""
        return self._pid not in (None, os.getpid())

    def check(self) -> None:
        """Raise RuntimeError in a forked process: it would wait for an answer, or change a copy, in vain."""
        if self.is_forked:
            raise RuntimeError(
                f"this server runs in process {self._pid}, which this process ({os.getpid()}) was forked from: what is "
                "not a request to its base_url has to be done there"
            )
