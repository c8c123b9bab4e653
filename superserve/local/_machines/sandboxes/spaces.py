"""The namespaces of a sandbox's processes: made with bwrap or unshare, or none if the caller wants that."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

from superserve.local._machines.interpreter import USUAL_PATH, Interpreter
from superserve.local._machines.program import find_program
from superserve.local._machines.sandboxes.agent import MESSAGE_BYTES
from superserve.local._machines.scratch import Scratch

_PACKAGE = "superserve.local._machines.sandboxes"
_PYTHON_OPTIONS = ("-I", "-S", "-X", "utf8")
_INSIDE = "/run/superserve/agent.py"
# Folders of any image. Commands start in home/user.
_FOLDERS = ("home/user", "root", "run/superserve", "srv", "tmp", "var/tmp", "mnt", "media")
# This machine's programs, read-only. Homes, data, and /run, whose sockets would lead outside, are left out.
_PROGRAMS = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr")
_PROBE_LIMIT_S = 10.0


class Bwrap:
    """A root, processes and a network of the sandbox's own, with bwrap."""

    is_isolated = True

    def __init__(self, program: str, python: Interpreter | None = None) -> None:
        self._program = program
        self._python = python

    def search_path(self, scratch: Scratch) -> str:
        """Return where commands find programs."""
        return _list_search_path(scratch, self._python)

    def root(self, scratch: Scratch) -> str:  # noqa: ARG002 - processes see it as the root
        """Return the prefix of absolute paths for processes of the sandbox."""
        return ""

    def argument(self, scratch: Scratch, word: str) -> str:  # noqa: ARG002 - processes see it as the root
        """Return an argument of a command without a shell as its process needs it."""
        return word

    def command(self, scratch: Scratch) -> list[str]:
        """Prepare the folder, and return the command that starts the agent in it."""
        make_folders(scratch)
        # fmt: off
        return [
            self._program,
            "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--hostname", "sandbox",
            "--uid", "0", "--gid", "0", "--die-with-parent", "--new-session",
            # Without this, a command could make this machine's folders writable.
            "--cap-drop", "ALL",
            "--bind", str(scratch.root), "/",
            *(word for source, target in _list_binds(scratch, self._python) for word in ("--ro-bind", source, target)),
            "--proc", "/proc", "--dev", "/dev", "--chdir", "/",
            "--setenv", "SUPERSERVE_ISOLATED", "1",
            "--", *_inner_command(),
        ]
        # fmt: on


class Unshared:
    """The same with the kernel's namespaces only, for machines without bwrap."""

    is_isolated = True

    def __init__(self, program: str, python: Interpreter | None = None) -> None:
        self._program = program
        self._python = python

    def search_path(self, scratch: Scratch) -> str:
        """Return where commands find programs."""
        return _list_search_path(scratch, self._python)

    def root(self, scratch: Scratch) -> str:  # noqa: ARG002 - processes see it as the root
        """Return the prefix of absolute paths for processes of the sandbox."""
        return ""

    def argument(self, scratch: Scratch, word: str) -> str:  # noqa: ARG002 - processes see it as the root
        """Return an argument of a command without a shell as its process needs it."""
        return word

    def command(self, scratch: Scratch) -> list[str]:
        """Prepare the folder, and return the command that starts the agent in it."""
        make_folders(scratch)
        binds = [list(each) for each in _list_binds(scratch, self._python)]
        settings = {"root": str(scratch.root), "binds": binds, "command": _inner_command()}
        # fmt: off
        return [
            self._program, "--user", "--map-root-user", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork",
            "--kill-child", "--", sys.executable, *_PYTHON_OPTIONS, str(find_program(_PACKAGE, "enter.py")), json.dumps(settings),
        ]
        # fmt: on


