"""Commands for `ready_cmd` that need nothing in the image but `sh`, `od` or `grep` of any base system.

Each returns a shell command that exits with 0 once the thing is there; the service tries it every 2 s, and ends it
after 2 s.
"""

import re
import shlex
from typing import Final
from urllib.parse import urlsplit

from superserve.errors import ValidationError

_HIGHEST_PORT: Final = 65535
_LISTENING: Final = "0A"
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")


def port(number: int) -> str:
    """Return a command that succeeds once a process listens on a TCP port, whatever its address.

    Raises:
        ValidationError: `number` is no port.

    Example:
        >>> print(ready.port(8080))
        while read -r _ a _ s _; do case "$a $s" in *":1F90 0A") exit 0;; esac; done < /proc/net/tcp; ...
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _HIGHEST_PORT:
        raise ValidationError(f"number: expected a port from 1 to {_HIGHEST_PORT}, got {number!r}")
    # The kernel's own table, which the shell reads by itself; the second one is not there without IPv6.
    loop = f'while read -r _ a _ s _; do case "$a $s" in *":{number:04X} {_LISTENING}") exit 0;; esac; done'
    return f"{loop} < /proc/net/tcp; [ -r /proc/net/tcp6 ] && {loop} < /proc/net/tcp6; test -n ''"


def file(path: str) -> str:
    """Return a command that succeeds once a file is there and not empty.

    Example:
        >>> ready.file("/run/app.pid")
        'test -s /run/app.pid'
    """
    return f"test -s {shlex.quote(path)}"


def process(name: str) -> str:
    """Return a command that succeeds once a process of that name runs: the first 15 characters of its program's name.

    Example:
        >>> ready.process("nginx")
        'for f in /proc/[0-9]*/comm; do read -r n < "$f" && [ "$n" = nginx ] && exit 0; done 2>/dev/null; test -n ""'
    """
    short = shlex.quote(name[:15])
    return f'for f in /proc/[0-9]*/comm; do read -r n < "$f" && [ "$n" = {short} ] && exit 0; done 2>/dev/null; test -n ""'


def url(address: str) -> str:
    """Return a command that succeeds once an `http` address of the sandbox itself answers.

    With `curl`, `wget` or `python3` in the image, the answer's status has to be below 400. Without any of them, that the
    port is listened on is enough.

    Raises:
        ValidationError: It is no `http` or `https` address.

    Example:
        >>> ready.url("http://localhost:8080/health").startswith("if command -v curl")
        True
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _PLAIN.fullmatch(address):
        raise ValidationError(f"address: expected one such as http://localhost:8080/health, got {address!r}")
    quoted = shlex.quote(address)
    number = parts.port or {"http": 80, "https": 443}[parts.scheme]
    python = f"import urllib.request as r; r.urlopen({address!r}, timeout=1.5)"
    return (
        f"if command -v curl >/dev/null; then curl -fsS -m 1.5 -o /dev/null {quoted}; "
        f"elif command -v wget >/dev/null; then wget -q -T 1 -O /dev/null {quoted}; "
        f"elif command -v python3 >/dev/null; then python3 -c {shlex.quote(python)}; "
        f"else {port(number)}; fi"
    )
