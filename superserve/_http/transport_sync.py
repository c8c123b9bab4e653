"""Connections whose operations end with the call that they belong to; async code has cancel scopes for that.

httpx knows timeouts of single operations only, so a server that drips bytes prolongs them without end.
"""

import contextlib
import errno
import math
import socket
import ssl
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import httpcore

from superserve import _clock as time

T = TypeVar("T")

# By pieces: a server that takes a byte now and then would prolong a longer write without end.
_WRITTEN_AT_ONCE: Final = 64 * 1024
# How much earlier than asked for an operation may time out by itself.
_SLACK_S: Final = 0.05


class Call:
    """What a thread does on the network.

    Attributes:
        deadline: When it has to be over, on the clock of `time.monotonic`.
        stream: The connection that it uses; None while it makes one.
        is_cut: Whether another thread wants it to end at once.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.stream: Stream | None = None
        self.is_cut = False

    def cut(self) -> None:
        """End what it waits for on its connection. A look-up of a name, or an attempt to connect, ends by itself."""
        self.is_cut = True
        if self.stream is not None:
            self.stream.shut_down()

    def run(
        self,
        operation: Callable[[float | None], T],
        timeout: float | None,
        passed: type[httpcore.TimeoutException],
    ) -> T:
        """Run an operation within its timeout and the call's time; raise `passed` if there is none left."""
        if self.is_cut:
            raise httpcore.ReadError("it is not wanted any more")
        began = time.monotonic()
        left = min(math.inf if timeout is None else timeout, self.deadline - began)
        if left <= 0:
            raise passed("the call's time is over")
        try:
            return operation(None if left == math.inf else left)
        except httpcore.TimeoutException as error:
            cause = error.__cause__
            # One that comes early is a signal handler's, unless the operating system has given the connection up.
            is_early = time.monotonic() - began < left - _SLACK_S
            if is_early and isinstance(cause, TimeoutError):
                if cause.errno != errno.ETIMEDOUT:
                    raise cause from None
                if passed is httpcore.ReadTimeout:
                    # No time of ours is over: the connection broke.
                    raise httpcore.ReadError(str(cause)) from cause
            raise


_call: ContextVar[Call | None] = ContextVar("superserve_call", default=None)


def _current_call() -> Call:
    return _call.get() or Call()


class during:  # noqa: N801 - used as a function; one with contextlib takes three times as long, for each piece of a stream
    """Let all that this thread does on the network belong to a call."""

    __slots__ = ("_before", "_during")

    def __init__(self, call: Call) -> None:
        self._during = call

    def __enter__(self) -> None:
        self._before = _call.get()
        _call.set(self._during)

    def __exit__(self, *_: object) -> None:
        _call.set(self._before)


class Backend(httpcore.SyncBackend):
    """Opens connections for whatever call the thread is in."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses one after the other, each with a share of the time that is left."""
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
    """A connection whose operations end with the call that the thread is in."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        _current_call().stream = self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what comes next."""
        call = _current_call()
        # It may have been opened by another call.
        call.stream = self
        return call.run(lambda left: self._stream.read(max_bytes, left), timeout, httpcore.ReadTimeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        call = _current_call()
        # It may have been idle before.
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
        """End the connection, and wake the thread that waits for it."""
        # Not the method of an SSLSocket: it takes the TLS away.
        with contextlib.suppress(OSError, TypeError):
            socket.socket.shutdown(self.get_extra_info("socket"), socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; a thread that reads a log over it, in a pool struck by an interrupt, would sleep on."""
        self.shut_down()
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._stream.get_extra_info(info)
