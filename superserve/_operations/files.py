"""Files: which paths there can be, which commands look at them, and what those print."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike, fspath
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from superserve import _arguments
from superserve._operations.operation import UnreadableError
from superserve.errors import ValidationError
from superserve.types import FileInfo, FileKind

RemotePath = str | PurePosixPath
"""A path in a sandbox: absolute, without `..`."""

_KINDS: Final = {
    "f": FileKind.FILE,
    "d": FileKind.DIRECTORY,
    "l": FileKind.SYMLINK,
    "p": FileKind.FIFO,
    "s": FileKind.SOCKET,
    "b": FileKind.BLOCK_DEVICE,
    "c": FileKind.CHARACTER_DEVICE,
}
# Kind, size, mode, time, owner, group, name, and where a link points to, each ended by a NUL, which no path can hold.
_FORMAT: Final = r"%y\0%s\0%m\0%T@\0%u\0%g\0%P\0%l\0"
_FIELDS: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(?P<seconds>-?\d{1,12})(?:\.(?P<fraction>\d{1,30}))?")
_NOT_THERE: Final = ("No such file or directory", "Not a directory")
_LARGEST_MODE: Final = 0o7777


def remote_path(argument: str, value: object) -> str:
    """Return a path in a sandbox if it is absolute and leads where it says."""
    if isinstance(value, PureWindowsPath):
        raise ValidationError(f"{argument}: a path of Windows, and sandboxes run Linux; pass a string")
    path = _arguments.text(argument, fspath(value) if isinstance(value, PurePosixPath) else value)
    if not path.startswith("/"):
        raise ValidationError(f"{argument}: expected an absolute path such as '/home/user/x', got {path!r}")
    if ".." in path.split("/"):
        raise ValidationError(f"{argument}: must not have '..' in it, got {path!r}")
    return path


def file_path(argument: str, value: object) -> str:
    """Return the path of a file: one that does not end where only a folder can be."""
    path = remote_path(argument, value)
    if path.endswith("/"):
        raise ValidationError(f"{argument}: expected the path of a file, got that of a folder, {path!r}")
    return path


def mode(value: object) -> str:
    """Return permissions as `chmod` takes them."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(f"mode: expected an integer such as 0o755, got {type(value).__name__}")
    if not 0 <= value <= _LARGEST_MODE:
        raise ValidationError(f"mode: expected an integer from 0 to 0o7777, got {oct(value)}")
    return f"{value:04o}"


def local_path(argument: str, value: object) -> str:
    """Return a path on this machine."""
    path = fspath(value) if isinstance(value, PathLike) else value
    return _arguments.text(argument, path)


def stat(path: str, *, follow_symlinks: bool) -> list[str]:
    """Return the command that describes what stands at a path."""
    return ["find", "-H" if follow_symlinks else "-P", path, "-maxdepth", "0", "-printf", _FORMAT]


def list_directory(path: str) -> list[str]:
    """Return the command that describes a directory, and after it what is in it."""
    return ["find", "-H", path, "-maxdepth", "1", "-printf", _FORMAT]


def make_dir(path: str) -> list[str]:
    """Return the command that makes a directory, and those above it that are missing."""
    return ["mkdir", "-p", "--", path]


def remove(path: str, *, recursive: bool) -> list[str]:
    """Return the command that removes what stands at a path; without `recursive` no directory that holds anything."""
    return ["rm", "-r" if recursive else "-d", "--", path]


def move(source: str, target: str) -> list[str]:
    """Return the command that gives a file or directory another path, in one step where both are on one file system."""
    return ["mv", "-f", "-T", "--", source, target]


def change_mode(path: str, permissions: str) -> list[str]:
    """Return the command that sets permissions."""
    return ["chmod", "--", permissions, path]


def is_not_there(stderr: str) -> bool:
    """Whether a command says that a path does not lead anywhere."""
    return stderr.rstrip().endswith(_NOT_THERE)


def read_infos(path: str, output: bytes) -> list[FileInfo]:
    """Return what `find` has printed of a path, and of what is in it.

    Raises:
        UnreadableError: It is not what was asked for.
    """
    fields = output.decode(errors="replace").split("\0")
    if fields.pop() or len(fields) % _FIELDS:
        raise UnreadableError("the output of find ends in the middle")
    return [_read_info(path, fields[start : start + _FIELDS]) for start in range(0, len(fields), _FIELDS)]


def _read_info(top: str, fields: Sequence[str]) -> FileInfo:
    kind, size, permissions, time, owner, group, name, target = fields
    path = str(PurePosixPath(top, name))
    try:
        return FileInfo(
            path=path,
            name=PurePosixPath(path).name,
            kind=_KINDS.get(kind) or FileKind(kind),
            size=int(size),
            mode=int(permissions, 8),
            modified_at=_read_time(time),
            owner=owner,
            group=group,
            target=target if kind == "l" else None,
        )
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"find describes a file in a way that is not known: {error}") from error


def _read_time(text: str) -> datetime:
    # Not a float: it has too few digits for today's microseconds.
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("no time")
    microseconds = int(f"{match['fraction'] or '':0<6}"[:6])
    return _EPOCH + timedelta(seconds=int(match["seconds"]), microseconds=microseconds)
