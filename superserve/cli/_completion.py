"""Completion: the command that prints what a shell needs, and what names and ids there are."""

import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from superserve.cli._client import is_sandbox_id
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


def complete_paths(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return paths: of a sandbox after `SANDBOX:`, else sandboxes and paths of this machine that begin so."""
    name, separator, path = incomplete.partition(":")
    if separator and len(name) > 1 and not Path(incomplete).exists():
        return [CompletionItem(f"{name}:{found}") for found in _remote_paths(name, path)]
    here = CompletionItem(incomplete, type="file")
    if "/" in incomplete or incomplete.startswith((".", "~")):
        return [here]
    names = _matching("sandboxes", incomplete, lambda client: client.sandboxes.list())
    if not names:
        return [here]
    # A shell completes files by itself only where there is nothing else.
    local = (
        f"{one}/" if one.is_dir() else f"{one}" for one in sorted(Path().glob(f"{glob.escape(incomplete)}*"))
    )
    return [*(CompletionItem(f"{one}:") for one in names), *map(CompletionItem, local)]


def _remote_paths(name: str, path: str) -> list[str]:
    """Return what is in a folder of a sandbox and begins so. A sandbox that is paused is not woken."""
    import asyncio

    # Loaded before the clock starts.
    from superserve import AsyncSandbox, AsyncSuperserve, SandboxError  # noqa: F401

    folder, slash, begin = path.rpartition("/")
    if not path.startswith("/"):
        return ["/"] if not path else []
    kind = f"files-{hashlib.sha256(f'{name}:{folder}'.encode('utf-8', 'replace')).hexdigest()[:16]}"
    found = _read(kind)
    if found is None:
        try:
            found = asyncio.run(asyncio.wait_for(_list_folder(name, folder or "/"), _BUDGET_S))
        except (SandboxError, TimeoutError):
            return []
        _keep(kind, found)
    return [f"{folder}{slash}{one}" for one in found if one.startswith(begin)]


async def _list_folder(name: str, folder: str) -> list[str]:
    """Return the names in a folder of a sandbox; that of a folder ends in `/`."""
    from superserve import AsyncSandbox, AsyncSuperserve

    async with AsyncSuperserve(timeout_s=_BUDGET_S, max_attempts=1) as client:
        ids = [name]
        if not is_sandbox_id(name):
            ids = [info.id for info in await client.sandboxes.list(q=name) if info.name == name]
        if len(ids) != 1:
            return []
        sandbox = await AsyncSandbox.get(ids[0], client=client)
        result = await sandbox.commands.run(["ls", "-1ApL", "--", folder], wake=False)
        return result.stdout.splitlines()


class _Bash(BashComplete):
    """Bash takes `:` for the end of a word: it tells `box:/a` as three words, and completes the last of them."""

    # With nothing in between, what follows a folder or a sandbox is to be typed.
    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *[/:] ]] && compopt -o nospace"
    )
    _cut = 0

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that one, as they were typed."""
        args, incomplete = super().get_completion_args()
        whole: list[str] = []
        for word in (*args, incomplete):
            if whole and (word == ":" or whole[-1].endswith(":")):
                whole[-1] += word
            else:
                whole.append(word)
        last = whole.pop() if whole else ""
        self._cut = len(last) - len("" if incomplete == ":" else incomplete)
        return whole, last

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion, without what stands before the word that bash completes."""
        return f"{item.type},{item.value[self._cut :]}"


add_completion_class(_Bash, "bash")


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


def _read(kind: str) -> list[Any] | None:
    """Return what was asked for a moment ago."""
    with suppress(OSError, ValueError, RuntimeError):
        file = _file(kind)
        if 0 <= time.time() - file.stat().st_mtime < _FRESH_S:
            found: list[Any] = json.loads(file.read_text(encoding="utf-8"))
            return found
    return None


def _keep(kind: str, found: list[Any]) -> None:
    """Keep an answer for the next time; where that cannot be, it is asked for again."""
    with suppress(OSError, RuntimeError):
        file = _file(kind)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(json.dumps(found), encoding="utf-8")
        new.replace(file)
