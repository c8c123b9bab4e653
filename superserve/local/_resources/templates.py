"""Templates: their rows, their operations, and the curated templates that every server has."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Protocol

import attrs
from starlette.requests import Request
from starlette.responses import Response

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, drop_none, json_answer
from superserve.local._app.auth import TeamRow
from superserve.local._app.clock import format_time
from superserve.local._app.errors import ApiError
from superserve.local._app.query import read_choice, read_first, read_number
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource, Services
from superserve.local._resources.template_spec import SYSTEM_PREFIX, BuildSpec, read_create_template
from superserve.local._store.like import starts_like
from superserve.local._store.rows import Row, column

MIB = 1_048_576

# The curated templates: name after superserve/, base image, vcpu, memory and disk in MiB.
_CATALOGUE = [
    ("base", "debian:12", 1, 1024, 4096),
    ("python-3.11", "python:3.11", 1, 1024, 4096),
    ("node-22", "node:22", 1, 1024, 4096),
    # The one that agno's tools take.
    ("code-interpreter", "python:3.11", 1, 1024, 4096),
    ("openclaw", "node:22", 2, 2048, 8192),
    ("desktop", "debian:12", 2, 4096, 8192),
]
# The status is in no description: with it, users see how their programs react to a newer server.
_PAGE_LIMIT = 200
_SORTS = ("created_at", "name", "status", "size", "built_at")
_UNKNOWN_STATUS = "archived"


@attrs.frozen(slots=False)
class TemplateRow(Row):
    """A template."""

    TABLE: ClassVar[str] = "templates"

    id: str
    team_id: str
    name: str
    status: str
    vcpu: int
    memory_mib: int
    disk_mib: int
    created_at: datetime
    spec: BuildSpec = attrs.field(repr=False, metadata=column(write=BuildSpec.write, read=BuildSpec.read))
    size_bytes: int | None = None
    error_message: str | None = None
    built_at: datetime | None = None
    deleted_at: datetime | None = None
    sandboxes: int = 0
    """The number of sandboxes that use it. With any, it cannot be deleted."""

    def answer(self) -> dict[str, object]:
        """Return the template in the form of the API: fields that are not set are left out, and so is the build spec."""
        return drop_none(
            id=self.id,
            team_id=self.team_id,
            name=self.name,
            status=self.status,
            vcpu=self.vcpu,
            memory_mib=self.memory_mib,
            disk_mib=self.disk_mib,
            size_bytes=self.size_bytes,
            error_message=self.error_message,
            created_at=format_time(self.created_at),
            built_at=format_time(self.built_at),
        )

    @cached_property
    def json(self) -> bytes:
        """The answer as JSON, made once for each state of the row: lists can be long."""
        return go_json.write(self.answer())


class Builder(Protocol):
    """The methods of builds that templates need."""

    def check_quota(self, team: TeamRow) -> None:
        """Raise ApiError if a team cannot have another build in flight."""

    def start(self, template: TemplateRow) -> str:
        """Queue a build of a template, and return its id."""
        ...

    def latest(self, template_id: str) -> str | None:
        """Return the id of a template's newest build."""


