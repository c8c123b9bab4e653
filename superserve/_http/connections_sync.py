"""What differs in structure between sync and async, the sync half: connection pool, sleep, callbacks.

`_io_async` has the same names. Nothing here knows what a template is.
"""

import contextlib
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import httpx

from superserve import _arguments
from superserve._config import Config
from superserve._http import policy, transport_sync
from superserve._http.policy import Repeatable
from superserve._http.raw import RawClient
from superserve._polling import Wait
from superserve.errors import SandboxError, ValidationError
from superserve.types import BuildLogEvent

LogCallback = Callable[[BuildLogEvent], object]

check_callback = _arguments.plain_function
sleep = time.sleep
shielded = contextlib.nullcontext


def deliver(callback: LogCallback, events: list[BuildLogEvent], wait: Wait) -> None:
    """Hand events to the caller until the wait's time is over; what the callback raises is the caller's."""
    wait.in_callback = True
    for event in events:
        result = callback(event)
        if result is not None and hasattr(result, "__await__"):
            # A coroutine that nobody closes warns that nobody awaited it.
            getattr(result, "close", lambda: None)()
            raise ValidationError(
                "the log callback returned something to await; use AsyncTemplate, or pass a plain function"
            )
        if wait.is_over:
            break
    wait.in_callback = False


class HTTPClient(httpx.Client):
    """A connection pool whose `send` bounds a whole call, repeats what may be repeated, and bounds the answer.

    Attributes:
        is_spoilt: Whether an interrupt has struck it. httpcore may then wait for ever for a lock, or count a connection
            as busy that nobody uses: such a pool is to be retired.
    """

    def __init__(
        self,
        config: Config,
        *,
        cutter: transport_sync.Cutter | None = None,
        limits: httpx.Limits = policy.LIMITS,
    ) -> None:
        with policy.setting_up():
            super().__init__(
                base_url=config.base_url,
                headers=policy.headers(config),
                timeout=config.timeout_s,
                limits=limits,
                verify=policy.ssl_context(),
                mounts=policy.unproxied(config),
            )
        self._cookies = policy.NoCookies()
        self._config = config
        self.is_spoilt = False
        self._successor: HTTPClient | None = None
        # The threads that are amid a call.
        self._users: set[int] = set()
        self._lends = False
        self._closes = False
        # Not a semaphore: an interrupt in it may leave it locked for ever.
        self._slots: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(policy.CALLS_AT_ONCE):
            self._slots.put(None)
        transport_sync.install(self, cutter)

    def build_request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        """Build a request as httpx does, its address looked up instead of parsed."""
        if isinstance(url, str) and url.startswith("/"):
            url = policy.absolute_url(self._config.base_url, url)
        return super().build_request(method, url, **arguments)

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:  # noqa: ARG002
        # Redirects are not followed, but httpx reads where they lead to, and not everything can be read.
        return request

    def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """Send a request as httpx does, within the time it may take."""
        # The key goes to one host.
        arguments.pop("follow_redirects", None)
        user = threading.get_ident()
        if user in self._users:
            # A signal handler or an object's finalizer, amid a call of the same thread: that may hold httpcore's lock.
            return HTTPClient(self._config, limits=policy.NOTHING_KEPT).send(
                request, stream=stream, **arguments
            )
        # A stream is read after this call.
        self._lends = self._lends or stream
        try:
            self._users.add(user)
            if self._successor is not None:
                # Retired since the caller got it.
                return self._successor.send(request, stream=stream, **arguments)
            return self._send(request, stream=stream, **arguments)
        except httpx.HTTPError:
            raise
        except BaseException:
            self.is_spoilt = True
            raise
        finally:
            self._users.discard(user)
            if self._closes:
                self.close()
            elif self._successor is not None:
                self.retire(self._successor)

    def retire(self, successor: "HTTPClient") -> None:
        """Close this pool, when those who use it are done; who comes later is served by its successor."""
        self._successor = successor
        if not self._users and not self._lends:
            self.close()

    def close(self) -> None:
        """Close all connections: at once, or after the call of this thread that a signal handler interrupts."""
        self._closes = True
        if threading.get_ident() not in self._users:
            super().close()

    def _send(self, request: httpx.Request, *, stream: bool, **arguments: Any) -> httpx.Response:
        options = policy.options_of(request, self._config)
        deadline = time.monotonic() + options.timeout_s
        if options.attempts == 1:
            return self._send_once(request, deadline, stream=stream, **arguments)

        def attempt() -> httpx.Response:
            try:
                response = self._send_once(request, deadline, stream=stream, **arguments)
                if stream and response.status_code in policy.REPEATED_STATUSES:
                    response = read_whole(response)
            except policy.REPEATED_ERRORS as error:
                if policy.is_untrusted(error):
                    raise
                raise Repeatable(error) from error
            if policy.is_worth_repeating(response):
                raise Repeatable(response)
            return response

        try:
            return attempt()
        except Repeatable as failed:
            from superserve._http import retry

            try:
                return retry.repeat(attempt, failed, attempts=options.attempts, deadline=deadline)
            except Repeatable as last:
                return last.outcome()

    def _send_once(
        self, request: httpx.Request, deadline: float, *, stream: bool, **arguments: Any
    ) -> httpx.Response:
        if stream:
            # How long a stream may take is for its reader to say.
            return super().send(request, stream=True, **arguments)
        try:
            self._slots.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise httpx.PoolTimeout("the call's time is over", request=request) from None
        try:
            with transport_sync.ending_at(deadline):
                policy.set_timeouts(request, deadline - time.monotonic())
                return read_whole(super().send(request, stream=True, **arguments))
        finally:
            self._slots.put(None)


