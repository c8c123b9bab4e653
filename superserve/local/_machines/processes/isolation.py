"""Isolation of a build's steps: inside bwrap if that works, else as plain processes of this user."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

from superserve.local._app.clock import monotonic
from superserve.local._machines.interpreter import USUAL_PATH, Interpreter
from superserve.local._machines.program import find_program
from superserve.local._machines.scratch import Scratch

# -I and -S: the user's variables, folders and packages cannot change what the agent runs.
_PYTHON_OPTIONS = ("-I", "-S", "-X", "utf8")
_AGENT = find_program("superserve.local._machines.processes", "agent.py")
_AGENT_INSIDE = "/run/superserve/agent.py"

# Folders that steps expect in any image, and may write to.
_FOLDERS = ("home", "root", "run", "srv", "tmp", "var/tmp")

# This machine's programs. Homes, data, and /run, whose sockets would lead outside, are left out.
_PROGRAMS = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr")

# The most bytes to copy of a folder of these in which steps work.
_COPIED_BYTES = 256 << 20

_PROBE_LIMIT_S = 10.0
_KILL_LIMIT_S = 5.0
_CLEAN_LOOKS = 3


class Unisolated:
    """Steps are plain processes. They start in the scratch folder, but can leave it."""

    def __init__(self, reason: str, python: Interpreter | None = None) -> None:
        self._reason = reason
        self._python = python

    def describe(self, scratch: Scratch) -> tuple[str, ...]:
        """Return the first lines of the build's log."""
        return (
            f"not isolated ({self._reason}): steps can do all that the user who runs this server can do",
            f"working directories such as /app lie in {scratch.root}; a command that names /app means this machine's",
        )

    def path(self, scratch: Scratch, inside: str) -> str:
        """Return the path of the template's absolute path `inside` for the build's processes: below the scratch folder."""
        return str(scratch.root / inside.lstrip("/"))

    def kill_strays(self, scratch: Scratch) -> None:
        """Kill the processes of a killed agent: all with this build's TMPDIR (needs /proc)."""
        mark = f"TMPDIR={self.variables(scratch)['TMPDIR']}\0".encode()
        end = monotonic() + _KILL_LIMIT_S
        # A process has no environment while it starts another program, so one look is not enough.
        clean_looks = 0
        while clean_looks < _CLEAN_LOOKS and monotonic() < end:
            pids = _find_pids(mark)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            clean_looks = 0 if pids else clean_looks + 1
            time.sleep(0.01)

    def variables(self, scratch: Scratch) -> dict[str, str]:
        """Return TMPDIR, so that temporary files stay in the scratch folder; with a `python`, PATH too."""
        path = _find_python(self._python, scratch, is_isolated=False)
        return {**path, "TMPDIR": self.path(scratch, "/tmp")}  # noqa: S108 - below the scratch folder

    def agent_command(self, scratch: Scratch, workdirs: Iterable[str]) -> list[str]:  # noqa: ARG002 - not needed here
        """Prepare the scratch folder, and return the command that starts agent.py. The caller appends its settings."""
        _make_folders(scratch)
        if self._python is not None:
            list(self._python.offer(scratch.folder))
        return [sys.executable, *_PYTHON_OPTIONS, str(_AGENT)]


class Bwrap:
    """Steps see the scratch folder as `/`, with this machine's programs read-only, and only the loopback network."""

    def __init__(self, program: str, python: Interpreter | None = None) -> None:
        self._program = program
        self._python = python

    def describe(self, scratch: Scratch) -> tuple[str, ...]:  # noqa: ARG002 - steps don't see its path
        """Return the first line of the build's log."""
        return (
            "isolated by bwrap: no network, no files but this machine's programs (read-only) and a scratch folder",
        )

    def path(self, scratch: Scratch, inside: str) -> str:  # noqa: ARG002 - it is the root
        """Return the path of the template's absolute path `inside` for the build's processes: the same path."""
        return inside

    def kill_strays(self, scratch: Scratch) -> None:
        """Do nothing: without their agent the processes are gone."""

    def variables(self, scratch: Scratch) -> dict[str, str]:
        """Return PATH with a `python`, else nothing: all paths are the usual ones."""
        return _find_python(self._python, scratch, is_isolated=True)

    def agent_command(self, scratch: Scratch, workdirs: Iterable[str]) -> list[str]:
        """Prepare the scratch folder, and return the command that starts agent.py.

        The caller appends its settings. `workdirs` are the absolute paths in which the build's steps work. If they lie among this
        machine's programs, they are writable copies.
        """
        _make_folders(scratch)
        python = os.path.realpath(sys.executable)
        # fmt: off
        return [
            self._program,
            "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
            "--bind", str(scratch.root), "/",
            *_bind_programs(scratch.root, workdirs),
            *_bind_pythons(scratch, self._python),
            "--ro-bind", str(_AGENT), _AGENT_INSIDE,
            "--proc", "/proc",
            "--dev", "/dev",
            "--chdir", "/",
            "--", python, *_PYTHON_OPTIONS, _AGENT_INSIDE,
        ]
        # fmt: on