class TemplateResource(Resource):
    """The templates of teams, and those of the system team, which all teams may read."""

    ROWS = (TemplateRow,)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.rows = services.store.table(TemplateRow)
        self._by_name = self.rows.index(_name_in_team)
        self.builder: Builder
        """Set by the resource of builds."""
        self.deletion_checks: list[Callable[[TemplateRow], None]] = [_check_sandboxes]
        """Functions that raise ApiError if something still needs a template that is to be deleted."""

    # -- Operations

    @operation("listTemplates", "GET /templates")
    async def list_templates(self, request: ApiRequest) -> Answer:
        """List the templates that the team may read."""
        prefix = read_first(request.http.scope["query_string"], "name_prefix")
        if prefix is None:
            raise ApiError(500, "internal_error", "the templates could not be read")
        rows = self.visible(request.team, prefix)
        page, total = _cut_page(rows, request.team, request.http)
        if self.services.settings.newer:
            answer = json_answer(200, go_json.write([self._newer_answer(row) for row in page]))
        else:
            answer = json_answer(200, b"[" + b",".join([row.json for row in page]) + b"]")
        answer.headers["x-total-count"] = str(total)
        return answer

    @operation("createTemplate", "POST /templates")
    async def create_template(self, request: ApiRequest) -> Answer:
        """Create a template and queue its first build."""
        team = request.team
        new = read_create_template(
            await request.http.body(),
            newer=self.services.settings.newer,
            limits=team.limits,
            is_system_team=team.is_system,
        )
        self.builder.check_quota(team)
        self._check_quota(team)
        if new.spec.has_nul:
            raise ApiError(500, "internal_error", "the template could not be stored")
        if self.find_named(team.id, new.name) is not None:
            raise ApiError(409, "conflict", f'a template named "{new.name}" already exists')
        row = TemplateRow(
            id=self.services.new_id(),
            team_id=team.id,
            name=new.name,
            status="building",
            vcpu=new.vcpu,
            memory_mib=new.memory_mib,
            disk_mib=new.disk_mib,
            created_at=self.services.clock.now(),
            spec=new.spec,
        )
        self.rows.save(row)
        answer = {**row.answer(), "build_id": self.builder.start(row)}
        # The only object whose keys are in alphabetical order.
        return json_answer(202, go_json.write(answer, sort_keys=True))

    @operation("getTemplate", "GET /templates/{template_id}")
    async def get_template(self, request: ApiRequest) -> Answer:
        """Return a template that the team may read."""
        row = self.rows.get(request.path["template_id"])
        if row is None or not self._is_visible(row, request.team):
            raise _report_missing()
        newer = self.services.settings.newer
        return json_answer(200, go_json.write(self._newer_answer(row)) if newer else row.json)

    @operation("deleteTemplate", "DELETE /templates/{template_id}")
    async def delete_template(self, request: ApiRequest) -> Answer:
        """Delete one of the team's own templates."""
        row = self.get_own(request)
        for check in self.deletion_checks:
            check(row)
        self.rows.save(attrs.evolve(row, deleted_at=self.services.clock.now()))
        return Response(status_code=204)

    # -- Look-ups

    def get_own(self, request: ApiRequest) -> TemplateRow:
        """Return the template of a request, if the team may change it; raises ApiError."""
        row = self.rows.get(request.path["template_id"])
        if row is None or row.deleted_at is not None or row.team_id != request.team.id:
            raise _report_missing()
        return row

    def find_named(self, team_id: str, name: str) -> TemplateRow | None:
        """Return a team's template with a name, unless it is deleted."""
        found = self._by_name.of((team_id, name))
        return found[-1] if found else None

    def visible(self, team: TeamRow, prefix: str = "") -> list[TemplateRow]:
        """Return the templates that a team may read, newest first."""
        matches = starts_like(prefix)
        found = [row for row in self.rows if self._is_visible(row, team) and matches(row.name)]
        found.reverse()  # Sorting is stable: rows with the same time, as when time is frozen, keep their order.
        found.sort(key=lambda row: row.created_at, reverse=True)
        return found

    def _is_visible(self, row: TemplateRow, team: TeamRow) -> bool:
        if row.deleted_at is not None:
            return False
        return row.team_id == team.id or self.services.teams.is_system(row.team_id)

    def _check_quota(self, team: TeamRow) -> None:
        if team.limits is None or team.is_system:
            return
        count = sum(
            row.team_id == team.id and row.deleted_at is None and row.status != "failed" for row in self.rows
        )
        if count >= team.limits.templates:
            text = f"your team is limited to {team.limits.templates} templates"
            raise ApiError(429, "too_many_templates", text)

    def _newer_answer(self, row: TemplateRow) -> dict[str, object]:
        """Return a template with the fields of newer servers."""
        latest = self.builder.latest(row.id)
        visibility = "system" if self.services.teams.is_system(row.team_id) else "team"
        return {
            **row.answer(),
            **({"latest_build_id": latest} if latest else {}),
            "visibility": visibility,
            "labels": {},
        }

    # -- The curated templates

    def populate(self) -> None:
        """Add the curated templates, or delete those of a state file."""
        system = self.services.teams.system
        now = self.services.clock.now()
        if system is not None and not self.services.settings.system_templates:
            for row in self.visible(system):
                self.rows.save(attrs.evolve(row, deleted_at=now))
        elif system is not None:
            for name, image, vcpu, memory_mib, disk_mib in _CATALOGUE:
                known = self.find_named(system.id, SYSTEM_PREFIX + name)
                row = known or TemplateRow(
                    id=self.services.new_id(),
                    team_id=system.id,
                    name=SYSTEM_PREFIX + name,
                    status="ready",
                    vcpu=vcpu,
                    memory_mib=memory_mib,
                    disk_mib=disk_mib,
                    created_at=now,
                    built_at=now,
                    size_bytes=disk_mib * MIB,
                    spec=BuildSpec(image),
                )
                is_unknown = self.services.settings.newer and name == _CATALOGUE[-1][0]
                status = _UNKNOWN_STATUS if is_unknown else "ready"
                self.rows.save(attrs.evolve(row, status=status, error_message=None))


def _name_in_team(row: TemplateRow) -> tuple[str, str] | None:
    return (row.team_id, row.name) if row.deleted_at is None else None


def _check_sandboxes(row: TemplateRow) -> None:
    if row.sandboxes:
        text = f"template is in use by {row.sandboxes} sandbox(es): delete them first"
        raise ApiError(409, "conflict", text)


def _report_missing() -> ApiError:
    return ApiError(404, "not_found", "Template not found")


def _cut_page(rows: list[TemplateRow], team: TeamRow, request: Request) -> tuple[list[TemplateRow], int]:
    """Return the page of templates for a query, and the number of all of them, newest first."""
    query = request.query_params
    owner = read_choice(query, "owner", "all", "team", "system")
    if owner != "all":
        rows = [row for row in rows if (row.team_id == team.id) == (owner == "team")]
    if text := query.get("q", "").lower():
        rows = [row for row in rows if text in row.name]
    sort = read_choice(query, "sort", *_SORTS)
    descending = read_choice(query, "order", "desc", "asc") == "desc"
    if (sort, descending) != ("created_at", True):
        rows = sorted(rows, key=lambda row: _sort_key(row, sort), reverse=descending)
    limit = read_number(query, "limit", 1)
    offset = read_number(query, "offset", 0) or 0
    end = None if limit is None else offset + min(limit, _PAGE_LIMIT)
    return rows[offset:end], len(rows)


def _sort_key(row: TemplateRow, sort: str) -> tuple[bool, str, int]:
    if sort == "size":
        return row.size_bytes is not None, "", row.size_bytes or 0
    if sort in {"name", "status"}:
        return True, row.name if sort == "name" else row.status, 0
    moment = row.built_at if sort == "built_at" else row.created_at
    return moment is not None, moment.isoformat() if moment else "", 0
