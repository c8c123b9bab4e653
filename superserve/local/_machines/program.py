"""Programs of this package that Python runs by their paths."""

import atexit
import contextlib
import functools
import pathlib

_copies = contextlib.ExitStack()
atexit.register(_copies.close)


@functools.cache
def find_program(package: str, name: str) -> pathlib.Path:
    """Return its file; where the package lies in an archive (zipapp), that of a copy, which goes with the interpreter."""
    from importlib import resources  # Not needed at the server's start.

    return _copies.enter_context(resources.as_file(resources.files(package) / name))
