"""Commands for `ready_cmd`. They need only `sh`, `od` or `grep` in the image.

Each function returns a shell command that exits with 0 once the condition holds. The service tries it every 2 s, and
stops it after 2 s.
"""

import re
import shlex
from typing import Final
from urllib.parse import urlsplit

from superserve import _arguments
from superserve.errors import ValidationError

_HIGHEST_PORT: Final = 65535
_LISTENING: Final = "0A"
_PORTS: Final = {"http": 80, "https": 443}
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")


def port(number: int) -> str:
    """Return a command that succeeds once a process listens on a TCP port, on any address.

    Raises:
        ValidationError: `number` is not a port.

    Example:
        >>> print(ready.port(8080))
        while read -r _ a _ s _; do case "$a $s" in *":1F90 0A") exit 0;; esac; done < /proc/net/tcp; ...
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= _HIGHEST_PORT:
        raise ValidationError(f"number: expected a port from 1 to {_HIGHEST_PORT}, got {number!r}")
    # The shell reads the kernel's table itself. The second file does not exist without IPv6.
    loop = f'while read -r _ a _ s _; do case "$a $s" in *":{number:04X} {_LISTENING}") exit 0;; esac; done'
    return f"{loop} < /proc/net/tcp; [ -r /proc/net/tcp6 ] && {loop} < /proc/net/tcp6; test -n ''"


def file(path: str) -> str:
    """Return a command that succeeds once a file exists and is not empty.

    Raises:
        ValidationError: `path` is not a string, or is empty.

    Example:
        >>> ready.file("/run/app.pid")
        'test -s /run/app.pid'
    """
    return f"test -s {shlex.quote(_arguments.text('path', path))}"


def process(name: str) -> str:
    """Return a command that succeeds once a process with that name runs. Only the first 15 characters count.

    Raises:
        ValidationError: `name` is not a string, or is empty.

    Example:
        >>> ready.process("nginx")
        'for f in /proc/[0-9]*/comm; do read -r n < "$f" && [ "$n" = nginx ] && exit 0; done 2>/dev/null; test -n ""'
    """
    short = shlex.quote(_arguments.text("name", name)[:15])
    return f'for f in /proc/[0-9]*/comm; do read -r n < "$f" && [ "$n" = {short} ] && exit 0; done 2>/dev/null; test -n ""'


def url(address: str) -> str:
    """Return a command that succeeds once an `http` address of the sandbox itself answers.

    With `curl`, `wget` or `python3` in the image, the answer's status must be below 400. Without them, it is enough that
    something listens on the port.

    Raises:
        ValidationError: `address` is not an `http` or `https` address.

    Example:
        >>> ready.url("http://localhost:8080/health").startswith("if command -v curl")
        True
    """
    _arguments.text("address", address)
    host, number = None, 0
    try:
        parts = urlsplit(address)
        host = parts.hostname
        number = (parts.port or _PORTS[parts.scheme]) if parts.scheme in _PORTS else 0
    except ValueError:
        # The host or the port is malformed.
        host = None
    if not host or not number or not _PLAIN.fullmatch(address):
        raise ValidationError(f"address: expected one such as http://localhost:8080/health, got {address!r}")
    quoted = shlex.quote(address)
    python = f"import urllib.request as r; r.urlopen({address!r}, timeout=1.5)"
    return (
        f"if command -v curl >/dev/null; then curl -fsS -m 1.5 -o /dev/null {quoted}; "
        f"elif command -v wget >/dev/null; then wget -q -T 1 -O /dev/null {quoted}; "
        f"elif command -v python3 >/dev/null; then python3 -c {shlex.quote(python)}; "
        f"else {port(number)}; fi"
    )
