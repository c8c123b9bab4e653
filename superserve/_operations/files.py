"""Files: checks of paths, the commands that inspect files, and reading their output."""

import inspect
import io
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
    SandboxTimeoutError,
    ValidationError,
)
from superserve.types import CommandBytesResult, CommandResult, FileInfo, FileKind

RemotePath = str | PurePosixPath
"""A path in a sandbox: absolute, without `..`."""

READ_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity"}
"""The headers of a request for a file's unchanged bytes."""

LONGEST_S: Final = 86_400.0
"""Default limit in seconds for writing a file, as long as its bytes keep moving."""

_IF_UNKNOWN: Final = (
    "{!r} may have the new content, the old content, a part of it, or be gone; check it, or write it again"
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
# Kind, size, mode, time, owner, group, name and link target, each ended by a NUL, which no path can contain.
_FORMAT: Final = r"%y\0%s\0%m\0%T@\0%u\0%g\0%P\0%l\0"
_FIELDS: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(?P<seconds>-?\d{1,12})(?:\.(?P<fraction>\d{1,30}))?")
_NOT_THERE: Final = ("No such file or directory", "Not a directory")
_LARGEST_MODE: Final = 0o7777
# Linux's limit for a path is 4096 bytes, with a NUL at the end.
_LONGEST_PATH: Final = 4095


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
    """Describe `writeFile`, POST /files. Its answer is the number of bytes written."""

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
    """Return a path in a sandbox if it is absolute and has no `..`."""
    if isinstance(value, PureWindowsPath):
        raise ValidationError(f"{argument}: got a Windows path, but sandboxes run Linux; pass a string")
    path = _arguments.text(argument, fspath(value) if isinstance(value, PurePosixPath) else value)
    if not path.startswith("/"):
        raise ValidationError(f"{argument}: expected an absolute path such as '/home/user/x', got {path!r}")
    if ".." in path.split("/"):
        raise ValidationError(f"{argument}: must not contain '..', got {path!r}")
    length = len(path.encode())
    if length > _LONGEST_PATH:
        raise ValidationError(f"{argument}: expected at most {_LONGEST_PATH} bytes, got {length}")
    return path


def file_path(argument: str, value: object) -> str:
    """Return the path of a file. It must not end like the path of a folder."""
    path = remote_path(argument, value)
    if path.endswith("/"):
        raise ValidationError(f"{argument}: expected the path of a file, got the path of a folder, {path!r}")
    return path


def mode(value: object) -> str:
    """Return permissions in the form of `chmod`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(f"mode: expected an integer such as 0o755, got {type(value).__name__}")
    if not 0 <= value <= _LARGEST_MODE:
        raise ValidationError(f"mode: expected an integer from 0 to 0o7777, got {oct(value)}")
    return f"{value:04o}"


def text_encoding(value: object) -> None:
    """Refuse what is not the name of a text encoding that Python knows."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=_arguments.text("encoding", value))
    except LookupError:
        raise ValidationError(
            f"encoding: expected a text encoding that Python knows, such as 'utf-8', got {value!r}"
        ) from None


def check_ignore(value: object) -> None:
    """Refuse what cannot choose the names to leave out."""
    if not callable(value) or inspect.iscoroutinefunction(value):
        what = "a coroutine function" if callable(value) else type(value).__name__
        raise ValidationError(
            f"ignore: expected a plain function such as shutil.ignore_patterns('*.pyc'), got {what}"
        )


def local_path(argument: str, value: object) -> str:
    """Return a path on this machine."""
    path = fspath(value) if isinstance(value, PathLike) else value
    return _arguments.text(argument, path)


def stat(path: str, *, follow_symlinks: bool) -> list[str]:
    """Return the command that describes what is at a path."""
    return ["find", "-H" if follow_symlinks else "-P", path, "-maxdepth", "0", "-printf", _FORMAT]


def list_directory(path: str) -> list[str]:
    """Return the command that describes a folder, and then its content."""
    return ["find", "-H", path, "-maxdepth", "1", "-printf", _FORMAT]


def join(folder: str, path: str) -> str:
    """Return the path of something in a folder."""
    return remote_path("local", str(PurePosixPath(folder, path)))


def sibling(path: str, suffix: str) -> str:
    """Return an unused path in the same folder as another path."""
    whole = PurePosixPath(path)
    # A name has 255 bytes at most.
    name = whole.name.encode()[:_KEPT_OF_NAME].decode(errors="ignore")
    return str(whole.with_name(f".{name}.{suffix}"))


def make_dirs(paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield commands that create folders, each within the length limit."""
    for start in range(0, len(paths), _AT_ONCE):
        yield ["mkdir", "-p", "--", *paths[start : start + _AT_ONCE]]


def discard(path: str) -> list[str]:
    """Return the command that removes a file if it exists."""
    return ["rm", "-f", "--", path]


def make_dir(path: str) -> list[str]:
    """Return the command that creates a folder, and the missing folders above it."""
    return ["mkdir", "-p", "--", path]


def remove(path: str, *, recursive: bool) -> list[str]:
    """Return the command that removes what is at a path. A folder with content needs `recursive`."""
    return ["rm", "-r" if recursive else "-d", "--", path]


def move(source: str, target: str) -> list[str]:
    """Return the command that moves a file or folder, atomically within one file system."""
    return ["mv", "-f", "-T", "--", source, target]


def change_mode(path: str, permissions: str) -> list[str]:
    """Return the command that sets permissions."""
    return ["chmod", "--", permissions, path]


def find_problem(
    response: httpx.Response, path: str, action: str, *, as_archive: bool
) -> SandboxError | None:
    """Return what is wrong with an answer whose body is to be read, or None."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("", "identity"):
        # Decompressed, it might fill the memory or the disk.
        return SandboxError(
            "the server's answer is compressed, although that was not asked for", action=action
        )
    if as_archive and not _names_archive(response, path):
        return ValidationError(f"path: {path!r} is not a folder; use read() or download() for a file")
    return None


def _explain_read(error: SandboxError, path: str) -> SandboxError:
    """Return the error for a refused or lost request to read a file."""
    # These say that the request did not get to the sandbox's files.
    is_page = "html" in error.headers.get("content-type", "").lower()
    has_not_arrived = error.code is not None or error.message == _NO_SUCH_ROUTE or is_page
    if isinstance(error, NotFoundError) and not has_not_arrived:
        return not_found(path, **details(error))
    return error


def _explain_write(error: SandboxError, path: str) -> SandboxError:
    """Return the error for a refused or lost request to write a file."""
    if judge(error) is not Verdict.UNKNOWN:
        return error
    return OutcomeUnknownError(error.message, hint=_IF_UNKNOWN.format(path), **details(error))


def size_error(path: str, action: str, *, sent: int, written: int) -> SandboxError:
    """Return the error for a file whose size differs from what was sent."""
    return OutcomeUnknownError(
        f"{sent} bytes were sent, but the server reports that it wrote {written}",
        action=action,
        hint=_IF_UNKNOWN.format(path),
    )


def failed(
    program: str, path: str, result: CommandResult | CommandBytesResult, stderr: str, sandbox_id: str
) -> FileNotFoundInSandboxError | CommandError:
    """Return the error for a failed command on a file."""
    action = f"run {program} on {path!r} in sandbox {sandbox_id}"
    if is_not_there(stderr):
        return not_found(path, action=action)
    return CommandError(stderr.strip() or f"it exited with {result.exit_code}", result, action=action)


def timed_out(program: str, path: str, sandbox_id: str) -> SandboxTimeoutError:
    """Return the error for a command on a file that the server killed at its timeout."""
    return SandboxTimeoutError(
        "the command did not end in time",
        action=f"run {program} on {path!r} in sandbox {sandbox_id}",
        hint="it was killed, and may have done a part; pass a longer timeout",
    )


def not_found(path: str, **details: Any) -> FileNotFoundInSandboxError:
    """Return the error for a path at which there is nothing."""
    error = FileNotFoundInSandboxError(
        f"there is nothing at {path!r}", hint="list() shows the content of a folder", **details
    )
    error.path = path
    return error


def is_not_there(stderr: str) -> bool:
    """Whether a command says that there is nothing at a path."""
    return stderr.rstrip().endswith(_NOT_THERE)


def read_infos(path: str, output: bytes) -> list[FileInfo]:
    """Return the files that `find` has described: the one at a path, and those in it.

    Raises:
        UnreadableError: The output has another form.
    """
    fields = output.decode(errors="replace").split("\0")
    if fields.pop() or len(fields) % _FIELDS:
        raise UnreadableError("the output of find ends in the middle")
    return [_read_info(path, fields[start : start + _FIELDS]) for start in range(0, len(fields), _FIELDS)]


def _names_archive(response: httpx.Response, path: str) -> bool:
    """Whether the server sends an archive of a folder. It sends the file itself for the path of a file."""
    name = _FILE_NAME.search(response.headers.get("content-disposition", ""))
    if name is None:
        kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/zip"
    # The name of a file may also end in .zip.
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
        raise UnreadableError(f"find describes a file in an unknown form: {error}") from error


def _read_time(text: str) -> datetime:
    # Not a float: it has too few digits for microseconds.
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time")
    microseconds = int(f"{match['fraction'] or '':0<6}"[:6])
    return _EPOCH + timedelta(seconds=int(match["seconds"]), microseconds=microseconds)