class Unisolated:
    """No namespaces: absolute paths in commands are this machine's."""

    is_isolated = False

    def __init__(self, python: Interpreter | None = None) -> None:
        self._python = python

    def search_path(self, scratch: Scratch) -> str:
        """Return where commands find programs: where this server does, too."""
        own = [self._python.search_path(scratch.folder, is_isolated=False)] if self._python else []
        return ":".join([*own, os.environ.get("PATH", ""), USUAL_PATH])

    def root(self, scratch: Scratch) -> str:
        """Return the prefix of absolute paths in the files API."""
        return str(scratch.root)

    def argument(self, scratch: Scratch, word: str) -> str:
        """Return an argument of a command without a shell as its process needs it.

        An absolute path below a folder of the sandbox is the sandbox's, unless only this machine has it. Otherwise `rm` and
        `mv`, which clients use for files, would change this machine's.
        """
        top = word.removeprefix("/").partition("/")[0]
        if not word.startswith("/") or not top or not os.path.lexists(scratch.root / top):
            return word
        own = f"{scratch.root}{word}"
        return word if os.path.lexists(word) and not os.path.lexists(own) else own

    def command(self, scratch: Scratch) -> list[str]:
        """Prepare the folder, and return the command that starts the agent."""
        make_folders(scratch)
        if self._python is not None:
            list(self._python.offer(scratch.folder))
        return [sys.executable, *_PYTHON_OPTIONS, str(find_program(_PACKAGE, "agent.py"))]


Space = Bwrap | Unshared | Unisolated


def find_space(python: Interpreter | None = None) -> Space | str:
    """Return a space that works on this machine (each is tried once), or why none does. Commands find `python` in it."""
    problems: list[str] = []
    kinds: dict[str, type[Bwrap | Unshared]] = {"bwrap": Bwrap, "unshare": Unshared}
    for name, kind in kinds.items():
        program = shutil.which(name)
        if program is None:
            problems.append(f"{name} is not installed")
            continue
        space = kind(program, python)
        scratch = Scratch()
        try:
            problem = _probe(space.command(scratch))
        finally:
            scratch.remove()
        if problem is None:
            return space
        problems.append(f"{name} does not work here ({problem})")
    return ", ".join(problems)


def start_agent(command: Sequence[str]) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """Start an agent. Return its process, and the socket to talk to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MESSAGE_BYTES)
    with theirs:
        # An interpreter with a shared library may need the path of that library.
        names = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        environment = {name: value for name in names if (value := os.environ.get(name))}
        try:
            process = subprocess.Popen(  # noqa: S603 - bwrap, or this Python
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
            )
        except BaseException:
            ours.close()
            raise
    return process, ours


def make_folders(scratch: Scratch, *others: str) -> None:
    """Create the folders of any image that the template's build did not create, and other folders."""
    ways = [path.strip("/") for path in others]
    for name in (*_FOLDERS, *(way for way in ways if way.partition("/")[0] not in _PROGRAMS)):
        folder = scratch.root / name
        if not folder.is_symlink():
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)


def _probe(command: Sequence[str]) -> str | None:
    try:
        process, sock = start_agent(command)
    except OSError as error:
        return str(error)
    with process, sock:
        sock.shutdown(socket.SHUT_WR)
        try:
            _, errors = process.communicate(timeout=_PROBE_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"nothing happened for {_PROBE_LIMIT_S:g} s"
    if process.returncode == 0:
        return None
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it exited with code {process.returncode}"


def _inner_command() -> list[str]:
    return [os.path.realpath(sys.executable), *_PYTHON_OPTIONS, _INSIDE]


def _list_search_path(scratch: Scratch, python: Interpreter | None) -> str:
    own = [python.search_path(scratch.folder, is_isolated=True)] if python else []
    return ":".join([*own, USUAL_PATH])


def _list_binds(scratch: Scratch, python: Interpreter | None) -> list[tuple[str, str]]:
    """Return what to mount read-only, and where. Links to it are created."""
    binds = [bind for name in _PROGRAMS for bind in _merge(pathlib.Path("/", name), scratch.root / name)]
    own = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix))
    pythons = [*zip(own, own, strict=True), *(python.offer(scratch.folder) if python else ())]
    binds += [
        (source, target) for source, target in pythons if pathlib.Path(target).parts[1] not in _PROGRAMS
    ]
    return [*binds, (str(find_program(_PACKAGE, "agent.py")), _INSIDE)]


def _merge(path: pathlib.Path, inside: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield mounts that show this machine's folder, except where the template's build left files."""
    if inside.is_symlink():
        return
    if path.is_symlink():
        if not inside.exists():
            inside.symlink_to(path.readlink())
    elif not inside.exists() or _is_stub(inside):
        if path.exists():
            yield str(path), str(path)
    elif inside.is_dir() and path.is_dir():
        for child in path.iterdir():
            yield from _merge(child, inside / child.name)


def _is_stub(inside: pathlib.Path) -> bool:
    """Whether a file exists only because the build had this machine's mounted on it."""
    return not any(inside.iterdir()) if inside.is_dir() else not inside.stat().st_size
