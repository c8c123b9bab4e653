"""What differs in structure between sync and async, the sync half: connection pool, log pump, sleep, callbacks.

`_io_async` has the same names. Nothing here knows what a template is.
"""

import contextlib
import contextvars
import os
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

import httpcore
import httpx
from httpcore._backends.sync import SyncStream  # there is no public way to hand httpcore a connected socket
from httpx_sse import EventSource

from superserve import _arguments, _http, _log_stream
from superserve._config import Config
from superserve._http import Repeatable
from superserve._logs import LogFeed
from superserve._raw import RawClient
from superserve._wait import Wait
from superserve.errors import SandboxError, ValidationError
from superserve.types import BuildLogEvent

LogCallback = Callable[[BuildLogEvent], object]

check_callback = _arguments.plain_function
sleep = time.sleep

_BATCH: Final = 256
# The name look-up of a connection that is being opened cannot be cut short: its thread is left to end by itself.
_JOIN_S: Final = 1.0

# When the call that this thread is in must be over, on the clock of time.monotonic.
_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("superserve_deadline", default=None)


def deliver(callback: LogCallback, event: BuildLogEvent, _wait: Wait) -> None:
    """Hand an event to the caller; what the callback raises is the caller's."""
    result = callback(event)
    if hasattr(result, "__await__"):
        if hasattr(result, "close"):
            result.close()
        raise ValidationError(
            "the log callback returned something to await; use AsyncTemplate, or pass a plain function"
        )


