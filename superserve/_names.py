"""Looking up the name of a host, in a thread that can be left alone.

Nothing can end a look-up, which takes what the system's resolver takes. asyncio has threads for it, but waits for them
at its end, and has none any more when the main thread has ended.
"""

import _thread
import ipaddress
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

# What socket.getaddrinfo returns: family, kind, protocol, official name and address of each way to reach a host.
Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


def is_address(host: str) -> bool:
    """Whether a host is given by its address, and not by a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def look_up(host: str, port: int, give: Callable[[Addresses | Exception], object]) -> None:
    """Have a host's addresses given, or why there are none; from another thread, unless there is nothing to wait for."""

    def ask() -> None:
        answer: Addresses | Exception
        try:
            answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            if not answer:
                answer = OSError("the name has no address")
        except Exception as error:  # noqa: BLE001 - given to who asks
            answer = error
        give(answer)

    # At the end of the process a thread would start no more.
    if is_address(host) or sys.is_finalizing():
        ask()
        return
    try:
        # Not threading.Thread: an interrupt in its start leaves its thread waiting for ever.
        _thread.start_new_thread(ask, ())
    except RuntimeError:
        # There are no more threads to be had.
        ask()
