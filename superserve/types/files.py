"""Files in a sandbox, as people receive them."""

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class FileKind(OpenStrEnum):
    """What stands at a path; a kind this version does not know is kept as it came."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    BLOCK_DEVICE = "block device"
    CHARACTER_DEVICE = "character device"
    if TYPE_CHECKING:
        _A_NEWER_VALUE = "?"


@attrs.frozen(slots=False)
class FileInfo(Value):
    """What stands at a path of a sandbox."""

    path: str
    """The whole path."""
    name: str
    """Its last part. Bytes of it that are not UTF-8 are U+FFFD, and then no path leads back to it."""
    kind: FileKind
    size: int
    """Bytes; of a directory what it takes itself, without what it holds."""
    mode: int
    """Permissions, such as 0o644."""
    modified_at: datetime
    owner: str
    """The owner's name, or number where it has none."""
    group: str
    """The group's name, or number where it has none."""
    target: str | None = None
    """Where a symbolic link points to; None of anything else."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.kind is FileKind.FILE

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.kind is FileKind.DIRECTORY

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.kind is FileKind.SYMLINK


@attrs.frozen(slots=False)
class TransferProgress(Value):
    """How far an upload or a download has come."""

    path: str
    """The file that is being transferred, or the folder whose archive is: its path in the sandbox."""
    transferred_bytes: int
    """Bytes transferred so far, of all files."""
    total_bytes: int | None = None
    """Bytes of all files together; None where that is not known."""
