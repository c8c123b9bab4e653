"""Connections whose operations end at the deadline of their call. Async code has cancel scopes for that.

httpx only has timeouts for single operations: a server that sends a byte now and then can make a call last forever.
"""

import contextlib
import errno
import math
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import httpcore

from superserve import _clock as time

T = TypeVar("T")

# Writes are split: a server that reads a byte now and then could make one long write last forever.
_WRITTEN_AT_ONCE: Final = 64 * 1024
# How much earlier than its timeout an operation may time out by itself, in seconds.
_SLACK_S: Final = 0.05


class Call:
    """A call that a thread makes on the network.

    Attributes:
        deadline: When the call ends, on the clock of `time.monotonic`.
        stream: The connection that the call uses; None while it connects.
        is_cut: Whether another thread has stopped the call.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.stream: Stream | None = None
        self.is_cut = False

    def cut(self) -> None:
        """Stop waiting for the connection. A name look-up, or an attempt to connect, ends by itself."""
        self.is_cut = True
        if self.stream is not None:
            self.stream.shut_down()

    def run(
        self,
        operation: Callable[[float | None], T],
        timeout: float | None,
        passed: type[httpcore.TimeoutException],
    ) -> T:
        """Run an operation within its timeout and the call's deadline; raise `passed` if no time is left."""
        if self.is_cut:
            raise httpcore.ReadError("the call was stopped")
        began = time.monotonic()
        left = min(math.inf if timeout is None else timeout, self.deadline - began)
        if left <= 0:
            raise passed("the call's time is over")
        try:
            return operation(None if left == math.inf else left)
        except httpcore.TimeoutException as error:
            cause = error.__cause__
            # An early timeout was raised by a signal handler, or the operating system has given up the connection.
            is_early = time.monotonic() - began < left - _SLACK_S
            if is_early and isinstance(cause, TimeoutError):
                if cause.errno != errno.ETIMEDOUT:
                    raise cause from None
                if passed is httpcore.ReadTimeout:
                    # The operating system's timeout, not ours: the connection broke.
                    raise httpcore.ReadError(str(cause)) from cause
            raise


_call: ContextVar[Call | None] = ContextVar("superserve_call", default=None)


def _current_call() -> Call:
    return _call.get() or Call()


@contextlib.contextmanager
def use_call(call: Call) -> Iterator[None]:
    """Make all that this thread does on the network part of a call."""
    before = _call.get()
    try:
        _call.set(call)
        yield
    finally:
        _call.set(before)


class Backend(httpcore.SyncBackend):
    """Opens connections for the current call of the thread."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses in turn, each with a share of the time that is left."""
        call = _current_call()
        call.stream = None
        until = math.inf if timeout is None else time.monotonic() + timeout
        connect = super().connect_tcp
        try:
            found = call.run(
                lambda _: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
                None,
                httpcore.ConnectTimeout,
            )
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for untried in range(len(addresses), 0, -1):
            address = addresses[-untried]
            share = (min(until, call.deadline) - time.monotonic()) / untried
            try:
                return Stream(
                    call.run(
                        lambda left: connect(address, port, left, local_address, socket_options),  # noqa: B023
                        share,
                        httpcore.ConnectTimeout,
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if untried == 1:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")


class Stream(httpcore.NetworkStream):
    """A connection whose operations end at the deadline of the thread's current call."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        _current_call().stream = self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read the next bytes."""
        call = _current_call()
        # Another call may have opened the connection.
        call.stream = self
        return call.run(lambda left: self._stream.read(max_bytes, left), timeout, httpcore.ReadTimeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`."""
        call = _current_call()
        # The connection may have been idle.
        call.stream = self
        for start in range(0, len(buffer), _WRITTEN_AT_ONCE):
            piece = buffer[start : start + _WRITTEN_AT_ONCE]
            call.run(lambda left: self._stream.write(piece, left), timeout, httpcore.WriteTimeout)  # noqa: B023

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS on top."""

        def start(left: float | None) -> httpcore.NetworkStream:
            return self._stream.start_tls(ssl_context, server_hostname, left)

        return Stream(_current_call().run(start, timeout, httpcore.ConnectTimeout))

    def shut_down(self) -> None:
        """Shut the connection down, and wake the thread that waits for it."""
        # Not SSLSocket.shutdown: it removes the TLS layer.
        with contextlib.suppress(OSError, TypeError):
            socket.socket.shutdown(self.get_extra_info("socket"), socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. The shutdown wakes a thread that still reads from it, after an interrupt in its pool."""
        self.shut_down()
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """Return a detail of the connection by its name."""
        return self._stream.get_extra_info(info)
