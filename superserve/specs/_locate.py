"""Finding the line and column of each value in a TOML or JSON text. Python's own parsers don't report them.

The text has passed one of those parsers, so nothing is checked here.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Final

Path = tuple[str | int, ...]
Spot = tuple[int, int]
"""Line and column, counted from 1."""

_TOKEN: Final = re.compile(
    r"(?P<skip>[ \t\r]+|\#[^\n]*)|(?P<newline>\n)"
    r'|(?P<string>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
    r"|(?P<sign>[\[\]{},=.:])|(?P<bare>[^\s\[\]{},=.:\#\"']+|.)",
    re.DOTALL,
)


class _Tokens:
    """The tokens of a text, with look-ahead."""

    def __init__(self, text: str, *, skip_newlines: bool) -> None:
        self._all = list(_tokens(text, skip_newlines=skip_newlines))
        self._next = 0

    @property
    def is_over(self) -> bool:
        return self._next >= len(self._all)

    def peek(self, ahead: int = 0) -> str:
        index = self._next + ahead
        return self._all[index][0] if index < len(self._all) else ""

    @property
    def spot(self) -> Spot:
        return self._all[min(self._next, len(self._all) - 1)][1]

    def take(self) -> str:
        self._next += 1
        return self._all[self._next - 1][0]

    def skip_newlines(self) -> None:
        while self.peek() == "\n":
            self.take()


def _tokens(text: str, *, skip_newlines: bool) -> Iterator[tuple[str, Spot]]:
    line, start = 1, 0
    for found in _TOKEN.finditer(text):
        token = found.group()
        if found.lastgroup != "skip" and not (skip_newlines and found.lastgroup == "newline"):
            yield token, (line, found.start() - start + 1)
        if "\n" in token:
            line += token.count("\n")
            start = found.start() + token.rindex("\n") + 1


def toml(text: str) -> dict[Path, Spot]:
    """Return the place of each table and value of a TOML document."""
    tokens = _Tokens(text, skip_newlines=False)
    found: dict[Path, Spot] = {}
    lists: dict[Path, int] = {}
    table: Path = ()
    while not tokens.is_over:
        first, spot = tokens.peek(), tokens.spot
        if first == "\n":
            tokens.take()
        elif first == "[":
            tokens.take()
            is_list = tokens.peek() == "["
            if is_list:
                tokens.take()
            *parents, last = _key(tokens)
            table = (*_resolve(parents, lists), last)
            if is_list:
                lists[table] = lists.get(table, -1) + 1
                found.setdefault(table, spot)
            if table in lists:
                table = (*table, lists[table])
            found.setdefault(table, spot)
            while tokens.peek() == "]":
                tokens.take()
        else:
            path = (*table, *_key(tokens))
            found.setdefault(path, spot)
            tokens.take()
            _value(tokens, path, found, spot)
    return found


def _resolve(keys: list[str | int], lists: dict[Path, int]) -> Path:
    """Return a path in which the newest index follows each list of tables."""
    path: Path = ()
    for key in keys:
        path = (*path, key)
        if path in lists:
            path = (*path, lists[path])
    return path


def _key(tokens: _Tokens) -> list[str | int]:
    keys: list[str | int] = [_name(tokens.take())]
    while tokens.peek() == ".":
        tokens.take()
        keys.append(_name(tokens.take()))
    return keys


def _name(token: str) -> str:
    if token[0] not in "\"'":
        return token
    try:
        return str(json.loads(token))
    except ValueError:
        # TOML has quotes and escapes that JSON does not have.
        return str(tomllib.loads(f"key = {token}")["key"])


def _value(tokens: _Tokens, path: Path, found: dict[Path, Spot], spot: Spot) -> None:
    """Read a value, and note the places in it."""
    found.setdefault(path, spot)
    opened = tokens.peek()
    if opened not in ("[", "{"):
        while not tokens.is_over and tokens.peek() not in ("\n", ",", "]", "}"):
            tokens.take()
        return
    tokens.take()
    index = 0
    closing = "]" if opened == "[" else "}"
    while not tokens.is_over:
        tokens.skip_newlines()
        if tokens.peek() == closing:
            tokens.take()
            return
        here = tokens.spot
        if opened == "[":
            _value(tokens, (*path, index), found, here)
            index += 1
        else:
            inner = (*path, *_key(tokens))
            tokens.take()  # = or :
            tokens.skip_newlines()
            _value(tokens, inner, found, here)
        tokens.skip_newlines()
        if tokens.peek() == ",":
            tokens.take()


def from_json(text: str) -> dict[Path, Spot]:
    """Return the place of each value of a JSON document."""
    tokens = _Tokens(text, skip_newlines=True)
    found: dict[Path, Spot] = {}
    _value(tokens, (), found, tokens.spot)
    return found


def doubled(text: str) -> str | None:
    """Return a key that occurs twice in one object of a JSON text, or None."""

    class Doubled(Exception):  # noqa: N818 - not an error, it only leaves the parser
        pass

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            left = iter(fields)
            raise Doubled(next(key for key, _ in pairs if key != next(left, None)))
        return fields

    try:
        json.loads(text, object_pairs_hook=look)
    except Doubled as error:
        return str(error)
    return None
