"""The rows of the stand-in: teams, keys, templates, builds. Rows are values; the store replaces them."""

import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Final

import attrs

from superserve.local._app import go_json
from superserve.local._app.clock import whole_seconds
from superserve.local._app.limits import TeamLimits
from superserve.local._resources.build_spec import BuildSpec

# The last one is not of this server, see `_newer`.
IN_FLIGHT: Final = frozenset({"pending", "building", "snapshotting", "verifying"})


@attrs.frozen
class Team:
    """A team; `limits` None means none."""

    id: str
    limits: TeamLimits | None
    is_system: bool = False


@attrs.frozen(slots=False)
class Template:
    """A template row."""

    id: str
    team_id: str
    name: str
    status: str
    vcpu: int
    memory_mib: int
    disk_mib: int
    created_at: datetime
    spec: BuildSpec = attrs.field(repr=False)
    size_bytes: int | None = None
    error_message: str | None = None
    built_at: datetime | None = None
    deleted_at: datetime | None = None
    sandboxes: int = 0
    """How many sandboxes use it; they forbid its deletion."""

    def answer(self) -> dict[str, object]:
        """Return the template as clients see it: what isn't set is absent, and so is the build spec."""
        answer: dict[str, object] = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "status": self.status,
            "vcpu": self.vcpu,
            "memory_mib": self.memory_mib,
            "disk_mib": self.disk_mib,
        }
        if self.size_bytes is not None:
            answer["size_bytes"] = self.size_bytes
        if self.error_message is not None:
            answer["error_message"] = self.error_message
        answer["created_at"] = whole_seconds(self.created_at)
        if self.built_at is not None:
            answer["built_at"] = whole_seconds(self.built_at)
        return answer

    @cached_property
    def json(self) -> bytes:
        """The answer, written once per state of the row: lists can be long."""
        return go_json.write(self.answer())


@attrs.frozen(slots=False)
class Build:
    """A build row."""

    id: str
    template_id: str
    team_id: str
    status: str
    spec_hash: str
    created_at: datetime
    error_message: str | None = None
    started_at: datetime | None = None
    finalized_at: datetime | None = None

    @property
    def in_flight(self) -> bool:
        """Whether it can still end: pending, building or snapshotting."""
        return self.status in IN_FLIGHT

    @property
    def dispatched(self) -> bool:
        """Whether it was ever handed to the host, which keeps its log."""
        return self.started_at is not None

    def answer(self) -> dict[str, object]:
        """Return the build as clients see it: what isn't set is absent."""
        answer: dict[str, object] = {
            "id": self.id,
            "template_id": self.template_id,
            "status": self.status,
            "build_spec_hash": self.spec_hash,
        }
        if self.error_message is not None:
            answer["error_message"] = self.error_message
        if self.started_at is not None:
            answer["started_at"] = whole_seconds(self.started_at)
        if self.finalized_at is not None:
            answer["finalized_at"] = whole_seconds(self.finalized_at)
        answer["created_at"] = whole_seconds(self.created_at)
        return answer


def new_key() -> str:
    """Return a random key."""
    # No underscore after the prefix: a client would read what is before it as a region.
    return f"ss_local_{secrets.token_hex(16)}"


