"""Rows that are kept when their server ends: a SQLite file with a table for each row class."""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, TypeVar, get_args

import attrs

from superserve.local._app.errors import StateError
from superserve.local._app.go_json import Malformed
from superserve.local._store.rows import Row

R = TypeVar("R", bound=Row)

# The mark of our files in the header ("SSrv").
APPLICATION_ID = 0x53537276
# Readable by the owner only: the file contains keys.
PRIVATE = 0o600


class _Column(NamedTuple):
    name: str
    declaration: str
    write: Callable[[Any], object]
    read: Callable[[Any], object]


class _Layout:
    """The table of one row class."""

    def __init__(self, kind: type[Row]) -> None:
        first, *others = attrs.fields(kind)
        self.columns = [_column(first, is_key=True), *(_column(field, is_key=False) for field in others)]
        names = [column.name for column in self.columns]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        marks = ", ".join("?" * len(names))
        table = kind.TABLE
        self.create = f"CREATE TABLE {table} ({', '.join(column.declaration for column in self.columns)})"
        self.select = f"SELECT {', '.join(names)} FROM {table} ORDER BY rowid"  # noqa: S608 - names of our classes
        self.save = f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT ({names[0]}) DO UPDATE SET {changes}"  # noqa: S608
        self.remove = f"DELETE FROM {table} WHERE {names[0]} = ?"  # noqa: S608
        self.clear = f"DELETE FROM {table}"  # noqa: S608


class Database:
    """A state file. It is locked for this process while it is open. For one thread.

    It contains no logs: they belong to the build host, which forgets them when it restarts.
    """

    def __init__(self, path: Path, kinds: Sequence[type[Row]]) -> None:
        """Open the file, or create it; raises StateError."""
        self._path = path
        self._layouts = {kind: _Layout(kind) for kind in kinds}
        self._connection = _open(path, [layout.create for layout in self._layouts.values()])
        with self._checking():
            (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise ValueError(verdict)
            if self._connection.execute("PRAGMA foreign_key_check").fetchone():
                raise ValueError("rows are missing that other rows name")

    def rows(self, kind: type[R]) -> Iterator[R]:
        """Yield the rows of a class, oldest first; raises StateError for an invalid row."""
        layout = self._layouts[kind]
        with self._checking():
            for values in self._connection.execute(layout.select):
                pairs = zip(layout.columns, values, strict=True)
                yield kind(*[None if value is None else column.read(value) for column, value in pairs])

    def save(self, row: Row) -> None:
        """Insert a row, or replace the one with the same key."""
        layout = self._layouts[type(row)]
        values = [(column, getattr(row, column.name)) for column in layout.columns]
        self._connection.execute(
            layout.save, [None if value is None else column.write(value) for column, value in values]
        )

    def remove(self, kind: type[Row], key: str) -> None:
        """Remove the row with a key."""
        self._connection.execute(self._layouts[kind].remove, (key,))

    def clear(self) -> None:
        """Remove every row."""
        with self._connection:
            self._connection.execute("BEGIN")
            for layout in reversed(self._layouts.values()):
                self._connection.execute(layout.clear)

    def close(self) -> None:
        """Close the file and release its lock."""
        self._connection.close()

    @contextlib.contextmanager
    def _checking(self) -> Iterator[None]:
        """Report the file as damaged, and close it, if its content is invalid."""
        try:
            yield
        except (sqlite3.DatabaseError, Malformed, ValueError, TypeError, AttributeError) as error:
            self.close()
            raise _report_damage(self._path, error) from None


def _column(field: "attrs.Attribute[Any]", *, is_key: bool) -> _Column:
    kinds = set(get_args(field.type)) or {field.type}
    (kind,) = kinds - {NoneType}
    words = [field.name, "INTEGER" if kind in {int, bool} else "TEXT"]
    if is_key:
        words.append("PRIMARY KEY")
    elif NoneType not in kinds:
        words.append("NOT NULL")
    if references := field.metadata.get("references"):
        words.append(f"REFERENCES {references}")
    write, read = field.metadata.get("write"), field.metadata.get("read")
    if kind is datetime:
        write, read = datetime.isoformat, datetime.fromisoformat
    elif kind is bool:
        write, read = int, bool
    return _Column(field.name, " ".join(words), write or _keep, read or _keep)


def _keep(value: object) -> object:
    return value


def _open(path: Path, layout: Sequence[str]) -> sqlite3.Connection:
    """Open a state file and lock it for this process; create it if it does not exist."""
    _make(path)
    database = sqlite3.connect(path.absolute(), timeout=0, isolation_level=None)
    try:
        # The lock stays until the connection is closed.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        with database:
            database.execute("BEGIN EXCLUSIVE")
            _claim(database, path, layout)
        # Rows are complete even after a power failure, without waiting for the disk after each of them.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if os.name == "posix":
            for file in (path, path.with_name(f"{path.name}-wal")):
                with contextlib.suppress(FileNotFoundError):
                    file.chmod(PRIVATE)
    except sqlite3.DatabaseError as error:
        database.close()
        raise _report_unusable(path, error) from None
    except BaseException:
        database.close()
        raise
    return database


def _make(path: Path) -> None:
    try:
        # An existing file is not opened here: closing it would release a lock that this process may have.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
    except FileExistsError:
        if not path.is_file():
            raise StateError(f"{path} is not a file: choose another name for the state file") from None
    except OSError as error:
        raise StateError(f"cannot make the state file {path}: {error.strerror}") from None


def _claim(database: sqlite3.Connection, path: Path, layout: Sequence[str]) -> None:
    """Check that the file is ours and has this layout. Create the layout in an empty file."""
    # Any change of a row class changes the layout.
    expected = zlib.crc32("\n".join(layout).encode()) & 0x7FFFFFFF
    (owner,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (owner, version, tables) == (0, 0, 0):
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {expected}")
        for statement in layout:
            database.execute(statement)
    elif owner != APPLICATION_ID:
        raise _report_foreign(path)
    elif version != expected:
        raise StateError(
            f"{path} was written by another version of superserve (layout {version}, not {expected}): "
            "choose another file, or install that version"
        )


def _report_unusable(path: Path, error: sqlite3.DatabaseError) -> StateError:
    code = error.sqlite_errorcode & 0xFF  # without the extended part of SQLite's code
    if code == sqlite3.SQLITE_BUSY:
        return StateError(f"{path} is in use by another server: stop it, or choose another file")
    if code == sqlite3.SQLITE_NOTADB:
        return _report_foreign(path)
    if code == sqlite3.SQLITE_CORRUPT:
        return _report_damage(path, error)
    return StateError(f"cannot use the state file {path}: {error}")


def _report_foreign(path: Path) -> StateError:
    return StateError(f"{path} is not a state file of superserve.local: choose another file")


def _report_damage(path: Path, error: Exception) -> StateError:
    return StateError(f"the state file {path} is damaged ({error}): remove it, or choose another file")
