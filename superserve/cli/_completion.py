"""`superserve completion`: completion in a shell."""

import click
from click.shell_completion import get_completion_class

from superserve.cli._output import Output, output_options


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output_options
def completion(shell: str, out: Output) -> None:
    """Print a script that completes this command in a shell: commands, options, names of templates.

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
