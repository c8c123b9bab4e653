"""`superserve template init`, `check` and `import`: specs in files, and how commands read them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from superserve.cli import _exits
from superserve.cli._output import Output, output_options

if TYPE_CHECKING:
    from superserve import TemplateSpec

SPEC_FILE: Final = "superserve.toml"


def file_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option --file to a command."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        default=(SPEC_FILE,),
        metavar="FILE",
        help=f"The specs: TOML, JSON, YAML or a Dockerfile; may be repeated. {SPEC_FILE} by default.",
    )(command)


def complete_specs(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return names of a file's templates that start with a text."""
    from superserve import SandboxError
    from superserve.specs import load_all

    try:
        files = ctx.params.get("files") or (SPEC_FILE,)
        return [name for name in load_all(*files) if name.startswith(incomplete)]
    except SandboxError:
        return []


def load_specs(files: tuple[str, ...], names: tuple[str, ...]) -> "list[TemplateSpec]":
    """Return the specs of files: those named, or all."""
    from superserve import NotFoundError, TemplateSpec
    from superserve.specs import load_all
    from superserve.specs._files import is_dockerfile

    if len(files) == len(names) == 1 and is_dockerfile(Path(files[0])):
        # A Dockerfile contains no name.
        return [TemplateSpec.load(files[0], name=names[0])]
    specs = load_all(*files)
    for name in names:
        if name not in specs:
            raise NotFoundError(
                f"there is no template {name!r} in {', '.join(files)}", hint=f"known are {', '.join(specs)}"
            )
    return [specs[name] for name in dict.fromkeys(names)] if names else list(specs.values())


@click.command()
@click.argument("path", default=SPEC_FILE)
@click.option("--name", default="web", help="The template's name.")
@click.option("--from", "image", default="python:3.11", help="The image to start from.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@output_options
def init(path: str, name: str, image: str, force: bool, out: Output) -> None:
    """Write a spec file to start from.

    A schema is written beside it: editors use it to complete and check the file.

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


@click.command()
@click.argument("names", nargs=-1, shell_complete=complete_specs)
@file_option
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@output_options
def check(names: tuple[str, ...], files: tuple[str, ...], strict: bool, out: Output) -> int:
    """Show all mistakes in a spec file. Nothing is sent.

    \b
    Example:
      superserve template check --strict
    """
    from superserve import SpecError

    try:
        problems = [problem for spec in load_specs(files, names) for problem in spec.check()]
    except SpecError as error:
        if not error.problems:
            raise
        # What is wrong with the file is what was asked for, too.
        problems = [*error.problems]
    out.data(problems, "\n".join(map(str, problems)))
    errors = sum(problem.severity == "error" for problem in problems)
    out.say(f"{errors} errors, {len(problems) - errors} warnings")
    return _exits.USAGE if errors or (strict and problems) else 0


@click.command(name="import")
@click.argument("dockerfile", default="Dockerfile")
@click.option("--name", help="The template's name; by default the folder's.")
@output_options
def import_(dockerfile: str, name: str | None, out: Output) -> None:
    """Turn a Dockerfile into a spec, on stdout.

    Instructions that cannot be converted are refused, all at once.

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
