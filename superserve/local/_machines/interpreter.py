"""The Python that commands find as `python` and `python3`, where a server was told of one."""

import json
import os
import pathlib
import shlex
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_INSIDE = "/run/superserve/bin"
_NAMES = ("python", "python3")
_QUESTION = (
    "import json, sys; "
    "print(json.dumps([sys.executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]))"
)
_LIMIT_S = 10.0


class Interpreter(NamedTuple):
    """A Python of this machine, perhaps with packages of its own (venv)."""

    program: str
    folders: tuple[str, ...]
    """What it consists of: has to be where commands run, under the same names."""

    @classmethod
    def find(cls, path: str | os.PathLike[str]) -> "Interpreter":
        """Ask an interpreter what it consists of; raises ValueError if it is none."""
        # The one that is asked tells which it is: it may have been named by a link, or by a script that chooses one.
        try:
            asked = subprocess.run(  # noqa: S603 - what the caller named
                [os.fspath(path), "-I", "-c", _QUESTION],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LIMIT_S,
                check=True,
            )
            program, *folders = json.loads(asked.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise ValueError(
                f"python must be the path of a Python interpreter: {os.fspath(path)!r} is none ({error})"
            ) from None
        return cls(program, tuple(dict.fromkeys(folders)))

    def search_path(self, folder: pathlib.Path, *, is_isolated: bool) -> str:
        """Return where commands of the build or sandbox with this scratch folder find it, for PATH."""
        return _INSIDE if is_isolated else str(_names(folder))

    def offer(self, folder: pathlib.Path) -> Iterator[tuple[str, str]]:
        """Prepare its names in a scratch folder; yield what the commands have to see, and where."""
        names = _names(folder)
        names.mkdir(exist_ok=True)
        for name in _NAMES:
            # No link: Python looks for the packages of a venv beside the name that it was started by.
            (names / name).write_text(f'#!/bin/sh\nexec {shlex.quote(self.program)} "$@"\n')
            (names / name).chmod(0o755)
        yield str(names), _INSIDE
        yield from ((each, each) for each in self.folders)


def _names(folder: pathlib.Path) -> pathlib.Path:
    # Beside what commands can write to.
    return folder / "bin"
