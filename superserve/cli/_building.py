"""`superserve template plan`, `build` and `rebuild`: what is to be done, doing it, and watching it."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from superserve.cli import _exits
from superserve.cli._client import connected, find_own_template
from superserve.cli._completion import complete_templates
from superserve.cli._interrupts import is_pressed_again
from superserve.cli._output import Output, Seconds, output_options
from superserve.cli._specs import complete_specs, file_option, load_specs

if TYPE_CHECKING:
    from superserve import (
        AsyncBuild,
        Build,
        BuildOutcome,
        BuildSummary,
        Plan,
        Superserve,
        TemplateInfo,
        TemplateSpec,
    )
    from superserve.cli._live import JointDisplay

_timeout_option = click.option(
    "--timeout", "timeout_s", type=Seconds(), metavar="SECONDS", help="Stop waiting after this time."
)


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_specs)
@file_option
@output_options
def plan(names: tuple[str, ...], files: tuple[str, ...], out: Output) -> None:
    """Show what `build` would do, and why. Nothing is changed.

    \b
    Example:
      superserve template plan web
    """
    with connected() as client:
        plans = {spec.name: client.templates.plan(spec) for spec in load_specs(files, names)}
    _show_plans(plans, out)


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_specs)
@file_option
@click.option("--all", "everything", is_flag=True, help="All templates of the file.")
@click.option("--no-wait", is_flag=True, help="Return once the builds are queued.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Replace (delete and create) templates that differ without asking.")
@_timeout_option
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
    files: tuple[str, ...],
    everything: bool,
    no_wait: bool,
    dry_run: bool,
    yes: bool,
    timeout_s: float | None,
    concurrency: int | None,
    out: Output,
) -> int:
    """Build the templates of the spec file.

    Each template is created, rebuilt, replaced, or left as it is; `plan` shows which, and why.

    The log goes to stderr, the ready templates to stdout. Ctrl-C stops watching and says how to come back; a second one
    cancels the build.

    \b
    Example:
      superserve template build web
    """
    if not names and not everything:
        raise click.UsageError("name templates of the file, or use --all")
    specs = load_specs(files, names)
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
        if no_wait:
            return _start_many(client, specs, out)
        return _build_many(client, specs, out, concurrency=concurrency, timeout_s=timeout_s)


def _show_plans(plans: "dict[str, Plan]", out: Output) -> None:
    out.data(
        [{"name": name, **made.to_dict()} for name, made in plans.items()],
        "\n".join(f"{name}: {made}" for name, made in plans.items()),
        ids=[f"{name} {made.action}" for name, made in plans.items()],
    )


def _confirm(name: str, made: "Plan", out: Output, *, yes: bool) -> None:
    if made.action == "replace":
        out.confirm(f"delete template {name} and create it anew ({'; '.join(made.reasons)})", yes=yes)


def _show_ready(infos: "Sequence[TemplateInfo]", out: Output, value: Any = None) -> None:
    out.data(
        infos if value is None else value,
        "\n".join(f"{info.name}  {info.id}  {info.status}" for info in infos),
        ids=[info.id for info in infos],
    )


def _ways_back(name: str) -> str:
    return f"superserve template logs {name} shows it, superserve template cancel {name} ends it"


@contextmanager
def _starting(name: str) -> Iterator[None]:
    """Say what may be left where Ctrl-C comes before the build is known."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(
            f"A build of template {name} may have started; superserve template show {name} shows it."
        )
        raise


# One


def _build_one(
    client: "Superserve",
    spec: "TemplateSpec",
    out: Output,
    *,
    no_wait: bool,
    yes: bool,
    timeout_s: float | None,
) -> int:
    def tell(made: "Plan") -> None:
        _confirm(spec.name, made, out, yes=yes)
        if not out.quiet:
            out.say(f"{spec.name}: {made}")

    with _starting(spec.name):
        made = client.templates.ensure(spec, wait=False, on_plan=tell)
        build = None if no_wait or made.status == "ready" else made.latest_build()
    if build is None:
        info = made.get_info()
        _show_ready([info], out, info)
        if info.status != "ready":
            out.say(f"The build goes on; {_ways_back(spec.name)}.")
        return 0
    info = _watch(build, out, spec=spec, timeout_s=timeout_s)
    _show_ready([info], out, info)
    return 0


