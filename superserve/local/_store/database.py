"""Rows that outlast their server: the store of a server that was given a state file."""

import contextlib
import json
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from superserve.local._app import go_json
from superserve.local._app.errors import StateError
from superserve.local._app.limits import TeamLimits
from superserve.local._resources.build_spec import BuildSpec, read_spec
from superserve.local._store.store import Build, Store, Team, Template

# In the file's header: whose it is ("SSrv"), and which of our layouts it has.
APPLICATION_ID = 0x53537276
VERSION = 1
# It holds keys.
PRIVATE = 0o600

_LAYOUT = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
    "CREATE TABLE teams (id TEXT PRIMARY KEY, is_system INTEGER NOT NULL, limits TEXT)",
    "CREATE TABLE keys (key TEXT PRIMARY KEY, team_id TEXT NOT NULL REFERENCES teams, is_own INTEGER NOT NULL)",
    """CREATE TABLE templates (
        id TEXT PRIMARY KEY, team_id TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
        vcpu INTEGER NOT NULL, memory_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL,
        created_at TEXT NOT NULL, spec TEXT NOT NULL, size_bytes INTEGER, error_message TEXT,
        built_at TEXT, deleted_at TEXT, sandboxes INTEGER NOT NULL
    )""",
    """CREATE TABLE builds (
        id TEXT PRIMARY KEY, template_id TEXT NOT NULL REFERENCES templates, team_id TEXT NOT NULL,
        status TEXT NOT NULL, spec_hash TEXT NOT NULL, created_at TEXT NOT NULL, error_message TEXT,
        started_at TEXT, finalized_at TEXT
    )""",
)
_SAVE_TEAM = (
    "INSERT INTO teams VALUES (:id, :is_system, :limits) "
    "ON CONFLICT (id) DO UPDATE SET is_system = excluded.is_system, limits = excluded.limits"
)
_SAVE_KEY = "INSERT OR REPLACE INTO keys VALUES (?, ?, ?)"
_REMOVE_KEY = "DELETE FROM keys WHERE key = ?"
_SAVE_TEMPLATE = (
    "INSERT OR REPLACE INTO templates VALUES (:id, :team_id, :name, :status, :vcpu, :memory_mib, :disk_mib, "
    ":created_at, :spec, :size_bytes, :error_message, :built_at, :deleted_at, :sandboxes)"
)
_SAVE_BUILD = (
    "INSERT OR REPLACE INTO builds VALUES (:id, :template_id, :team_id, :status, :spec_hash, :created_at, "
    ":error_message, :started_at, :finalized_at)"
)
_CLEAR = ("DELETE FROM builds", "DELETE FROM templates", "DELETE FROM keys", "DELETE FROM teams")


class SavedStore(Store):
    """A store that begins with the rows of a file and writes each change to it; for one thread.

    The file is this process's alone while the store is open. Logs are not in it: they are the build host's, which
    forgets them when it restarts.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; raises StateError."""
        super().__init__()
        self._database = _open(path)
        try:
            self._load()
        except (sqlite3.DatabaseError, go_json.Malformed, ValueError, TypeError, AttributeError) as error:
            self._database.close()
            raise _damaged(path, error) from None

    def save_team(self, team: Team) -> None:
        """Insert a team or replace it."""
        limits = json.dumps(attrs.asdict(team.limits)) if team.limits is not None else None
        self._database.execute(_SAVE_TEAM, {"id": team.id, "is_system": team.is_system, "limits": limits})
        super().save_team(team)

    def save_key(self, key: str, team_id: str, *, own: bool = False) -> None:
        """Let a key stand for a team."""
        self._database.execute(_SAVE_KEY, (key, team_id, own))
        super().save_key(key, team_id, own=own)

    def remove_key(self, key: str) -> None:
        """Let a key stand for nobody."""
        self._database.execute(_REMOVE_KEY, (key,))
        super().remove_key(key)

    def save_template(self, template: Template) -> None:
        """Insert a template row or replace it."""
        self._database.execute(_SAVE_TEMPLATE, _columns(template))
        super().save_template(template)

    def save_build(self, build: Build) -> None:
        """Insert a build row or replace it."""
        self._database.execute(_SAVE_BUILD, _columns(build))
        super().save_build(build)

    def clear(self) -> None:
        """Forget every row, in the file too."""
        with self._database:
            self._database.execute("BEGIN")
            for statement in _CLEAR:
                self._database.execute(statement)
        super().clear()

    def close(self) -> None:
        """Let others have the file."""
        self._database.close()

    def _load(self) -> None:
        database = self._database
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ValueError(verdict)
        if database.execute("PRAGMA foreign_key_check").fetchone():
            raise ValueError("rows are missing that other rows name")
        # What is read needn't be written again: the rows go into the store in memory only.
        for row in database.execute("SELECT * FROM teams ORDER BY rowid"):
            limits = TeamLimits(**json.loads(row["limits"])) if row["limits"] is not None else None
            super().save_team(Team(row["id"], limits, is_system=bool(row["is_system"])))
        for row in database.execute("SELECT * FROM keys ORDER BY rowid"):
            super().save_key(row["key"], row["team_id"], own=bool(row["is_own"]))
        for row in database.execute("SELECT * FROM templates ORDER BY created_at, rowid"):
            super().save_template(Template(**_fields(row)))
        for row in database.execute("SELECT * FROM builds ORDER BY created_at, rowid"):
            super().save_build(Build(**_fields(row)))


