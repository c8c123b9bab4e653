"""Connections, for the sync half, that others can end: a deadline of a whole call, or another thread.

httpx knows timeouts of single operations only, so a server that drips bytes prolongs them for ever.
"""

import contextlib
import contextvars
import functools
import os
import queue
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import httpcore
import httpx
from httpcore._backends.sync import SyncStream  # there is no public way to hand httpcore a connected socket

from superserve._http.policy import UntrustedError
from superserve._names import Addresses, look_up

# When the call that this thread is in must be over, on the clock of time.monotonic.
_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("superserve_deadline", default=None)

_WRITTEN_AT_ONCE: Final = 16 * 1024

_Answers = queue.SimpleQueue[Addresses | Exception]


@contextlib.contextmanager
def ending_at(deadline: float | None) -> Iterator[None]:
    """Let every operation on a connection that this thread waits for end at `deadline`."""
    before = _deadline.get()
    try:
        # Within: an interrupt may come at any point.
        _deadline.set(deadline)
        yield
    finally:
        _deadline.set(before)


def install(client: httpx.Client, cutter: "Cutter | None" = None) -> None:
    """Make a client's connections such."""
    backend = _Backend(cutter)
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see below
        if isinstance(transport, httpx.HTTPTransport):
            # httpx has no public way to say it; tests/_sync/test_deadline.py notices when this no longer works.
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = backend  # noqa: SLF001
            # That of httpcore is written in Python: an interrupt in it leaves it locked for all threads.
            pool._optional_thread_lock = threading.Lock()  # type: ignore[assignment]  # noqa: SLF001 - it is used alike


_CUT: Final = "the log is no longer read"


class Cutter:
    """Ends what another thread waits for on a socket. Closing the socket would not do: its reader sleeps on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: _Answers | None = None
        self._socket: socket.socket | None = None
        self._cut_for_good = False
        self._process = os.getpid()

    def watch_look_up(self, answers: _Answers) -> None:
        """Make the look-up of a name that ends there the one to cut."""
        with self._lock:
            self._release()
            self._answers = answers
        if self._cut_for_good:
            answers.put(ConnectionAbortedError(_CUT))

    def watch(self, sock: socket.socket) -> None:
        """Make `sock` the one to cut."""
        # A second descriptor of the same connection: TLS takes the first one over.
        duplicate = sock.dup()
        with self._lock:
            self._release()
            self._socket = duplicate
        self.check()

    def check(self) -> None:
        """Raise if no connection is wanted any more."""
        if self._cut_for_good:
            raise ConnectionAbortedError(_CUT)

    def cut(self, *, for_good: bool = False) -> None:
        """End the connection that is watched, and any later one if it is for good."""
        self._cut_for_good = self._cut_for_good or for_good
        if os.getpid() != self._process:
            # Forked: the connection is the parent's, and its threads may hold the lock.
            self._release()
            return
        with self._lock:
            if self._answers is not None:
                self._answers.put(ConnectionAbortedError(_CUT))
            if self._socket is not None:
                # Not connected any more: then nobody waits for it either.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        self._answers = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Backend(httpcore.SyncBackend):
    """Opens connections whose every operation keeps to the deadline of the call that it belongs to."""

    def __init__(self, cutter: Cutter | None) -> None:
        self._cutter = cutter

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses one after the other, all of them within the time given."""
        until = None if timeout is None else time.monotonic() + timeout
        addresses = self._look_up(host, port, timeout)
        failure: OSError = OSError("no address")
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            left = _time_left(None if until is None else until - time.monotonic(), httpcore.ConnectTimeout)
            # One address that never answers leaves time for the others.
            share = None if left is None else left / (len(addresses) - index)
            sock: socket.socket | None = None
            try:
                # Within: the machine may lack this kind of address, or descriptors.
                sock = socket.socket(family, kind, protocol)
                self._connect(sock, address, share, local_address, socket_options)
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if not isinstance(error, OSError) or _is_interrupt(error):
                    raise
                failure = error
            else:
                return _Stream(SyncStream(sock))
        kind_of_failure = (
            httpcore.ConnectTimeout if isinstance(failure, TimeoutError) else httpcore.ConnectError
        )
        raise kind_of_failure(str(failure)) from failure

    def _look_up(self, host: str, port: int, timeout: float | None) -> Addresses:
        answers: _Answers = queue.SimpleQueue()
        look_up(host, port, answers.put)
        if self._cutter is not None:
            self._cutter.watch_look_up(answers)
        try:
            answer = answers.get(timeout=_time_left(timeout, httpcore.ConnectTimeout))
        except queue.Empty:
            raise httpcore.ConnectTimeout(f"the name {host} is still being looked up") from None
        if isinstance(answer, Exception):
            raise httpcore.ConnectError(str(answer)) from answer
        return answer

    def _connect(
        self,
        sock: socket.socket,
        address: Any,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> None:
        if self._cutter is not None:
            self._cutter.watch(sock)
        # An option is one of three kinds of tuples, as setsockopt takes them, which its type cannot say.
        set_option: Callable[..., None] = sock.setsockopt
        for option in socket_options or ():
            set_option(*option)
        if local_address is not None:
            sock.bind((local_address, 0))
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._cutter is not None:
            # Cut before there was a connection to cut.
            self._cutter.check()


class _Stream(httpcore.NetworkStream):
    """A connection whose operations end with the call that they belong to, however the bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._stream.read(max_bytes, _time_left(timeout, httpcore.ReadTimeout))
        except _BROKEN as error:
            raise _own(error) from error.__cause__

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # By pieces: a server that takes a byte now and then would prolong a longer write for ever.
        for start in range(0, len(buffer), _WRITTEN_AT_ONCE):
            piece = buffer[start : start + _WRITTEN_AT_ONCE]
            try:
                self._stream.write(piece, _time_left(timeout, httpcore.WriteTimeout))
            except _BROKEN as error:
                raise _own(error) from error.__cause__

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _time_left(timeout, httpcore.ConnectTimeout)
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))
        except _BROKEN as error:
            raise UntrustedError.instead_of(_own(error)) from error.__cause__

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _time_left(timeout: float | None, passed: type[httpcore.TimeoutException]) -> float | None:
    """Return the seconds that one operation may take; raise `passed` if the call's time is over."""
    deadline = _deadline.get()
    if deadline is not None:
        left = deadline - time.monotonic()
        timeout = left if timeout is None else min(timeout, left)
    if timeout is not None and timeout <= 0:
        raise passed("the call's time is over")
    return timeout


_BROKEN: Final = (httpcore.TimeoutException, httpcore.NetworkError)


def _own(error: Exception) -> BaseException:
    """Return what a signal handler raised, if httpcore has taken that for the socket's own error; else `error`."""
    cause = error.__cause__
    return cause if cause is not None and _is_interrupt(cause) else error


def _is_interrupt(error: BaseException) -> bool:
    # Many a handler of SIGALRM raises TimeoutError, which only its place tells from that of a socket. Not by where
    # sockets raise theirs: those of gevent, for one, do so elsewhere.
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code not in handlers:
        place = place.tb_next
    return place is not None


def _code(handler: object) -> object:
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    return getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
