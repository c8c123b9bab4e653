"""Tasks that may never end by themselves, so that a stopping server can end them."""

import asyncio


class Streams:
    """The tasks of open log streams, and of requests that a fault holds."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, task: asyncio.Task[None]) -> None:
        """Keep a task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reset(self) -> None:
        """End every task. A log stream breaks off for its reader, without a last chunk."""
        for task in self._tasks:
            task.cancel()
