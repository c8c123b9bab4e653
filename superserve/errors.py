"""All errors that this package raises. Exceptions of the caller's own code pass through unchanged.

    SandboxError                 the root: catch this to catch all of them
    ├── AuthenticationError      401, 403, or no API key
    ├── ValidationError          400, 422, or an argument refused before anything was sent
    │   └── SpecError            a template's spec has errors, and the exception lists all of them
    ├── NotFoundError            404
    │   └── FileNotFoundInSandboxError   there is no such file or folder in the sandbox
    ├── ConflictError            409
    │   └── BuildCancelledError  the build that is waited for was cancelled
    ├── RateLimitError           429
    ├── ServerError              5xx
    │   └── StorageFullError     507: the sandbox's disk is full
    ├── SandboxNotRunningError   the sandbox is paused, failed or gone, and was not or cannot be woken
    ├── CommandError             a command with check=True did not exit with 0
    ├── CommandStartError        a command could not be started
    ├── OutcomeUnknownError      a command or a write was sent, and its outcome is not known
    ├── SandboxConnectionError   the server could not be reached, or the connection broke
    ├── SandboxTimeoutError      a deadline passed (also a TimeoutError)
    └── BuildError               a build failed

Any other status, and an answer that cannot be understood, is a plain SandboxError. All errors can be copied and
pickled, and none ever holds the API key.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from superserve.specs import Place, SpecProblem
    from superserve.types import CommandBytesResult, CommandResult, SandboxStatus

__all__ = [
    "AuthenticationError",
    "BuildCancelledError",
    "BuildError",
    "CommandError",
    "CommandStartError",
    "ConflictError",
    "FileNotFoundInSandboxError",
    "NotFoundError",
    "OutcomeUnknownError",
    "RateLimitError",
    "SandboxConnectionError",
    "SandboxError",
    "SandboxNotRunningError",
    "SandboxTimeoutError",
    "ServerError",
    "SpecError",
    "StorageFullError",
    "ValidationError",
]


class SandboxError(Exception):
    """The base class of all errors of this package.

    Attributes:
        message: What happened, in a sentence; the server's own message if it sent one.
        hint: What to do next, or None.
        action: The operation and its object, such as `get template 3c90…`, if a call was made.
        status_code: The HTTP status, or None without a response.
        code: The machine-readable error code, such as `too_many_builds`, or None.
        headers: The response's headers, with lower-case names; empty without a response.
        request_id: The id of the request from the response's headers, or None.
        sandbox_id: The id of a sandbox that a failed `create` has created, if known, or None.
    """

    sandbox_id: str | None = None

    def __init__(
        self,
        message: str,
        *,
        action: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or _HINTS.get(code or status_code)
        self.action = action
        self.status_code = status_code
        self.code = code
        self.headers: dict[str, str] = dict(headers or {})
        self.request_id = request_id

    def __str__(self) -> str:
        text = f"could not {self.action}: {self.message}" if self.action else self.message
        status = " ".join(str(part) for part in (self.status_code, self.code) if part is not None)
        if status:
            text = f"{text} [{status}]"
        return f"{text}; {self.hint}" if self.hint else text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _make, (type(self),), {**self.__dict__, "args": self.args}


def _make(kind: type[SandboxError]) -> SandboxError:
    """Make an error that is copied or unpickled, without `__init__`: its arguments differ between the classes."""
    return kind.__new__(kind)


class AuthenticationError(SandboxError):
    """The API key is missing, unknown, or not allowed to do this (401, 403)."""


class ValidationError(SandboxError):
    """An argument or the content of the request is invalid (400, 422, or refused before sending)."""


class SpecError(ValidationError):
    """A template's spec, or its file, has errors. Nothing was sent.

    Attributes:
        problems: All problems that are errors, in their order in the spec.
    """

    problems: tuple["SpecProblem", ...] = ()

    @classmethod
    def of(cls, problems: "Sequence[SpecProblem]") -> "SpecError":
        """Make one error from some problems."""
        texts = [str(problem) for problem in problems]
        message = (
            texts[0] if len(texts) == 1 else "\n  ".join((f"the spec has {len(texts)} mistakes:", *texts))
        )
        error = cls(message)
        error.problems = tuple(problems)
        return error


class NotFoundError(SandboxError):
    """The object does not exist, or belongs to another team (404)."""


class FileNotFoundInSandboxError(NotFoundError):
    """The file or folder does not exist in the sandbox.

    Attributes:
        path: The path.
    """

    path: str = ""


class ConflictError(SandboxError):
    """The object's state does not allow the operation (409), or the build waited for was cancelled."""


