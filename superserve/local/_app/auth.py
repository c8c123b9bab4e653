"""Teams and their keys."""

import json
import secrets
from collections.abc import Callable
from typing import ClassVar

import attrs
from starlette.requests import Request

from superserve.local._app.errors import ApiError
from superserve.local._app.limits import TeamLimits
from superserve.local._app.settings import Settings
from superserve.local._app.targets import read_headers
from superserve.local._store.rows import Row, column
from superserve.local._store.store import Store


def _write_limits(limits: TeamLimits) -> str:
    return json.dumps(attrs.asdict(limits))


def _read_limits(text: str) -> TeamLimits:
    return TeamLimits(**json.loads(text))


@attrs.frozen
class Team:
    """A team of the server, and its key."""

    id: str
    api_key: str = attrs.field(repr=False)


@attrs.frozen
class TeamRow(Row):
    """A team. `limits` is None for a team without limits."""

    TABLE: ClassVar[str] = "teams"

    id: str
    limits: TeamLimits | None = attrs.field(metadata=column(write=_write_limits, read=_read_limits))
    is_system: bool = False


@attrs.frozen
class KeyRow(Row):
    """A key of a team."""

    TABLE: ClassVar[str] = "keys"

    key: str = attrs.field(repr=False)
    team_id: str = attrs.field(metadata=column(references="teams"))
    is_own: bool = False
    """Whether it is the key that the server shows to whoever starts it."""


NOBODY = TeamRow("", None)
"""The team of a request that needs no key."""


def new_key() -> str:
    """Return a random key."""
    # No underscore after the prefix: a client would take the text before it for a region.
    return f"ss_local_{secrets.token_hex(16)}"


class Teams:
    """The teams and keys, and whether a team may read another team's rows."""

    ROWS: ClassVar[tuple[type[Row], ...]] = (TeamRow, KeyRow)

    def __init__(self, store: Store, settings: Settings, new_id: Callable[[], str]) -> None:
        self._settings = settings
        self._new_id = new_id
        self._teams = store.table(TeamRow)
        self._keys = store.table(KeyRow)
        self.keys = self._keys.keys()
        kept = next((row.key for row in self._keys if row.is_own), None)
        self.api_key = settings.api_key or kept or new_key()
        self.own: TeamRow
        """The server's own team."""
        self.system: TeamRow | None
        """The team that owns the curated templates."""

    def populate(self) -> None:
        """Add the teams and the key that every server has, unless a state file contained them."""
        limits = self._settings.limits.team if self._settings.limits else None
        self.system = next((team for team in self._teams if team.is_system), None)
        if self._settings.system_templates:
            system_id = self.system.id if self.system else self._new_id()
            self.system = TeamRow(system_id, limits, is_system=True)
            self._teams.save(self.system)
        own = next((team for team in self._teams if not team.is_system), None)
        self.own = TeamRow(own.id if own else self._new_id(), limits)
        self._teams.save(self.own)
        for row in list(self._keys):
            if row.is_own and row.key != self.api_key:
                self._keys.remove(row.key)
        self._keys.save(KeyRow(self.api_key, self.own.id, is_own=True))

    def authenticate(self, request: Request) -> TeamRow:
        """Return the team of a request's key; raises ApiError."""
        row = self._keys.get(read_headers(request.scope).get(b"x-api-key", b"").decode("latin-1"))
        if row is None:
            raise ApiError(401, "auth_failed", "missing or invalid API key")
        return self._teams[row.team_id]

    def is_system(self, team_id: str) -> bool:
        """Whether a team owns the curated templates, which all teams may read."""
        # A request that arrived during a reset may leave rows of a team that is gone.
        team = self._teams.get(team_id)
        return team is not None and team.is_system

    def add(self, limits: TeamLimits | None) -> TeamRow:
        """Add a team without keys."""
        team = TeamRow(self._new_id(), limits)
        self._teams.save(team)
        return team

    def find(self, team_id: str) -> TeamRow:
        """Return a team; KeyError if there is no such team."""
        return self._teams[self.check(team_id)]

    def check(self, team_id: str) -> str:
        """Return the id of a team; KeyError if there is no such team."""
        if team_id not in self._teams:
            raise KeyError(f"no team {team_id!r} on this server")
        return team_id

    def add_key(self, team_id: str | None) -> str:
        """Add a key to a team and return it. Default: the server's own team. KeyError if there is no such team."""
        key = new_key()
        self._keys.save(KeyRow(key, self.own.id if team_id is None else self.check(team_id)))
        return key

    def revoke_key(self, key: str) -> None:
        """Refuse a key from now on; KeyError if there is no such key."""
        if key not in self._keys:
            # It may be a key of another server, and many people can read an error.
            raise KeyError("no such key on this server")
        self._keys.remove(key)
