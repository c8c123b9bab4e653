r"""Makes builds up: no image is pulled and no command is run, and yet the outcome is the one to expect.

Every phase takes 10 ms of the server's clock, so equal specs give equal logs. What is read out of a spec:

- Base image: an upper-case repository or stray spaces fail with `bad_reference`; a repository that starts with
  `nosuch/` or contains `does-not-exist` fails with `image_pull_failed`; `fails/<code>` fails with any other code, such
  as `fails/boot_failed`, when a build would; anything else is there.
- `run` steps are read as lists of simple commands joined by `&&`, `||`, `;` and newlines. `exit N`, `false`, `true`,
  `echo TEXT` (also with `>&2`), `sleep SECONDS` and `sh -c "..."` do what they say; anything else, pipes and
  redirections included, succeeds and prints nothing. A step whose status isn't 0 fails as it would: `step_failed: step 2/3 failed after 10ms: exited with code 3`.
  `sleep` takes its time on the server's clock, and counts toward the step's 10 minutes.
- `start_cmd` is never checked, as on the server. A `ready_cmd` whose status isn't 0 by the reading above fails with
  `ready_cmd_failed`, at once and not after 10 minutes.
"""

import asyncio
import re
import shlex

import attrs

from superserve.local._app.clock import Clock
from superserve.local._machines.jobs import (
    START_CMD_WAIT_S,
    STEP_LIMIT_S,
    BuildFailed,
    BuildJob,
    Log,
    Step,
    format_command,
    format_duration,
)

PHASE_S = 0.01

_REFERENCE = re.compile(
    r"(?:(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+(?=:[0-9]+/))(?::[0-9]+)?/)?"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@sha256:[0-9a-f]{64})?"
)
_SIGNS = frozenset(";&|<>\n")
_SEPARATORS = frozenset({"&&", "||", ";", "\n"})
_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash"})
_SYNTAX_ERROR = 2


@attrs.define
class _Outcome:
    """What a command would do: its status, its output in order, and how long it would take."""

    status: int = 0
    output: list[tuple[str, str]] = attrs.field(factory=list)
    duration_s: float = 0.0
    exited: bool = False


class PretendRunner:
    """Carries builds out by reading them."""

    kills_on_cancel = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self, job: BuildJob, log: Log) -> None:
        """Write the log of the build and end as it would."""
        await self._pull(job, log)
        log.write("system", "starting environment")
        await self._clock.sleep(PHASE_S)
        _fail_if_asked(job, "boot_failed")
        for number, step in enumerate(job.steps, start=1):
            await self._step(number, len(job.steps), step, log)
        _fail_if_asked(job, "build_failed")
        await self._start(job, log)
        log.write("system", "saving template")
        await self._clock.sleep(PHASE_S)
        _fail_if_asked(job, "snapshot_failed")

    async def aclose(self) -> None:
        """Nothing to free."""

    async def _pull(self, job: BuildJob, log: Log) -> None:
        log.write("system", f"pulling {job.from_}")
        await self._clock.sleep(PHASE_S)
        reference = _REFERENCE.fullmatch(job.from_)
        if reference is None:
            raise BuildFailed.with_code("bad_reference")
        repository = reference["repository"]
        if repository.startswith("nosuch/") or "does-not-exist" in repository:
            raise BuildFailed.with_code("image_pull_failed")
        _fail_if_asked(job, "image_too_large", "unsupported_platform", "image_unsafe", "image_pull_failed")
        log.write("system", "image ready")

    async def _step(self, number: int, count: int, step: Step, log: Log) -> None:
        log.write("system", f"Step {number}/{count}")
        outcome = _Outcome()
        if step.run is not None:
            log.write("system", format_command(step.run))
            outcome = read_command(step.run)
        elif step.env is not None:
            log.write("system", f"env {step.env[0]}")
        elif step.workdir is not None:
            log.write("system", f"workdir {step.workdir}")
            path = shlex.quote(step.workdir or "/")
            for command in (f"mkdir -p {path}", f"chown -R $(id -u) {path}"):
                log.write("system", format_command(command))
        elif step.user is not None:
            self._user(*step.user, log)
        duration_s = min(PHASE_S + outcome.duration_s, STEP_LIMIT_S)
        await self._clock.sleep(duration_s)
        for stream, text in outcome.output:
            log.write(stream, text)
            # The log drops what its readers have no time to take.
            await asyncio.sleep(0)
        duration = format_duration(duration_s)
        if duration_s >= STEP_LIMIT_S:
            detail = "exec stream: deadline_exceeded: context deadline exceeded"
            raise BuildFailed.at_step(number, count, duration, detail)
        if outcome.status:
            raise BuildFailed.at_step(number, count, duration, f"exited with code {outcome.status}")
        log.write("system", f"Step {number}/{count} completed ({duration})")

    def _user(self, name: str, sudo: bool, log: Log) -> None:
        log.write("system", f"user {name}" + (" with sudo" if sudo else ""))
        log.write("system", f"$ id -u {name} || adduser --disabled-password --gecos '' {name}")
        if sudo:
            log.write("system", f"$ echo '{name} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{name}")

    async def _start(self, job: BuildJob, log: Log) -> None:
        if job.start_cmd is not None:
            log.write("system", "running start_cmd")
            log.write("system", format_command(job.start_cmd))
            await self._clock.sleep(START_CMD_WAIT_S)
        _fail_if_asked(job, "start_cmd_failed")
        if job.ready_cmd is not None:
            log.write("system", "waiting for ready_cmd")
            log.write("system", format_command(job.ready_cmd))
            await self._clock.sleep(PHASE_S)
            if read_command(job.ready_cmd).status:
                raise BuildFailed.with_code("ready_cmd_failed")
            log.write("system", "ready_cmd succeeded")
        _fail_if_asked(job, "ready_cmd_failed")


