"""Sandboxes: their rows, their life, and the operations of the control plane."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import posixpath
import secrets
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

import attrs
from starlette.responses import Response

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, drop_none, error_answer, json_answer
from superserve.local._app.auth import TeamRow
from superserve.local._app.clock import format_time_exactly
from superserve.local._app.data_plane import text_answer
from superserve.local._app.errors import ApiError
from superserve.local._app.query import read_choice, read_number, read_pairs
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource, Services
from superserve.local._machines.processes.scratch import Scratch, sweep
from superserve.local._machines.sandboxes.guest import Guest, Lost
from superserve.local._machines.sandboxes.spaces import Space, Unisolated, find_space, make_folders
from superserve.local._resources.builds import BuildResource
from superserve.local._resources.sandbox_behaviour import Behaviour
from superserve.local._resources.sandbox_spec import (
    CreateSandbox,
    Network,
    check_metadata,
    read_create,
    read_patch,
    refuse,
)
from superserve.local._resources.template_spec import SYSTEM_PREFIX
from superserve.local._resources.templates import TemplateResource, TemplateRow
from superserve.local._store.rows import Row, column

DEFAULT_TEMPLATE = f"{SYSTEM_PREFIX}base"
STATUSES = ("starting", "active", "pausing", "paused", "resuming", "migrating", "failed", "deleted")
# Seconds of the server's clock.
REAPER_S = 30.0
_PAGE_LIMIT = 200
_TOKEN_LIFE_S = 3600
_RUNNING = ("active", "starting", "resuming")
_TRANSITIONS = ("starting", "pausing", "resuming")
_METADATA_KEY = "metadata."
# A transition that has gone on for so long is one that a crash cut short: 15 minutes of the server's clock.
_STALE_S = 900.0
_UNLIMITED = {"connections": None, "address_connections": None}
# How often, and for how long of the server's clock, activate looks whether a sandbox has settled.
_LOOK_S = 0.05
_SETTLE_S = 6.0
_RESUME_SETTLE_S = 2.0


def _write_network(network: Network) -> str:
    return json.dumps(attrs.asdict(network))


def _read_network(text: str) -> Network:
    return Network(**{key: tuple(rules) for key, rules in json.loads(text).items()})


@attrs.frozen(slots=False)
class SandboxRow(Row):
    """A sandbox."""

    TABLE: ClassVar[str] = "sandboxes"

    id: str
    team_id: str
    name: str
    status: str
    vcpu_count: int
    memory_mib: int
    created_at: datetime
    changed_at: datetime
    """When its status changed last."""
    template_id: str
    metadata: Mapping[str, str] = attrs.field(metadata=column(write=json.dumps, read=json.loads))
    network: Network | None = attrs.field(
        default=None, metadata=column(write=_write_network, read=_read_network)
    )
    preview_access: str = "public"
    timeout_seconds: int | None = None
    auto_delete_seconds: int | None = None
    snapshot_id: str | None = None
    # On the clock that no test moves:
    active_since: datetime | None = None
    paused_since: datetime | None = None
    """What the window of auto_delete_seconds counts from."""

    def answer(self) -> dict[str, object]:
        """Return the sandbox as lists show it: what isn't set is absent."""
        delete_at = None
        if self.status == "paused" and self.auto_delete_seconds is not None and self.paused_since:
            delete_at = self.paused_since + timedelta(seconds=self.auto_delete_seconds)
        return drop_none(
            id=self.id,
            name=self.name,
            status=self.status,
            vcpu_count=self.vcpu_count,
            memory_mib=self.memory_mib,
            snapshot_id=self.snapshot_id,
            created_at=format_time_exactly(self.created_at),
            timeout_seconds=self.timeout_seconds,
            auto_delete_seconds=self.auto_delete_seconds,
            auto_delete_at=delete_at and format_time_exactly(delete_at),
            network=self.network and self.network.answer(),
            metadata=dict(self.metadata),
            preview_access=self.preview_access,
        )


