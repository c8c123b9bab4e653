"""Programs of this package that Python runs by path."""

import atexit
import contextlib
import pathlib
from importlib import resources

_copies = contextlib.ExitStack()
atexit.register(_copies.close)


def find_program(package: str, name: str) -> pathlib.Path:
    """Return the path of the program. If the package is in an archive (zipapp), a copy is made for this interpreter."""
    return _copies.enter_context(resources.as_file(resources.files(package) / name))