class Store:
    """All rows, with the look-ups and the visibility rules that the operations share."""

    def __init__(self) -> None:
        self.teams: dict[str, Team] = {}
        self.keys: dict[str, str] = {}
        self.own_key: str | None = None
        """The key that the server itself shows to whoever starts it."""
        self.templates: dict[str, Template] = {}
        self.builds: dict[str, Build] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._builds_of: dict[str, list[str]] = {}
        self._in_flight: dict[str, None] = {}

    def team_of(self, key: str) -> Team | None:
        """Return the team that a key belongs to."""
        team_id = self.keys.get(key)
        return self.teams[team_id] if team_id is not None else None

    def save_team(self, team: Team) -> None:
        """Insert a team or replace it."""
        self.teams[team.id] = team

    def save_key(self, key: str, team_id: str, *, own: bool = False) -> None:
        """Let a key stand for a team."""
        self.keys[key] = team_id
        if own:
            self.own_key = key

    def remove_key(self, key: str) -> None:
        """Let a key stand for nobody; KeyError if it does so already."""
        del self.keys[key]
        if key == self.own_key:
            self.own_key = None

    def save_template(self, template: Template) -> None:
        """Insert a template row or replace it."""
        self.templates[template.id] = template
        name = (template.team_id, template.name)
        if template.deleted_at is None:
            self._names[name] = template.id
        elif self._names.get(name) == template.id:
            del self._names[name]

    def save_build(self, build: Build) -> None:
        """Insert a build row or replace it."""
        if build.id not in self.builds:
            self._builds_of.setdefault(build.template_id, []).append(build.id)
        self.builds[build.id] = build
        if build.in_flight:
            self._in_flight[build.id] = None
        else:
            self._in_flight.pop(build.id, None)

    def clear(self) -> None:
        """Forget every row."""
        for table in (
            self.teams, self.keys, self.templates, self.builds, self._names, self._builds_of, self._in_flight,
        ):  # fmt: skip
            table.clear()
        self.own_key = None

    def close(self) -> None:
        """Free what the store holds besides its rows."""

    def has(self, row_id: str) -> bool:
        """Whether some team, template or build has the id."""
        return row_id in self.teams or row_id in self.templates or row_id in self.builds

    def visible_templates(self, team: Team, prefix: str = "") -> list[Template]:
        """Return the team's and the system team's templates, newest first."""
        matches = like(prefix)
        found = [
            row
            for row in self.templates.values()
            if row.deleted_at is None
            and (row.team_id == team.id or self._is_system(row.team_id))
            and matches(row.name)
        ]
        found.sort(key=_created_at, reverse=True)
        return found

    def readable_template(self, template_id: str, team: Team) -> Template | None:
        """Return a template that the team may read: its own, or the system team's."""
        row = self.templates.get(template_id)
        if row is None or row.deleted_at is not None:
            return None
        return row if row.team_id == team.id or self._is_system(row.team_id) else None

    def _is_system(self, team_id: str) -> bool:
        # A request that was being read during a reset leaves rows of a team that is gone.
        team = self.teams.get(team_id)
        return team is not None and team.is_system

    def own_template(self, template_id: str, team: Team) -> Template | None:
        """Return a template that the team may change: its own."""
        row = self.templates.get(template_id)
        return row if row is not None and row.deleted_at is None and row.team_id == team.id else None

    def template_named(self, team: Team, name: str) -> Template | None:
        """Return the team's template that has a name and isn't deleted."""
        template_id = self._names.get((team.id, name))
        return self.templates[template_id] if template_id is not None else None

    def counted_templates(self, team: Team) -> int:
        """Return how many templates count toward the team's quota: failed ones don't."""
        return sum(
            row.team_id == team.id and row.deleted_at is None and row.status != "failed"
            for row in self.templates.values()
        )

    def own_build(self, template_id: str, build_id: str, team: Team) -> Build | None:
        """Return a build if id, template and team all match; the template may be deleted."""
        row = self.builds.get(build_id)
        return row if row is not None and row.template_id == template_id and row.team_id == team.id else None

    def builds_of(self, template_id: str) -> list[Build]:
        """Return the builds of a template, newest first."""
        rows = [self.builds[build_id] for build_id in self._builds_of.get(template_id, [])]
        rows.sort(key=_created_at, reverse=True)
        return rows

    def in_flight(self) -> Iterator[Build]:
        """Yield the builds that haven't ended, oldest first."""
        for build_id in list(self._in_flight):
            yield self.builds[build_id]

    def in_flight_of_team(self, team: Team) -> int:
        """Return how many builds of the team haven't ended."""
        return sum(build.team_id == team.id for build in self.in_flight())

    def in_flight_of_template(self, template_id: str) -> list[Build]:
        """Return the builds of a template that haven't ended."""
        return [build for build in self.in_flight() if build.template_id == template_id]


def _created_at(row: Template | Build) -> datetime:
    return row.created_at


def like(prefix: str) -> "_Like":
    r"""Return SQL's `LIKE prefix || '%'`, unescaped as on the server: `_` and `%` are wildcards, `\` escapes."""
    return _Like(prefix)


class _Like:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._pattern: re.Pattern[str] | None = None
        if any(character in prefix for character in "_%\\"):
            parts: list[str] = []
            characters = iter(prefix + "%")
            for character in characters:
                if character == "\\":
                    parts.append(re.escape(next(characters, "")))
                else:
                    parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
            self._pattern = re.compile("".join(parts), re.DOTALL)

    def __call__(self, name: str) -> bool:
        if self._pattern is None:
            return name.startswith(self._prefix)
        return self._pattern.fullmatch(name) is not None