class HTTPClient(httpx.Client):
    """A connection pool whose `send` bounds a whole call, repeats what may be repeated, and bounds the answer."""

    def __init__(self, config: Config, *, cutter: "Cutter | None" = None) -> None:
        with _http.setting_up():
            super().__init__(
                base_url=config.base_url,
                headers=_http.headers(config),
                timeout=config.timeout_s,
                limits=_http.LIMITS,
                verify=_http.ssl_context(),
            )
        self._config = config
        backend = _Backend(cutter)
        for transport in (self._transport, *self._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                # httpx has no public way to say it; tests/test_deadline.py notices when this no longer works.
                transport._pool._network_backend = backend  # noqa: SLF001

    def build_request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        """Build a request as httpx does, its address looked up instead of parsed."""
        if isinstance(url, str) and url.startswith("/"):
            url = _http.absolute_url(self._config.base_url, url)
        return super().build_request(method, url, **arguments)

    def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """Send a request as httpx does, within the time it may take."""
        options = _http.options_of(request, self._config)
        deadline = time.monotonic() + options.timeout_s
        if options.attempts == 1:
            return self._send_once(request, deadline, stream=stream, **arguments)

        def attempt() -> httpx.Response:
            try:
                response = self._send_once(request, deadline, stream=stream, **arguments)
                if stream and response.status_code in _http.REPEATED_STATUSES:
                    response = _read(response)
            except _http.REPEATED_ERRORS as error:
                raise Repeatable(error=error) from error
            if _http.is_worth_repeating(response):
                raise Repeatable(response=response)
            return response

        try:
            return attempt()
        except Repeatable as failed:
            from superserve import _retry

            try:
                return _retry.repeat(attempt, failed, attempts=options.attempts, deadline=deadline)
            except Repeatable as last:
                return last.outcome()

    def _send_once(
        self, request: httpx.Request, deadline: float, *, stream: bool, **arguments: Any
    ) -> httpx.Response:
        if stream:
            # How long a stream may take is for its reader to say.
            return super().send(request, stream=True, **arguments)
        before = _deadline.set(deadline)
        try:
            _http.set_timeouts(request, deadline - time.monotonic())
            return _read(super().send(request, stream=True, **arguments))
        finally:
            _deadline.reset(before)


def _read(response: httpx.Response) -> httpx.Response:
    body = bytearray()
    try:
        _http.refuse_by_headers(response)
        for chunk in response.iter_bytes():
            body += chunk
            _http.refuse_length(response.request, len(body))
    finally:
        response.close()
    return _http.read_response(response, bytes(body))


class Pool:
    """The connections of one client: one pool a process, made when it is first needed, made anew after a fork."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._closed = False
        self._lock = threading.Lock()
        self._http: HTTPClient | None = None
        _pools.add(self)

    def get(self) -> HTTPClient:
        """Return the pool to use here and now."""
        http = self._http
        if http is None:
            with self._lock:
                if self._closed:
                    raise SandboxError("this client is closed; make another")
                http = self._http
                if http is None:
                    http = self._http = HTTPClient(self._config)
                    # For who doesn't close: at the latest when the process ends.
                    weakref.finalize(self, http.close)
        return http

    def close(self) -> None:
        """Close all connections; further calls are refused."""
        with self._lock:
            self._closed = True
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def forget(self) -> None:
        """Start anew in a forked process: the connections are the parent's, and its threads may hold the lock."""
        self._lock = threading.Lock()
        self._http = None


def raw_client(config: Config, pool: Pool) -> RawClient:
    """Return the generated client on these connections."""
    return RawClient(config, pool=pool.get)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in _pools:
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class LogPump:
    """Reads a log stream in a thread of its own, over a connection of its own, and opens it again when it breaks.

    A context manager: leaving it ends the thread at once, whatever it is doing. Reading never waits for the one who
    takes the events.

    Attributes:
        hints: How often the stream came to its end by the server's will: each may mean that the build has ended.
        refusal: Why the stream cannot be read at all, or None.
    """

    def __init__(
        self,
        config: Config,
        operation: dict[str, Any],
        feed: LogFeed,
        refuse: Callable[[httpx.Response], SandboxError],
    ) -> None:
        self.hints = 0
        self.refusal: SandboxError | None = None
        self._request = _log_stream.request(operation)
        self._feed = feed
        self._refuse = refuse
        self._cutter = Cutter()
        self._http = HTTPClient(config, cutter=self._cutter)
        # None says that something else than the log has changed.
        self._queue: queue.SimpleQueue[BuildLogEvent | None] = queue.SimpleQueue()
        self._reopening = _log_stream.Reopening()
        self._reopen_now = threading.Event()
        self._build_ended = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="superserve-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped = True
        self._reopen_now.set()
        self._cutter.cut(for_good=True)
        self._thread.join(_JOIN_S)

    @property
    def is_done(self) -> bool:
        """Whether all that can be read has been read and handed out."""
        return not self._wants_more and self._queue.empty()

    def get(self, timeout_s: float) -> list[BuildLogEvent]:
        """Return the next events: at least one, unless the time runs out or something else has changed."""
        events: list[BuildLogEvent] = []
        with contextlib.suppress(queue.Empty):
            event = self._queue.get(timeout=timeout_s)
            while event is not None:
                events.append(event)
                if len(events) == _BATCH:
                    break
                event = self._queue.get_nowait()
        return events

    def build_has_ended(self) -> None:
        """Say that a connection opened from now on holds the whole log."""
        self._build_ended = True

    def reopen(self) -> None:
        """Give up the present connection, or the wait for the next one, and open another."""
        self._reopen_now.set()
        self._cutter.cut()

    def _run(self) -> None:
        with self._http, contextlib.closing(self._cutter):
            while self._wants_more:
                self._reopen_now.clear()
                failed = self._read_once()
                self._queue.put(None)
                if self._wants_more:
                    self._reopen_now.wait(self._reopening.delay(failed))

    @property
    def _wants_more(self) -> bool:
        return not (self._stopped or self._feed.complete or self.refusal)

    def _read_once(self) -> Repeatable:
        after_end = self._build_ended
        try:
            with self._http.stream(**self._request) as response:
                if not _log_stream.is_log(response):
                    answer = _read(response)
                    if not _log_stream.may_pass(answer):
                        self.refusal = self._refuse(answer)
                    return Repeatable(response=answer)
                self._feed.opened(response.headers.get("date"), after_end=after_end)
                for sse in EventSource(_log_stream.decoded(response)).iter_sse():
                    for event in self._feed.take(sse.data) if sse.data else ():
                        self._reopening.reset()
                        self._queue.put(event)
                    if self._feed.finished:
                        break
                else:
                    self._feed.closed()
                self.hints += 1
        except httpx.TransportError as error:
            return Repeatable(error=error)
        except httpx.DecodingError:
            pass
        return Repeatable()


class Cutter:
    """Ends what another thread waits for on a socket. Closing the socket would not do: its reader sleeps on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut_for_good = False

    def watch(self, sock: socket.socket) -> None:
        """Make `sock` the one to cut."""
        # A second descriptor of the same connection: TLS takes the first one over.
        duplicate = sock.dup()
        with self._lock:
            self._release()
            self._socket = duplicate
            if self._cut_for_good:
                raise ConnectionAbortedError("the log is no longer read")

    def cut(self, *, for_good: bool = False) -> None:
        """End the connection that is watched, and any later one if it is for good."""
        with self._lock:
            self._cut_for_good = self._cut_for_good or for_good
            if self._socket is not None:
                # Not connected any more: then nobody waits for it either.
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._release()

    def _release(self) -> None:
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
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host}: {error}") from error
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in addresses:
            left = _time_left(None if until is None else until - time.monotonic(), httpcore.ConnectTimeout)
            sock = socket.socket(family, kind, protocol)
            try:
                self._connect(sock, address, left, local_address, socket_options)
            except BaseException as error:
                sock.close()
                if not isinstance(error, OSError):
                    raise
                failure = error
            else:
                return _Stream(SyncStream(sock))
        kind_of_failure = (
            httpcore.ConnectTimeout if isinstance(failure, TimeoutError) else httpcore.ConnectError
        )
        raise kind_of_failure(f"{host}:{port}: {failure}") from failure

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
        for option in socket_options or ():
            sock.setsockopt(*option)
        if local_address is not None:
            sock.bind((local_address, 0))
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Stream(httpcore.NetworkStream):
    """A connection whose operations end with the call that they belong to, however the bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _time_left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _time_left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

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
