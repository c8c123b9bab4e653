"""Commands with a scripted result: nothing runs for them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from superserve.local._app import arguments
from superserve.local._app.clock import Clock
from superserve.local._app.process import Process

_TIMED_OUT = 124
_BY_SIGNAL = 128


class Script(NamedTuple):
    """The scripted result of a command."""

    pattern: str
    stdout: bytes
    stderr: bytes
    exit_code: int
    after_s: float


class Playing:
    """A command with a scripted result, in place of a running one."""

    def __init__(self, script: Script, clock: Clock) -> None:
        self._script = script
        self._clock = clock
        self._signalled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def finish(self, timeout_s: float | None, deliver: Callable[[str, bytes], Awaitable[None]]) -> int:
        """Play the script, and return the exit code."""
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
        """Accept input, and ignore it."""

    def close_stdin(self) -> None:
        """Do nothing."""

    async def let_go(self) -> None:
        """Do nothing: there are no pipes."""

    async def kill(self) -> None:
        """Do nothing: no process runs."""


class Commands:
    """Scripted results for commands, which then don't run: `server.commands`. It can be used from any thread.

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
        """Select commands by the whole line, or by a pattern (`*` matches any text, and `?` any character).

        The words of a command without a shell are joined by spaces.
        """
        if not isinstance(pattern, str):
            raise TypeError(f"commands are named by a text such as 'pytest*', not {pattern!r}")
        return Scripting(self, pattern)

    def clear(self) -> None:
        """Remove all scripts: all commands run again."""
        self._process.check()
        with self._lock:
            self._scripts.clear()

    def add(self, script: Script) -> None:
        """Add a script. The newest matching one is used."""
        self._process.check()
        with self._lock:
            self._scripts.insert(0, script)

    def find(self, line: str) -> Script | None:
        """Return the script for a command; None if it runs."""
        with self._lock:
            return next((script for script in self._scripts if fnmatchcase(line, script.pattern)), None)


class Scripting:
    """Some commands, to be given a result."""

    def __init__(self, commands: Commands, pattern: str) -> None:
        self._commands = commands
        self._pattern = pattern

    def answer(
        self, *, stdout: str | bytes = "", stderr: str | bytes = "", exit_code: int = 0, after_s: float = 0.0
    ) -> None:
        """Make them print this, and exit.

        Args:
            stdout: Their output on stdout.
            stderr: Their output on stderr.
            exit_code: Their exit code, 0 to 255. Default 0.
            after_s: Seconds of the server's clock that they take. Default 0.

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
