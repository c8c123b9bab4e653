"""Changing templates without the API: `server.templates`."""

from typing import Literal, get_args

import attrs

from superserve.local._app import arguments
from superserve.local._app.auth import Team
from superserve.local._app.services import Services
from superserve.local._app.steering import Steering
from superserve.local._resources.template_spec import BuildSpec
from superserve.local._resources.templates import MIB, TemplateResource, TemplateRow

TemplateState = Literal["pending", "building", "ready", "failed"]


class Templates(Steering[TemplateResource]):
    """Changes template rows without the API: without its checks, quotas and builds. This is `server.templates`."""

    def __repr__(self) -> str:
        """Show the number of templates, without the system's and deleted ones, and the newest."""

        def list_rows(templates: TemplateResource) -> list[str]:
            return [
                f"{row.id} {row.name!r} {row.status}"
                for row in list(templates.rows)
                if row.deleted_at is None and not templates.services.teams.is_system(row.team_id)
            ]

        return self._describe("templates", list_rows)

    def add(
        self,
        name: str | None = None,
        *,
        status: TemplateState = "ready",
        error_message: str | None = None,
        from_: str = "debian:12",
        vcpu: int = 1,
        memory_mib: int = 1024,
        disk_mib: int = 4096,
        sandboxes: int = 0,
        team: Team | None = None,
    ) -> str:
        """Add a template, and return its id.

        Args:
            name: Any text. Default: a name that no other template has.
            status: A ready template also gets the time of its build and its size.
            error_message: The error message of its failed build.
            from_: The base image for a rebuild.
            vcpu: Virtual CPUs, any number. Default 1.
            memory_mib: Memory in MiB, any number. Default 1024.
            disk_mib: Disk in MiB, any number. Default 4096.
            sandboxes: The number of sandboxes that use it; with any, it cannot be deleted. Default 0.
            team: The id of its team; KeyError for a team of another server. Default: the server's own team.

        """
        arguments.check_one_of("status", status, get_args(TemplateState))

        async def work(templates: TemplateResource) -> str:
            teams = templates.services.teams
            row = attrs.evolve(
                _make_row(templates.services, name, status, disk_mib),
                team_id=teams.check(team.id) if team else teams.own.id,
                error_message=error_message,
                spec=BuildSpec(from_),
                vcpu=vcpu,
                memory_mib=memory_mib,
                sandboxes=sandboxes,
            )
            templates.rows.save(row)
            return row.id

        return self._do(work)

    def add_many(
        self, count: int, *, prefix: str = "template-", status: TemplateState = "ready"
    ) -> list[str]:
        """Add templates named `<prefix>0`, `<prefix>1` and so on. Return their ids, oldest first.

        Args:
            count: The number of templates, 0 or more.
            prefix: The beginning of their names.
            status: The status of all.

        """
        arguments.check_one_of("status", status, get_args(TemplateState))

        async def work(templates: TemplateResource) -> list[str]:
            rows = [_make_row(templates.services, f"{prefix}{number}", status) for number in range(count)]
            for row in rows:
                templates.rows.save(row)
            return [row.id for row in rows]

        return self._do(work)

    def set(
        self,
        template_id: str,
        *,
        status: TemplateState | None = None,
        error_message: str | None = None,
        sandboxes: int | None = None,
    ) -> None:
        """Change a template's row. With a new status, the error message is the given one, or none.

        Raises KeyError if there is no such template.
        """
        if status is not None:
            arguments.check_one_of("status", status, get_args(TemplateState))

        async def work(templates: TemplateResource) -> None:
            row = find_template(templates, template_id)
            if status is not None:
                row = attrs.evolve(row, status=status, error_message=error_message)
            if sandboxes is not None:
                row = attrs.evolve(row, sandboxes=sandboxes)
            templates.rows.save(row)

        return self._do(work)


def find_template(templates: TemplateResource, template_id: str) -> TemplateRow:
    """Return a template's row; KeyError if there is none."""
    row = templates.rows.get(template_id)
    if row is None:
        raise KeyError(f"no template {template_id!r} on this server")
    return row


def _make_row(services: Services, name: str | None, status: str, disk_mib: int = 4096) -> TemplateRow:
    template_id = services.new_id()
    now = services.clock.now()
    ready = status == "ready"
    return TemplateRow(
        id=template_id,
        team_id=services.teams.own.id,
        name=name if name is not None else f"template-{template_id[:8]}",
        status=status,
        vcpu=1,
        memory_mib=1024,
        disk_mib=disk_mib,
        created_at=now,
        built_at=now if ready else None,
        size_bytes=disk_mib * MIB if ready else None,
        spec=BuildSpec("debian:12"),
    )
