"""Errors for scripts: the exit code, the category, and whether to try again."""

import re
from typing import Any, Final

from superserve.errors import (
    AuthenticationError,
    BuildCancelledError,
    BuildError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxNotRunningError,
    SandboxTimeoutError,
    ServerError,
    ValidationError,
)

OK: Final = 0
BUILD_FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
CONFLICT: Final = 5
TIMEOUT: Final = 124
INTERRUPTED: Final = 130
NOT_WRITTEN: Final = 74
NOBODY_READS: Final = 141

# The first entry that matches an error is used.
_KINDS: Final[tuple[tuple[type[SandboxError], int, str, bool], ...]] = (
    (BuildError, BUILD_FAILED, "build", False),
    (BuildCancelledError, BUILD_FAILED, "build", False),
    (ValidationError, USAGE, "usage", False),
    (NotFoundError, NOT_FOUND, "not_found", False),
    (AuthenticationError, 4, "auth", False),
    (ConflictError, CONFLICT, "conflict", False),
    (SandboxNotRunningError, CONFLICT, "conflict", False),
    (RateLimitError, 6, "quota", True),
    (SandboxTimeoutError, TIMEOUT, "timeout", True),
    (SandboxConnectionError, 7, "network", True),
    (ServerError, 7, "server", True),
    (SandboxError, 7, "server", False),
)


# Errors of the SDK name an argument and the variable that stands for it; a command has the variable only.
_ARGUMENT: Final = re.compile(r"\b(?:pass )?(?:api_key|base_url|sandbox_url)= or (?=(?:set )?SUPERSERVE_)")


class Refused(Exception):  # noqa: N818 - it is an answer
    """A command would delete something, and was not confirmed."""

    def __init__(self, message: str, *, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


class OwnFailure(Exception):  # noqa: N818 - it carries an error
    """A failure of `run` or `exec` itself. Its exit code differs from those of commands."""

    def __init__(self, error: SandboxError, exit_code: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.exit_code = exit_code


def exit_code(error: SandboxError) -> int:
    """Return the exit code for an error."""
    return next(code for kind, code, *_ in _KINDS if isinstance(error, kind))


def text_of(error: SandboxError) -> str:
    """Return an error and its notes, in a command's words."""
    if isinstance(error, BuildError):
        # Its own hints speak of Python.
        name = error.template_name or error.template_id
        if error.code == "step_failed":
            error.hint = f"superserve template logs {name} shows the whole log"
        elif "rebuild()" in (error.hint or ""):
            error.hint = f"superserve template rebuild {name} tries again"
    if "()" in (error.hint or ""):
        # Nor is a method what a command has.
        error.hint = None
    return "\n".join((_ARGUMENT.sub("", str(error)), *getattr(error, "__notes__", ())))


def as_dict(error: SandboxError) -> dict[str, Any]:
    """Return an error in the form that `--json` uses for all errors."""
    category, retryable = next(rest for kind, _, *rest in _KINDS if isinstance(error, kind))
    found: dict[str, Any] = {
        "category": category,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": retryable,
        "retry_after": getattr(error, "retry_after", None),
        "request": error.request_id,
    }
    if isinstance(error, BuildError):
        found["build"] = {
            "id": error.build_id,
            "template_id": error.template_id,
            "step": error.step,
            "command": error.command,
            "exit_code": error.exit_code,
            "place": None if error.place is None else str(error.place),
            "log_tail": list(error.log_tail),
        }
    problems = getattr(error, "problems", ())
    if problems:
        found["problems"] = [problem.to_dict() for problem in problems]
    return {"error": found}


def usage(
    message: str, *, hint: str | None = None, category: str = "usage", code: str | None = None
) -> dict[str, Any]:
    """Return a usage error in the same form."""
    return {
        "error": {
            "category": category, "code": code, "message": message, "hint": hint, "retryable": False, "retry_after": None,
            "request": None,
        }
    }  # fmt: skip
