"""Sandboxes: their rows, their life, and the operations of the control plane."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from uuid import UUID

import attrs
from starlette.responses import Response

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, error_answer, json_answer
from superserve.local._app.auth import TeamRow
from superserve.local._app.data_plane import text_answer
from superserve.local._app.errors import ApiError
from superserve.local._app.query import read_choice, read_number, read_pairs
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource, Services
from superserve.local._machines.sandboxes.guest import Guest, Lost
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.sandbox_behaviour import Behaviour
from superserve.local._resources.sandbox_machines import Machines
from superserve.local._resources.sandbox_rows import RUNNING, TRANSITIONS, SandboxRow
from superserve.local._resources.sandbox_spec import (
    CreateSandbox,
    check_metadata,
    read_create,
    read_patch,
    refuse,
)
from superserve.local._resources.sandbox_tokens import Tokens
from superserve.local._resources.template_spec import SYSTEM_PREFIX
from superserve.local._resources.templates import TemplateResource, TemplateRow

DEFAULT_TEMPLATE = f"{SYSTEM_PREFIX}base"
STATUSES = ("starting", "active", "pausing", "paused", "resuming", "migrating", "failed", "deleted")
# Seconds of the server's clock.
REAPER_S = 30.0
_PAGE_LIMIT = 200
_METADATA_KEY = "metadata."
# A transition that takes longer was cut short by a crash: 15 minutes of the server's clock.
_STALE_S = 900.0
_UNLIMITED = {"connections": None, "address_connections": None}
# How often, and for how many seconds of the server's clock, activate checks whether a sandbox has settled.
_LOOK_S = 0.05
_SETTLE_S = 6.0
_RESUME_SETTLE_S = 2.0


class SandboxResource(Resource):
    """The sandboxes of all teams, and their machines."""

    ROWS = (SandboxRow,)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.rows = services.store.table(SandboxRow)
        self.templates = services.resource(TemplateResource)
        self.machines = Machines(
            services.settings.isolation,
            self.rows,
            self.templates.rows,
            services.resource(BuildResource).images,
            behaviour=lambda: self.behaviour,
            python=services.settings.python,
        )
        self.templates.deletion_checks.append(self._check_unused)
        self.on_pause: list[Callable[[str], None]] = []
        """Functions to call with a machine whose connections end."""
        self.scripts = services.commands
        self._usual = Behaviour() if services.settings.limits else Behaviour().but(**_UNLIMITED)
        self.behaviour = self._usual
        self._later: set[asyncio.Task[None]] = set()
        self.tokens = Tokens(services.clock)

    # -- Operations

    @operation("listSandboxes", "GET /sandboxes")
    async def list_sandboxes(self, request: ApiRequest) -> Answer:
        """List the team's sandboxes."""
        query = request.http.query_params
        rows = [row for row in self.rows if row.team_id == request.team.id]
        wanted = _read_filter(request.http.scope["query_string"])
        rows = [row for row in rows if wanted.items() <= row.metadata.items()]
        if status := query.get("status"):
            statuses = status.split(",")
            for word in statuses:
                if word not in STATUSES:
                    raise refuse(f"status must be one of {', '.join(STATUSES)}")
            rows = [row for row in rows if row.status in statuses]
        if text := query.get("q", "").lower():
            rows = [row for row in rows if text in row.name.lower()]
        sort = read_choice(query, "sort", "created_at", "name", "status")
        descending = read_choice(query, "order", "desc", "asc") == "desc"
        if descending:
            rows.reverse()  # Sorting is stable: rows with the same time, as when time is frozen, keep their order.
        rows.sort(key=lambda row: str(getattr(row, sort)), reverse=descending)
        limit = read_number(query, "limit", 1)
        offset = read_number(query, "offset", 0) or 0
        page = rows[offset : None if limit is None else offset + min(limit, _PAGE_LIMIT)]
        answer = json_answer(200, go_json.write([row.answer() for row in page]))
        answer.headers["x-total-count"] = str(len(rows))
        return answer

    @operation("createSandbox", "POST /sandboxes")
    async def create_sandbox(self, request: ApiRequest) -> Answer:
        """Start a sandbox from a template."""
        new = read_create(await request.http.body())
        if new.from_snapshot is not None:
            _check_snapshot(new.from_snapshot)
        template = self._find_template(request.team, new.from_template or DEFAULT_TEMPLATE)
        if template.status != "ready":
            raise ApiError(409, "conflict", f"template is not ready (status={template.status})")
        self._check_quota(request.team)
        row = self.add(request.team, new, template)
        answer = self.answer(row)
        self._change_late(row, "starting", self.behaviour.starting_s)
        if new.network is not None:
            # The answer has the rules as they were sent.
            answer["network"] = {key: list(rules) for key, rules in new.network._asdict().items()}
        return json_answer(201, go_json.write(answer))

    @operation("getSandbox", "GET /sandboxes/{sandbox_id}")
    async def get_sandbox(self, request: ApiRequest) -> Answer:
        """Return one of the team's sandboxes with its access token. It is not woken."""
        return json_answer(200, go_json.write(self.answer(self._get(request))))

    @operation("patchSandbox", "PATCH /sandboxes/{sandbox_id}")
    async def patch_sandbox(self, request: ApiRequest) -> Answer:
        """Change only the given fields."""
        changes = read_patch(await request.http.body())
        row = self._get(request)
        if "network" in changes and row.status != "active":
            raise _conflict(row)
        if "auto_delete_seconds" in changes and row.status == "paused":
            changes["paused_since"] = self.services.clock.steady()
        self.rows.save(attrs.evolve(row, **changes))  # type: ignore[arg-type]  # read_patch has checked them
        return Response(status_code=204)

    @operation("deleteSandbox", "DELETE /sandboxes/{sandbox_id}")
    async def delete_sandbox(self, request: ApiRequest) -> Answer:
        """Delete a sandbox, even while commands run in it."""
        row = self._get(request)
        is_stale = self.services.clock.age_of_wait(row.changed_at) >= _STALE_S
        if row.status in TRANSITIONS and not is_stale:
            raise _conflict(row)
        await self.delete(row)
        return Response(status_code=204)

    @operation("pauseSandbox", "POST /sandboxes/{sandbox_id}/pause")
    async def pause_sandbox(self, request: ApiRequest) -> Answer:
        """Stop everything in a sandbox until it is resumed."""
        row = self._get(request)
        if row.status != "active":
            raise _conflict(row)
        if self.behaviour.pausing_s is None:
            await self.pause(row)
            return Response(status_code=204)
        self._save(row, status="pausing")
        self._do_later(self.behaviour.pausing_s, lambda: self._finish_pause(row.id))
        answer = json_answer(202, go_json.write({"status": "pausing"}))
        answer.headers["retry-after"] = "1"
        return answer

    @operation("resumeSandbox", "POST /sandboxes/{sandbox_id}/resume")
    async def resume_sandbox(self, request: ApiRequest) -> Answer:
        """Resume a paused sandbox."""
        row = await self._settle(self._get(request), _RESUME_SETTLE_S, "pausing")
        if row.status != "paused":
            raise _conflict(row)
        self._check_quota(request.team)
        row = await self._resume(row)
        shown = self.answer(row)
        body = {key: shown[key] for key in ("id", "status", "access_token", "routing_hint") if key in shown}
        self._change_late(row, "resuming", self.behaviour.resuming_s)
        return json_answer(200, go_json.write(body))

    @operation("activateSandbox", "POST /sandboxes/{sandbox_id}/activate")
    async def activate_sandbox(self, request: ApiRequest) -> Answer:
        """Make sure that a sandbox runs, and return it with a new access token."""
        row = await self._settle(self._get(request), _SETTLE_S, "starting", "resuming")
        if row.status == "pausing":
            refusal = error_answer(ApiError(409, "sandbox_pausing", "sandbox is pausing: try again"))
            refusal.headers["retry-after"] = "1"
            return refusal
        answer = self.answer(await self._activate(row, request.team))
        return json_answer(200, go_json.write(answer))

    async def wake(self, request: ApiRequest) -> Guest:
        """Return the machine of a request's sandbox, and wake it if necessary; raises ApiError."""
        row = await self._settle(self._get(request), _SETTLE_S, "starting", "resuming")
        guest = await self.machines.of(await self._activate(row, request.team))
        if isinstance(guest, str):
            raise ApiError(500, "internal_error", guest)
        return guest

    # -- The life of a sandbox

    def add(self, team: TeamRow, new: CreateSandbox, template: TemplateRow) -> SandboxRow:
        """Add a running sandbox."""
        now = self.services.clock.steady()
        row = SandboxRow(
            id=self.services.new_id(),
            team_id=team.id,
            name=new.name,
            status="active",
            vcpu_count=template.vcpu,
            memory_mib=template.memory_mib,
            created_at=self.services.clock.now(),
            template_id=template.id,
            metadata=dict(new.metadata),
            network=new.network,
            preview_access=new.preview_access,
            timeout_seconds=new.timeout_seconds,
            auto_delete_seconds=new.auto_delete_seconds,
            active_since=now,
            changed_at=now,
        )
        self.rows.save(row)
        self.machines.env_vars[row.id] = dict(new.env_vars)
        self.machines.start(row)
        return row

    async def pause(self, row: SandboxRow) -> None:
        """Stop all processes of a sandbox, and end its connections."""
        now = self.services.clock.steady()
        self._save(
            row, status="paused", paused_since=now, active_since=None, snapshot_id=self.services.new_id()
        )
        await self.machines.freeze(row.id)
        for tell in self.on_pause:
            tell(row.id)
        paused = self.rows.get(row.id)
        if paused is not None and paused.auto_delete_seconds == 0:
            await self.delete(paused)

    async def delete(self, row: SandboxRow) -> None:
        """Delete a sandbox, and end everything in it."""
        self.rows.remove(row.id)
        for tell in self.on_pause:
            tell(row.id)
        await self.machines.end(row.id)

    async def _activate(self, row: SandboxRow, team: TeamRow) -> SandboxRow:
        if row.status == "paused":
            self._check_quota(team)
            row = await self._resume(row)
            self._change_late(row, "resuming", self.behaviour.resuming_s)
        elif row.status != "active":
            raise _conflict(row)
        return row

    async def _resume(self, row: SandboxRow) -> SandboxRow:
        now = self.services.clock.steady()
        row = self._save(row, status="active", active_since=now, paused_since=None)
        await self.machines.thaw(row.id)
        return row

    def set_status(self, row: SandboxRow, status: str) -> None:
        """Set the status of a sandbox's row, whatever the state of its machine."""
        now = self.services.clock.steady()
        self._save(
            row,
            status=status,
            active_since=now if status == "active" else None,
            paused_since=now if status == "paused" else None,
        )

    def _save(self, row: SandboxRow, **changes: object) -> SandboxRow:
        row = attrs.evolve(row, changed_at=self.services.clock.steady(), **changes)  # type: ignore[arg-type]  # fields
        self.rows.save(row)
        return row

    def _change_late(self, row: SandboxRow, status: str, seconds: float) -> None:
        """Change the status of a row some time after it has become true."""
        if not seconds:
            return
        self._save(row, status=status)

        async def settle() -> None:
            now = self.rows.get(row.id)
            if now is not None and now.status == status:
                self._save(now, status=row.status)

        self._do_later(seconds, settle)

    async def _finish_pause(self, sandbox_id: str) -> None:
        row = self.rows.get(sandbox_id)
        if row is not None and row.status == "pausing":
            await self.pause(row)

    async def _settle(self, row: SandboxRow, limit_s: float, *statuses: str) -> SandboxRow:
        """Wait some time for a sandbox to leave these states; raises ApiError if it is deleted."""
        looks = int(limit_s / _LOOK_S)
        while row.status in statuses and looks:
            looks -= 1
            await self.services.clock.sleep(_LOOK_S)
            found = self.rows.get(row.id)
            if found is None:
                raise _report_missing()
            row = found
        return row

    def _do_later(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        async def wait() -> None:
            await self.services.clock.sleep(seconds)
            await work()

        task = asyncio.create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def run(self) -> None:
        """Pause and delete sandboxes whose time is over, until cancelled."""
        while True:
            await self.services.clock.sleep(REAPER_S)
            await self.reap()

    async def reap(self) -> None:
        """Pause and delete sandboxes whose time is over."""
        for sandbox_id in list(self.rows.keys()):
            # It may have been deleted while others were paused or deleted.
            if (row := self.rows.get(sandbox_id)) is not None:
                await self._reap(row)

    async def _reap(self, row: SandboxRow) -> None:
        age = self.services.clock.age_of_wait
        since, limit = row.active_since, row.timeout_seconds
        if row.status == "active" and limit is not None and since is not None and age(since) >= limit:
            await self.pause(row)
        since, limit = row.paused_since, row.auto_delete_seconds
        if row.status == "paused" and limit is not None and since is not None and age(since) >= limit:
            await self.delete(row)

    # -- The data plane

    def running(self, sandbox_id: str) -> SandboxRow:
        """Return a running sandbox; raises Lost if it was paused or deleted after its request was accepted."""
        row = self.rows.get(sandbox_id)
        if row is None or row.status not in RUNNING:
            raise Lost
        return row

    def is_token(self, sandbox_id: str, token: str) -> bool:
        """Whether a token is valid for a sandbox."""
        return self.tokens.open(sandbox_id, token)

    @property
    def most_connections(self) -> tuple[int | None, int | None]:
        """Return the most requests at once: to one sandbox, and from one address."""
        return self.behaviour.connections, self.behaviour.address_connections

    def check_running(self, sandbox_id: str) -> Response | None:
        """Return the refusal for a sandbox that does not run, or None. A starting sandbox already runs."""
        row = self.rows.get(sandbox_id)
        has_old_texts = self.behaviour.has_old_texts
        if row is None:
            gone = ApiError(404, "sandbox_route_stale", "sandbox is not on this host")
            return text_answer(404, "sandbox not found") if has_old_texts else error_answer(gone)
        if row.status in RUNNING:
            return None
        if self.services.clock.age_of_wait(row.changed_at) < self.behaviour.stale_s:
            return text_answer(502, "sandbox unreachable", **{"retry-after": "2"})
        if has_old_texts:
            return text_answer(503, "sandbox is paused" if row.status == "paused" else "sandbox unavailable")
        return error_answer(ApiError(503, "sandbox_unavailable", f"sandbox is {row.status}"))

    def check_preview(self, sandbox_id: str) -> Response | None:
        """Return the refusal for a sandbox without previews, or None. A preview does not wake a paused sandbox."""
        row = self.rows.get(sandbox_id)
        if row is None:
            return text_answer(404, "sandbox not found")
        if row.preview_access == "private":
            return text_answer(401, "missing preview token")
        if row.status not in RUNNING:
            text = "sandbox is paused" if row.status == "paused" else "sandbox unavailable"
            return text_answer(503, text, **{"retry-after": "5"})
        return None

    async def dial(self, sandbox_id: str, port: int) -> socket.socket:
        """Return a connection to a port inside a sandbox; raises OSError."""
        try:
            guest = await self.machines.of(self.running(sandbox_id))
            if isinstance(guest, str):
                raise ConnectionRefusedError(guest)
            return await guest.dial(port)
        except Lost as error:
            raise ConnectionRefusedError(port) from error

    def answer(self, row: SandboxRow) -> dict[str, object]:
        """Return a sandbox in the form for clients that may run commands in it."""
        behaviour = self.behaviour
        hint = {"routing_hint": self.tokens.hint(row.id, behaviour.hint_s)} if behaviour.gives_hints else {}
        return {**row.answer(), **hint, "access_token": self.tokens.of(row.id)}

    # -- The rest

    def populate(self) -> None:
        """Forget the sandboxes of a state file: their machines are gone."""
        for row in list(self.rows):
            self.rows.remove(row.id)

    def reset(self) -> None:
        """End all machines."""
        self.scripts.clear()
        self.behaviour = self._usual
        for later in self._later:
            later.cancel()
        for row in list(self.rows):
            for tell in self.on_pause:
                tell(row.id)
            self.rows.remove(row.id)
        self.machines.reset()

    async def aclose(self) -> None:
        """End all machines; returns when nothing of them is left."""
        self.reset()
        await self.machines.aclose()

    def _get(self, request: ApiRequest) -> SandboxRow:
        row = self.rows.get(request.path["sandbox_id"])
        if row is None or row.team_id != request.team.id:
            raise _report_missing()
        return row

    def _find_template(self, team: TeamRow, wanted: str) -> TemplateRow:
        visible = self.templates.visible(team)
        # A team's own templates come before the system's with the same name.
        found = sorted(
            (row for row in visible if wanted in (row.id, row.name)), key=lambda row: row.team_id != team.id
        )
        if not found:
            raise ApiError(404, "not_found", "Template not found")
        return found[0]

    def _check_quota(self, team: TeamRow) -> None:
        if team.limits is None:
            return
        count = sum(row.team_id == team.id and row.status == "active" for row in self.rows)
        if count >= team.limits.sandboxes:
            text = f"your team is limited to {team.limits.sandboxes} active sandboxes"
            raise ApiError(429, "too_many_sandboxes", text)

    def _check_unused(self, template: TemplateRow) -> None:
        count = sum(row.template_id == template.id for row in self.rows)
        if count:
            raise ApiError(409, "conflict", f"template is in use by {count} sandbox(es): delete them first")


def _read_filter(query: bytes) -> dict[str, str]:
    wanted: dict[str, str] = {}
    for name, value in (
        (key.decode(errors="replace"), item.decode(errors="replace")) for key, item in read_pairs(query)
    ):
        if not name.startswith(_METADATA_KEY):
            continue
        key = name.removeprefix(_METADATA_KEY)
        if key in wanted:
            raise refuse(f'the filter "{name}" is given twice')
        wanted[key] = value
    check_metadata(wanted)
    return wanted


def _check_snapshot(snapshot_id: str) -> None:
    with contextlib.suppress(ValueError):
        UUID(snapshot_id)
        raise ApiError(404, "not_found", "Snapshot not found")
    raise refuse("from_snapshot must be a UUID")


def _report_missing() -> ApiError:
    return ApiError(404, "not_found", "Sandbox not found")


def _conflict(row: SandboxRow) -> ApiError:
    return ApiError(409, "conflict", f"sandbox is {row.status}")
