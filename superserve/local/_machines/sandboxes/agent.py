"""The process inside one sandbox. It starts and signals commands, opens files and connects to ports for the server.

It is a program of its own, with the standard library only. It is started with one end of a socket as its stdin. Each
message is a packet of JSON, with file descriptors beside it: commands get the server's own pipes, and the server gets
the files and connections that were opened here, so that nothing is copied in between.
"""

import contextlib
import errno
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

MESSAGE_BYTES = 200_000
MOST_DESCRIPTORS = 3
DIAL_LIMIT_S = 5.0
MOST_PROCESSES = 1024
_CHECK_INTERVAL_S = 0.2
# Set to 1 if processes have a namespace of their own.
ISOLATED = "SUPERSERVE_ISOLATED"


class Agent:
    """Serves one socket until the server closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._commands: dict[int, subprocess.Popen[bytes]] = {}
        # Process groups of commands that the server has forgotten. Their background processes may still run.
        self._groups: set[int] = set()
        self._forgotten: set[int] = set()
        self._frozen: set[int] = set()
        self._lost: list[int] = []
        self._lock = threading.Lock()
        self._is_alone = os.environ.get(ISOLATED) == "1"

    def serve(self) -> None:
        """Carry out messages until the server closes the socket."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        os.set_blocking(reading, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(reading, selectors.EVENT_READ)
            next_check = time.monotonic()
            while True:
                has_processes = bool(self._commands or self._groups)
                for key, _ in selector.select(_CHECK_INTERVAL_S if has_processes else None):
                    if key.fileobj is self._sock:
                        if not self._receive():
                            self._end_all()
                            return
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(reading, 4096)
                        self._reap()
                if has_processes and time.monotonic() >= next_check:
                    self._check_processes()
                    next_check = time.monotonic() + _CHECK_INTERVAL_S

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not data:
            return False
        message = json.loads(data)
        try:
            self._do(message, descriptors)
        except OSError as error:
            self._answer(message, errno=error.errno, text=error.strerror or str(error))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _do(self, message: dict[str, Any], descriptors: list[int]) -> None:
        what = message["do"]
        if what == "spawn":
            self._spawn(message, descriptors)
        elif what == "signal":
            self._signal(message["command"], message["number"])
        elif what == "forget":
            self._forget(message["command"])
        elif what == "open":
            self._open(message)
        elif what == "remove":
            pathlib.Path(message["path"]).unlink()
            self._answer(message)
        elif what == "dial":
            threading.Thread(target=self._dial, args=[message], daemon=True).start()
        elif what == "freeze":
            self._freeze(message["lost"])
            self._answer(message)
        elif what == "thaw":
            self._thaw()
            self._answer(message)

    def _answer(self, message: dict[str, Any], descriptors: tuple[int, ...] = (), **facts: object) -> None:
        data = json.dumps({"answer": message["id"], **facts}).encode()
        with self._lock:
            socket.send_fds(self._sock, [data], list(descriptors))

    def _spawn(self, message: dict[str, Any], descriptors: list[int]) -> None:
        stdin, stdout, stderr = descriptors
        try:
            command = subprocess.Popen(  # noqa: S603 - what the sandbox is for
                message["argv"],
                executable=message.get("executable"),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=message["env"],
                cwd=message["cwd"],
                process_group=0,
            )
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error)
            is_cwd = getattr(error, "filename", None) == message["cwd"]
            what = f"chdir {message['cwd']}" if is_cwd else f"fork/exec {message['argv'][0]}"
            is_missing = isinstance(error, FileNotFoundError) and not is_cwd
            self._answer(message, refused=f"{what}: {text.lower()}", is_missing=is_missing)
            return
        self._commands[message["id"]] = command
        self._answer(message, pid=command.pid)

    def _signal(self, number: int, what: int) -> None:
        command = self._commands.get(number)
        if command is not None:
            # The group exists as long as any process in it. The command itself may have ended.
            _kill(command.pid, what)

    def _forget(self, number: int) -> None:
        command = self._commands.get(number)
        if command is None:
            return
        if command.returncode is None:
            self._forgotten.add(number)
            return
        del self._commands[number]
        # Groups that have ended, or belong to others, need not be ended later.
        self._groups = {group for group in (*self._groups, command.pid) if _is_alive(group)}

    def _reap(self) -> None:
        for number, command in list(self._commands.items()):
            if command.returncode is None and command.poll() is not None:
                data = json.dumps({"ended": number, "code": command.returncode}).encode()
                with self._lock, contextlib.suppress(OSError):
                    self._sock.send(data)
                if number in self._forgotten:
                    self._forgotten.discard(number)
                    self._forget(number)

    def _open(self, message: dict[str, Any]) -> None:
        path, flags = message["path"], message["flags"]
        # The target of a link must be allowed as well.
        real = os.path.realpath(path)
        if any(real == each or real.startswith(f"{each}/") for each in message["denied"]):
            self._answer(message, errno=errno.EACCES, text=f"access denied: {real}")
            return
        if message["parents"]:
            pathlib.Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        try:
            self._answer(message, (descriptor,))
        finally:
            os.close(descriptor)

    def _dial(self, message: dict[str, Any]) -> None:
        for host in ("127.0.0.1", "::1"):
            with (
                contextlib.suppress(OSError),
                socket.create_connection((host, message["port"]), DIAL_LIMIT_S) as sock,
            ):
                sock.settimeout(None)
                self._answer(message, (sock.fileno(),))
                return
        self._answer(message, errno=errno.ECONNREFUSED, text=f"nothing listens on port {message['port']}")

    def _freeze(self, lost: list[int]) -> None:
        """Stop every process here except this one: all in the namespace if there is one, else the groups."""
        self._lost = [self._commands[number].pid for number in lost if number in self._commands]
        # A process that is just being made is found in the next round.
        while found := [pid for pid in self._others() if pid not in self._frozen]:
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
            self._frozen.update(found)

    def _check_processes(self) -> None:
        """Kill all processes of the sandbox if there are too many, if it has a namespace of its own."""
        # RLIMIT_NPROC may count everything that the user runs on the machine, and does not limit root.
        if self._is_alone and len(self._others()) > MOST_PROCESSES:
            # A stopped process does not fork.
            self._freeze([])
            for pid in self._frozen:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._frozen.clear()

    def _thaw(self) -> None:
        """Resume all processes, and kill commands whose connections were lost in the meantime."""
        for group in self._lost:
            _kill(group, signal.SIGKILL)
        for pid in self._frozen:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
        self._frozen, self._lost = set(), []

    def _others(self) -> list[int]:
        groups = self._groups | {command.pid for command in self._commands.values()}
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            pid = int(process.name)
            if pid not in (1, os.getpid()):
                with contextlib.suppress(OSError):
                    if self._is_alone or os.getpgid(pid) in groups:
                        found.append(pid)
        return found

    def _end_all(self) -> None:
        for group in (*self._groups, *(command.pid for command in self._commands.values())):
            _kill(group, signal.SIGKILL)


def _kill(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    # A server in the background may have been started with these signals ignored, and commands would inherit that. A
    # handler is not inherited.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    # Commands must not inherit the connection to the server.
    with socket.socket(fileno=os.dup(0)) as server:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.close(nothing)
        Agent(server).serve()
    sys.exit(0)
