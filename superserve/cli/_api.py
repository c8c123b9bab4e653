"""`superserve api`: one call of the API."""

import sys
from typing import TYPE_CHECKING

import click

from superserve._redact import strip_controls
from superserve.cli import _exits
from superserve.cli._output import Output, dumps, output_options

if TYPE_CHECKING:
    import httpx

_OF_A_STATUS = {401: 4, 403: 4, 404: 3, 409: 5, 429: 6}


@click.command()
@click.argument("method", type=click.Choice(["GET", "POST", "PATCH", "PUT", "DELETE"], case_sensitive=False))
@click.argument("path")
@click.option("--input", "source", metavar="FILE", help="The request's body: a file, or - for stdin.")
@click.option("-i", "--include", is_flag=True, help="Show status and headers, on stderr.")
@output_options
def api(method: str, path: str, source: str | None, include: bool, out: Output) -> int:
    """Make one call of the API.

    With the key and the retries of the SDK. The body of the answer goes to stdout.

    \b
    Example:
      superserve api GET /templates
    """
    import httpx

    from superserve import SandboxConnectionError, Superserve

    if not path.startswith("/") or path.startswith("//"):
        raise click.UsageError("PATH: must start with one /, such as /templates")
    content = None if source is None else _read(source)
    with Superserve() as client:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            answer = client.raw.get_httpx_client().request(
                method.upper(), path, content=content, headers=headers
            )
        except httpx.HTTPError as error:
            raise SandboxConnectionError(
                f"{type(error).__name__}: {error}",
                action=f"{method.upper()} {path}",
                hint="superserve doctor finds out why",
            ) from error
        except httpx.InvalidURL as error:
            raise click.UsageError(f"PATH: {error}") from error
    if include:
        out.say(f"{answer.status_code} {answer.reason_phrase}")
        for name, value in answer.headers.items():
            out.say(f"{name}: {value}")
    _show(answer, out)
    if answer.is_success:
        return 0
    message = f"{method.upper()} {path} was answered with {answer.status_code}"
    code = _OF_A_STATUS.get(answer.status_code, 2 if answer.is_client_error else 7)
    out.say(dumps(_exits.usage(message, category="answer")) if out.as_json else f"superserve: {message}")
    return code


def _show(answer: "httpx.Response", out: Output) -> None:
    text = answer.text
    if out.as_json and text:
        # Pretty-print the body if it is JSON.
        try:
            text = dumps(answer.json(), indent=2)
        except ValueError:
            text = dumps(text)
    elif sys.stdout.isatty():
        text = strip_controls(text)
    if text:
        click.echo(text, nl=not text.endswith("\n"))
    sys.stdout.flush()


def _read(source: str) -> bytes:
    from superserve import ValidationError

    try:
        with click.open_file(source, "rb") as file:
            content: bytes = file.read()
    except OSError as error:
        raise ValidationError(f"{source}: cannot be read: {error.strerror or error}") from error
    return content