class BuildCancelledError(ConflictError):
    """The build that was waited for was cancelled.

    Attributes:
        build_id: The build.
        template_id: The template of the build.
    """

    def __init__(self, message: str, build_id: str, template_id: str) -> None:
        super().__init__(message, hint="rebuild() starts another")
        self.build_id = build_id
        self.template_id = template_id


class RateLimitError(SandboxError):
    """There were too many requests, or a quota is used up (429).

    Attributes:
        retry_after: Seconds to wait, as the server asked, or None. A quota error (`code` starts with `too_many_`) has none:
                waiting alone does not help.
    """

    retry_after: float | None = None


class ServerError(SandboxError):
    """The platform failed (5xx)."""


class StorageFullError(ServerError):
    """The sandbox's disk is full (507). The new content of the file is lost, and so is its old content."""


class SandboxNotRunningError(SandboxError):
    """The sandbox does not run: it is paused (and `wake=False` was passed), has failed, or is gone.

    Attributes:
        status: The sandbox's status if the server said so: `paused`, `failed`, `deleted`.
    """

    status: "SandboxStatus | None" = None


class CommandError(SandboxError):
    """A command that was run with `check=True` did not exit with 0.

    Attributes:
        result: The result of the command.
    """

    result: "CommandResult | CommandBytesResult"

    def __init__(
        self, message: str, result: "CommandResult | CommandBytesResult", *, action: str | None = None
    ) -> None:
        super().__init__(message, action=action)
        self.result = result


class CommandStartError(SandboxError):
    """A command could not be started: the program or the working directory does not exist, or the program may not be run.

    A shell command line whose program is missing counts as started: the shell runs, and exits with 127.

    Attributes:
        stdout: The output so far, if there is any.
        stderr: The same for stderr.
    """

    stdout: str | bytes = ""
    stderr: str | bytes = ""


class OutcomeUnknownError(SandboxError):
    """A command or a write was sent, and its outcome is not known: it may have run, in part, or not at all.

    It was not sent again. The `__cause__` is the exception that interrupted it, if there is one.

    Attributes:
        stdout: The command's output so far, as far as it was kept; bytes with `encoding=None`.
        stderr: The same for stderr.
    """

    stdout: str | bytes = ""
    stderr: str | bytes = ""


class SandboxConnectionError(SandboxError):
    """The server could not be reached, or the connection broke before the answer was complete."""


class SandboxTimeoutError(SandboxError, TimeoutError):
    """A call or a wait did not end before its deadline."""


