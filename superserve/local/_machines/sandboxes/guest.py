"""The machine of one sandbox, seen from the server: its folder, its agent, and its commands."""

import asyncio
import contextlib
import functools
import itertools
import json
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from superserve.local._machines.sandboxes.agent import MESSAGE_BYTES, MOST_PROCESSES
from superserve.local._machines.sandboxes.disk import Disk
from superserve.local._machines.sandboxes.spaces import Space, start_agent
from superserve.local._machines.scratch import Scratch

PIECE_BYTES = 32 * 1024
# The most pieces to hold for a slow client. Then the command has to wait.
_HELD_PIECES = 8
_STOP_LIMIT_S = 5.0
# How long to read the pipes of a killed command that another process keeps open, in seconds.
_PIPES_LIMIT_S = 1.0
# How long to wait before writing to the full socket of the agent again, in seconds.
_FULL_S = 0.001

Output = tuple[str, bytes]
Deliver = Callable[[str, bytes], Awaitable[None]]


class Refused(Exception):  # noqa: N818 - an answer of the sandbox, not a fault of the server
    """A command could not be started. The text says why; `is_missing` is set if there is no such program."""

    def __init__(self, text: str, *, is_missing: bool = False) -> None:
        super().__init__(text)
        self.is_missing = is_missing


class Lost(Exception):  # noqa: N818 - as above
    """The machine was gone, or paused, during an operation."""


