"""The server's side of a build's agent process: it starts commands, waits for them, and ends them all."""

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence

import attrs

from superserve.local._machines.processes.isolation import read_agent_environment
from superserve.local._machines.processes.limits import Limits

# A read brings at most about a hundred events: the log's readers get a turn between two reads.
_READ_SIZE = 8 * 1024

# Seconds that the agent may take to end, in addition to its grace, before it is killed.
_STOP_MARGIN_S = 10.0

# The message of the guest's client after a deadline.
_DEADLINE = "exec stream: deadline_exceeded: context deadline exceeded"


@attrs.frozen
class Command:
    """A command line, with everything that its process gets from outside."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    cwd: str


@attrs.frozen
class Exit:
    """The end of a command: its exit code, -1 for a signal. `problem` says what else ended it, or why it did not start."""

    code: int
    problem: str | None = None

    @property
    def detail(self) -> str:
        """The text about it in a failed step's message."""
        return self.problem or f"exited with code {self.code}"


class Machine:
    """The processes of one build.

    It needs no thread and no child watcher: the event loop reads the agent's pipes, and their end is the agent's end.
    """

    def __init__(
        self,
        agent_command: Sequence[str],
        on_output: Callable[[str, str], None],
        limits: Limits,
        *,
        disk_mib: int,
    ) -> None:
        self._on_output = on_output
        self._stop_limit_s = limits.grace_s + _STOP_MARGIN_S
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._ends: dict[int, asyncio.Future[Exit]] = {}
        self._unsent = bytearray()
        self._received = bytearray()
        self._lost: str | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        settings = {
            "rlimits": limits.rlimits(disk_mib),
            "grace_s": limits.grace_s,
            "output_bytes": limits.output_bytes,
            "processes": limits.processes,
        }
        self._agent = subprocess.Popen(  # noqa: S603 - our own program
            [*agent_command, json.dumps(settings)],
            env=read_agent_environment(),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self._agent.stdin and self._agent.stdout and self._agent.stderr  # noqa: S101, PT018 - PIPE was asked for
        self._stdin, self._stdout, self._stderr = self._agent.stdin, self._agent.stdout, self._agent.stderr
        for pipe in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(self._stdout.fileno(), self._receive)

    async def boot(self, limit_s: float) -> str | None:
        """Wait until commands can be run. Return None, or what is wrong."""
        await asyncio.wait([self._ready, self._gone], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done():
            return None
        return self._lost or "the process that runs the steps does not answer"

    async def run(self, command: Command, limit_s: float) -> Exit:
        """Run a command to its end, or to the limit. Then its process group is killed."""
        ended = self.launch(command)
        number = self._count
        done, _ = await asyncio.wait([ended], timeout=limit_s)
        result = ended.result() if done else Exit(-1, _DEADLINE)
        if result.problem:
            self._send(do="kill", number=number)
        return result

    def launch(self, command: Command) -> asyncio.Future[Exit]:
        """Start a command in the background. The future is cancelled if the build ends first."""
        self._count += 1
        ended: asyncio.Future[Exit] = self._loop.create_future()
        if self._lost:
            ended.set_result(Exit(-1, self._lost))
        else:
            self._ends[self._count] = ended
            self._send(do="start", number=self._count, **attrs.asdict(command))
        return ended

    async def stop(self) -> bool:
        """End every process of the build. Return whether the agent did it; a killed agent cannot."""
        for ended in self._ends.values():
            ended.cancel()
        self._ends.clear()
        self._send(do="stop")
        done, _ = await asyncio.wait([self._gone], timeout=self._stop_limit_s)
        if not done:
            self._agent.kill()
            await self._gone
        return self._agent.returncode == 0

    # -- The agent's pipes

    def _send(self, **command: object) -> None:
        if not self._gone.done():
            self._unsent += json.dumps(command).encode() + b"\n"
            self._flush()

    def _flush(self) -> None:
        try:
            del self._unsent[: os.write(self._stdin.fileno(), self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()  # The end of stdout will report it.
        if self._unsent:
            self._loop.add_writer(self._stdin.fileno(), self._flush)
        else:
            self._loop.remove_writer(self._stdin.fileno())

    def _receive(self) -> None:
        data = os.read(self._stdout.fileno(), _READ_SIZE)
        if not data:
            self._lose()
            return
        self._received += data
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            # A step may find a way to write here. That can only harm its own build.
            with contextlib.suppress(ValueError):
                self._handle(json.loads(line))

    def _handle(self, event: object) -> None:
        match event:
            case {"event": "output", "stream": str(stream), "text": str(text)}:
                self._on_output(stream, text)
            case {"event": "exit", "number": int(number), "code": int(code)}:
                self._end(number, Exit(code))
            case {"event": "refused", "number": int(number), "reason": str(reason)}:
                self._end(number, Exit(-1, f"start exec: {reason}"))
            case {"event": "limit", "number": int(number), "reason": str(reason)}:
                self._end(number, Exit(-1, f"exec stream: resource_exhausted: {reason}"))
            case {"event": "limit", "reason": str(reason)}:
                self._lost = f"exec stream: resource_exhausted: {reason}"
            case {"event": "ready"} if not self._ready.done():
                self._ready.set_result(None)
            case _:
                pass

    def _end(self, number: int, result: Exit) -> None:
        ended = self._ends.pop(number, None)
        if ended is not None:
            ended.set_result(result)

    def _lose(self) -> None:
        """Record that the agent is gone, and with it everything that it ran."""
        self._loop.remove_reader(self._stdout.fileno())
        self._loop.remove_writer(self._stdin.fileno())
        # The kernel closed stdout because the process has ended: waiting for it does not block.
        self._agent.wait()
        last_words = b""
        with contextlib.suppress(BlockingIOError):
            last_words = os.read(self._stderr.fileno(), _READ_SIZE)
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        reason = last_words.decode(errors="replace").strip() or "the process that ran the steps is gone"
        self._lost = self._lost or f"exec stream: unavailable: {reason}"
        self._gone.set_result(None)
        for number in tuple(self._ends):
            self._end(number, Exit(-1, self._lost))
