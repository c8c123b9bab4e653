"""`superserve api`: one call of the API."""

import json
import sys

import click

from superserve.cli._output import Output, output_options

_OF_A_STATUS = {401: 4, 403: 4, 404: 3, 409: 5, 429: 6}


@click.command()
@click.argument("method", type=click.Choice(["GET", "POST", "PATCH", "PUT", "DELETE"], case_sensitive=False))
@click.argument("path")
@click.option("--input", "source", metavar="FILE", help="The request's body: a file, or - for stdin.")
@click.option("-i", "--include", is_flag=True, help="Show status and headers, on stderr.")
@output_options
def api(method: str, path: str, source: str | None, include: bool, out: Output) -> int:
    """Make one call of the API, with the SDK's key and retries. The answer's body goes to stdout.

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
    if include:
        out.say(f"{answer.status_code} {answer.reason_phrase}")
        for name, value in answer.headers.items():
            out.say(f"{name}: {value}")
    text = answer.text
    if out.as_json and text:
        # Pretty-print the body if it is JSON.
        try:
            text = json.dumps(answer.json(), ensure_ascii=False, indent=2)
        except ValueError:
            text = json.dumps(text, ensure_ascii=False)
    if text:
        click.echo(text, nl=not text.endswith("\n"))
    sys.stdout.flush()
    if answer.is_success:
        return 0
    out.say(f"superserve: {method.upper()} {path} was answered with {answer.status_code}")
    return _OF_A_STATUS.get(answer.status_code, 2 if answer.is_client_error else 7)


def _read(source: str) -> bytes:
    from superserve import ValidationError

    try:
        with click.open_file(source, "rb") as file:
            content: bytes = file.read()
    except OSError as error:
        raise ValidationError(f"{source}: cannot be read: {error.strerror or error}") from error
    return content