@attrs.define(eq=False)
class Command:
    """A running command in a sandbox.

    Attributes:
        output: Pieces of its output, in the order in which they came. None is the end of both streams.
        ended: The exit code of the process, negative for a signal; Lost if the machine is gone.
        stdin: The pipe for its input; None without one.
        notice: What the server itself adds at the end of its output.
    """

    number: int
    output: "asyncio.Queue[Output | None]"
    ended: "asyncio.Future[int]"
    stdin: int | None
    _guest: "Guest" = attrs.field(repr=False)
    readers: "list[asyncio.Task[None]]" = attrs.field(factory=list, repr=False)
    is_lost: bool = False
    notice: str = ""

    def signal(self, number: int) -> None:
        """Send a signal to its whole process group."""
        self._guest.tell(do="signal", command=self.number, number=number)

    async def write(self, data: bytes) -> None:
        """Write to its input. Returns when the command has read all of it, or has ended."""
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        while view and self.stdin is not None:
            try:
                view = view[os.write(self.stdin, view) :]
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(self.stdin, _resolve, writable)
                try:
                    await asyncio.wait([writable, self.ended], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if self.stdin is not None:
                        loop.remove_writer(self.stdin)
                if self.ended.done():
                    return
            except BrokenPipeError:
                return

    def close_stdin(self) -> None:
        """End its input."""
        if self.stdin is not None:
            asyncio.get_running_loop().remove_writer(self.stdin)
            os.close(self.stdin)
            self.stdin = None

    async def finish(self, timeout_s: float | None, deliver: Deliver) -> int:
        """Pass on the output until both streams have ended, and return the exit code. Kill the group at the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                while (piece := await self.output.get()) is not None:
                    await deliver(*piece)
                code = await self.ended
        except TimeoutError:
            self.signal(signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PIPES_LIMIT_S):
                    while (piece := await self.output.get()) is not None:
                        await deliver(*piece)
            return _TIMED_OUT
        if self.is_lost:
            raise Lost
        return code if code >= 0 else _BY_SIGNAL - code

    async def kill(self) -> None:
        """Kill it and its group at once, and close its pipes."""
        if not self.is_lost:
            self.signal(signal.SIGKILL)
        await self.let_go()

    async def let_go(self) -> None:
        """Close its pipes. Processes that it left in the background go on."""
        self.close_stdin()
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)
        self._guest.commands.pop(self.number, None)
        self._guest.tell(do="forget", command=self.number)


_TIMED_OUT = 124
_BY_SIGNAL = 128


class Guest:
    """The machine of one sandbox. Its agent is started on first use.

    Args:
        space: Where it lives.
        scratch: Its files.
        disk_bytes: Tells how many bytes these may take.
        processes: How many processes may run in it.
    """

    def __init__(
        self, space: Space, scratch: Scratch, disk_bytes: Callable[[], int], processes: int = MOST_PROCESSES
    ) -> None:
        self.space = space
        self.scratch = scratch
        self.disk = Disk(str(scratch.root), disk_bytes)
        self._processes = processes
        self.commands: dict[int, Command] = {}
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[tuple[dict[str, object], list[int]]]] = {}
        self._agent: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._is_stopped = False
        self._watching: asyncio.Task[None] | None = None

    def path(self, inside: str) -> str:
        """Return the agent's path for an absolute path of the sandbox."""
        return self.space.root(self.scratch) + inside

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return a command without a shell as the agent needs it."""
        return [self.space.argument(self.scratch, word) for word in words]

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        executable: str | None,
        env: Mapping[str, str],
        cwd: str,
        has_stdin: bool,
    ) -> Command:
        """Start a command; raises Refused if it cannot be started, and Lost if the machine is gone."""
        loop = asyncio.get_running_loop()
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        stdin, own_stdin = (
            os.pipe2(os.O_CLOEXEC) if has_stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), None)
        )
        theirs = [stdin, pipes[0][1], pipes[1][1]]
        number = next(self._numbers)
        try:
            ended: asyncio.Future[int] = loop.create_future()
            command = Command(number, asyncio.Queue(_HELD_PIECES), ended, own_stdin, self)
            self.commands[number] = command
            answer, _ = await self._ask(
                theirs, number, do="spawn", argv=list(argv), executable=executable, env=dict(env), cwd=cwd
            )
            _check_started(answer)
        except BaseException:
            if self.commands.pop(number, None) is not None:
                # The caller may have left before the answer.
                self.tell(do="signal", command=number, number=signal.SIGKILL)
                self.tell(do="forget", command=number)
            for reading, _ in pipes:
                os.close(reading)
            if own_stdin is not None:
                os.close(own_stdin)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        if own_stdin is not None:
            os.set_blocking(own_stdin, False)
        left = [2]
        for stream, (reading, _) in zip(("stdout", "stderr"), pipes, strict=True):
            command.readers.append(loop.create_task(_read(reading, stream, command, left)))
        self.disk.expect_growth()
        return command

    async def launch(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str) -> None:
        """Start a command that goes on by itself, and whose output nobody reads; raises Refused or Lost."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        number = next(self._numbers)
        try:
            answer, _ = await self._ask(
                [nothing] * 3, number, do="spawn", argv=list(argv), env=dict(env), cwd=cwd
            )
        finally:
            os.close(nothing)
        _check_started(answer)
        self.tell(do="forget", command=number)

    async def open(self, path: str, flags: int, *, parents: bool = False, denied: Sequence[str] = ()) -> int:
        """Open a file as the sandbox sees it, and return its descriptor; raises OSError.

        Args:
            path: The absolute path inside the sandbox.
            flags: The flags of os.open.
            parents: Whether to create missing folders on the way.
            denied: Paths that must not be opened, nor anything below them, also through links: PermissionError.

        """
        denied = [self.path(each) for each in denied]
        answer, descriptors = await self._ask(
            [], None, do="open", path=self.path(path), flags=flags, parents=parents, denied=denied
        )
        return _take(answer, descriptors)

    async def remove(self, path: str) -> None:
        """Remove a file; raises OSError."""
        answer, _ = await self._ask([], None, do="remove", path=self.path(path))
        _check(answer)

    async def dial(self, port: int) -> socket.socket:
        """Return a connection to a port inside; raises OSError if nothing listens on it."""
        answer, descriptors = await self._ask([], None, do="dial", port=port)
        return socket.socket(fileno=_take(answer, descriptors))

    async def freeze(self) -> None:
        """Stop all processes, and drop the commands with a connected client."""
        if self._sock is not None:
            await self._ask([], None, do="freeze", lost=list(self.commands))
        for command in self.commands.values():
            command.is_lost = True
            _end(command)

    async def thaw(self) -> None:
        """Resume the processes, except those commands."""
        if self._sock is not None:
            await self._ask([], None, do="thaw")

    async def stop(self) -> None:
        """End everything in it, and remove its folder."""
        self._is_stopped = True
        for command in list(self.commands.values()):
            command.is_lost = True
            _end(command)
            await command.kill()
        self._close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        agent, self._agent = self._agent, None
        await asyncio.to_thread(self._remove, agent)

    def tell(self, **message: object) -> None:
        """Send a message to the agent that needs no answer."""
        if self._sock is None:
            return
        try:
            self._sock.send(json.dumps(message).encode())
        except BlockingIOError:
            asyncio.get_running_loop().call_later(_FULL_S, functools.partial(self.tell, **message))
        except OSError:
            return

    def _remove(self, agent: "subprocess.Popen[bytes] | None") -> None:
        if agent is not None:
            try:
                agent.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()
            if agent.stderr is not None:
                agent.stderr.close()
        self.scratch.remove()

    async def _ask(
        self, descriptors: list[int], number: int | None, **message: object
    ) -> tuple[dict[str, object], list[int]]:
        if self._is_stopped:
            raise Lost
        sock = self._sock or self._start()
        number = next(self._numbers) if number is None else number
        data = json.dumps({"id": number, **message}).encode()
        if len(data) > MESSAGE_BYTES:
            raise Refused("argument list too long")
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            # The agent reads earlier messages almost at once, but does not confirm them.
            while not _send(sock, data, descriptors):  # noqa: ASYNC110
                await asyncio.sleep(_FULL_S)
            result: tuple[dict[str, object], list[int]] = await answer
        except OSError as error:
            raise Lost from error
        finally:
            del self._answers[number]
        return result

    def _start(self) -> socket.socket:
        self._agent, sock = start_agent(self.space.command(self.scratch))
        self._sock = sock
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, self._receive, sock)
        # One file alone cannot outgrow the disk, however fast it is written; many together are counted.
        self.tell(do="limit", file_bytes=self.disk.limit(), processes=self._processes)
        self._watching = loop.create_task(self._watch_disk())
        return sock

    async def _watch_disk(self) -> None:
        """End what runs when the disk is full: nothing else keeps it from writing."""
        while True:
            await self.disk.overflow()
            self._notice(f"more than {self.disk.limit() >> 20} MiB on its disk")
            self.tell(do="end")

    def _notice(self, problem: str) -> None:
        for command in self.commands.values():
            command.notice = (
                f"\n[superserve.local] the sandbox has {problem}: all that ran in it was killed\n"
            )

    def _receive(self, sock: socket.socket) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(sock, MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._close()
            return
        message = json.loads(data)
        if "over" in message:
            self._notice(message["over"])
            return
        if "ended" in message:
            command = self.commands.get(message["ended"])
            if command is not None and not command.ended.done():
                command.ended.set_result(message["code"])
            return
        answer = self._answers.get(message["answer"])
        if answer is None or answer.done():
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            answer.set_result((message, descriptors))

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Lost())
        for command in self.commands.values():
            command.is_lost = True
            _end(command)