class SandboxResource(Resource):
    """The sandboxes of all teams, and their machines."""

    ROWS = (SandboxRow,)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.rows = services.store.table(SandboxRow)
        self.templates = services.resource(TemplateResource)
        self.builds = services.resource(BuildResource)
        self.templates.deletion_checks.append(self._check_unused)
        self.guests: dict[str, Guest] = {}
        self.env_vars: dict[str, Mapping[str, str]] = {}
        """What `create` was given: kept in the machine's memory only, as on the real server."""
        self.on_pause: list[Callable[[str], None]] = []
        """Each is told of a machine whose connections end."""
        self.scripts = services.commands
        self._usual = Behaviour() if services.settings.limits else Behaviour().but(**_UNLIMITED)
        self.behaviour = self._usual
        self._space: Space | str | None = None
        self._making = asyncio.Lock()
        self._later: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._seed = secrets.token_bytes(32)
        self._token_epoch = 0

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
            rows.reverse()  # Sorting keeps the order of those with the same time, as there are where time stands still.
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
            # The answer shows the rules as they came.
            answer["network"] = {key: list(rules) for key, rules in attrs.asdict(new.network).items()}
        return json_answer(201, go_json.write(answer))

    @operation("getSandbox", "GET /sandboxes/{sandbox_id}")
    async def get_sandbox(self, request: ApiRequest) -> Answer:
        """Return one of the team's sandboxes, and its access token; it is not woken."""
        return json_answer(200, go_json.write(self.answer(self._get(request))))

    @operation("patchSandbox", "PATCH /sandboxes/{sandbox_id}")
    async def patch_sandbox(self, request: ApiRequest) -> Answer:
        """Change what is given, and nothing else."""
        changes = read_patch(await request.http.body())
        row = self._get(request)
        if "network" in changes and row.status != "active":
            raise _conflict(row)
        if "auto_delete_seconds" in changes and row.status == "paused":
            changes["paused_since"] = self.services.clock.steady()
        self.rows.save(attrs.evolve(row, **changes))  # type: ignore[arg-type]  # as read_patch says
        return Response(status_code=204)

    @operation("deleteSandbox", "DELETE /sandboxes/{sandbox_id}")
    async def delete_sandbox(self, request: ApiRequest) -> Answer:
        """Delete a sandbox, whatever runs in it."""
        row = self._get(request)
        is_stale = self.services.clock.age_of_wait(row.changed_at) >= _STALE_S
        if row.status in _TRANSITIONS and not is_stale:
            raise _conflict(row)
        await self.delete(row)
        return Response(status_code=204)

    @operation("pauseSandbox", "POST /sandboxes/{sandbox_id}/pause")
    async def pause_sandbox(self, request: ApiRequest) -> Answer:
        """Stop everything in a sandbox, to go on later."""
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
        """Let a paused sandbox go on."""
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
        """See to it that a sandbox runs, and return it with a fresh access token."""
        row = await self._settle(self._get(request), _SETTLE_S, "starting", "resuming")
        if row.status == "pausing":
            refusal = error_answer(ApiError(409, "sandbox_pausing", "sandbox is pausing: try again"))
            refusal.headers["retry-after"] = "1"
            return refusal
        answer = self.answer(await self._activate(row, request.team))
        return json_answer(200, go_json.write(answer))

    async def wake(self, request: ApiRequest) -> Guest:
        """Return the machine of the sandbox that a request is for, woken if need be; raises ApiError."""
        row = await self._settle(self._get(request), _SETTLE_S, "starting", "resuming")
        guest = await self.guest(await self._activate(row, request.team))
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
        self.env_vars[row.id] = dict(new.env_vars)
        return row

    async def pause(self, row: SandboxRow) -> None:
        """Stop all its processes, and end its connections."""
        now = self.services.clock.steady()
        self._save(
            row, status="paused", paused_since=now, active_since=None, snapshot_id=self.services.new_id()
        )
        guest = self.guests.get(row.id)
        if guest is not None:
            with contextlib.suppress(Lost):
                await guest.freeze()
        for tell in self.on_pause:
            tell(row.id)
        if row.auto_delete_seconds == 0:
            await self.delete(self.rows[row.id])

    async def delete(self, row: SandboxRow) -> None:
        """Delete it, and end everything in it."""
        self.rows.remove(row.id)
        self.env_vars.pop(row.id, None)
        for tell in self.on_pause:
            tell(row.id)
        guest = self.guests.pop(row.id, None)
        if guest is not None:
            await self._end(guest)

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
        guest = self.guests.get(row.id)
        if guest is not None:
            with contextlib.suppress(Lost):
                await guest.thaw()
        return row

    def set_status(self, row: SandboxRow, status: str) -> None:
        """Say that a sandbox is in some state, whatever is true of its machine."""
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
        """Let a row say for a while what was true before."""
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
        """Wait a while for a sandbox that is in some states to leave them; raises ApiError if it is deleted."""
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
            await asyncio.sleep(seconds)
            await work()

        task = asyncio.create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def run(self) -> None:
        """Pause and delete what has run, or been paused, for as long as it was to."""
        while True:
            await self.services.clock.sleep(REAPER_S)
            await self.reap()

    async def reap(self) -> None:
        """Pause and delete what is due."""
        for row in list(self.rows):
            await self._reap(row)

    async def _reap(self, row: SandboxRow) -> None:
        age = self.services.clock.age_of_wait
        since, limit = row.active_since, row.timeout_seconds
        if row.status == "active" and limit is not None and since is not None and age(since) >= limit:
            await self.pause(row)
        since, limit = row.paused_since, row.auto_delete_seconds
        if row.status == "paused" and limit is not None and since is not None and age(since) >= limit:
            await self.delete(row)

    # -- Machines

    async def guest(self, row: SandboxRow) -> Guest | str:
        """Return the machine of a sandbox, or why there can be none."""
        found = self.guests.get(row.id)
        if found is not None:
            return found
        if self._space is None:
            if self.services.settings.isolation == "none":
                self._space = Unisolated()
            else:
                await asyncio.to_thread(sweep)
                self._space = await asyncio.to_thread(find_space)
        if isinstance(self._space, str):
            return (
                f"commands cannot be kept apart from this machine: {self._space}; install bubblewrap, or ask for "
                "commands that are not kept apart with isolation='none' (--isolation none)"
            )
        async with self._making:
            # Another request may have come first.
            if row.id not in self.guests:
                home, _, workdir, _ = self.surroundings(row)
                image = self.builds.images.get(row.template_id)
                scratch = await asyncio.to_thread(_make_files, image, home, workdir)
                if row.id not in self.rows:
                    await asyncio.to_thread(scratch.remove)
                    raise Lost
                self.guests[row.id] = Guest(self._space, scratch)
            return self.guests[row.id]

    def surroundings(self, row: SandboxRow) -> tuple[str, str, str, dict[str, str]]:
        """Return the home, user, working directory and variables of a sandbox's commands, as its template set them."""
        home, user, workdir = "/home/user", "user", ""
        variables: dict[str, str] = {}
        template = self.templates.rows.get(row.template_id)
        for step in template.spec.steps if template else ():
            if step.env is not None:
                variables[step.env[0]] = step.env[1]
            elif step.workdir is not None:
                workdir = posixpath.normpath(posixpath.join("/", workdir, step.workdir))
            elif step.user is not None:
                user, home = step.user[0], f"/home/{step.user[0]}"
        return home, user, workdir or home, variables | dict(self.env_vars.get(row.id, {}))

    def token(self, sandbox_id: str, hours_ago: int = 0) -> str:
        """Return a sandbox's access token: the same for everybody within an hour of the server's clock."""
        hour = (
            int(self.services.clock.steady().timestamp() * self.services.clock.speed // _TOKEN_LIFE_S)
            - hours_ago
            + self._token_epoch
        )
        return hmac.new(self._seed, f"{sandbox_id}|{hour}".encode(), hashlib.sha256).hexdigest()

    @property
    def most_connections(self) -> tuple[int | None, int | None]:
        """How many requests are served at a time: to one sandbox, and from one address."""
        return self.behaviour.connections, self.behaviour.address_connections

    def check_running(self, sandbox_id: str) -> Response | None:
        """Return why nothing can be done in a sandbox, or None; one that starts runs already."""
        row = self.rows.get(sandbox_id)
        has_old_texts = self.behaviour.has_old_texts
        if row is None:
            gone = ApiError(404, "sandbox_route_stale", "sandbox is not on this host")
            return text_answer(404, "sandbox not found") if has_old_texts else error_answer(gone)
        if row.status in _RUNNING:
            return None
        if (self.services.clock.steady() - row.changed_at).total_seconds() < self.behaviour.stale_s:
            return text_answer(502, "sandbox unreachable", **{"retry-after": "2"})
        if has_old_texts:
            return text_answer(503, "sandbox is paused" if row.status == "paused" else "sandbox unavailable")
        return error_answer(ApiError(503, "sandbox_unavailable", f"sandbox is {row.status}"))

    def is_token(self, sandbox_id: str, token: str) -> bool:
        """Whether a token opens a sandbox: this hour's and the last one's do."""
        return any(hmac.compare_digest(self.token(sandbox_id, ago), token) for ago in (0, 1))

    def check_preview(self, sandbox_id: str) -> Response | None:
        """Return why nothing can be seen of a sandbox, or None; looking at a paused one does not wake it."""
        row = self.rows.get(sandbox_id)
        if row is None:
            return text_answer(404, "sandbox not found")
        if row.status not in _RUNNING:
            text = "sandbox is paused" if row.status == "paused" else "sandbox unavailable"
            return text_answer(503, text, **{"retry-after": "5"})
        if row.preview_access == "private":
            return text_answer(401, "missing preview token")
        return None

    async def dial(self, sandbox_id: str, port: int) -> socket.socket:
        """Return a connection to a port inside a sandbox; raises OSError."""
        guest = await self.guest(self.rows[sandbox_id])
        if isinstance(guest, str):
            raise ConnectionRefusedError(guest)
        try:
            return await guest.dial(port)
        except Lost as error:
            raise ConnectionRefusedError(port) from error

    def expire_tokens(self) -> None:
        """Refuse all tokens that were given out."""
        self._token_epoch += 2

    def answer(self, row: SandboxRow) -> dict[str, object]:
        """Return a sandbox as clients see it who may run commands in it."""
        hint = {"routing_hint": self._hint(row.id)} if self.behaviour.gives_hints else {}
        return {**row.answer(), **hint, "access_token": self.token(row.id)}

    def _hint(self, sandbox_id: str) -> str:
        expiry = int(self.services.clock.now().timestamp() + self.services.clock.real(_TOKEN_LIFE_S))
        claims = base64.urlsafe_b64encode(json.dumps({"s": sandbox_id, "e": expiry}).encode())
        return f"h1.{claims.decode().rstrip('=')}.{self.token(sandbox_id)[:16]}"

    # -- The rest

    def populate(self) -> None:
        """Forget sandboxes that a state file has: their machines are gone."""
        for row in list(self.rows):
            if row.id not in self.guests:
                self.rows.remove(row.id)

    def reset(self) -> None:
        """End all machines."""
        guests, self.guests = self.guests, {}
        self.scripts.clear()
        self.behaviour = self._usual
        for later in self._later:
            later.cancel()
        self.env_vars.clear()
        for row in list(self.rows):
            for tell in self.on_pause:
                tell(row.id)
            self.rows.remove(row.id)
        for guest in guests.values():
            self._end_later(guest)

    async def aclose(self) -> None:
        """End all machines; returns when nothing of them is left."""
        self.reset()
        await asyncio.gather(*self._endings)

    def _end_later(self, guest: Guest) -> "asyncio.Task[None]":
        ending = asyncio.create_task(guest.stop())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    async def _end(self, guest: Guest) -> None:
        # A task of its own: whoever asked may hang up.
        await asyncio.shield(self._end_later(guest))

    def _get(self, request: ApiRequest) -> SandboxRow:
        row = self.rows.get(request.path["sandbox_id"])
        if row is None or row.team_id != request.team.id:
            raise _report_missing()
        return row

    def _find_template(self, team: TeamRow, wanted: str) -> TemplateRow:
        visible = self.templates.visible(team)
        # A team's own come before the system's of the same name.
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


def _make_files(image: Scratch | None, *folders: str) -> Scratch:
    """Return the files of a new sandbox: what its template's build left, and what any image has."""
    scratch = Scratch()
    if image is not None:
        # What cannot be copied is no file, or could not be read in there either.
        with contextlib.suppress(OSError):
            shutil.copytree(image.root, scratch.root, symlinks=True, dirs_exist_ok=True)
    make_folders(scratch, *folders)
    return scratch


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
