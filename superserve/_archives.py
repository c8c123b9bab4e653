"""Folders as zip archives: checking that an archive is complete, and extracting it only into its target."""

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
"""The most entries of an archive: the server cuts a longer one without saying so."""

LARGEST: Final = 2 * 1024**3
"""The largest archive in bytes: the server cuts a larger one without saying so."""

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
    """Raise unless an archive is complete.

    Raises:
        SandboxError: The archive is damaged, or ends at a limit of the server.
    """
    with _open(file):
        pass


def extract(file: IO[bytes], target: Path) -> None:
    """Extract the archive of a folder into another folder, which is created if it is missing.

    Args:
        file: The archive. All names in it begin with the folder's name, which is left out.
        target: The folder to extract to.

    Raises:
        SandboxError: The archive is damaged or has a path outside the target, or a file cannot be written.
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
            f"the archive of the folder is not complete: {size} bytes without a usable directory at the end"
        ) from error
    if len(archive.infolist()) >= MOST_ENTRIES or size >= LARGEST:
        archive.close()
        raise SandboxError(
            f"the archive of the folder ends at a limit of the server ({MOST_ENTRIES} entries, {LARGEST} bytes): "
            "files may be missing",
            hint="download the folders in it one by one",
        )
    return archive


def _relative(info: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of an entry, without the name of the folder that was downloaded."""
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
            f"the archive of the folder has a path outside of it: {info.filename!r}; nothing was written"
        )
    return PurePosixPath(*path.parts[1:])


def _make(target: Path, path: PurePosixPath, checked: set[Path]) -> None:
    """Create a folder below the target, unless there is a link in its path."""
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
            f"{str(path)!r} is a link, which may lead outside the target; remove it, or choose another target"
        )
