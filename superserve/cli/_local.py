"""`superserve local`: the local server, and its faults."""

import json
import os
from typing import Any

import click

from superserve.cli import _exits
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


def _serve(name: str, arguments: tuple[str, ...]) -> int:
    from superserve import SandboxError, ValidationError

    try:
        from superserve.local.__main__ import Failure, serve
    except ImportError as error:
        raise SandboxError(str(error)) from error
    try:
        if name == "run":
            return serve(["run", *arguments], program="superserve local")
        return serve(arguments, program=f"superserve local {name}")
    except Failure as failure:
        if failure.exit_code == _exits.USAGE:
            hint = f"superserve local {name} --help shows more"
            raise ValidationError(failure.reason, hint=hint) from failure
        # Of a command that cannot be run, its name stands before the reason.
        text = failure.reason if failure.exit_code == 1 else str(failure)
        raise _exits.OwnFailure(SandboxError(text), failure.exit_code) from failure
    except SystemExit as error:
        # Of --help and --version.
        return error.code if isinstance(error.code, int) else 0


@local.command(context_settings=_FORWARD, options_metavar=None)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
def up(arguments: tuple[str, ...]) -> int:
    """Serve until Ctrl-C.

    Stdout has the environment to use the server, with --json as JSON.

    \b
    Example:
      superserve local up --help
    """
    return _serve("up", arguments)


@local.command(context_settings=_FORWARD, options_metavar=None)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS] -- COMMAND...")
def run(arguments: tuple[str, ...]) -> int:
    """Run one command against a local server.

    The server is for this command only. The exit code is the command's. With --json, an error of `local run` itself is JSON.

    \b
    Example:
      superserve local run -- superserve template ls
    """
    return _serve("run", arguments)


@local.command()
@click.argument("action", type=click.Choice(["ls", "add", "clear"]), default="ls")
@click.argument("fault", required=False)
@output_options
def faults(action: str, fault: str | None, out: Output) -> None:
    """List, add or clear faults of the local server.

    The server is the one that SUPERSERVE_BASE_URL names; a fault is JSON.

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
        kind = ValidationError if answer.is_client_error else SandboxError
        raise kind(f"the local server refused the request: {_words(answer)}", status_code=answer.status_code)
    found = answer.json() if answer.content else []
    listed = found if isinstance(found, list) else [found]
    out.data(found, "\n".join(json.dumps(one) for one in listed), ids=[str(one.get("id")) for one in listed])


def _words(answer: Any) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, TypeError, LookupError):
        return str(answer.text.strip())
