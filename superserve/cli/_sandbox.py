"""`superserve sb`: managing sandboxes."""

import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

import click

from superserve.cli import _exits
from superserve.cli._client import connected, find_sandbox, is_sandbox_id
from superserve.cli._completion import complete_sandboxes, complete_templates
from superserve.cli._exec import read_pairs, secret_option, starting
from superserve.cli._output import Output, Seconds, output_options, table

if TYPE_CHECKING:
    from superserve import Sandbox, Superserve

_GONE: Final = "gone"
_POLL_S: Final = 1.0


@click.group(no_args_is_help=True)
def sb() -> None:
    """Manage sandboxes.

    \b
    Example:
      superserve sb ls
    """


@sb.command()
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", help="Only sandboxes with this metadata; may be repeated."
)
@click.option("--status", help="Only sandboxes with this status, such as active or paused.")
@output_options
def ls(where: tuple[str, ...], status: str | None, out: Output) -> None:
    """List the team's sandboxes, newest first.

    \b
    Example:
      superserve sb ls --where team=a --status active
    """
    with connected() as client:
        infos = client.sandboxes.list(metadata=read_pairs("--where", where) or None, status=status)
    rows = [("NAME", "STATUS", "VCPU", "MIB", "CREATED", "ID")] + [
        (info.name, info.status, info.vcpu_count, info.memory_mib, info.created_at, info.id) for info in infos
    ]
    out.data(infos, table(rows), ids=[info.id for info in infos])


@sb.command()
@click.argument("name")
@click.option(
    "-t",
    "--template",
    metavar="NAME",
    shell_complete=complete_templates,
    help="What it starts from; superserve/base by default.",
)
@click.option("--timeout", "limit", type=int, metavar="S", help="Pause it after so many seconds of running.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Metadata; may be given again.")
@secret_option
@output_options
def create(
    *,
    name: str,
    template: str | None,
    limit: int | None,
    meta: tuple[str, ...],
    secret: tuple[str, ...],
    out: Output,
) -> None:
    """Start a sandbox, and leave it running.

    \b
    Example:
      superserve sb create my-box --meta team=a
    """
    from superserve import Sandbox

    with connected() as client, starting(name):
        sandbox = Sandbox.create(
            name=name,
            from_template=template,
            timeout_seconds=limit,
            metadata=read_pairs("--meta", meta) or None,
            secrets=read_pairs("--secret", secret) or None,
            client=client,
        )
        info = sandbox.get_info()
    out.data(info, f"{info.name}  {info.id}  {info.status}", ids=[info.id])
    out.say(f"It runs until it is killed; superserve sb kill {info.id} ends it.")


@sb.command()
@click.argument("name", shell_complete=complete_sandboxes)
@output_options
def show(name: str, out: Output) -> None:
    """Show a sandbox (a name or an id). It is not woken.

    \b
    Example:
      superserve sb show my-box
    """
    with connected() as client:
        info = find_sandbox(client, name).get_info()
    lines = [f"{key:<20} {value}" for key, value in info.to_dict().items() if value is not None]
    out.data(info, "\n".join(lines), ids=[info.id])


@sb.command()
@click.argument("name", shell_complete=complete_sandboxes)
@click.option(
    "--for",
    "seconds",
    type=int,
    metavar="S",
    help="Seconds of running; by default the sandbox is never paused.",
)
@output_options
def keep(name: str, seconds: int | None, out: Output) -> None:
    """Set after what time a sandbox is paused by itself.

    \b
    Example:
      superserve sb keep my-box --for 3600
    """
    with connected() as client:
        sandbox = find_sandbox(client, name)
        sandbox.set_timeout(seconds)
        info = sandbox.get_info()
    when = "is never paused by itself" if seconds is None else f"is paused after {seconds} s of running"
    out.data(info, f"{info.name}  {info.id}  {when}", ids=[info.id])


@sb.command()
@click.argument("name", shell_complete=complete_sandboxes)
@click.option(
    "--until", metavar="STATUS", help="End when the sandbox has this status; by default, when it is gone."
)
@click.option(
    "--timeout", "limit", type=Seconds(), metavar="S", help="End after this many seconds, with exit code 124."
)
@output_options
def watch(name: str, until: str | None, limit: float | None, out: Output) -> int:
    """Print each status that a sandbox reaches. The sandbox is not woken.

    \b
    Example:
      superserve sb watch my-box --until active
    """
    from superserve import NotFoundError

    end = None if limit is None else monotonic() + limit
    shown = None
    with connected() as client:
        sandbox = find_sandbox(client, name)
        while end is None or monotonic() < end:
            try:
                status = str(sandbox.get_info().status)
            except NotFoundError:
                status = _GONE
            if status != shown:
                shown = status
                _show_status(sandbox, status, out)
            if status in {until, _GONE}:
                return 0 if until in {None, status} else _exits.NOT_FOUND
            sleep(_POLL_S)
    return _exits.TIMEOUT


def _show_status(sandbox: "Sandbox", status: str, out: Output) -> None:
    if out.as_json:
        out.line({"type": "status", "id": sandbox.id, "name": sandbox.name, "status": status})
    else:
        click.echo(status if out.quiet else f"{sandbox.name}  {sandbox.id}  {status}")
        sys.stdout.flush()


def _for_each(name: str, verb: str, help_text: str, *, deletes: bool = False) -> None:
    @sb.command(name, help=help_text)
    @click.argument("names", nargs=-1, shell_complete=complete_sandboxes)
    @click.option(
        "--where", multiple=True, metavar="KEY=VALUE", help="Those with this metadata; may be repeated."
    )
    @click.option("--yes", is_flag=True, hidden=not deletes, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help=f"Show which would be {verb}, and do nothing.")
    @output_options
    def command(
        *, names: tuple[str, ...], where: tuple[str, ...], yes: bool, dry_run: bool, out: Output
    ) -> None:
        if bool(names) == bool(where):
            raise click.UsageError("name sandboxes, or choose them with --where")
        with connected() as client:
            found = _choose(client, names, where)
            # An id is no slip, and so `sb ls -q | xargs superserve sb kill` works.
            if deletes and not dry_run and not all(map(is_sandbox_id, names or [""])):
                out.confirm(
                    f"{name} {', '.join(one.name for one in found) or 'nothing'}", yes=yes or not found
                )
            for sandbox in () if dry_run else found:
                getattr(sandbox, name)()
        done = f"would be {verb}" if dry_run else verb
        out.data(
            [{"id": one.id, "name": one.name, "done": done} for one in found],
            "\n".join(f"{one.name}  {one.id}  {done}" for one in found),
            ids=[one.id for one in found],
        )


def _choose(client: "Superserve", names: tuple[str, ...], where: tuple[str, ...]) -> "list[Sandbox]":
    """Return sandboxes, each once."""
    from superserve import Sandbox

    if names:
        found = [find_sandbox(client, one) for one in names]
    else:
        infos = client.sandboxes.list(metadata=read_pairs("--where", where))
        found = [Sandbox.get(info.id, client=client) for info in infos]
    return [*{one.id: one for one in found}.values()]


_for_each("pause", "paused", "Pause sandboxes (names or ids).\n\n\b\nExample:\n  superserve sb pause my-box")
_for_each(
    "resume",
    "resumed",
    "Resume paused sandboxes (names or ids).\n\n\b\nExample:\n  superserve sb resume my-box",
)
_for_each(
    "kill",
    "killed",
    "Kill sandboxes (names or ids).\n\nOf names, it asks first.\n\n\b\nExample:\n  superserve sb kill my-box --yes",
    deletes=True,
)
