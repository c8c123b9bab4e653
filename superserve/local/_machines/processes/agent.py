"""The program that runs the commands of one build: one process for each build, started by `machine.py`.

It reads commands from stdin and writes events to stdout, both as lines of JSON. When stdin ends, it ends every process
below itself before it exits. The server's death ends stdin too, so not even `kill -9` of the server leaves a step
running. On Linux it is the reaper of its descendants, so that it also finds a process with a session of its own;
elsewhere it can only reach the process groups of the commands.

Inside bwrap only the standard library is available: this file imports nothing else, and is run by its path.
"""

import codecs
import contextlib
import ctypes
import fcntl
import functools
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

_READ_SIZE = 32 * 1024
_CHECK_INTERVAL_S = 0.5
_KILL_LIMIT_S = 5.0
_ON_LINUX = sys.platform == "linux"

# From <linux/prctl.h>.
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


class Process:
    """A started command, and its output so far."""

    def __init__(self, number: int, popen: subprocess.Popen[bytes]) -> None:
        self.number = number
        self.popen = popen
        self.written = 0
        self.outputs: list[Output] = []


class Output:
    """One pipe of a process, decoded in pieces: the next read completes a character that was cut."""

    def __init__(self, process: Process, stream: str, pipe: IO[bytes]) -> None:
        self.process = process
        self.stream = stream
        self.pipe = pipe
        os.set_blocking(pipe.fileno(), False)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def read(self) -> tuple[int, str]:
        """Return the number of bytes read, 0 at the end of the pipe, and their text."""
        started_character, _ = self._decoder.getstate()
        data = os.read(self.pipe.fileno(), _READ_SIZE - len(started_character))
        return len(data), self._decoder.decode(data, final=not data)

    def count_waiting(self) -> int:
        """Return how many bytes are in the pipe now."""
        answer = fcntl.ioctl(self.pipe.fileno(), termios.FIONREAD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)


