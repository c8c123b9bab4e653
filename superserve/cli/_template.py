"""`superserve template`: from a spec file to ready templates, and managing those."""

import re
import sys
from datetime import timedelta
from typing import Final

import click

from superserve.cli import _building, _exits, _specs
from superserve.cli._client import connected, find_own_template, find_template
from superserve.cli._completion import complete_templates
from superserve.cli._output import Output, output_options, table

_AGE: Final = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group(no_args_is_help=True)
def template() -> None:
    """Write, check, build and manage templates.

    \b
    Example:
      superserve template build web
    """


for _command in (
    _specs.init,
    _specs.check,
    _specs.import_,
    _building.plan,
    _building.build,
    _building.rebuild,
):
    template.add_command(_command)


@template.command()
@click.argument("name", shell_complete=complete_templates)
@click.option("--build", "build_id", metavar="ID", help="The build; by default the newest.")
@output_options
def logs(name: str, build_id: str | None, out: Output) -> None:
    """Print the log of a build to its end.

    NAME is the template's name or id. With --json, each event is a line.

    \b
    Example:
      superserve template logs web
    """
    from superserve import print_log

    with connected() as client:
        found = find_template(client, name)
        watched = found.build(build_id) if build_id else found.latest_build()
        show = print_log(sys.stdout, color=out.color)
        for event in watched.logs():
            if out.as_json:
                out.line({"type": "log", **event.to_dict()})
            else:
                show(event)


@template.command()
@click.option("--prefix", help="Only templates whose name starts with this text.")
@output_options
def ls(prefix: str | None, out: Output) -> None:
    """List the team's templates and the system's, newest first.

    \b
    Example:
      superserve template ls --prefix ci-
    """
    with connected() as client:
        infos = client.templates.list(name_prefix=prefix)
    rows = [("NAME", "STATUS", "VCPU", "MIB", "BUILT", "ID")] + [
        (info.name, info.status, info.vcpu, info.memory_mib, info.built_at, info.id) for info in infos
    ]
    out.data(infos, table(rows), ids=[info.id for info in infos])


@template.command()
@click.argument("name", shell_complete=complete_templates)
@click.option("--timeline", is_flag=True, help="Show how long each part of the newest build took.")
@output_options
def show(name: str, timeline: bool, out: Output) -> None:
    """Show a template (a name or an id) and its builds.

    \b
    Example:
      superserve template show web --timeline
    """
    with connected() as client:
        found = find_template(client, name)
        info, builds = found.get_info(), found.list_builds()
        times = found.build(builds[0].id).timeline() if timeline and builds else None
    lines = [f"{key:<15} {value}" for key, value in info.to_dict().items() if value is not None]
    lines += [
        "",
        table(
            [
                ("BUILD", "STATUS", "CREATED", "ENDED"),
                *((b.id, b.status, b.created_at, b.finalized_at) for b in builds),
            ]
        ),
    ]
    if times is not None:
        lines += ["", str(times)]
    out.data(
        {**info.to_dict(), "builds": builds, **({"timeline": times} if timeline else {})},
        "\n".join(lines),
        ids=[info.id],
    )


# Cancelling and deleting


@template.command()
@click.argument("name", shell_complete=complete_templates)
@click.option("--build", "build_id", metavar="ID", help="The build; by default the newest.")
@output_options
def cancel(name: str, build_id: str | None, out: Output) -> None:
    """Cancel a build. A build that has ended stays as it is.

    NAME is the template's name or id.

    \b
    Example:
      superserve template cancel web
    """
    with connected() as client:
        found = find_own_template(client, name)
        watched = found.build(build_id) if build_id else found.latest_build()
        watched.cancel()
        info = watched.get_info()
    out.data(info, f"{info.id}  {info.status}", ids=[info.id])


@template.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_templates)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@output_options
def rm(names: tuple[str, ...], yes: bool, dry_run: bool, out: Output) -> None:
    """Delete templates (names or ids).

    \b
    Example:
      superserve template rm web --yes
    """
    with connected() as client:
        # By their ids: a name and an id may be the same template's.
        found = [*{one.id: one for one in (find_own_template(client, name) for name in names)}.values()]
        if not dry_run:
            out.confirm(f"delete {_listed([one.name for one in found])}", yes=yes)
            for one in found:
                one.delete()
    out.data(
        [{"id": one.id, "name": one.name, "deleted": not dry_run} for one in found],
        "\n".join(f"{one.name}  {one.id}  {'would be deleted' if dry_run else 'deleted'}" for one in found),
        ids=[one.id for one in found],
    )


@template.command()
@click.option("--prefix", help="Only templates whose name starts with this text.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep the N that were built last.")
@click.option("--older-than", metavar="AGE", help="Only templates built longer ago: 12h, 7d, 2w.")
@click.option("--yes", is_flag=True, help="Delete the templates; without it, they are only listed.")
@click.option("--dry-run", is_flag=True, help="Only list the templates; the default without --yes.")
@output_options
def prune(
    *, prefix: str | None, keep: int | None, older_than: str | None, yes: bool, dry_run: bool, out: Output
) -> int:
    """Delete templates that are no longer needed.

    Without --yes, the command only lists them.

    \b
    Example:
      superserve template prune --prefix ci- --keep 5 --older-than 7d
    """
    with connected() as client:
        outcomes = client.templates.prune(
            name_prefix=prefix, keep=keep, older_than=_age(older_than), dry_run=dry_run or not yes
        )
    dry = dry_run or not yes
    out.data(
        [
            {
                "id": one.template.id,
                "name": one.template.name,
                "deleted": one.is_deleted,
                **({"error": None} if one.error is None else _exits.as_dict(one.error)),
            }
            for one in outcomes
        ],
        "\n".join(
            f"{one.template.name}  {one.template.id}  "
            + ("would be deleted" if dry else "deleted" if one.is_deleted else f"kept: {one.error}")
            for one in outcomes
        ),
        ids=[one.template.id for one in outcomes if dry or one.is_deleted],
    )
    if dry and outcomes:
        out.say("Nothing was deleted; use --yes to delete.")
    return max((_exits.exit_code(one.error) for one in outcomes if one.error), default=0)


def _listed(names: list[str]) -> str:
    return ("template " if len(names) == 1 else "templates ") + ", ".join(names)


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.UsageError(f"--older-than: expected an age such as 12h, 7d or 2w, got {text!r}")
    return timedelta(**{_UNITS[match["unit"]]: int(match["count"])})