def read_whole(response: httpx.Response) -> httpx.Response:
    """Read an answer to its end, unless it is too long."""
    chunks: list[bytes] = []
    length = 0
    try:
        policy.refuse_by_headers(response)
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            length += len(chunk)
            policy.refuse_length(response.request, length)
    finally:
        response.close()
    return policy.read_response(response, b"".join(chunks))


class Pool:
    """The connections of one client: one pool a process, made when it is first needed, made anew after a fork."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._closed = False
        # One that a thread may take again: a signal handler may make a call while it is held.
        self._lock = threading.RLock()
        self._http: HTTPClient | None = None
        self._at_exit: weakref.finalize[[], Pool] | None = None
        _pools.add(self)

    def get(self) -> HTTPClient:
        """Return the pool to use here and now."""
        http = self._http
        return self._renewed() if http is None or http.is_spoilt or http.is_closed else http

    def _renewed(self) -> HTTPClient:
        with self._lock:
            if self._closed:
                raise SandboxError("this client is closed; make another")
            old = self._http
            if old is not None and not old.is_spoilt and not old.is_closed:
                return old
            if old is not None and old.is_closed:
                # At the end of the process: who cleans up then is served all the same.
                self._http = new = HTTPClient(self._config, limits=policy.NOTHING_KEPT)
                return new
            new = HTTPClient(self._config)
            if self._http is not old:
                # That of a signal handler, which has come in between.
                new.close()
                return self.get()
            if self._at_exit is not None:
                self._at_exit.detach()
            self._http = new
            if old is not None:
                old.retire(new)
            # For who doesn't close: at the latest when the process ends.
            self._at_exit = weakref.finalize(self, new.close)
            return new

    def close(self) -> None:
        """Close all connections; further calls are refused."""
        with self._lock:
            self._closed = True
            http, self._http = self._http, None
        if http is not None:
            http.close()

    def forget(self) -> None:
        """Start anew in a forked process: the connections are the parent's, and its threads may hold their locks."""
        self._lock = threading.RLock()
        self._http = None
        if self._at_exit is not None:
            # Closing them would wait for those locks.
            _inherited.append(self._at_exit.detach())


def raw_client(config: Config, pool: Pool) -> RawClient:
    """Return the generated client on these connections."""
    return RawClient(config, pool=pool.get)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_inherited: list[object] = []


def _after_fork() -> None:
    for pool in _pools:
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
