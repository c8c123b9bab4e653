"""The private names of httpx and httpcore that this package touches, each with the reason; there are no others.

tests/transport/test_private_names.py notices when one of them is gone.
"""

import threading
from collections.abc import Callable

import httpcore
import httpx


class Transport(httpx.HTTPTransport):
    """httpx's transport over a pool that is chosen for each request. Libraries that mock httpx can patch it.

    `_pool` is httpx's: there is no public way to give a transport a pool with a network backend of ours.
    """

    def __init__(self, pool: Callable[[], httpcore.ConnectionPool]) -> None:
        # Not that of httpx, which would make a pool, and read the certificates for it.
        self._choose = pool

    @property
    def _pool(self) -> httpcore.ConnectionPool:  # type: ignore[override]  # read where it was to be written
        return self._choose()

    def close(self) -> None:
        """Do nothing: the connections are their owner's to close."""


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The same for async code."""

    def __init__(self, pool: Callable[[], httpcore.AsyncConnectionPool]) -> None:
        self._choose = pool

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:  # type: ignore[override]  # read where it was to be written
        return self._choose()

    async def aclose(self) -> None:
        """Do nothing: the connections are their owner's to close."""


class Unredirected:
    """A base that keeps httpx from reading where redirects lead to, as it does, and can fail, though none is followed.

    `_build_redirect_request`: there is no public way to say it.
    """

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:  # noqa: ARG002
        return request


def set_content(response: httpx.Response, body: bytes) -> httpx.Response:
    """Give a response its body, which was read with a bound on its length.

    `_content`: making another response takes longer than reading this one.
    """
    response._content = body  # noqa: SLF001
    return response


def harden_lock(pool: httpcore.ConnectionPool) -> httpcore.ConnectionPool:
    """Give a pool a lock that an interrupt cannot leave locked for all threads, as it can one written in Python.

    `_optional_thread_lock`: httpcore has no public way to say it.
    """
    pool._optional_thread_lock = threading.Lock()  # type: ignore[assignment]  # noqa: SLF001 - it is used alike
    return pool