def _watch(
    build: "Build", out: Output, *, spec: "TemplateSpec | None" = None, timeout_s: float | None = None
) -> "TemplateInfo":
    """Wait for a build with its log on stderr. Ctrl-C stops watching; a second one soon after cancels the build."""
    from superserve import SandboxTimeoutError

    name = build.template.name
    try:
        return _wait(build, out, spec, timeout_s)
    except SandboxTimeoutError as error:
        # The error's own hint is for Python code.
        error.hint = f"the build goes on: {_ways_back(name)}"
        raise
    except KeyboardInterrupt as error:
        error.__notes__ = _after_ctrl_c({name: build.cancel})
        raise


def _wait(
    build: "Build", out: Output, spec: "TemplateSpec | None", timeout_s: float | None
) -> "TemplateInfo":
    from superserve import SandboxError, print_log

    if out.may_draw:
        from superserve.cli import _live

        try:
            usual_s = _live.usual_s(build.template.list_builds(limit=20))
        except SandboxError:
            # Nothing but an estimate; the wait will say what is wrong.
            usual_s = None
        with _live.display(build.template.name, usual_s) as show:
            return build.wait(on_log=show, timeout_s=timeout_s, log_tail=True)
    on_log = None if out.quiet else print_log(sys.stderr, color=out.color, spec=spec)
    return build.wait(on_log=on_log, timeout_s=timeout_s, log_tail=True)


# Several


def _start_many(client: "Superserve", specs: "Sequence[TemplateSpec]", out: Output) -> int:
    """Start builds, and wait for none."""
    from superserve import SandboxError

    infos: list[TemplateInfo] = []
    try:
        for spec in specs:
            with _starting(spec.name):
                infos.append(client.templates.ensure(spec, wait=False).get_info())
    except (SandboxError, KeyboardInterrupt) as error:
        # That of the one that was interrupted is not known.
        first = len(infos) + isinstance(error, KeyboardInterrupt)
        if left := [spec.name for spec in specs[first:]]:
            error.add_note(f"Not started: {', '.join(left)}.")
        raise
    finally:
        if infos:
            _show_ready(infos, out)
        if going := [info.name for info in infos if info.status != "ready"]:
            out.say(f"Builds go on: {', '.join(going)}; {_ways_back('NAME')}.")
    return 0


def _build_many(
    client: "Superserve",
    specs: "Sequence[TemplateSpec]",
    out: Output,
    *,
    concurrency: int | None,
    timeout_s: float | None,
) -> int:
    from superserve import SandboxTimeoutError

    going: dict[str, AsyncBuild] = {}

    def tell(outcome: "BuildOutcome") -> None:
        going.pop(outcome.name, None)
        if not out.quiet and not out.may_draw:
            out.say(f"{outcome.name}: {_exits.text_of(outcome.error)}" if outcome.error else str(outcome))

    def cancel(name: str) -> None:
        build = going[name]
        client.templates.connect(build.template.id).cancel_build(build.id)

    try:
        summary = _run_many(specs, out, concurrency, timeout_s, going=going, on_outcome=tell)
    except SandboxTimeoutError:
        raise
    except TimeoutError:
        raise SandboxTimeoutError(
            f"waiting for {len(specs)} templates timed out after {timeout_s:g} s",
            hint=f"the builds of {', '.join(going)} go on: {_ways_back('NAME')}" if going else None,
        ) from None
    except KeyboardInterrupt as error:
        error.__notes__ = _after_ctrl_c({name: partial(cancel, name) for name in going})
        raise
    _show_ready(
        [one.template for one in summary.outcomes if one.template is not None],
        out,
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
    )
    if out.may_draw:
        # The display has cut them at the terminal's width.
        for one in summary.outcomes:
            if one.error is not None:
                out.say(f"{one.name}: {_exits.text_of(one.error)}")
    out.say(str(summary).partition("\n")[0])
    return max((_exits.exit_code(one.error) for one in summary.failed if one.error), default=0)


