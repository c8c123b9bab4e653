"""`superserve local`: the local server, and its faults."""

import json
import os
from typing import Any

import click

from superserve.cli._output import Output, output_options

_FORWARD: dict[str, Any] = {
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


@click.group(no_args_is_help=True)
def local() -> None:
    """Run a local server in place of the service, without an account or a network.

    \b
    Example:
      superserve local run -- superserve template ls
    """


def _serve(arguments: list[str]) -> int:
    from superserve import SandboxError

    try:
        from superserve.local.__main__ import main
    except ImportError as error:
        raise SandboxError(str(error)) from error
    try:
        return main(arguments)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2


@local.command(context_settings=_FORWARD, options_metavar=None)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
def up(arguments: tuple[str, ...]) -> int:
    """Serve until Ctrl-C. The environment to use it goes to stdout. Takes the options of python -m superserve.local.

    \b
    Example:
      superserve local up --help
    """
    return _serve([*arguments])


@local.command(context_settings=_FORWARD, options_metavar=None)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS] -- COMMAND...")
def run(arguments: tuple[str, ...]) -> int:
    """Run one command with a server of its own, and exit with its code. Takes the options of python -m superserve.local run.

    \b
    Example:
      superserve local run -- superserve template ls
    """
    return _serve(["run", *arguments])


@local.command()
@click.argument("action", type=click.Choice(["ls", "add", "clear"]), default="ls")
@click.argument("fault", required=False)
@output_options
def faults(action: str, fault: str | None, out: Output) -> None:
    """List the faults of the local server that the environment names, add one (JSON), or clear them.

    \b
    Example:
      superserve local faults add '{"fault": "fail", "code": "boot_failed"}'
    """
    import httpx

    from superserve import SandboxConnectionError, SandboxError, ValidationError

    base_url, key = os.environ.get("SUPERSERVE_BASE_URL", ""), os.environ.get("SUPERSERVE_API_KEY", "")
    if not base_url:
        raise ValidationError(
            "SUPERSERVE_BASE_URL does not name a local server", hint="superserve local up starts one"
        )
    if (action == "add") != (fault is not None):
        raise click.UsageError("add takes a fault as JSON; ls and clear take none")
    if fault is not None:
        try:
            json.loads(fault)
        except ValueError as error:
            raise click.UsageError(f"the fault is not JSON: {error}") from error
    method = {"ls": "GET", "add": "POST", "clear": "DELETE"}[action]
    try:
        answer = httpx.request(
            method,
            f"{base_url}/_local/faults",
            headers={"X-API-Key": key},
            content=fault,
            trust_env=False,
            timeout=10,
        )
    except httpx.HTTPError as error:
        raise SandboxConnectionError(f"the local server cannot be reached: {error}") from error
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise ValidationError(f"{base_url} is not a local server")
    if answer.is_error:
        raise SandboxError(
            f"the local server refused that: {answer.text.strip()}", status_code=answer.status_code
        )
    found = answer.json() if answer.content else []
    listed = found if isinstance(found, list) else [found]
    out.data(found, "\n".join(json.dumps(one) for one in listed), ids=[str(one.get("id")) for one in listed])
