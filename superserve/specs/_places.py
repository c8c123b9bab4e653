"""Where a part of a spec was written."""

import inspect
import os
from pathlib import Path

import attrs

from superserve.types._value import Value


@attrs.frozen(slots=False)
class Place(Value):
    """A place in a file: of a program, a TOML, JSON or YAML file, or a Dockerfile."""

    file: str
    line: int | None = None
    """Counted from 1; None where only the file is known."""
    column: int | None = None
    """Counted from 1; None where only the line is known."""

    def __str__(self) -> str:
        return ":".join(
            str(part) for part in (shorten(self.file), self.line, self.column) if part is not None
        )


def shorten(file: str) -> str:
    """Return a path as people write it from the folder they are in."""
    try:
        inside = Path(file).is_relative_to(Path.cwd())
        return os.path.relpath(file) if inside else file
    except (OSError, ValueError):
        return file


def caller() -> Place | None:
    """Return where code outside of this package, and of attrs, is right now."""
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