def _run_many(
    specs: "Sequence[TemplateSpec]",
    out: Output,
    concurrency: int | None,
    timeout_s: float | None,
    *,
    going: "dict[str, AsyncBuild]",
    on_outcome: "Callable[[BuildOutcome], None]",
) -> "BuildSummary":
    """Build all, with the logs of those that run read beside it where they are drawn."""
    import asyncio
    from contextlib import suppress

    from superserve import AsyncSuperserve, SandboxError

    async def read(build: "AsyncBuild", display: "JointDisplay") -> None:
        from superserve.cli._live import usual_s

        shown = display.begin(build.template.name)
        # Nothing but an estimate, and a log that is shown: the build itself is polled.
        with suppress(SandboxError):
            shown.usual_s = usual_s(await build.template.list_builds(limit=20))
        with suppress(SandboxError):
            await build.template.stream_build_logs(on_event=shown, build_id=build.id)

    async def build_all(display: "JointDisplay | None") -> "BuildSummary":
        readers: list[asyncio.Task[None]] = []

        def begin(build: "AsyncBuild") -> None:
            going[build.template.name] = build
            if display is not None:
                readers.append(asyncio.create_task(read(build, display)))

        def end(outcome: "BuildOutcome") -> None:
            on_outcome(outcome)
            if display is not None:
                display.end(outcome)

        async with AsyncSuperserve() as client, asyncio.timeout(timeout_s):
            try:
                return await client.templates.build_all(
                    specs, concurrency=concurrency, on_build=begin, on_outcome=end
                )
            finally:
                for reader in readers:
                    reader.cancel()
                await asyncio.gather(*readers, return_exceptions=True)

    if out.may_draw:
        from superserve.cli._live import JointDisplay

        with JointDisplay([spec.name for spec in specs]) as display:
            return asyncio.run(build_all(display))
    return asyncio.run(build_all(None))


# Ctrl-C


def _after_ctrl_c(cancels: "dict[str, Callable[[], object]]") -> list[str]:
    """Cancel the builds if Ctrl-C comes again soon, and return what there is to say of each."""
    from superserve import SandboxError

    if not cancels:
        return []
    if not is_pressed_again("cancels the build" if len(cancels) == 1 else "cancels the builds"):
        return [
            *(f"The build of template {name} goes on." for name in cancels),
            f"{_ways_back(*cancels) if len(cancels) == 1 else _ways_back('NAME')}.",
        ]
    notes = []
    for name, cancel in cancels.items():
        try:
            cancel()
        except SandboxError as error:
            notes.append(f"It is not known whether the build of template {name} is cancelled: {error}")
        else:
            notes.append(f"The build of template {name} is cancelled.")
    return notes


@click.command()
@click.argument("name", shell_complete=complete_templates)
@click.option("--no-wait", is_flag=True, help="Return once the build is queued.")
@_timeout_option
@output_options
def rebuild(name: str, no_wait: bool, timeout_s: float | None, out: Output) -> None:
    """Build a template (a name or an id) again.

    \b
    Example:
      superserve template rebuild web
    """
    with connected() as client:
        found = find_own_template(client, name)
        with _starting(found.name):
            info = found.rebuild()
        if no_wait:
            out.data(info, f"{found.name}  {info.id}  {info.status}", ids=[info.id])
            out.say(f"The build goes on; {_ways_back(found.name)}.")
        else:
            ready = _watch(found.build(), out, timeout_s=timeout_s)
            _show_ready([ready], out, ready)
