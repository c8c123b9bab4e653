"""The process that lives inside one sandbox, and starts, signals, opens and dials there what the server asks for.

A program of its own, of the standard library only: it is started with one end of a socket as its stdin. Each message is
a packet of JSON, with file descriptors beside it: commands get the server's own pipes, and the server gets the files and
connections that were opened here, so that nothing is copied in between.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading

MESSAGE_BYTES = 200_000
MOST_DESCRIPTORS = 3
DIAL_LIMIT_S = 5.0


class Agent:
    """Serves one socket until the server closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._commands: dict[int, subprocess.Popen[bytes]] = {}
        self._frozen: list[int] = []
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Do what is asked for until nobody can ask any more."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        os.set_blocking(reading, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(reading, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._sock:
                        if not self._receive():
                            self._end_all()
                            return
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(reading, 4096)
                        self._reap()

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

    def _do(self, message: dict, descriptors: list[int]) -> None:
        what = message["do"]
        if what == "spawn":
            self._spawn(message, descriptors)
        elif what == "signal":
            self._signal(message["command"], message["number"])
        elif what == "open":
            self._open(message)
        elif what == "remove":
            os.remove(message["path"])
            self._answer(message)
        elif what == "dial":
            threading.Thread(target=self._dial, args=[message], daemon=True).start()
        elif what == "freeze":
            self._freeze()
            self._answer(message)
        elif what == "thaw":
            self._thaw(message["lost"])
            self._answer(message)

    def _answer(self, message: dict, descriptors: tuple = (), **facts: object) -> None:
        data = json.dumps({"answer": message["id"], **facts}).encode()
        with self._lock:
            socket.send_fds(self._sock, [data], list(descriptors))

    def _spawn(self, message: dict, descriptors: list[int]) -> None:
        stdin, stdout, stderr = descriptors
        try:
            command = subprocess.Popen(
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
            self._answer(message, refused=f"{getattr(error, 'strerror', None) or error}")
            return
        self._commands[message["id"]] = command
        self._answer(message, pid=command.pid)

    def _signal(self, number: int, what: int) -> None:
        command = self._commands.get(number)
        if command is not None:
            # The group lives on as long as anything in it does, the command itself may have ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(command.pid, what)

    def _reap(self) -> None:
        for number, command in list(self._commands.items()):
            if command.returncode is None and command.poll() is not None:
                data = json.dumps({"ended": number, "code": command.returncode}).encode()
                with self._lock, contextlib.suppress(OSError):
                    self._sock.send(data)

    def _open(self, message: dict) -> None:
        path, flags = message["path"], message["flags"]
        if message["parents"]:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        try:
            self._answer(message, (descriptor,))
        finally:
            os.close(descriptor)

    def _dial(self, message: dict) -> None:
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError), socket.create_connection(
                (host, message["port"]), DIAL_LIMIT_S
            ) as sock:
                sock.settimeout(None)
                self._answer(message, (sock.fileno(),))
                return
        self._answer(message, errno=111, text=f"nothing listens on port {message['port']}")

    def _freeze(self) -> None:
        """Stop every process here but this one: all of them where they have a space of their own, else the groups."""
        self._frozen = self._others()
        for pid in self._frozen:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)

    def _thaw(self, lost: list[int]) -> None:
        """Go on, but for the commands whose connections were lost meanwhile: they are killed."""
        for number in lost:
            self._signal(number, signal.SIGKILL)
        for pid in self._frozen:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    def _others(self) -> list[int]:
        groups = {command.pid for command in self._commands.values()}
        found = []
        is_alone = os.environ.get("SUPERSERVE_ISOLATED") == "1"
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            if name.isdigit() and int(name) not in (1, os.getpid()):
                with contextlib.suppress(OSError):
                    if is_alone or os.getpgid(int(name)) in groups:
                        found.append(int(name))
        return found

    def _end_all(self) -> None:
        for number in self._commands:
            self._signal(number, signal.SIGKILL)


if __name__ == "__main__":
    # What a command inherits must not be the way to the server.
    with socket.socket(fileno=os.dup(0)) as server:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.close(nothing)
        Agent(server).serve()
    sys.exit(0)