class Agent:
    """Starts commands, passes on their output and exit codes, and ends them all."""

    def __init__(self, *, grace_s: float, output_bytes: int, processes: int) -> None:
        self._grace_s = grace_s
        self._output_bytes = output_bytes
        self._processes = processes
        self._running: dict[int, Process] = {}
        self._groups: set[int] = set()
        self._commands = b""
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Carry out commands until stdin ends or SIGTERM comes, then end everything."""
        wake_reader, wake_writer = os.pipe()
        os.set_blocking(wake_reader, False)
        os.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        self._selector.register(wake_reader, selectors.EVENT_READ, lambda: self._wake(wake_reader))
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._read_commands)
        try:
            self._send(event="ready")
            self._loop()
        except BrokenPipeError:
            pass  # The server is gone.
        finally:
            self._end_all(wake_reader)

    def _loop(self) -> None:
        next_check = time.monotonic() + _CHECK_INTERVAL_S
        while not self._stopping:
            for key, _ in self._selector.select(_CHECK_INTERVAL_S if self._groups else None):
                handle: Callable[[], None] = key.data
                handle()
            if self._groups and time.monotonic() >= next_check:
                self._check_processes()
                next_check = time.monotonic() + _CHECK_INTERVAL_S

    def _stop(self) -> None:
        self._stopping = True

    def _send(self, **event: object) -> None:
        data = memoryview(json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n")
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]

    # -- Commands

    def _read_commands(self) -> None:
        data = os.read(sys.stdin.fileno(), 1 << 16)
        if not data:
            self._stop()
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["do"] == "start":
                self._start(command["number"], command["arguments"], command["env"], command["cwd"])
            elif command["do"] == "kill":
                self._kill(command["number"])
            else:
                self._stop()

    def _start(self, number: int, arguments: list[str], env: dict[str, str], cwd: str) -> None:
        try:
            popen = subprocess.Popen(  # noqa: S603 - running the build's commands is what this program is for
                arguments,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._send(
                event="refused", number=number, reason=f"{error.filename or arguments[0]}: {error.strerror}"
            )
            return
        except ValueError as error:  # A NUL byte.
            self._send(event="refused", number=number, reason=str(error))
            return
        process = Process(number, popen)
        self._running[popen.pid] = process
        self._groups.add(popen.pid)
        for stream, pipe in (("stdout", popen.stdout), ("stderr", popen.stderr)):
            assert pipe is not None  # noqa: S101 - for the type checker: PIPE was asked for
            output = Output(process, stream, pipe)
            process.outputs.append(output)
            self._selector.register(pipe, selectors.EVENT_READ, functools.partial(self._read_output, output))

    def _kill(self, number: int) -> None:
        for pid, process in self._running.items():
            if process.number == number:
                _signal_group(pid, signal.SIGKILL)

    # -- Output

    def _read_output(self, output: Output) -> None:
        # The end of the process, noticed in the same turn of the loop, may have closed or emptied it.
        if not output.pipe.closed:
            with contextlib.suppress(BlockingIOError):
                self._pass_on(output)

    def _pass_on(self, output: Output) -> int:
        count, text = output.read()
        process = output.process
        fits = process.written <= self._output_bytes
        process.written += count
        if process.written <= self._output_bytes:
            if text:
                self._send(event="output", number=process.number, stream=output.stream, text=text)
        elif fits:
            size = f"{self._output_bytes / (1 << 20):g} MiB"
            self._send(event="limit", number=process.number, reason=f"more than {size} of output")
        if not count:
            self._selector.unregister(output.pipe)
            output.pipe.close()
            process.outputs.remove(output)
        return count

    def _drain(self, output: Output) -> None:
        # Everything in the pipe now was written before the process ended. Waiting for the pipe's end would mean waiting for
        # every child that the process left in the background.
        waiting = output.count_waiting()
        while waiting > 0:
            count = self._pass_on(output)
            if not count:
                break
            waiting -= count

    # -- Ends

    def _wake(self, wake_reader: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(wake_reader, 1 << 12)
        for pid, code in _reap():
            process = self._running.pop(pid, None)
            if process is None:
                continue  # An orphan that this process had to reap.
            process.popen.returncode = code
            for output in tuple(process.outputs):
                self._drain(output)
            # The guest of the real service reports -1 for every signal.
            self._send(event="exit", number=process.number, code=max(code, -1))

    def _check_processes(self) -> None:
        # RLIMIT_NPROC counts all processes of the user, also in other containers, and does not apply to root.
        count = sum(_count_descendants().values())
        if count > self._processes:
            self._send(event="limit", number=None, reason=f"more than {self._processes} processes")
            self._stop()

    def _end_all(self, wake_reader: int) -> None:
        if self._wait_until_gone(signal.SIGTERM, wake_reader, self._grace_s):
            return
        self._wait_until_gone(signal.SIGKILL, wake_reader, _KILL_LIMIT_S)

    def _wait_until_gone(self, number: signal.Signals, wake_reader: int, limit_s: float) -> bool:
        """Send a signal to all processes below, and wait until none is left."""
        end = time.monotonic() + limit_s
        signalled: set[int] = set()
        with selectors.DefaultSelector() as selector:
            selector.register(wake_reader, selectors.EVENT_READ)
            while True:
                for _ in _reap():
                    pass
                groups = self._find_groups()
                if not groups:
                    return True
                for group in groups:
                    # SIGTERM is sent once. A process that forks may have escaped a SIGKILL, so SIGKILL is repeated.
                    if group not in signalled or number == signal.SIGKILL:
                        _signal_group(group, number)
                signalled |= groups
                left = end - time.monotonic()
                if left <= 0:
                    return False
                # Each ending child wakes this up. SIGCHLD does not report other processes, so they are looked for again.
                selector.select(min(left, 0.05))
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_reader, 1 << 12)

    def _find_groups(self) -> set[int]:
        if _ON_LINUX:
            return set(_count_descendants())
        self._groups = {group for group in self._groups if _signal_group(group, 0)}
        return set(self._groups)


def _reap() -> Iterator[tuple[int, int]]:
    """Yield pid and return code, negative for a signal, of each child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _count_descendants() -> dict[int, int]:
    """Return the process groups below this process, with the number of their processes; empty without /proc."""
    if not _ON_LINUX:
        return {}
    children: dict[int, list[tuple[int, int]]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - not worth an import at each build's start
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - the same
                # "pid (name) state ppid pgrp ...": the name may contain spaces and brackets.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # It ended while the others were read.
        parent, group = int(fields[1]), int(fields[2])
        children.setdefault(parent, []).append((int(name), group))
    groups: dict[int, int] = {}
    parents = [os.getpid()]
    while parents:
        for pid, group in children.get(parents.pop(), ()):
            groups[group] = groups.get(group, 0) + 1
            parents.append(pid)
    return groups


def _confine(limits: dict[str, int]) -> None:
    """Set what every process below inherits: resource limits, no new privileges, and this process as the reaper."""
    os.umask(0o022)
    for name, value in limits.items():
        which: int = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (limit, limit))
    if _ON_LINUX:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main(settings: dict[str, Any]) -> None:
    """Serve one build. `settings` are the arguments of Agent, and `rlimits` by the names of module resource."""
    _confine(settings.pop("rlimits"))
    # A server in the background may have been started with these signals ignored, and steps would inherit that. A
    # handler is not inherited.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    Agent(**settings).serve()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
