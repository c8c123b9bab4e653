"""The store: a table for each row class, in memory, and in a state file if there is one."""

from collections.abc import Callable, Hashable, Iterator, KeysView, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from superserve.local._store.rows import Row

if TYPE_CHECKING:
    from superserve.local._store.database import Database

R = TypeVar("R", bound=Row)


class Index(Generic[R]):
    """The rows of a table by another value than their keys. Rows whose value is None are not in it."""

    def __init__(self, table: "Table[R]", value: Callable[[R], Hashable | None]) -> None:
        self._table = table
        self._value = value
        self._keys: dict[Hashable, dict[str, None]] = {}

    def of(self, value: Hashable) -> list[R]:
        """Return the rows with a value, in the order in which they got it."""
        return [self._table[key] for key in self._keys.get(value, ())]

    def move(self, key: str, before: R | None, after: R | None) -> None:
        """Record that a row was inserted, replaced or removed."""
        old, new = (None if row is None else self._value(row) for row in (before, after))
        if old == new:
            return
        if old is not None:
            del self._keys[old][key]
        if new is not None:
            self._keys.setdefault(new, {})[key] = None

    def clear(self) -> None:
        """Record that all rows are gone."""
        self._keys.clear()


class Table(Generic[R]):
    """The rows of one class by their keys, oldest first."""

    def __init__(self, kind: type[R], database: "Database | None") -> None:
        self._kind = kind
        self._key: str = attrs.fields(kind)[0].name
        self._database = database
        self._indexes: list[Index[R]] = []
        rows = database.rows(kind) if database is not None else ()
        self._rows: dict[str, R] = {getattr(row, self._key): row for row in rows}

    def index(self, value: Callable[[R], Hashable | None]) -> Index[R]:
        """Return a new index of the rows by the result of a function."""
        index = Index(self, value)
        for key, row in self._rows.items():
            index.move(key, None, row)
        self._indexes.append(index)
        return index

    def get(self, key: str) -> R | None:
        """Return a row, or None."""
        return self._rows.get(key)

    def save(self, row: R) -> None:
        """Insert a row, or replace the one with the same key."""
        if self._database is not None:
            self._database.save(row)
        key = getattr(row, self._key)
        before = self._rows.get(key)
        self._rows[key] = row
        for index in self._indexes:
            index.move(key, before, row)

    def remove(self, key: str) -> None:
        """Remove a row; KeyError if there is none."""
        row = self._rows[key]
        if self._database is not None:
            self._database.remove(self._kind, key)
        del self._rows[key]
        for index in self._indexes:
            index.move(key, row, None)

    def keys(self) -> KeysView[str]:
        """Return a live view of the keys."""
        return self._rows.keys()

    def clear(self) -> None:
        """Forget every row in memory."""
        self._rows.clear()
        for index in self._indexes:
            index.clear()

    def __getitem__(self, key: str) -> R:
        return self._rows[key]

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows.values())


class Store:
    """All tables."""

    def __init__(self, kinds: Sequence[type[Row]], path: Path | None = None) -> None:
        """Start with the rows of a state file, or without rows; raises StateError if the file cannot be used."""
        self.database = None if path is None else _open(path, kinds)
        self._tables: dict[type[Row], Table[Any]] = {kind: Table(kind, self.database) for kind in kinds}

    def table(self, kind: type[R]) -> Table[R]:
        """Return the table of a row class."""
        return self._tables[kind]

    def __contains__(self, key: str) -> bool:
        """Whether any row has a key."""
        return any(key in table for table in self._tables.values())

    def reset(self) -> None:
        """Forget every row, in the file too."""
        if self.database is not None:
            self.database.clear()
        for table in self._tables.values():
            table.clear()

    def close(self) -> None:
        """Close the state file and release its lock."""
        if self.database is not None:
            self.database.close()


def _open(path: Path, kinds: Sequence[type[Row]]) -> "Database":
    # Imported here: most servers don't need it, nor SQLite.
    from superserve.local._store.database import Database

    return Database(path, kinds)
