"""Programs of this package that Python runs by path."""

import atexit
import contextlib
import functools
import pathlib

_copies = contextlib.ExitStack()
atexit.register(_copies.close)


@functools.cache
def find_program(package: str, name: str) -> pathlib.Path:
    """Return the path of the program. If the package is in an archive (zipapp), a copy is made for this interpreter."""
    from importlib import resources  # Not needed at the server's start.

    return _copies.enter_context(resources.as_file(resources.files(package) / name))