async def _read(descriptor: int, stream: str, command: Command, left: list[int]) -> None:
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    try:
        while True:
            try:
                data = os.read(descriptor, PIECE_BYTES)
            except BlockingIOError:
                readable = loop.create_future()
                loop.add_reader(descriptor, _resolve, readable)
                try:
                    await readable
                finally:
                    loop.remove_reader(descriptor)
                continue
            if not data:
                break
            await command.output.put((stream, data))
        left[0] -= 1
        if not left[0]:
            # Why it has ended comes before the fact that it has.
            await asyncio.wait([command.ended])
            if command.notice:
                await command.output.put(("stderr", command.notice.encode()))
            await command.output.put(None)
    finally:
        os.close(descriptor)


def _end(command: Command) -> None:
    """Wake those who wait for a lost command."""
    if not command.ended.done():
        command.ended.set_result(-signal.SIGKILL)
    for reader in command.readers:
        reader.cancel()
    while not command.output.empty():
        command.output.get_nowait()
    command.output.put_nowait(None)


def _send(sock: socket.socket, data: bytes, descriptors: list[int]) -> bool:
    try:
        socket.send_fds(sock, [data], descriptors)
    except BlockingIOError:
        return False
    return True


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _check_started(answer: Mapping[str, object]) -> None:
    if "refused" in answer or "errno" in answer:
        text = str(answer.get("refused") or answer.get("text"))
        raise Refused(text, is_missing=bool(answer.get("is_missing")))


def _check(answer: Mapping[str, object]) -> None:
    if "errno" in answer:
        raise OSError(answer["errno"], str(answer["text"]))


def _take(answer: Mapping[str, object], descriptors: list[int]) -> int:
    _check(answer)
    [descriptor] = descriptors
    return descriptor
