"""`superserve template`: from a spec file to ready templates, and managing those."""

import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from superserve.cli import _exits
from superserve.cli._client import connected, is_id
from superserve.cli._output import Output, output_options, table

SPEC_FILE: Final = "superserve.toml"
_AGE: Final = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SECOND_CTRL_C_S: Final = 2.0
_LOOK_S: Final = 0.05


@click.group(no_args_is_help=True)
def template() -> None:
    """Write, check, build and manage templates.

    \b
    Example:
      superserve template build web
    """


def file_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --file to a command."""
    return click.option(
        "-f",
        "--file",
        "file",
        default=SPEC_FILE,
        metavar="FILE",
        help=f"The spec file (TOML, JSON or YAML); {SPEC_FILE} by default.",
    )(command)


def complete_names(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names of templates that start with a text, from the service, within a second."""
    from superserve import SandboxError, Superserve

    try:
        with Superserve(timeout_s=1.0, max_attempts=1) as client:
            return [info.name for info in client.templates.list(name_prefix=incomplete)]
    except SandboxError:
        return []


def complete_specs(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names of a file's templates that start with a text."""
    from superserve import SandboxError
    from superserve.specs import load_all

    try:
        return [name for name in load_all(ctx.params.get("file") or SPEC_FILE) if name.startswith(incomplete)]
    except SandboxError:
        return []


def load_specs(file: str, names: tuple[str, ...]) -> list[Any]:
    """Return the specs of a file: the named ones, or all."""
    from superserve import NotFoundError, TemplateSpec
    from superserve.specs import load_all
    from superserve.specs._files import is_dockerfile

    if is_dockerfile(Path(file)):
        # A Dockerfile contains no name.
        return [TemplateSpec.load(file, name=names[0] if names else None)]
    specs = load_all(file)
    for name in names:
        if name not in specs:
            raise NotFoundError(f"{file} has no template {name!r}", hint=f"it has {', '.join(specs)}")
    return [specs[name] for name in dict.fromkeys(names)] if names else list(specs.values())


def find(client: Any, name: str) -> Any:
    """Return the template with a name or an id."""
    return client.templates.connect(name) if is_id(name) else client.templates.get_by_name(name)


# Writing specs


@template.command()
@click.argument("path", default=SPEC_FILE)
@click.option("--name", default="web", help="The template's name.")
@click.option("--from", "image", default="python:3.11", help="The image to start from.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@output_options
def init(path: str, name: str, image: str, force: bool, out: Output) -> None:
    """Write a first spec file, and the schema with which editors complete it.

    \b
    Example:
      superserve template init --name web --from python:3.11
    """
    from superserve import ConflictError, SandboxError, TemplateSpec, ValidationError, ready
    from superserve import specs as package

    target = Path(path)
    if target.suffix != ".toml":
        raise ValidationError(f"{path}: the name of a new spec file must end in .toml")
    if target.exists() and not force:
        raise ConflictError(f"{path} already exists", hint="use --force to overwrite it")
    spec = (
        TemplateSpec(name=name, from_=image)
        .workdir("/app")
        .run("python --version")
        .start("python -m http.server 8080", ready=ready.port(8080))
    )
    problems = [problem for problem in spec.check() if problem.severity == "error"]
    if problems:
        raise ValidationError("; ".join(f"{problem.where}: {problem.message}" for problem in problems))
    schema = target.with_name("superserve.schema.json")
    try:
        target.write_text(f"#:schema ./{schema.name}\n{spec.to_toml()}", encoding="utf-8")
        schema.write_bytes(Path(str(package.__file__)).with_name("superserve.schema.json").read_bytes())
    except OSError as error:
        raise SandboxError(f"{path} cannot be written: {error.strerror or error}") from error
    out.data({"file": str(target), "schema": str(schema)}, str(target), ids=[str(target)])
    out.say(f"Next: superserve template build {name}" + (f" -f {path}" if path != SPEC_FILE else ""))


@template.command()
@click.argument("names", nargs=-1, shell_complete=complete_specs)
@file_option
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@output_options
def check(names: tuple[str, ...], file: str, strict: bool, out: Output) -> int:
    """Report all errors and warnings of the templates in a spec file. Nothing is sent.

    \b
    Example:
      superserve template check --strict
    """
    problems = [problem for spec in load_specs(file, names) for problem in spec.check()]
    out.data(problems, "\n".join(map(str, problems)))
    errors = sum(problem.severity == "error" for problem in problems)
    out.say(f"{errors} errors, {len(problems) - errors} warnings")
    return _exits.USAGE if errors or (strict and problems) else 0


@template.command(name="import")
@click.argument("dockerfile", default="Dockerfile")
@click.option("--name", help="The template's name; by default the folder's.")
@output_options
def import_(dockerfile: str, name: str | None, out: Output) -> None:
    """Convert a Dockerfile to a spec, on stdout. If parts cannot be converted, all of them are reported.

    \b
    Example:
      superserve template import Dockerfile --name web > superserve.toml
    """
    from superserve.specs.dockerfile import read_dockerfile

    imported = read_dockerfile(dockerfile, name=name)
    spec = imported.spec
    for problem in (*imported.warnings, *spec.check()):
        out.say(str(problem))
    out.data(spec.to_api(), spec.to_toml().rstrip("\n"), ids=[spec.name])


# Building


@template.command()
@click.argument("names", nargs=-1, shell_complete=complete_specs)
@file_option
@output_options
def plan(names: tuple[str, ...], file: str, out: Output) -> None:
    """Show what `build` would do, and why. Nothing is changed.

    \b
    Example:
      superserve template plan web
    """
    with connected() as client:
        plans = {spec.name: client.templates.plan(spec) for spec in load_specs(file, names)}
    _show_plans(plans, out)


@template.command()
@click.argument("names", nargs=-1, shell_complete=complete_specs)
@file_option
@click.option("--all", "everything", is_flag=True, help="All templates of the file.")
@click.option("--no-wait", is_flag=True, help="Return once the builds are queued.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Replace (delete and create) templates that differ without asking.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop waiting after this time.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    metavar="N",
    help="With several templates: the most builds to run at once.",
)
@output_options
def build(
    *,
    names: tuple[str, ...],
    file: str,
    everything: bool,
    no_wait: bool,
    dry_run: bool,
    yes: bool,
    timeout_s: float | None,
    concurrency: int | None,
    out: Output,
) -> int:
    """Make templates as in the spec file: create, rebuild, replace, or leave them unchanged.

    The log goes to stderr, the ready templates to stdout. Ctrl-C stops watching and says how to come back; a second one
    cancels the build.

    \b
    Example:
      superserve template build web
    """
    if not names and not everything:
        raise click.UsageError("name templates of the file, or use --all")
    specs = load_specs(file, names)
    if any(problem.severity == "error" for spec in specs for problem in spec.check()):
        from superserve import SpecError

        raise SpecError.of([found for spec in specs for found in spec.check() if found.severity == "error"])
    for problem in (found for spec in specs for found in spec.check()):
        out.say(str(problem))
    with connected() as client:
        if dry_run:
            _show_plans({spec.name: client.templates.plan(spec) for spec in specs}, out)
            return 0
        if len(specs) == 1:
            return _build_one(client, specs[0], out, no_wait=no_wait, yes=yes, timeout_s=timeout_s)
        if not yes:
            for spec in specs:
                _confirm(spec.name, client.templates.plan(spec), out, yes=False)
        return _build_many(client, specs, out, concurrency=concurrency, no_wait=no_wait)


def _show_plans(plans: dict[str, Any], out: Output) -> None:
    out.data(
        [{"name": name, **made.to_dict()} for name, made in plans.items()],
        "\n".join(f"{name}: {made}" for name, made in plans.items()),
        ids=[f"{name} {made.action}" for name, made in plans.items()],
    )


def _confirm(name: str, made: Any, out: Output, *, yes: bool) -> None:
    if made.action == "replace":
        out.confirm(f"delete template {name} and create it anew ({'; '.join(made.reasons)})", yes=yes)


def _build_one(
    client: Any, spec: Any, out: Output, *, no_wait: bool, yes: bool, timeout_s: float | None
) -> int:
    def tell(made: Any) -> None:
        _confirm(spec.name, made, out, yes=yes)
        if not out.quiet:
            out.say(f"{spec.name}: {made}")

    made = client.templates.ensure(spec, wait=False, on_plan=tell)
    if no_wait or made.status == "ready":
        _show_built(made.get_info(), out)
        if made.status != "ready":
            out.say(f"The build goes on; superserve template logs {spec.name} shows it.")
        return 0
    _show_built(_watch(made.latest_build(), out, spec=spec, timeout_s=timeout_s), out)
    return 0


def _build_many(client: Any, specs: list[Any], out: Output, *, concurrency: int | None, no_wait: bool) -> int:
    if no_wait:
        infos = [client.templates.ensure(spec, wait=False).get_info() for spec in specs]
        out.data(
            infos,
            "\n".join(f"{info.name}  {info.id}  {info.status}" for info in infos),
            ids=[info.id for info in infos],
        )
        return 0
    try:
        summary = client.templates.build_all(
            specs, concurrency=concurrency, on_outcome=lambda one: out.say(str(one))
        )
    except KeyboardInterrupt as error:
        if getattr(error, "__notes__", None):
            error.add_note(
                "superserve template logs NAME shows one, superserve template cancel NAME ends it."
            )
        raise
    ready = [one.template for one in summary.outcomes if one.template is not None]
    out.data(
        [
            {
                "name": one.name,
                "action": one.action,
                "template": one.template,
                "seconds": one.seconds,
                **({"error": None} if one.error is None else _exits.as_dict(one.error)),
            }
            for one in summary.outcomes
        ],
        "\n".join(f"{info.name}  {info.id}  {info.status}" for info in ready),
        ids=[info.id for info in ready],
    )
    out.say(str(summary).partition("\n")[0])
    return max((_exits.exit_code(one.error) for one in summary.failed), default=0)


def _show_built(info: Any, out: Output) -> None:
    out.data(info, f"{info.name}  {info.id}  {info.status}", ids=[info.id])


def _watch(build: Any, out: Output, *, spec: Any = None, timeout_s: float | None = None) -> Any:
    """Wait for a build with its log on stderr. Ctrl-C stops watching; a second one soon after cancels the build."""
    from superserve import SandboxTimeoutError

    name = build.template.name
    how = f"superserve template logs {name} shows it, superserve template cancel {name} ends it"
    try:
        return _wait(build, out, spec, timeout_s)
    except SandboxTimeoutError as error:
        # The error's own hint is for Python code.
        error.hint = f"the build goes on: {how}"
        raise
    except KeyboardInterrupt as error:
        error.__notes__ = [f"Build {build.id} of template {name} goes on.", f"{how}."]
        if sys.stderr.isatty() and _is_pressed_again():
            build.cancel()
            error.__notes__ = [f"Build {build.id} of template {name} is cancelled."]
        raise


def _wait(build: Any, out: Output, spec: Any, timeout_s: float | None) -> Any:
    from superserve import print_log

    if out.may_draw and not out.quiet and out.color is not False:
        from superserve.cli import _live

        with _live.display(build.template.name) as show:
            return build.wait(on_log=show, timeout_s=timeout_s, log_tail=True)
    on_log = None if out.quiet else print_log(sys.stderr, color=out.color, spec=spec)
    return build.wait(on_log=on_log, timeout_s=timeout_s, log_tail=True)


def _is_pressed_again() -> bool:
    """Whether Ctrl-C is pressed again soon."""
    pressed = threading.Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        click.echo("\nStopped watching; Ctrl-C again now cancels the build.", err=True)
        until = time.monotonic() + _SECOND_CTRL_C_S
        # Wait in short steps: if another thread gets the signal first, a long wait would delay its handler.
        while not pressed.is_set() and time.monotonic() < until:
            pressed.wait(_LOOK_S)
        return pressed.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


@template.command()
@click.argument("name", shell_complete=complete_names)
@click.option("--no-wait", is_flag=True, help="Return once the build is queued.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop waiting after this time.",
)
@output_options
def rebuild(name: str, no_wait: bool, timeout_s: float | None, out: Output) -> None:
    """Build a template (a name or an id) again.

    \b
    Example:
      superserve template rebuild web
    """
    with connected() as client:
        found = find(client, name)
        info = found.rebuild()
        if no_wait:
            out.data(info, f"{found.name}  {info.id}  {info.status}", ids=[info.id])
            out.say(f"The build goes on; superserve template logs {found.name} shows it.")
        else:
            _show_built(_watch(found.build(), out, timeout_s=timeout_s), out)


# Looking at templates


@template.command()
@click.argument("name", shell_complete=complete_names)
@click.option("--build", "build_id", metavar="ID", help="The build; by default the newest.")
@output_options
def logs(name: str, build_id: str | None, out: Output) -> None:
    """Print the log of a build of a template (a name or an id) to its end. With --json, each event is a line.

    \b
    Example:
      superserve template logs web
    """
    from superserve import print_log

    with connected() as client:
        found = find(client, name)
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
@click.argument("name", shell_complete=complete_names)
@click.option("--timeline", is_flag=True, help="Show how long each part of the newest build took.")
@output_options
def show(name: str, timeline: bool, out: Output) -> None:
    """Show a template (a name or an id) and its builds.

    \b
    Example:
      superserve template show web --timeline
    """
    with connected() as client:
        found = find(client, name)
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
@click.argument("name", shell_complete=complete_names)
@click.option("--build", "build_id", metavar="ID", help="The build; by default the newest.")
@output_options
def cancel(name: str, build_id: str | None, out: Output) -> None:
    """Cancel a build of a template (a name or an id). Nothing happens if it has ended.

    \b
    Example:
      superserve template cancel web
    """
    with connected() as client:
        found = find(client, name)
        watched = found.build(build_id) if build_id else found.latest_build()
        watched.cancel()
        info = watched.get_info()
    out.data(info, f"{info.id}  {info.status}", ids=[info.id])


@template.command()
@click.argument("names", nargs=-1, required=True, shell_complete=complete_names)
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
        found = [find(client, name) for name in names]
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
    """Delete templates of the team that are no longer needed. Without --yes, only list them.

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
