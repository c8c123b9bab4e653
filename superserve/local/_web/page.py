"""The status page at /: one HTML file, and the two requests that it makes.

The file contains nothing secret, so it needs no key. Its requests need the key. The key is in the link that the command
prints, after the `#`, which browsers send nowhere; or the user types it in. The policy below lets the page load nothing,
send requests to this server only, and run only its own script. Names and logs are inserted as text.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, error_answer, json_answer
from superserve.local._app.auth import TeamRow
from superserve.local._app.errors import ApiError
from superserve.local._app.services import Services
from superserve.local._machines.build_host import BUFFERED_EVENTS
from superserve.local._machines.jobs import Step
from superserve.local._resources.build_logs import BuildLogResource
from superserve.local._resources.build_queue import BuildRow
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.exec import ExecResource
from superserve.local._resources.sandbox_rows import SandboxRow
from superserve.local._resources.sandboxes import SandboxResource
from superserve.local._resources.templates import TemplateResource, TemplateRow

PATH = "/"
OVERVIEW = "/_local/overview"

_BUILDS_PATH = "/_local/builds/"
_LOGS = _BUILDS_PATH + "([^/]+)/logs"
_BUILDS = 20
_SANDBOXES = 50
_FILES = 50
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def is_for_page(method: str, path: str) -> bool:
    """Whether a request is for the page, or was made by it."""
    if path == PATH:
        return method in {"GET", "HEAD"}
    return method == "GET" and (
        path == OVERVIEW or (path.startswith(_BUILDS_PATH) and re.fullmatch(_LOGS, path) is not None)
    )


class Page:
    """Answers the requests of `is_for_page`. They have no limits, and see what the key's team sees."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._templates = services.resource(TemplateResource)
        self._builds = services.resource(BuildResource)
        self._logs = services.resource(BuildLogResource)
        self._sandboxes = services.resource(SandboxResource)
        self._exec = services.resource(ExecResource)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = self._answer(Request(scope))
        except ApiError as error:
            answer = error_answer(error)
        answer.raw_headers.extend((name.encode(), value.encode()) for name, value in _HEADERS.items())
        await answer(scope, receive, send)

    def _answer(self, request: Request) -> Answer:
        path = request.scope["path"]
        if path == PATH:
            document, policy = _document()
            return Response(document, 200, {"content-security-policy": policy}, "text/html")
        team = self._services.teams.authenticate(request)
        if path == OVERVIEW:
            return json_answer(200, self._overview(team))
        found = re.fullmatch(_LOGS, path)
        build = self._builds.rows.get(found[1]) if found else None
        if build is None or build.team_id != team.id:
            raise ApiError(404, "not_found", "Build not found")
        return self._logs.open(build.id, queue=BUFFERED_EVENTS)

    def _overview(self, team: TeamRow) -> bytes:
        templates = [self._describe(row, team) for row in self._templates.visible(team)]
        return go_json.write(
            {
                "about": str(self._services.settings),
                "speed": self._services.clock.work_speed,
                "templates": templates,
                "sandboxes": [self._describe_sandbox(row) for row in self._newest_sandboxes(team)],
            }
        )

    def _newest_sandboxes(self, team: TeamRow) -> list[SandboxRow]:
        rows = [row for row in self._sandboxes.rows if row.team_id == team.id]
        return rows[: -_SANDBOXES - 1 : -1]

    def _describe_sandbox(self, row: SandboxRow) -> dict[str, object]:
        template = self._templates.rows.get(row.template_id)
        commands = [ran.describe() for ran in self._exec.history.of(row.id)]
        return {
            **row.answer(),
            "template": template.name if template else row.template_id,
            "commands": commands,
            "files": self._sandboxes.machines.show_files(row, _FILES),
        }

    def _describe(self, row: TemplateRow, team: TeamRow) -> dict[str, object]:
        builds = [
            {**build.answer(), "duration_s": _measure(build)}
            for build in self._builds.of_template(row.id, team)[:_BUILDS]
        ]
        return {
            **row.answer(),
            "from": row.spec.from_,
            "steps": [_name(step) for step in row.spec.steps],
            "start_cmd": row.spec.start_cmd,
            "ready_cmd": row.spec.ready_cmd,
            "system": row.team_id != team.id,
            "builds": builds,
        }


def _measure(build: BuildRow) -> float | None:
    """Return the duration of a build; None until it has ended. The API's times have only whole seconds."""
    if build.started_at is None or build.finalized_at is None:
        return None
    return (build.finalized_at - build.started_at).total_seconds()


def _name(step: Step) -> tuple[str, str]:
    """Return a step's kind and content, without the value of a variable, which may be a secret."""
    if step.run is not None:
        return "run", step.run
    if step.env is not None:
        return "env", step.env[0]
    if step.workdir is not None:
        return "workdir", step.workdir
    name, sudo = step.user or ("", False)
    return "user", f"{name} with sudo" if sudo else name


@cache
def _document() -> tuple[str, str]:
    """Return the page, and the policy that allows only its own script and style."""
    from importlib import resources  # Not needed at the server's start.

    # Not a path: the package may be in an archive (zipapp).
    text = (resources.files("superserve.local._web") / "page.html").read_text(encoding="utf-8")
    policy = {
        "default-src": ("'none'",),
        "script-src": _hashes(text, "script"),
        "style-src": _hashes(text, "style"),
        "img-src": ("data:",),
        "connect-src": ("'self'",),
        "base-uri": ("'none'",),
        "form-action": ("'none'",),
        "frame-ancestors": ("'none'",),
        "require-trusted-types-for": ("'script'",),
    }
    return text, "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy.items())


def _hashes(text: str, element: str) -> Sequence[str]:
    contents = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digests = [hashlib.sha256(content.encode()).digest() for content in contents]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
