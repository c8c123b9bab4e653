"""Files: which paths there can be, which commands look at them, and what those print."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike, fspath
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

import httpx
from superserve_api.models import FileWriteResult

from superserve import _arguments
from superserve._http.policy import Options
from superserve._http.resend import Verdict, details, judge
from superserve._operations.operation import Operation, UnreadableError, read_nothing
from superserve.errors import (
    CommandError,
    FileNotFoundInSandboxError,
    NotFoundError,
    OutcomeUnknownError,
    SandboxError,
    ValidationError,
)
from superserve.types import CommandBytesResult, CommandResult, FileInfo, FileKind

RemotePath = str | PurePosixPath
"""A path in a sandbox: absolute, without `..`."""

READ_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity"}
"""What a file is asked for with: as it is."""

LONGEST_S: Final = 86_400.0
"""Seconds that writing a file may take where nothing else is said, as long as its bytes go on."""

_IF_UNKNOWN: Final = (
    "{!r} may have the new content, the old one, part of it, or be gone; look, or write it again"
)
_NO_SUCH_ROUTE: Final = "404 page not found"
_FILE_NAME: Final = re.compile(r'filename=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^;]*))')
_KEPT_OF_NAME: Final = 200
_AT_ONCE: Final = 200
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


def read(path: str, sandbox_id: str) -> Operation[object, None]:
    """Describe `readFile`, GET /files."""
    return Operation(
        f"read {path!r} of sandbox {sandbox_id}",
        read_nothing,
        read_nothing,
        explain=lambda error: _explain_read(error, path),
    )


def write(
    path: str, sandbox_id: str, *, timeout_s: float | None, silence_s: float
) -> Operation[FileWriteResult, int]:
    """Describe `writeFile`, POST /files; its answer is how many bytes have been written."""

    def read_size(answer: FileWriteResult) -> int:
        return answer.size

    return Operation(
        f"write {path!r} of sandbox {sandbox_id}",
        read_size,
        is_repeatable=False,
        options=Options(LONGEST_S if timeout_s is None else timeout_s, 1, silence_s),
        explain=lambda error: _explain_write(error, path),
    )


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


def join(folder: str, path: str) -> str:
    """Return the path of what is in a folder."""
    return remote_path("local", str(PurePosixPath(folder, path)))


def sibling(path: str, suffix: str) -> str:
    """Return a path beside another one, where nothing is yet."""
    whole = PurePosixPath(path)
    # A name has 255 bytes at most.
    name = whole.name.encode()[:_KEPT_OF_NAME].decode(errors="ignore")
    return str(whole.with_name(f".{name}.{suffix}"))


def make_dirs(paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield the commands that make directories, each of them not too long."""
    for start in range(0, len(paths), _AT_ONCE):
        yield ["mkdir", "-p", "--", *paths[start : start + _AT_ONCE]]


def discard(path: str) -> list[str]:
    """Return the command that removes a file if it is there."""
    return ["rm", "-f", "--", path]


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


def problem_of(response: httpx.Response, path: str, action: str, *, as_archive: bool) -> SandboxError | None:
    """Return what is wrong with an answer whose body is to be read."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("", "identity"):
        # What it unpacks to may fill the memory, or the disk.
        return SandboxError("the server's answer is packed, and was not asked for so", action=action)
    if as_archive and not _names_archive(response, path):
        return ValidationError(f"path: {path!r} is no folder; read() or download() takes files")
    return None


def _explain_read(error: SandboxError, path: str) -> SandboxError:
    """Return the error that stands for a refused or lost request to read a file."""
    if isinstance(error, NotFoundError) and error.code is None and error.message != _NO_SUCH_ROUTE:
        return not_found(path, **details(error))
    return error


def _explain_write(error: SandboxError, path: str) -> SandboxError:
    """Return the error that stands for a refused or lost request to write a file."""
    if judge(error) is not Verdict.UNKNOWN:
        return error
    return OutcomeUnknownError(error.message, hint=_IF_UNKNOWN.format(path), **details(error))


def other_size(path: str, action: str, *, sent: int, written: int) -> SandboxError:
    """Return the error for a file that has another size than what was sent."""
    return OutcomeUnknownError(
        f"{sent} bytes were sent, and the server says that it has written {written}",
        action=action,
        hint=_IF_UNKNOWN.format(path),
    )


def failed(
    program: str, path: str, result: CommandResult | CommandBytesResult, stderr: str, sandbox_id: str
) -> FileNotFoundInSandboxError | CommandError:
    """Return the error for a command that could not do something with a file."""
    action = f"run {program} on {path!r} in sandbox {sandbox_id}"
    if is_not_there(stderr):
        return not_found(path, action=action)
    return CommandError(stderr.strip() or f"it exited with {result.exit_code}", result, action=action)


def not_found(path: str, **details: Any) -> FileNotFoundInSandboxError:
    """Return the error for a path that does not lead to anything."""
    error = FileNotFoundInSandboxError(
        f"there is nothing at {path!r}", hint="list() tells what is in a folder", **details
    )
    error.path = path
    return error


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


def _names_archive(response: httpx.Response, path: str) -> bool:
    """Whether the server says that it sends an archive of a folder, and not a file, as it does for a file's path."""
    name = _FILE_NAME.search(response.headers.get("content-disposition", ""))
    if name is None:
        kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/zip"
    # A file has its own name, which may end so as well.
    sent = name["bare"] or re.sub(r"\\(.)", r"\1", name["quoted"] or "")
    return sent.endswith(".zip") and sent != PurePosixPath(path).name


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
