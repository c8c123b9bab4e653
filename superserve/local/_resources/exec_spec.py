"""The request to run a command."""

import json
from collections.abc import Mapping
from typing import NamedTuple

_MILLISECONDS = 2**32


class ExecRequest(NamedTuple):
    """A command to run."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str
    limit_s: float | None

    @property
    def line(self) -> str:
        """The command on one line, for people."""
        return " ".join((self.command, *self.args))


class Malformed(Exception):  # noqa: N818 - describes the body, as its message does
    """The body is not a request to run a command. The message says why."""


def read_exec(body: bytes, *, default_s: float | None) -> ExecRequest:
    """Read a request to run a command, as leniently as the machine does; raises Malformed."""
    try:
        value, _ = json.JSONDecoder().raw_decode(body.decode(errors="replace").lstrip())
    except ValueError:
        raise Malformed("invalid JSON body") from None
    if not isinstance(value, dict):
        raise Malformed("invalid JSON body")
    found = {key: item for key, item in value.items() if item is not None}
    command, cwd = found.get("command", ""), found.get("working_dir", "")
    args, env, timeout = found.get("args", []), found.get("env", {}), found.get("timeout_s", 0)
    if (
        not isinstance(command, str)
        or not isinstance(cwd, str)
        or not isinstance(args, list)
        or not all(isinstance(arg, str) for arg in args)
        or not isinstance(env, dict)
        or not all(isinstance(item, str) for item in env.values())
        or type(timeout) is not int
    ):
        raise Malformed("invalid JSON body")
    if not command:
        raise Malformed("command is required")
    if timeout == 0 or (default_s is None and timeout < 0):
        limit = default_s
    else:
        # The machine multiplies without a check: a negative timeout becomes a very long one.
        limit = timeout * 1000 % _MILLISECONDS / 1000
    return ExecRequest(command, tuple(args), env, cwd, limit)
