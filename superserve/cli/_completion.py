"""Completion: the command that prints what a shell needs, and what names and ids there are."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import get_completion_class

from superserve.cli._output import Output, output_options

if TYPE_CHECKING:
    from superserve import SandboxInfo, Superserve, TemplateInfo

_BUDGET_S: Final = 1.0
_FRESH_S: Final = 30.0


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output_options
def completion(shell: str, out: Output) -> None:
    """Print a script that completes this command in a shell.

    Commands, options, names and ids are completed. Names come from the service, within a second, and are kept for 30 s.

    \b
    Example:
      superserve completion bash > ~/.superserve-completion
    """
    from superserve.cli._app import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    text = kind(root, {}, "superserve", "_SUPERSERVE_COMPLETE").source()
    out.data({"shell": shell, "script": text}, text, ids=[text])


def complete_templates(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names, or else ids, of templates that begin so."""
    return _matching("templates", incomplete, lambda client: client.templates.list())


def complete_sandboxes(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names, or else ids, of sandboxes that begin so."""
    return _matching("sandboxes", incomplete, lambda client: client.sandboxes.list())


def _matching(
    kind: str, incomplete: str, ask: "Callable[[Superserve], Iterable[TemplateInfo | SandboxInfo]]"
) -> list[str]:
    from superserve import SandboxError, Superserve

    try:
        with Superserve(timeout_s=_BUDGET_S, max_attempts=1) as client:
            found = _read(kind)
            if found is None:
                found = [[info.name, info.id] for info in ask(client)]
                _keep(kind, found)
    except SandboxError:
        # A shell that completes nothing is better than one that shows errors within a line.
        return []
    names = [name for name, _ in found if name.startswith(incomplete)]
    return sorted(set(names)) or [one_id for _, one_id in found if one_id.startswith(incomplete)]


def _file(kind: str) -> Path:
    # What one key may see is not for another; from a hash, nobody gets the key.
    whose = "\n".join(os.environ.get(name, "") for name in ("SUPERSERVE_BASE_URL", "SUPERSERVE_API_KEY"))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "superserve")
    return folder / f"{kind}-{hashlib.sha256(whose.encode('utf-8', 'replace')).hexdigest()[:32]}.json"


def _read(kind: str) -> list[list[str]] | None:
    """Return names and ids if they were asked for a moment ago."""
    with suppress(OSError, ValueError, RuntimeError):
        file = _file(kind)
        if 0 <= time.time() - file.stat().st_mtime < _FRESH_S:
            found: list[list[str]] = json.loads(file.read_text(encoding="utf-8"))
            return found
    return None


def _keep(kind: str, found: list[list[str]]) -> None:
    """Keep names and ids for the next time; where that cannot be, they are asked for again."""
    with suppress(OSError, RuntimeError):
        file = _file(kind)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(json.dumps(found), encoding="utf-8")
        new.replace(file)
