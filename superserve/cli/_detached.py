"""Commands that go on in a sandbox when nobody watches: shell scripts that start, follow and end one.

Its output, its exit code and the ids of its processes are files in a folder of the sandbox, named after a token. So any
machine that has the token can follow it, as often as it likes. The scripts need nothing but a POSIX shell and its usual tools.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Final

_FOLDER: Final = "/tmp/.superserve-exec"  # noqa: S108 - of the sandbox; only its owner may enter the folder
_TOKEN: Final = re.compile(r"[0-9a-f]{16}")

# The subshell holds none of the pipes that this call waits for. It outlives SIGTERM, to note how the command has ended.
_START: Final = """\
d=$1
shift
mask=$(umask)
umask 077
mkdir -p "$d" || exit
echo $$ >"$d/group"
: >"$d/out"
: >"$d/err"
(
    trap '' HUP
    trap : TERM
    (umask "$mask"; exec "$@") >"$d/out" 2>"$d/err"
    echo $? >"$d/code.new"
    mv "$d/code.new" "$d/code"
) >/dev/null 2>&1 </dev/null &
echo $! >"$d/pid"
"""

# Whether it is over is asked before the output is read: nothing comes after that.
_FOLLOW: Final = """\
d=$1
out=0
err=0
while :; do
    is_over=
    if [ -e "$d/code" ]; then
        is_over=code
    elif ! kill -0 "$(cat "$d/pid")" 2>/dev/null && [ ! -e "$d/code" ]; then
        is_over=killed
    fi
    end=$(($(wc -c <"$d/out")))
    if [ "$end" -gt "$out" ]; then
        tail -c "+$((out + 1))" "$d/out" | head -c "$((end - out))"
        out=$end
    fi
    end=$(($(wc -c <"$d/err")))
    if [ "$end" -gt "$err" ]; then
        tail -c "+$((err + 1))" "$d/err" | head -c "$((end - err))" >&2
        err=$end
    fi
    case $is_over in
        code) exit "$(cat "$d/code")" ;;
        killed) exit 137 ;;
    esac
    sleep 0.2 2>/dev/null || sleep 1
done
"""

# A command is a process group.
_END: Final = """\
kill -s TERM -- "-$(cat "$1/group")"
"""


def new_token() -> str:
    """Return a token for a command."""
    return secrets.token_hex(8)


def is_token(text: str) -> bool:
    """Whether a text may be a token."""
    return _TOKEN.fullmatch(text) is not None


def folder(token: str) -> str:
    """Return the folder of a command in its sandbox."""
    return f"{_FOLDER}/{token}"


def start(token: str, words: Sequence[str]) -> list[str]:
    """Return what starts a command, and ends at once."""
    return _script(_START, token, *words)


def follow(token: str) -> list[str]:
    """Return what prints the output of a command as it comes, and exits as that does (137: it was killed)."""
    return _script(_FOLLOW, token)


def end(token: str) -> list[str]:
    """Return what ends a command with SIGTERM."""
    return _script(_END, token)


def _script(text: str, token: str, *words: str) -> list[str]:
    return ["/bin/sh", "-c", text, "superserve", folder(token), *words]