class BuildError(SandboxError):
    """A template's build failed.

    Attributes:
        code: The stable prefix of the platform's message, such as `step_failed`; `build_failed` without one.
        message: The rest of the platform's message; `Template build failed` without a prefix.
        detail: The platform's message without the code; None if there is no message.
        build_id: The failed build.
        template_id: The template of the build.
        template_name: The template's name, if known.
        step: The number of the failed step, counted from 1, if the platform names it.
        step_count: The number of steps, if the platform names it.
        command: The failed step's command, if the handle that waited knows the steps: the one that `create` returned.
        place: Where the failed step was written, if the template was created from a spec.
        exit_code: The exit code of the failed command, if the platform names it.
        log_tail: The last lines of the build's output (stdout and stderr), at most 20, as far as they were read.
    """

    code: str
    log_tail: tuple[str, ...] = ()
    template_name: str | None = None
    command: str | None = None
    place: "Place | None" = None

    def __init__(
        self, code: str, message: str, build_id: str, template_id: str, *, detail: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.detail = message if detail is None else detail or None
        self.build_id = build_id
        self.template_id = template_id
        step = _STEP.match(self.detail or "")
        self.step = int(step["step"]) if step else None
        self.step_count = int(step["count"]) if step else None
        exit_code = _EXIT_CODE.search(self.detail or "") if step else None
        self.exit_code = int(exit_code["code"]) if exit_code else None

    @classmethod
    def parse(cls, error_message: str | None, *, build_id: str, template_id: str) -> "BuildError":
        """Split the platform's message, `<code>: <detail>`. Each half may be missing."""
        text = (error_message or "").strip()
        match = _CODED.match(text)
        code, detail = (match["code"], match["detail"].strip()) if match else (_NO_CODE, text)
        message = detail if match and detail else _NO_MESSAGE
        return cls(code, message, build_id, template_id, detail=detail)

    def __str__(self) -> str:
        name = "" if self.template_name is None else f" {self.template_name!r}"
        text = (
            f"build {self.build_id} of template{name} {self.template_id} failed: {self.code}: {self.message}"
        )
        if self.detail and self.detail != self.message:
            text = f"{text}: {self.detail}"
        if self.command is not None:
            text = f"{text}; the command was {self.command!r}"
        if self.place is not None:
            text = f"{text}, written at {self.place}"
        return f"{text}; {self.hint}" if self.hint else text


_NO_CODE = "build_failed"
_NO_MESSAGE = "Template build failed"
_CODED = re.compile(r"(?P<code>[a-z][a-z0-9_]*):(?:\s+|$)(?P<detail>.*)", re.DOTALL)
# The number of digits is bounded, because int() refuses thousands.
_STEP = re.compile(r"step (?P<step>\d{1,9})/(?P<count>\d{1,9})\b")
_EXIT_CODE = re.compile(r"exited with code (?P<code>-?\d{1,9})\b")

_REDIRECTED = "redirects are not followed: check base_url= or SUPERSERVE_BASE_URL"
# Looked up by the error's code, else by the response's status.
_HINTS: dict[str | int | None, str] = {
    "auth_failed": "check api_key= or SUPERSERVE_API_KEY (the platform also answers so during an outage of its own)",
    "unauthorized": "check api_key= or SUPERSERVE_API_KEY",
    "forbidden": "this API key lacks the permission",
    "too_many_builds": "wait for a running build or cancel one, then try again",
    "too_many_sandboxes": "pause or kill a sandbox that is no longer needed, then try again",
    "too_many_templates": "delete a template that is no longer needed, then try again",
    "image_pull_failed": "check that the image exists, is public, and is built for linux/amd64",
    "bad_reference": "check the image's name: lower-case letters, without spaces",
    "unsupported_platform": "choose an image for linux/amd64",
    "image_too_large": "create the template with a larger disk_mib",
    "step_failed": "the build's log shows why: on_log=, or log_tail=True, of wait_until_ready",
    "boot_failed": "try rebuild()",
    "snapshot_failed": "try rebuild()",
    "start_cmd_failed": "check start_cmd",
    "ready_cmd_failed": "check ready_cmd: it must exit with 0 once the process of start_cmd is ready",
    _NO_CODE: "try rebuild(); the build's log may show more",
    401: "check api_key= or SUPERSERVE_API_KEY",
    # The API's own 404 has a code.
    404: "check base_url= or SUPERSERVE_BASE_URL",
    **dict.fromkeys((301, 302, 303, 307, 308), _REDIRECTED),
}
