"""`superserve cp`: files to and from a sandbox."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click

from superserve.cli._client import connected, find_sandbox
from superserve.cli._completion import complete_paths
from superserve.cli._output import Output, output_options

if TYPE_CHECKING:
    from superserve import Sandbox
    from superserve.types import TransferProgress

IGNORE_FILE: Final = ".superserveignore"

Ignore = Callable[[str, list[str]], set[str]]
OnProgress = Callable[["TransferProgress"], None]


@click.command()
@click.argument("source", shell_complete=complete_paths)
@click.argument("target", shell_complete=complete_paths)
@click.option(
    "--ignore-file",
    metavar="FILE",
    help=f"What of a folder to leave behind, in the form of .gitignore; by default its {IGNORE_FILE}, if there is one.",
)
@output_options
def cp(source: str, target: str, ignore_file: str | None, out: Output) -> None:
    """Copy a file or a folder to or from a sandbox.

    SANDBOX:/path is a path in a sandbox. Any other path is on this machine. A TARGET that ends in / is a folder to copy into.

    \b
    Example:
      superserve cp report.txt my-box:/home/user/report.txt
    """
    there = [_split(text) for text in (source, target)]
    if (there[0] is None) == (there[1] is None):
        raise click.UsageError(
            "one of SOURCE and TARGET must be in a sandbox, such as my-box:/home/user/report.txt"
        )
    if there[0] is not None and ignore_file is not None:
        raise click.UsageError("--ignore-file: only what is copied to a sandbox can be left behind")
    name, path = next(found for found in there if found is not None)
    with connected() as client:
        sandbox = find_sandbox(client, name)
        if there[0] is None:
            here = Path(source)
            path += here.resolve().name if path.endswith("/") else ""
            count = upload(sandbox, here, path, out, ignore_file=ignore_file)
        else:
            into = Path(target, PurePosixPath(path).name) if target.endswith("/") else Path(target)
            with _progress(path, out) as show:
                sandbox.files.download(path, into, on_progress=show)
            count = show.transferred_bytes
    out.data({"source": source, "target": target, "sandbox_id": sandbox.id, "bytes": count}, ids=[sandbox.id])


def upload(
    sandbox: "Sandbox",
    here: Path,
    path: str,
    out: Output,
    *,
    ignore_file: str | None = None,
    never: Sequence[str] = (),
) -> int:
    """Copy a file or a folder to a sandbox without what is to stay behind, and return how many bytes that was."""
    ignore = _ignoring(here, ignore_file, never) if here.is_dir() else None
    with _progress(path, out) as show:
        sandbox.files.upload(here, path, ignore=ignore, on_progress=show)
    return show.transferred_bytes


class _Shown:
    """Takes note of how far a transfer is, and draws it where there is something to draw on."""

    def __init__(self, draw: OnProgress | None = None) -> None:
        self.transferred_bytes = 0
        self._draw = draw

    def __call__(self, progress: "TransferProgress") -> None:
        self.transferred_bytes = progress.transferred_bytes
        if self._draw is not None:
            self._draw(progress)


@contextmanager
def _progress(path: str, out: Output) -> "Iterator[_Shown]":
    if not out.may_draw:
        yield _Shown()
        return
    from superserve.cli._live import transfer

    with transfer(path) as draw:
        yield _Shown(draw)


def _ignoring(folder: Path, ignore_file: str | None, never: Sequence[str]) -> Ignore | None:
    """Return what chooses the files and folders of a folder to leave behind; None if all are copied."""
    lines: list[str] = []
    file = folder / IGNORE_FILE if ignore_file is None else Path(ignore_file)
    if ignore_file is not None or file.exists():
        from superserve import ValidationError

        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ValidationError(f"{file}: cannot be read: {reason}") from error
    return _matching(folder, file, lines, never) if lines or never else None


def _matching(folder: Path, file: Path, lines: Sequence[str], never: Sequence[str]) -> Ignore:
    from superserve import ValidationError

    match: Callable[[str], bool] = lambda _path: False  # noqa: E731 - the usual case needs no pathspec
    if lines:
        try:
            from pathspec import GitIgnoreSpec

            match = GitIgnoreSpec.from_lines(lines).match_file
        except ModuleNotFoundError as error:
            raise ValidationError(
                f"{file}: reading it needs pathspec: pip install 'superserve-client[cli]'"
            ) from error
        except ValueError as error:
            raise ValidationError(f"{file}: {error}") from error

    def ignore(directory: str, names: list[str]) -> set[str]:
        here = Path(directory)
        below = here.relative_to(folder)
        return {
            name
            for name in names
            if name in never or match((below / name).as_posix() + ("/" if (here / name).is_dir() else ""))
        }

    return ignore


def _split(text: str) -> tuple[str, str] | None:
    """Return the sandbox and the path of SANDBOX:/path; None for a path on this machine."""
    name, separator, path = text.partition(":")
    # A Windows drive, or an existing file, is on this machine.
    is_there = bool(separator) and path.startswith("/") and len(name) > 1 and not Path(text).exists()
    return (name, path) if is_there else None
