"""Builds of templates: the operations on them, and the host that runs them."""

from starlette.responses import Response

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, json_answer
from superserve.local._app.auth import TeamRow
from superserve.local._app.clock import Clock
from superserve.local._app.errors import ApiError
from superserve.local._app.query import read_number
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource, Services
from superserve.local._app.settings import Settings
from superserve.local._faults.outcomes import BuildFault
from superserve.local._faults.registry import Strike
from superserve.local._faults.runner import FaultyRunner
from superserve.local._machines.build_host import BuildHost
from superserve.local._machines.jobs import BuildJob, Runner
from superserve.local._machines.scratch import Scratch
from superserve.local._resources.build_queue import BuildQueue, BuildRow
from superserve.local._resources.templates import TemplateResource, TemplateRow

_LISTED = 20
# The most builds that a newer server lists.
_LISTED_NEWER = 100


class BuildResource(Resource):
    """Builds, from the request to their end."""

    ROWS = (BuildRow,)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.rows = services.store.table(BuildRow)
        self._of_template = self.rows.index(lambda row: row.template_id)
        self.templates = services.resource(TemplateResource)
        self.templates.builder = self
        self.templates.deletion_checks.append(self._check_none_in_flight)
        self.images: dict[str, Scratch] = {}
        """The files of the last successful build of a template, in execute mode."""
        runner = FaultyRunner(
            _make_runner(services.settings, services.clock, self.images),
            self._find_fault,
            lose=self._lose,
            time_out=self._time_out,
        )
        self.host = BuildHost(runner, services.clock, newer=services.settings.newer)
        self.queue = BuildQueue(self.templates.rows, self.rows, self.host, services)

    # -- Operations

    @operation("listTemplateBuilds", "GET /templates/{template_id}/builds")
    async def list_builds(self, request: ApiRequest) -> Answer:
        """List the newest builds of a template. Never 404, and `limit` is ignored."""
        limit = _LISTED
        if self.services.settings.newer:
            limit = min(read_number(request.http.query_params, "limit", 1) or _LISTED, _LISTED_NEWER)
        rows = self.of_template(request.path["template_id"], request.team)
        return json_answer(200, go_json.write([self._answer(row) for row in rows[:limit]]))

    @operation("createTemplateBuild", "POST /templates/{template_id}/builds")
    async def create_build(self, request: ApiRequest) -> Answer:
        """Queue a build. The quota is checked before looking for a build in flight."""
        template = self.templates.get_own(request)
        self.check_quota(request.team)
        in_flight = self.queue.in_flight_of(template.id)
        status, row = (200, in_flight[0]) if in_flight else (201, self.queue.add(template))
        return json_answer(status, go_json.write(self._answer(row)))

    @operation("getTemplateBuild", "GET /templates/{template_id}/builds/{build_id}")
    async def get_build(self, request: ApiRequest) -> Answer:
        """Return a build."""
        return json_answer(200, go_json.write(self._answer(self.get_own(request))))

    @operation("cancelTemplateBuild", "DELETE /templates/{template_id}/builds/{build_id}")
    async def cancel_build(self, request: ApiRequest) -> Answer:
        """Cancel a build. Also answers 204 if it has ended."""
        self.queue.cancel(self.get_own(request))
        return Response(status_code=204)

    # -- For templates

    def check_quota(self, team: TeamRow) -> None:
        """Raise ApiError if a team cannot have another build in flight."""
        if team.limits is None:
            return
        if sum(row.team_id == team.id for row in self.queue.in_flight()) >= team.limits.builds:
            text = f"your team is limited to {team.limits.builds} builds in flight"
            raise ApiError(429, "too_many_builds", text)

    def start(self, template: TemplateRow) -> str:
        """Queue a build of a template, and return its id."""
        return self.queue.add(template).id

    def latest(self, template_id: str) -> str | None:
        """Return the id of a template's newest build."""
        rows = self._of_template.of(template_id)
        return max(reversed(rows), key=lambda row: row.created_at).id if rows else None

    def _check_none_in_flight(self, template: TemplateRow) -> None:
        if count := len(self.queue.in_flight_of(template.id)):
            text = f"template has {count} build(s) in flight: wait for them or cancel them"
            raise ApiError(409, "conflict", text)

    # -- Start and end of the server

    def populate(self) -> None:
        """Fail the builds that were in flight when the server of a state file ended: the host knows none of them."""
        self.queue.fail_all()

    def reset(self) -> None:
        """Forget all builds."""
        self.host.forget_all()
        self.queue.reset()

    async def run(self) -> None:
        """Advance builds until cancelled."""
        await self.queue.run()

    async def aclose(self) -> None:
        """Stop all builds."""
        await self.host.aclose()

    # -- Faults

    def _find_fault(self, job: BuildJob) -> Strike[BuildFault] | None:
        return self.services.faults.strike_build(job, self.templates.rows[job.template_id].name)

    def _lose(self, build_id: str) -> None:
        self.host.forget(build_id)

    def _time_out(self, build_id: str) -> None:
        self.queue.overdue.add(build_id)

    # -- Look-ups

    def get_own(self, request: ApiRequest) -> BuildRow:
        """Return the team's build of a request, even of a deleted template; raises ApiError."""
        row = self.rows.get(request.path["build_id"])
        if row is None or row.template_id != request.path["template_id"] or row.team_id != request.team.id:
            raise ApiError(404, "not_found", "Build not found")
        return row

    def of_template(self, template_id: str, team: TeamRow) -> list[BuildRow]:
        """Return a team's builds of a template, newest first."""
        rows = [row for row in self._of_template.of(template_id) if row.team_id == team.id]
        rows.reverse()  # Sorting is stable: rows with the same time, as when time is frozen, keep their order.
        rows.sort(key=lambda row: row.created_at, reverse=True)
        return rows

    def _answer(self, row: BuildRow) -> dict[str, object]:
        newer = {"region": "local", "cache": {"hits": 0}} if self.services.settings.newer else {}
        return {**row.answer(), **newer}


def _make_runner(settings: Settings, clock: Clock, images: dict[str, Scratch]) -> Runner:
    if settings.execute:
        from superserve.local._machines.processes import ExecuteRunner

        return ExecuteRunner(speed=settings.speed, images=images, python=settings.python)
    from superserve.local._machines.pretend import PretendRunner

    return PretendRunner(clock)
