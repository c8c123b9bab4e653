"""The scratch folder of a build, and removing those of killed servers."""

import contextlib
import os
import pathlib
import shutil
import tempfile

_PREFIX = "superserve-build-"
_LOCK = "lock"


class Scratch:
    """A folder that only this user can enter. Its subfolder `root` contains the files that the build's steps see.

    This process holds the folder's lock as long as it lives. A folder whose lock is free has no owner any more.
    """

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.root = self.folder / "root"
        self._lock = _lock_new(self.folder)
        self.root.mkdir()

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        _remove(self.folder)
        os.close(self._lock)


def sweep() -> None:
    """Remove the scratch folders of this user's killed servers."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                _lock(lock)
                _remove(folder)
            finally:
                os.close(lock)


def _lock_new(folder: pathlib.Path) -> int:
    # Renamed only when locked: another process that sweeps cannot come between creating and locking.
    fresh = folder / f"{_LOCK}.new"
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    _lock(descriptor)
    fresh.rename(folder / _LOCK)
    return descriptor


def _lock(descriptor: int) -> None:
    import fcntl  # It does not exist on Windows, where this module must still be importable.

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    # A step has removed the permission to list or change a folder.
    folder.chmod(0o700)
    for parent, names, _ in os.walk(folder):
        for name in names:
            child = pathlib.Path(parent, name)
            if not child.is_symlink():
                child.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
