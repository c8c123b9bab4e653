"""The last commands in sandboxes, for the status page."""

import itertools
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime

import attrs

from superserve.local._app.clock import format_time_exactly
from superserve.local._resources.exec_output import decode

_KEPT_COMMANDS = 20
_KEPT_SANDBOXES = 100
# The number of bytes to keep, from the end of each output.
_KEPT_BYTES = 4096

Deliver = Callable[[str, bytes], Awaitable[None]]


@attrs.define(eq=False)
class Ran:
    """A command that was started, and its state."""

    number: int
    command: str
    started_at: datetime
    exit_code: int | None = None
    is_over: bool = False
    output: bytes = b""

    def tap(self, deliver: Deliver) -> Deliver:
        """Return a function that passes output on, and keeps the end of it."""

        async def take(stream: str, data: bytes) -> None:
            self.output = (self.output + data)[-_KEPT_BYTES:]
            await deliver(stream, data)

        return take

    async def watch(self, finishing: Coroutine[object, object, int]) -> int:
        """Wait for the command's end, and record it."""
        try:
            self.exit_code = await finishing
            return self.exit_code
        finally:
            self.is_over = True

    def describe(self) -> dict[str, object]:
        """Return it in the form of the status page."""
        return {
            "id": str(self.number),
            "command": self.command,
            "started_at": format_time_exactly(self.started_at),
            "exit_code": self.exit_code,
            "is_over": self.is_over,
            "output": decode(self.output),
        }


class History:
    """The last commands of the last sandboxes."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._of: OrderedDict[str, deque[Ran]] = OrderedDict()

    def begin(self, sandbox_id: str, command: str) -> Ran:
        """Add a command that has started."""
        ran = Ran(next(self._numbers), command, datetime.now(UTC))
        self._of.setdefault(sandbox_id, deque(maxlen=_KEPT_COMMANDS)).appendleft(ran)
        self._of.move_to_end(sandbox_id)
        while len(self._of) > _KEPT_SANDBOXES:
            self._of.popitem(last=False)
        return ran

    def of(self, sandbox_id: str) -> list[Ran]:
        """Return the commands of a sandbox, newest first."""
        return list(self._of.get(sandbox_id, ()))

    def clear(self) -> None:
        """Forget all."""
        self._of.clear()
