"""The operations on templates and their builds, after the key was checked and the ids were read."""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl
from uuid import UUID

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app import go_json
from superserve.local._app.clock import Clock
from superserve.local._app.errors import ApiError
from superserve.local._machines.build_host import Host
from superserve.local._resources import newer as _newer
from superserve.local._resources.build_logs import LogStream, Streams
from superserve.local._resources.build_spec import PLATFORM, read_create_template
from superserve.local._resources.builds import Supervisor
from superserve.local._store.store import Build, Store, Team, Template

LISTED_BUILDS = 20
JSON_TYPE = {"content-type": "application/json; charset=utf-8"}


class Answer(Protocol):
    """What an operation returns: an ASGI response whose headers can still be added to."""

    raw_headers: list[tuple[bytes, bytes]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None:
        """Send the response."""


@attrs.frozen
class Call:
    """One request: who makes it, and the ids of its path in canonical form."""

    request: Request
    team: Team
    template_id: str = ""
    build_id: str = ""


class Templates:
    """The nine operations of the tag Templates."""

    def __init__(
        self,
        *,
        store: Store,
        host: Host,
        supervisor: Supervisor,
        clock: Clock,
        streams: Streams,
        new_id: Callable[[], UUID],
        newer: bool,
    ) -> None:
        self._store = store
        self._host = host
        self._supervisor = supervisor
        self._clock = clock
        self._streams = streams
        self._new_id = new_id
        self._newer = newer

    async def list_templates(self, call: Call) -> Answer:
        """GET /templates."""
        prefix = _first_query_value(call.request, "name_prefix")
        rows = self._store.visible_templates(call.team, prefix)
        if not self._newer:
            return json_answer(200, b"[" + b",".join([row.json for row in rows]) + b"]")
        rows, total = _newer.page(rows, call.team, call.request)
        answer = json_answer(200, go_json.write([_newer.template_answer(row, self._store) for row in rows]))
        answer.headers["x-total-count"] = str(total)
        return answer

    async def create_template(self, call: Call) -> Answer:
        """POST /templates."""
        team = call.team
        body = await call.request.body()
        platform = _newer.PLATFORM if self._newer else PLATFORM
        new = read_create_template(body, platform=platform, limits=team.limits, is_system_team=team.is_system)
        self._check_builds_quota(team)
        if (
            team.limits is not None
            and not team.is_system
            and self._store.counted_templates(team) >= team.limits.templates
        ):
            raise ApiError(
                429,
                "too_many_templates",
                f"your team is limited to {team.limits.templates} templates",
            )
        if new.spec.has_nul:
            raise ApiError(500, "internal_error", "the template could not be stored")
        if self._store.template_named(team, new.name) is not None:
            raise ApiError(409, "conflict", f'a template named "{new.name}" already exists')
        template = Template(
            id=str(self._new_id()),
            team_id=team.id,
            name=new.name,
            status="building",
            vcpu=new.vcpu,
            memory_mib=new.memory_mib,
            disk_mib=new.disk_mib,
            created_at=self._clock.now(),
            spec=new.spec,
        )
        self._store.save_template(template)
        build = self._supervisor.queue(template)
        return json_answer(202, go_json.write({**template.answer(), "build_id": build.id}))

    async def get_template(self, call: Call) -> Answer:
        """GET /templates/{template_id}."""
        row = self._store.readable_template(call.template_id, call.team)
        if row is None:
            raise _no_template()
        return json_answer(
            200, go_json.write(_newer.template_answer(row, self._store)) if self._newer else row.json
        )

    async def delete_template(self, call: Call) -> Answer:
        """DELETE /templates/{template_id}."""
        row = self._own_template(call)
        if row.sandboxes:
            raise ApiError(
                409, "conflict", f"template is in use by {row.sandboxes} sandbox(es): delete them first"
            )
        builds = len(self._store.in_flight_of_template(row.id))
        if builds:
            raise ApiError(
                409, "conflict", f"template has {builds} build(s) in flight: wait for them or cancel them"
            )
        self._store.save_template(attrs.evolve(row, deleted_at=self._clock.now()))
        return Response(status_code=204)

    async def list_builds(self, call: Call) -> Answer:
        """GET /templates/{template_id}/builds: never 404, and `limit` is ignored."""
        limit = _newer.builds_limit(call.request) if self._newer else LISTED_BUILDS
        rows = [row for row in self._store.builds_of(call.template_id) if row.team_id == call.team.id]
        return json_answer(200, go_json.write([self._build(row) for row in rows[:limit]]))

    async def create_build(self, call: Call) -> Answer:
        """POST /templates/{template_id}/builds: the quota comes before the look at a build already in flight."""
        row = self._own_template(call)
        self._check_builds_quota(call.team)
        for build in self._store.in_flight_of_template(row.id):
            return json_answer(200, go_json.write(self._build(build)))
        return json_answer(201, go_json.write(self._build(self._supervisor.queue(row))))

    async def get_build(self, call: Call) -> Answer:
        """GET /templates/{template_id}/builds/{build_id}."""
        return json_answer(200, go_json.write(self._build(self._own_build(call))))

    async def cancel_build(self, call: Call) -> Answer:
        """DELETE /templates/{template_id}/builds/{build_id}: also 204 if the build had ended."""
        self._supervisor.cancel(self._own_build(call))
        return Response(status_code=204)

    async def stream_logs(self, call: Call) -> Answer:
        """GET /templates/{template_id}/builds/{build_id}/logs."""
        build = self._own_build(call)
        return LogStream(
            build.id, store=self._store, host=self._host, clock=self._clock, streams=self._streams
        )

    def _build(self, row: Build) -> dict[str, object]:
        return _newer.build_answer(row) if self._newer else row.answer()

    def _check_builds_quota(self, team: Team) -> None:
        if team.limits is not None and self._store.in_flight_of_team(team) >= team.limits.builds:
            raise ApiError(
                429,
                "too_many_builds",
                f"your team is limited to {team.limits.builds} builds in flight",
            )

    def _own_template(self, call: Call) -> Template:
        row = self._store.own_template(call.template_id, call.team)
        if row is None:
            raise _no_template()
        return row

    def _own_build(self, call: Call) -> Build:
        row = self._store.own_build(call.template_id, call.build_id, call.team)
        if row is None:
            raise ApiError(404, "not_found", "Build not found")
        return row


def json_answer(status: int, body: bytes) -> Response:
    """Return an answer with a JSON body."""
    return Response(body, status, JSON_TYPE)


def error_answer(error: ApiError) -> Response:
    """Return the error envelope."""
    return json_answer(error.status, go_json.write({"error": {"code": error.code, "message": error.message}}))


def _no_template() -> ApiError:
    return ApiError(404, "not_found", "Template not found")


def _first_query_value(request: Request, name: str) -> str:
    query: bytes = request.scope["query_string"]
    if not query:
        return ""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    value = next((value for key, value in pairs if key == name), "")
    if "\0" in value or not _is_utf8(value):
        raise ApiError(500, "internal_error", "the templates could not be read")
    return value


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