def _fail_if_asked(job: BuildJob, *codes: str) -> None:
    """Fail with one of the codes if the base image is named after it."""
    for code in codes:
        if job.from_ == f"fails/{code}":
            raise BuildFailed.with_code(code)


def read_command(text: str) -> _Outcome:
    """Return what a shell would do with a command, as far as this module reads it."""
    outcome = _Outcome()
    try:
        tokens = _split_tokens(text)
    except ValueError:
        outcome.status = _SYNTAX_ERROR
        outcome.output.append(("stderr", "sh: syntax error: unterminated quoted string"))
        return outcome
    words: list[str] = []
    operator = ";"
    for token in [*tokens, ";"]:
        if token not in _SEPARATORS:
            words.append(token)
            continue
        skipped = (operator == "&&" and outcome.status) or (operator == "||" and not outcome.status)
        if words and not skipped:
            _run_simple(words, outcome)
        if outcome.exited:
            break
        # A skipped command leaves the status as it was, so the next operator looks at that one.
        words, operator = [], token
    return outcome


def _split_tokens(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="".join(_SIGNS))
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    # Signs that follow one another come as one token, such as `;` and a newline.
    return [token.strip() or "\n" if token and _SIGNS.issuperset(token) else token for token in lexer]


def _run_simple(words: list[str], outcome: _Outcome) -> None:
    """Carry out one simple command on what came before it."""
    outcome.status = 0
    words, stream = _redirect(words)
    if not words or any(word and _SIGNS.issuperset(word) for word in words):
        return
    command, *arguments = words
    if command == "exit":
        outcome.status = _exit_status(arguments)
        outcome.exited = True
    elif command == "false":
        outcome.status = 1
    elif command == "echo":
        outcome.output.append((stream, " ".join(arguments)))
    elif command == "sleep":
        _sleep(arguments, outcome)
    elif command in _SHELLS and len(arguments) > 1 and arguments[0] == "-c":
        inner = read_command(arguments[1])
        outcome.status = inner.status
        outcome.output += inner.output
        outcome.duration_s += inner.duration_s


def _redirect(words: list[str]) -> tuple[list[str], str]:
    """Return a command without its `>&2`, and where it prints to."""
    if ">&" not in words:
        return words, "stdout"
    sign = words.index(">&")
    start = sign - 1 if words[sign - 1 : sign] == ["1"] else sign
    return words[:start] + words[sign + 2 :], "stderr"


def _exit_status(arguments: list[str]) -> int:
    if not arguments:
        return 0
    return int(arguments[0]) % 256 if arguments[0].isdecimal() else _SYNTAX_ERROR


def _sleep(arguments: list[str], outcome: _Outcome) -> None:
    try:
        outcome.duration_s += max(0.0, float(arguments[0]))
    except (IndexError, ValueError):
        outcome.status = 1
