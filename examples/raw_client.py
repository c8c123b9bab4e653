"""Build a template with superserve_api, the client generated from the contract, and nothing of superserve.

Without an account, on a local server:

    python -m superserve.local run -- python examples/raw_client.py

On the real service, where a build takes minutes:

    export SUPERSERVE_API_KEY=ss_live_...
    python examples/raw_client.py
"""

import os
import secrets
import sys
import time
from typing import TypeVar

import httpx
import httpx_sse
from superserve_api import AuthenticatedClient
from superserve_api.api.templates import (
    create_template,
    delete_template,
    get_template_build,
    stream_template_build_logs,
)
from superserve_api.models import (
    ApiError,
    BuildEnv,
    BuildLogEvent,
    BuildSpec,
    BuildStep,
    BuildUser,
    CreateTemplateRequest,
    TemplateBuildResponse,
)
from superserve_api.types import Response

T = TypeVar("T")

# A step may print nothing for minutes. Everything else answers within seconds.
LOG_TIMEOUT = httpx.Timeout(10, read=600)
BUILD_TIMEOUT_S = 1800


def result(answer: Response[ApiError | T]) -> T:
    """Return what an answer says, or end the program with what the API, or somebody in its place, says instead."""
    if isinstance(answer.parsed, ApiError):
        error = answer.parsed.error
        sys.exit(f"{answer.status_code:d} {error.code}: {error.message}")
    if answer.parsed is None:
        sys.exit(f"{answer.status_code:d}: {answer.problem or 'not what the API answers'}")
    return answer.parsed


def follow(client: AuthenticatedClient, template_id: str, build_id: str) -> None:
    """Print the log of a build while it is written, until the build or the stream ends."""
    request = stream_template_build_logs.request_arguments(template_id, build_id)
    with httpx_sse.connect_sse(client.get_httpx_client(), **request, timeout=LOG_TIMEOUT) as source:
        # Without this an error of the API would be one of a wrong content type.
        source.response.raise_for_status()
        for message in source.iter_sse():
            event = BuildLogEvent.from_dict(message.json())
            print(f"{event.stream:>7}: {event.text.rstrip()}", flush=True)
            if event.finished:
                break


def wait(client: AuthenticatedClient, template_id: str, build_id: str) -> TemplateBuildResponse:
    """Ask for the build until it has ended: the log alone doesn't decide how."""
    deadline = time.monotonic() + BUILD_TIMEOUT_S
    while time.monotonic() < deadline:
        build = result(get_template_build.sync_detailed(template_id, build_id, client=client))
        if build.status in ("ready", "failed", "cancelled"):
            return build
        time.sleep(1)
    sys.exit(f"build {build_id} still goes on")


def main() -> None:
    """Create a template, follow its build, delete it."""
    body = CreateTemplateRequest(
        name=f"raw-demo-{secrets.token_hex(3)}",
        build_spec=BuildSpec(
            from_="python:3.11",
            steps=[
                BuildStep(user=BuildUser(name="app")),
                BuildStep(env=BuildEnv(key="GREETING", value="Hello")),
                BuildStep(run='echo "$GREETING, world"'),
            ],
        ),
    )
    with AuthenticatedClient(
        base_url=os.environ.get("SUPERSERVE_BASE_URL", "https://api.superserve.ai"),
        token=os.environ["SUPERSERVE_API_KEY"],
    ) as client:
        created = result(create_template.sync_detailed(client=client, body=body))
        print(f"{created.name} is {created.status}")
        try:
            follow(client, created.id, created.build_id)
            build = wait(client, created.id, created.build_id)
            print(f"the build is {build.status}")
            if build.status != "ready":
                sys.exit(build.error_message or "it doesn't say why")
        finally:
            # While it is being built, a template cannot be deleted: this returns the ApiError of a 409 then.
            deleted = delete_template.sync_detailed(created.id, client=client)
            print("deleted" if deleted.status_code in (204, 404) else f"not deleted: {deleted.status_code:d}")


if __name__ == "__main__":
    try:
        main()
    except KeyError as error:
        sys.exit(f"set {error}; without an account: see the first lines of this file")
    except httpx.HTTPError as error:
        sys.exit(f"{type(error).__name__}: {error}")
