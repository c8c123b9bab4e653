"""Sandboxes, changed past the API: `server.sandboxes`."""

from collections.abc import Mapping
from typing import Literal, get_args

from superserve.local._app import arguments
from superserve.local._app.auth import Team
from superserve.local._app.steering import Steering
from superserve.local._resources.sandbox_rows import SandboxRow
from superserve.local._resources.sandbox_spec import CreateSandbox
from superserve.local._resources.sandboxes import DEFAULT_TEMPLATE, SandboxResource
from superserve.local._resources.templates import TemplateRow

SandboxState = Literal["starting", "active", "pausing", "paused", "resuming", "migrating", "failed"]


class Sandboxes(Steering[SandboxResource]):
    """Sandboxes past the API, and how they behave. Obtained as `server.sandboxes`, and for any thread.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     server.sandboxes.behave(starting_s=0.2)
        ...     sandbox_id = server.sandboxes.add("demo", status="paused")

    """

    def __repr__(self) -> str:
        """Show how many there are, and the newest."""
        return self._describe(
            "sandboxes",
            lambda sandboxes: [f"{row.id} {row.name!r} {row.status}" for row in list(sandboxes.rows)],
        )

    def add(
        self,
        name: str = "sandbox",
        *,
        status: SandboxState = "active",
        template: str | None = None,
        metadata: Mapping[str, str] | None = None,
        timeout_seconds: int | None = None,
        auto_delete_seconds: int | None = None,
        team: Team | None = None,
    ) -> str:
        """Add a sandbox and return its id.

        Args:
            name: Any text.
            status: The state of its row; its machine runs whatever that says.
            template: The name or id of a template; by default what POST /sandboxes takes.
            metadata: Its labels.
            timeout_seconds: Seconds of the server's clock after which it is paused; never by default.
            auto_delete_seconds: How long it is kept when it is paused; for ever by default.
            team: Whose it is; the server's own team by default. KeyError if it is another server's.

        """
        arguments.check_one_of("status", status, get_args(SandboxState))

        async def work(sandboxes: SandboxResource) -> str:
            teams = sandboxes.services.teams
            own = teams.find(team.id) if team else teams.own
            new = CreateSandbox(
                name=name,
                from_template=template,
                from_snapshot=None,
                timeout_seconds=timeout_seconds,
                auto_delete_seconds=auto_delete_seconds,
                metadata=dict(metadata or {}),
                env_vars={},
                network=None,
                secrets={},
                preview_access="public",
            )
            row = sandboxes.add(own, new, _find_template(sandboxes, template or DEFAULT_TEMPLATE))
            if status != "active":
                sandboxes.set_status(row, status)
            return row.id

        return self._do(work)

    def of(self, team_id: str) -> list[tuple[str, str]]:
        """Return id and name of each sandbox of a team that has not failed, oldest first."""

        async def work(sandboxes: SandboxResource) -> list[tuple[str, str]]:
            return [
                (row.id, row.name)
                for row in sandboxes.rows
                if row.team_id == team_id and row.status != "failed"
            ]

        return self._do(work)

    def set(self, sandbox_id: str, *, status: SandboxState) -> None:
        """Change what a sandbox's row says, and nothing else; KeyError if there is no such sandbox."""
        arguments.check_one_of("status", status, get_args(SandboxState))

        async def work(sandboxes: SandboxResource) -> None:
            sandboxes.set_status(_find(sandboxes, sandbox_id), status)

        self._do(work)

    def token(self, sandbox_id: str) -> str:
        """Return a sandbox's access token as it is now; KeyError if there is no such sandbox."""

        async def work(sandboxes: SandboxResource) -> str:
            return sandboxes.tokens.of(_find(sandboxes, sandbox_id).id)

        return self._do(work)

    def expire_tokens(self) -> None:
        """Refuse every access token that was given out so far, as when its hours are over."""

        async def work(sandboxes: SandboxResource) -> None:
            sandboxes.tokens.expire()

        self._do(work)

    def reap(self) -> None:
        """Pause and delete now what is due, without waiting for the 30 s of the server's clock between two rounds."""

        async def work(sandboxes: SandboxResource) -> None:
            await sandboxes.reap()

        self._do(work)

    def behave(self, **changes: object) -> None:
        """Change how all sandboxes behave from now on; `server.reset()` takes it back.

        Args:
            **changes: Any of these. Seconds are real ones, whatever the server's speed.

                - `starting_s`, `resuming_s`: for how long the row says so after the answer said `active`; none.
                - `pausing_s`: how long a pause takes that is answered at once, with 202; None: answered when done.
                - `stale_s`: for how long commands still go to the machine of a paused sandbox: 502; none.
                - `is_full`: whether files find no space left: 507; False.
                - `disk_bytes`: how much a sandbox's files may take; None for its template's `disk_mib`.
                - `processes`: how many may run in a sandbox that is started from then on.
                - `has_old_texts`: whether 404 and 503 of the edge are text; False.
                - `gives_hints`: whether answers have a routing hint; False.
                - `idle_s`: after how long without a byte the load balancer answers 504, while what runs goes on; None.
                - `output_bytes`, `upload_bytes`, `zip_entries`, `zip_bytes`, `listed`: the caps of output, files,
                  archives and listings.
                - `connections`, `address_connections`: how many requests are served at a time, for one sandbox and
                  from one address; None for no end.

        TypeError or ValueError for what makes no sense.

        """

        async def work(sandboxes: SandboxResource) -> None:
            sandboxes.behaviour = sandboxes.behaviour.but(**changes)

        self._do(work)


def _find(sandboxes: SandboxResource, sandbox_id: str) -> SandboxRow:
    row = sandboxes.rows.get(sandbox_id)
    if row is None:
        raise KeyError(f"no sandbox {sandbox_id!r} on this server")
    return row


def _find_template(sandboxes: SandboxResource, wanted: str) -> TemplateRow:
    for row in sandboxes.templates.rows:
        if wanted in (row.id, row.name) and row.deleted_at is None:
            return row
    raise KeyError(f"no template {wanted!r} on this server")
