"""Commands whose outcome a test has written down: nothing runs for them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase

import attrs

from superserve.local._app import arguments
from superserve.local._app.clock import Clock
from superserve.local._app.process import Process

_TIMED_OUT = 124
_BY_SIGNAL = 128


@attrs.frozen
class Script:
    """What a command does."""

    pattern: str
    stdout: bytes
    stderr: bytes
    exit_code: int
    after_s: float


class Playing:
    """A command that does as told, in place of one that runs."""

    def __init__(self, script: Script, clock: Clock) -> None:
        self._script = script
        self._clock = clock
        self._signalled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def finish(self, timeout_s: float | None, deliver: Callable[[str, bytes], Awaitable[None]]) -> int:
        """Do it, and return the exit code."""
        script = self._script
        try:
            async with asyncio.timeout(timeout_s), asyncio.timeout(self._clock.real(script.after_s)):
                return _BY_SIGNAL + await asyncio.shield(self._signalled)
        except TimeoutError:
            if timeout_s is not None and timeout_s < self._clock.real(script.after_s):
                return _TIMED_OUT
        for stream, data in (("stdout", script.stdout), ("stderr", script.stderr)):
            if data:
                await deliver(stream, data)
        return script.exit_code

    def signal(self, number: int) -> None:
        """End it as the signal would."""
        if not self._signalled.done():
            self._signalled.set_result(number)

    async def write(self, data: bytes) -> None:
        """Take input, and do nothing with it."""

    def close_stdin(self) -> None:
        """Do nothing either."""

    async def let_go(self) -> None:
        """Nothing is held."""

    async def kill(self) -> None:
        """Nothing runs."""


class Commands:
    """Commands that don't run, but do as told; obtained as `server.commands`, and from any thread.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     server.commands.on("pytest*").answer(stdout="1 failed", exit_code=1)

    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: list[Script] = []
        self._process = Process()
        self._process.begin()

    def on(self, pattern: str) -> "Scripting":
        """Name commands: by the whole line, or by what it looks like (`*` and `?` stand for any text and any character).

        The words of a command without a shell are joined by spaces.
        """
        if not isinstance(pattern, str):
            raise TypeError(f"commands are named by a text such as 'pytest*', not {pattern!r}")
        return Scripting(self, pattern)

    def clear(self) -> None:
        """Let all commands run again."""
        self._process.check()
        with self._lock:
            self._scripts.clear()

    def add(self, script: Script) -> None:
        """Add what a command does; the newest that fits counts."""
        self._process.check()
        with self._lock:
            self._scripts.insert(0, script)

    def find(self, line: str) -> Script | None:
        """Return what a command is to do, None if it runs."""
        with self._lock:
            return next((script for script in self._scripts if fnmatchcase(line, script.pattern)), None)


class Scripting:
    """Some commands, about to be told what to do."""

    def __init__(self, commands: Commands, pattern: str) -> None:
        self._commands = commands
        self._pattern = pattern

    def answer(
        self, *, stdout: str | bytes = "", stderr: str | bytes = "", exit_code: int = 0, after_s: float = 0.0
    ) -> None:
        """Let them print this and end.

        Args:
            stdout: What they print.
            stderr: What they print there.
            exit_code: What they end with, 0 to 255; 0 by default.
            after_s: Seconds of the server's clock that they take; none by default.

        """
        self._commands.add(
            Script(
                self._pattern,
                _encode(stdout),
                _encode(stderr),
                arguments.check_whole("exit_code", exit_code, 0, 255),
                arguments.check_seconds("after_s", after_s),
            )
        )


def _encode(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