Isolation = Unisolated | Bwrap


def find_isolation(python: Interpreter | None = None) -> Isolation:
    """Return the best isolation that works on this machine. It is found by running it once. Steps find `python` in it."""
    program = shutil.which("bwrap")
    if program is None:
        return Unisolated("bwrap is not installed", python)
    isolation = Bwrap(program, python)
    scratch = Scratch()
    try:
        problem = _probe(isolation, scratch)
    finally:
        scratch.remove()
    if problem:
        return Unisolated(f"bwrap is installed but does not work here: {problem}", python)
    return isolation


def read_agent_environment() -> dict[str, str]:
    """Return the environment that the interpreter of agent.py needs. Steps can read it."""
    # An interpreter with a shared library may need the path of that library.
    return {
        name: value for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if (value := os.environ.get(name))
    }


def _find_pids(mark: bytes) -> list[int]:
    pids = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # Another user's process, or one that has ended.
            if mark in (process / "environ").read_bytes():
                pids.append(int(process.name))
    return pids


def _probe(isolation: Isolation, scratch: Scratch) -> str | None:
    """Start an agent that has nothing to do. Return None, or what went wrong."""
    settings = json.dumps({"rlimits": {}, "grace_s": 0, "output_bytes": 0, "processes": 0})
    try:
        done = subprocess.run(  # noqa: S603 - bwrap itself, from PATH
            [*isolation.agent_command(scratch, ()), settings],
            env=read_agent_environment(),
            input=b"",
            capture_output=True,
            timeout=_PROBE_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0 and b'"ready"' in done.stdout:
        return None
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it exited with code {done.returncode}"


def _make_folders(scratch: Scratch) -> None:
    for name in _FOLDERS:
        (scratch.root / name).mkdir(parents=True, exist_ok=True)


def _bind_programs(root: pathlib.Path, workdirs: Iterable[str]) -> Iterator[str]:
    # A workdir may go through a link, as /lib is a link to /usr/lib.
    places = {pathlib.Path(name) for workdir in workdirs for name in (workdir, os.path.realpath(workdir))}
    ways = {parent for place in places for parent in place.parents}
    for name in _PROGRAMS:
        yield from _bind(pathlib.Path("/", name), root, places, ways)


def _bind(
    path: pathlib.Path, root: pathlib.Path, places: set[pathlib.Path], ways: set[pathlib.Path]
) -> Iterator[str]:
    """Yield the options that show `path` read-only, except for working directories and the `ways` to them.

    A template may work in /usr/src, or in /usr/src/app, which does not exist yet. For the first, its content is copied. For
    the second, /usr/src is a folder of the scratch folder with the content of /usr/src mounted into it; this is also done
    for the first if there is too much to copy.
    """
    inside = root / path.relative_to("/")
    if path.is_symlink():
        inside.symlink_to(path.readlink())
    elif path.is_dir() and path in places and _count_bytes(path, _COPIED_BYTES) <= _COPIED_BYTES:
        # Without unreadable files: no step could read them either.
        with contextlib.suppress(OSError):
            shutil.copytree(path, inside, symlinks=True)
    elif path.is_dir() and path in places | ways:
        inside.mkdir(parents=True)
        for child in sorted(path.iterdir()):
            yield from _bind(child, root, places, ways)
    elif path.exists():
        yield from ("--ro-bind", str(path), str(path))


def _count_bytes(folder: pathlib.Path, enough: int) -> int:
    """Return the size of the files below a folder, or a number above `enough`."""
    count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                count += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - there may be many
        if count > enough:
            break
    return count


def _bind_pythons(scratch: Scratch, python: Interpreter | None) -> Iterator[str]:
    """Yield the options that show the Python of the agent, and that of the steps."""
    own = dict.fromkeys((sys.base_prefix, sys.base_exec_prefix))
    for source, target in (*zip(own, own, strict=True), *(python.offer(scratch.folder) if python else ())):
        if pathlib.Path(target).parts[1] not in _PROGRAMS:
            yield from ("--ro-bind", source, target)


def _find_python(python: Interpreter | None, scratch: Scratch, *, is_isolated: bool) -> dict[str, str]:
    if python is None:
        return {}
    return {"PATH": f"{python.search_path(scratch.folder, is_isolated=is_isolated)}:{USUAL_PATH}"}
