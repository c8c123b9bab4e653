"""The program that makes a sandbox's root if bwrap does not work. `unshare` starts it in new namespaces.

It mounts what the sandbox sees, makes that the root, and starts the agent. It stays as the parent of all other
processes: when the agent ends, it ends, and the kernel ends all others.
"""

import array
import ctypes
import fcntl
import json
import os
import pathlib
import platform
import signal
import socket
import struct
import sys

# From <sys/mount.h>, <linux/if.h> and <linux/sockios.h>.
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _REC, _PRIVATE = 32, 4096, 16384, 1 << 18
_LOCKED = {
    os.ST_NOSUID: _NOSUID,
    os.ST_NODEV: _NODEV,
    os.ST_NOEXEC: _NOEXEC,
    os.ST_NOATIME: 1024,
    4096: 1 << 21,
}
_DETACH = 2
_SIOCSIFFLAGS, _UP = 0x8914, 1
_DROP_FROM_BOUNDS, _NO_NEW_PRIVILEGES = 24, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source: str, target: str, flags: int, kind: str | None = None) -> None:
    kind_bytes = None if kind is None else kind.encode()
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), kind_bytes, flags, None), f"mount {target}")


def _bind(source: str, target: str, *, is_read_only: bool = True) -> None:
    place = pathlib.Path(target)
    if pathlib.Path(source).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    _mount(source, target, _BIND | _REC)
    if is_read_only:
        # Keep the restrictions of the original mount: the kernel would refuse to remove them.
        given = os.statvfs(target).f_flag
        kept = sum(flag for mask, flag in _LOCKED.items() if given & mask)
        _mount(source, target, _BIND | _REMOUNT | _RDONLY | kept)


def _make_root(root: str, binds: list[list[str]]) -> None:
    _mount("none", "/", _REC | _PRIVATE)
    _mount(root, root, _BIND | _REC)
    for source, target in binds:
        _bind(source, root + target)
    pathlib.Path(root, "dev").mkdir(exist_ok=True)
    _mount("tmpfs", f"{root}/dev", _NOSUID, "tmpfs")
    for name in _DEVICES:
        _bind(f"/dev/{name}", f"{root}/dev/{name}", is_read_only=False)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        pathlib.Path(root, "dev", name).symlink_to(f"/proc/self/fd/{number}")
    pathlib.Path(root, "dev/fd").symlink_to("/proc/self/fd")
    pathlib.Path(root, "dev/shm").mkdir()
    pathlib.Path(root, "proc").mkdir(exist_ok=True)
    _mount("proc", f"{root}/proc", _NOSUID | _NODEV | _NOEXEC, "proc")
    os.chdir(root)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    # The old root is mounted over the new one, so this removes the old one.
    _check(_libc.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def _set_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, array.array("b", struct.pack("16sh14x", b"lo", _UP)))


def _drop_rights() -> None:
    """Drop the capabilities that would let a command make this machine's folders writable, from the next exec on."""
    number = 0
    while not _libc.prctl(_DROP_FROM_BOUNDS, number, 0, 0, 0):
        number += 1
    _check(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")


def main(root: str, binds: list[list[str]], command: list[str]) -> int:
    """Make the root, run the agent, and reap all processes that end before it."""
    _make_root(root, binds)
    _set_up_loopback()
    socket.sethostname("sandbox")
    agent = os.fork()
    if not agent:
        os.setsid()
        _drop_rights()
        os.execve(command[0], command, {**os.environ, "SUPERSERVE_ISOLATED": "1"})  # noqa: S606 - there is none
    os.close(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == agent:
            return max(os.waitstatus_to_exitcode(status), 0)


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))
