"""Changing sandboxes without the API: `server.sandboxes`."""

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
    """Changes sandboxes without the API, and how they behave: `server.sandboxes`. It can be used from any thread.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     server.sandboxes.behave(starting_s=0.2)
        ...     sandbox_id = server.sandboxes.add("demo", status="paused")

    """

    def __repr__(self) -> str:
        """Show the number of sandboxes, and the newest."""
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
        """Add a sandbox, and return its id.

        Args:
            name: Any text.
            status: The status of its row. Its machine runs in any case.
            template: The name or id of a template. Default: the default of POST /sandboxes.
            metadata: Its metadata.
            timeout_seconds: Seconds of the server's clock after which it is paused. Default: never.
            auto_delete_seconds: Seconds of being paused after which it is deleted. Default: never.
            team: The id of its team; KeyError for a team of another server. Default: the server's own team.

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
        """Change only the status in a sandbox's row; KeyError if there is no such sandbox."""
        arguments.check_one_of("status", status, get_args(SandboxState))

        async def work(sandboxes: SandboxResource) -> None:
            sandboxes.set_status(_find(sandboxes, sandbox_id), status)

        self._do(work)

    def token(self, sandbox_id: str) -> str:
        """Return a sandbox's current access token; KeyError if there is no such sandbox."""

        async def work(sandboxes: SandboxResource) -> str:
            return sandboxes.tokens.of(_find(sandboxes, sandbox_id).id)

        return self._do(work)

    def expire_tokens(self) -> None:
        """Refuse every access token issued so far, as after some hours."""

        async def work(sandboxes: SandboxResource) -> None:
            sandboxes.tokens.expire()

        self._do(work)

    def reap(self) -> None:
        """Pause and delete now what is due, without waiting for the next round, which comes every 30 s of the server's clock."""

        async def work(sandboxes: SandboxResource) -> None:
            await sandboxes.reap()

        self._do(work)

    def behave(self, **changes: object) -> None:
        """Change the behaviour of all sandboxes from now on. `server.reset()` restores the default.

        Args:
            **changes: Any of these. Seconds are those of the server's clock.

                - `starting_s`, `resuming_s`: seconds for which the row has this status after the answer said `active`. Default 0.
                    - `pausing_s`: seconds of a pause that is answered at once, with 202. None: answered at its end.
                    - `stale_s`: seconds for which commands still reach the machine of a paused sandbox: 502. Default 0.
                    - `is_full`: whether the disk is full for files: 507. Default False.
                    - `disk_bytes`: how many bytes a sandbox's files may take. None: the `disk_mib` of its template.
                    - `processes`: how many may run in a sandbox that is started from then on.
                    - `has_old_texts`: whether 404 and 503 of the edge are text. Default False.
                    - `gives_hints`, `hint_s`: whether answers have a routing hint, and for how many seconds it is valid (0:
                      it has already expired). Default False and 3600.
                    - `idle_s`: seconds without a byte after which the load balancer answers 504, while the command goes on.
                      Default None.
                    - `output_bytes`, `upload_bytes`, `zip_entries`, `zip_bytes`, `listed`: the limits of output, files,
                      archives and listings.
                    - `connections`, `address_connections`: the most requests at once, to one sandbox and from one address;
                      None for no limit.

        TypeError or ValueError for invalid values.

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
