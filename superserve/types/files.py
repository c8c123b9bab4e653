"""Files in a sandbox."""

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from superserve.types._open_enum import OpenStrEnum
from superserve.types._value import Value


class FileKind(OpenStrEnum):
    """What is at a path. A kind that this version does not know is kept as it is."""

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
    """A description of what is at a path of a sandbox."""

    path: str
    """The whole path."""
    name: str
    """The last part of the path. Bytes that are not UTF-8 become U+FFFD; then `path` does not lead to the file."""
    kind: FileKind
    size: int
    """Size in bytes; for a folder the size of the folder itself, without its content."""
    mode: int
    """Permissions, such as 0o644."""
    modified_at: datetime
    owner: str
    """The owner's name, or the number of an owner without a name."""
    group: str
    """The group's name, or the number of a group without a name."""
    target: str | None = None
    """The target of a symbolic link; None for anything else."""

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
    """The progress of an upload or a download."""

    path: str
    """The path in the sandbox of the file, or of the folder whose archive is transferred."""
    transferred_bytes: int
    """Bytes transferred so far, of all files."""
    total_bytes: int | None = None
    """Bytes of all files; None if unknown."""
