"""The place where a part of a spec was written."""

import inspect
import os
from pathlib import Path

import attrs

from superserve.types._value import Value


@attrs.frozen(slots=False)
class Place(Value):
    """A place in a file: in a program, a TOML, JSON or YAML file, or a Dockerfile."""

    file: str
    line: int | None = None
    """Counted from 1; None if only the file is known."""
    column: int | None = None
    """Counted from 1; None if only the line is known."""

    def __str__(self) -> str:
        return ":".join(
            str(part) for part in (shorten(self.file), self.line, self.column) if part is not None
        )


def shorten(file: str) -> str:
    """Return a path relative to the working directory if it is below it, as people write it."""
    try:
        inside = Path(file).is_relative_to(Path.cwd())
        return os.path.relpath(file) if inside else file
    except (OSError, ValueError):
        return file


def caller() -> Place | None:
    """Return the current place in the code that called this package, without the code of attrs."""
    frame = inspect.currentframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<attrs ") and not f"{frame.f_globals.get('__name__')}.".startswith(
            "superserve."
        ):
            return Place(file, frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None
