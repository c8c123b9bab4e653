"""The operations by name, and patterns of a method and a path that requests are compared with."""

import re
from typing import Self

import attrs

OPERATIONS = {
    "health": "GET /health",
    "listTemplates": "GET /templates",
    "createTemplate": "POST /templates",
    "getTemplate": "GET /templates/{id}",
    "deleteTemplate": "DELETE /templates/{id}",
    "listTemplateBuilds": "GET /templates/{id}/builds",
    "createTemplateBuild": "POST /templates/{id}/builds",
    "getTemplateBuild": "GET /templates/{id}/builds/{id}",
    "cancelTemplateBuild": "DELETE /templates/{id}/builds/{id}",
    "streamTemplateBuildLogs": "GET /templates/{id}/builds/{id}/logs",
}
LOGS = "streamTemplateBuildLogs"

_TEXT = re.compile(r"(?:(?P<method>[A-Za-z]+|\*) +)?(?P<path>/\S*|\*)")
_WILDCARD = re.compile(r"\{[^{}/]*\}")


@attrs.frozen
class Pattern:
    """Which requests are meant."""

    text: str
    method: str | None
    """None for any."""
    segments: tuple[str | None, ...] | None
    """The parts of the path, None for one of any text; None in their place for any path."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the pattern that a text stands for: an operation, a path, or a method and a path.

        A part of the path in braces stands for one of any text, and `*` for any method or any path.
        """
        if not isinstance(text, str):
            raise TypeError(f"requests are named by a text such as 'GET /templates/{{id}}', not {text!r}")
        found = _TEXT.fullmatch(OPERATIONS.get(text, text))
        if found is None:
            raise ValueError(
                f"{text!r} names no requests: use a method and a path such as 'GET /templates/{{id}}', a path, '*', "
                f"or an operation: {', '.join(OPERATIONS)}"
            )
        method, path = found["method"], found["path"]
        if "?" in path:
            raise ValueError(f"{text!r} has a query: name the path alone")
        return cls(
            text=text,
            method=None if method in {None, "*"} else method.upper(),
            segments=None if path == "*" else _segments(path),
        )

    def matches(self, method: str, path: str) -> bool:
        """Whether a request with this method and decoded path is meant."""
        if self.method not in {None, method}:
            return False
        if self.segments is None:
            return True
        given = path.split("/")[1:]
        return len(given) == len(self.segments) and all(
            own in {None, part} for own, part in zip(self.segments, given, strict=True)
        )

    @property
    def reads_logs(self) -> bool:
        """Whether all that is meant are log streams."""
        if self.method not in {None, "GET"} or self.segments is None:
            return False
        return len(self.segments) == len(_LOGS) and all(
            own in {None, part} for own, part in zip(_LOGS, self.segments, strict=True)
        )


def operation_of(method: str, path: str) -> str | None:
    """Return the operation that a request is for, or None if there is no such one."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.matches(method, path)), None)


def _segments(path: str) -> tuple[str | None, ...]:
    return tuple(None if _WILDCARD.fullmatch(part) else part for part in path.split("/")[1:])


_LOGS = _segments(OPERATIONS[LOGS].partition(" ")[2])
_PATTERNS = {name: Pattern.read(name) for name in OPERATIONS}
