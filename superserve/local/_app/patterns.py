"""Patterns of a method and a path for matching requests, and the operations, whose names can be patterns."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import attrs

_TEXT = r"(?:(?P<method>[A-Za-z]+|\*) +)?(?P<path>/\S*|\*)"
_WILDCARD = re.compile(r"\{[^{}/]*\}")


@attrs.frozen(slots=False)
class Operation:
    """An operation of the API."""

    name: str
    """The name in the contract, such as `getTemplate`."""
    method: str
    path: str
    """The path. A part in braces matches any text; if its name ends with `_id`, the text must be a UUID."""
    needs_key: bool = True
    streams_events: bool = False
    """Whether it answers with an event stream."""

    @cached_property
    def pattern(self) -> "Pattern":
        """The pattern that matches its requests."""
        return Pattern(self.name, self.method, _split(self.path))


class Pattern(NamedTuple):
    """Matches some requests."""

    text: str
    method: str | None
    """The method; None for any."""
    segments: tuple[str | None, ...] | None
    """The parts of the path, with None for a part that matches any text; None for any path."""

    def matches(self, method: str, path: str) -> bool:
        """Whether a request with this method and decoded path matches."""
        return self.method in {None, method} and (self.segments is None or self.fits(path.split("/")[1:]))

    def is_within(self, other: "Pattern") -> bool:
        """Whether another pattern matches every request that this one matches."""
        return self.method in {None, other.method} and self.segments is not None and other.fits(self.segments)

    def fits(self, parts: Sequence[str | None]) -> bool:
        """Whether a path with these parts matches. None stands for a part with any text."""
        return (
            self.segments is not None
            and len(parts) == len(self.segments)
            and all(own in {None, part} for own, part in zip(self.segments, parts, strict=True))
        )


class Operations:
    """The operations of the API by name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations = {operation.name: operation for operation in operations}
        self._patterns = {name: operation.pattern for name, operation in self._operations.items()}

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def read(self, text: str) -> Pattern:
        """Return the pattern for a text: an operation, a path, or a method and a path.

        A part of the path in braces matches any text. `*` matches any method or any path.
        """
        if not isinstance(text, str):
            raise TypeError(f"requests are named by a text such as 'GET /templates/{{id}}', not {text!r}")
        if text in self._patterns:
            return self._patterns[text]
        found = re.fullmatch(_TEXT, text)
        if found is None:
            raise ValueError(
                f"{text!r} names no requests: use a method and a path such as 'GET /templates/{{id}}', a path, '*', "
                f"or an operation: {', '.join(self._operations)}"
            )
        method, path = found["method"], found["path"]
        if "?" in path:
            raise ValueError(f"{text!r} has a query: name only the path")
        return Pattern(
            text,
            None if method in {None, "*"} else method.upper(),
            None if path == "*" else _split(path),
        )

    def find_name(self, method: str, path: str) -> str | None:
        """Return the name of the operation for a request, or None."""
        return next((name for name, each in self._patterns.items() if each.matches(method, path)), None)

    def check_event_streams(self, pattern: Pattern) -> None:
        """Raise ValueError if a pattern matches more than one operation's event streams."""
        names = [name for name, operation in self._operations.items() if operation.streams_events]
        if not any(pattern.is_within(self._patterns[name]) for name in names):
            raise ValueError(
                f"only event streams have events: {pattern.text!r} is more than {' or '.join(map(repr, names))}"
            )


def _split(path: str) -> tuple[str | None, ...]:
    """Return the parts of a path, None for those in braces."""
    return tuple(None if _WILDCARD.fullmatch(part) else part for part in path.split("/")[1:])
