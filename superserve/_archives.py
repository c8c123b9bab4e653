"""Folders that come as zip archives: whether they are whole, and taking them apart without leaving the target."""

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from superserve.errors import SandboxError

MOST_ENTRIES: Final = 100_000
"""Entries at which the server ends an archive without saying so."""

LARGEST: Final = 2 * 1024**3
"""Bytes at which it does the same."""

_PIECE: Final = 256 * 1024
_DAMAGES: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def check(file: IO[bytes]) -> None:
    """Raise unless an archive is whole.

    Raises:
        SandboxError: It is damaged, or ends where the server ends all of them.
    """
    with _open(file):
        pass


def extract(file: IO[bytes], target: Path) -> None:
    """Write what is in an archive of a folder to another one, which is made if it is missing.

    Args:
        file: The archive. All its names begin with the name of the folder, which is left out.
        target: Where to.

    Raises:
        SandboxError: The archive is damaged or leads out of the target, or a file cannot be written.
    """
    with _open(file) as archive:
        entries = [(info, _relative(info)) for info in archive.infolist()]
        try:
            target.mkdir(parents=True, exist_ok=True)
            checked = {target}
            for info, path in entries:
                if info.is_dir():
                    _make(target, path, checked)
                else:
                    _make(target, path.parent, checked)
                    _write(archive, info, target / path)
        except OSError as error:
            raise SandboxError(f"cannot write to {str(target)!r}: {error}") from error


def _open(file: IO[bytes]) -> zipfile.ZipFile:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGES as error:
        raise SandboxError(
            f"the archive of the folder is not complete: {size} bytes without a usable directory at their end"
        ) from error
    if len(archive.infolist()) >= MOST_ENTRIES or size >= LARGEST:
        archive.close()
        raise SandboxError(
            f"the archive of the folder ends at a limit of the server's ({MOST_ENTRIES} entries, {LARGEST} bytes): "
            "files may be missing",
            hint="download its folders one by one",
        )
    return archive


def _relative(info: zipfile.ZipInfo) -> PurePosixPath:
    """Return where an entry belongs, without the name of the folder that was asked for."""
    path = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_safe = (
        not path.is_absolute()
        and ".." not in path.parts
        and kind in (0, stat.S_IFREG, stat.S_IFDIR)
        and not (os.name == "nt" and set(info.filename) & set("\\:"))
    )
    if not is_safe or not path.parts or (len(path.parts) == 1 and not info.is_dir()):
        raise SandboxError(
            f"the archive of the folder leads out of it: {info.filename!r}; nothing was written"
        )
    return PurePosixPath(*path.parts[1:])


def _make(target: Path, path: PurePosixPath, checked: set[Path]) -> None:
    """Make a directory below the target, unless a link stands in the way."""
    for parent in [*_above(path), path]:
        directory = target / parent
        if directory not in checked:
            _refuse_link(directory)
            directory.mkdir(exist_ok=True)
            checked.add(directory)


def _above(path: PurePosixPath) -> Iterator[PurePosixPath]:
    return reversed(path.parents)


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    _refuse_link(path)
    with path.open("wb") as output:
        try:
            with archive.open(info) as entry:
                shutil.copyfileobj(entry, output, _PIECE)
        except _DAMAGES as error:
            raise SandboxError(
                f"the archive of the folder is damaged at {info.filename!r}: {error}"
            ) from error
        if output.tell() != info.file_size:
            raise SandboxError(
                f"the archive of the folder is damaged at {info.filename!r}: "
                f"{output.tell()} of {info.file_size} bytes"
            )


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise SandboxError(
            f"{str(path)!r} is a link, which may lead out of the target; remove it, or choose another"
        )