def _columns(row: Template | Build) -> dict[str, object]:
    columns: dict[str, object] = attrs.asdict(row, recurse=False)
    for name, value in columns.items():
        if isinstance(value, datetime):
            columns[name] = value.isoformat()
        elif isinstance(value, BuildSpec):
            columns[name] = value.canonical.decode()
    return columns


def _fields(row: sqlite3.Row) -> dict[str, Any]:
    fields: dict[str, Any] = dict(row)
    for name, value in fields.items():
        if name == "spec":
            fields[name] = read_spec(go_json.read(value.encode()))
        elif name.endswith("_at") and value is not None:
            fields[name] = datetime.fromisoformat(value)
    return fields


def _open(path: Path) -> sqlite3.Connection:
    """Open a state file for this process alone, and make it if there is none."""
    _make(path)
    database = sqlite3.connect(path.absolute(), timeout=0, isolation_level=None)
    try:
        database.row_factory = sqlite3.Row
        # What is locked stays so until the connection is closed.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        with database:
            database.execute("BEGIN EXCLUSIVE")
            _claim(database, path)
        # Whole rows even after a power cut, without a wait for the disk at each of them.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if os.name == "posix":
            for file in (path, path.with_name(f"{path.name}-wal")):
                with contextlib.suppress(FileNotFoundError):
                    file.chmod(PRIVATE)
    except sqlite3.DatabaseError as error:
        database.close()
        raise _unusable(path, error) from None
    except BaseException:
        database.close()
        raise
    return database


def _make(path: Path) -> None:
    try:
        # A file that is there is not opened here: its closing would let go of the lock that this process may have.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
    except FileExistsError:
        if not path.is_file():
            raise StateError(f"{path} is not a file: choose another name for the state file") from None
    except OSError as error:
        raise StateError(f"cannot make the state file {path}: {error.strerror}") from None


def _claim(database: sqlite3.Connection, path: Path) -> None:
    """Check that the file is ours; lay it out if it is empty."""
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (owner, version, tables) == (0, 0, 0):
        for statement in _LAYOUT:
            database.execute(statement)
    elif owner != APPLICATION_ID:
        raise _foreign(path)
    elif version != VERSION:
        raise StateError(
            f"{path} was written by another version of superserve (layout {version}, not {VERSION}): "
            "choose another file, or install that version"
        )


def _unusable(path: Path, error: sqlite3.DatabaseError) -> StateError:
    code = error.sqlite_errorcode & 0xFF  # without what SQLite adds to tell kinds of an error apart
    if code == sqlite3.SQLITE_BUSY:
        return StateError(f"{path} is in use by another server: stop it, or choose another file")
    if code == sqlite3.SQLITE_NOTADB:
        return _foreign(path)
    if code == sqlite3.SQLITE_CORRUPT:
        return _damaged(path, error)
    return StateError(f"cannot use the state file {path}: {error}")


def _foreign(path: Path) -> StateError:
    return StateError(f"{path} is not a state file of superserve.local: choose another file")


def _damaged(path: Path, error: Exception) -> StateError:
    return StateError(f"the state file {path} is damaged ({error}): remove it, or choose another file")
