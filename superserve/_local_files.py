"""Files of this machine: finding what to upload, and writing what was downloaded."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from superserve import _sources
from superserve._sources import LocalFile
from superserve.errors import SandboxError

Ignore = Callable[[str, list[str]], set[str]]
"""A function of a folder and the names in it that returns the names to leave out, as `shutil.ignore_patterns` makes."""


def walk(folder: Path, ignore: Ignore | None) -> tuple[list[tuple[str, LocalFile]], list[str]]:
    """Return the files below a folder, and the empty folders below it, all with their paths relative to the folder.

    Raises:
        ValidationError: Something is neither a file nor a folder, or cannot be read.
    """
    files: list[tuple[str, LocalFile]] = []
    empty: list[str] = []
    for directory, folder_names, file_names in os.walk(folder, onerror=_refuse):
        left_out = set() if ignore is None else set(ignore(directory, [*folder_names, *file_names]))
        folder_names[:] = sorted(name for name in folder_names if name not in left_out)
        here = Path(directory).relative_to(folder)
        names = sorted(name for name in file_names if name not in left_out)
        files += [((here / name).as_posix(), LocalFile("local", folder / here / name)) for name in names]
        if not names and not folder_names:
            empty.append(here.as_posix())
    return files, empty


class Replacement:
    """A context manager that writes a temporary file beside the target, and replaces the target if all went well.

    Raises:
        SandboxError: The file cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> Self:
        with errors(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            number, self._path = tempfile.mkstemp(
                prefix=f".{self._target.name[:32]}.", dir=self._target.parent
            )
            self._file: IO[bytes] = os.fdopen(number, "wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with errors(self._target):
                self._file.close()
                if kind is None:
                    # The temporary file is readable by its owner only.
                    Path(self._path).chmod(0o666 & ~_umask())
                    Path(self._path).replace(self._target)
        finally:
            with contextlib.suppress(OSError):
                Path(self._path).unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Write the next bytes."""
        with errors(self._target):
            self._file.write(piece)


@contextlib.contextmanager
def errors(target: Path) -> Iterator[None]:
    """Turn an OSError raised while a file is written into a SandboxError."""
    try:
        yield
    except OSError as error:
        raise SandboxError(f"local: cannot write {str(target)!r}: {error.strerror or error}") from error


def _refuse(error: OSError) -> None:
    raise _sources.unreadable("local", Path(str(error.filename)), error) from error


def _umask() -> int:
    # The only way to read the umask is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
