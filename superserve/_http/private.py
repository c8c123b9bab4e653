"""The private names of httpx and httpcore that this package uses, each with the reason. There are no others.

tests/transport/test_private_names.py fails when one of them is gone.
"""

import threading
from collections.abc import Callable

import httpcore
import httpx


class Transport(httpx.HTTPTransport):
    """httpx's transport with a pool that is chosen for each request. Libraries that mock httpx can still patch it.

    Private name: `_pool`. httpx has no public way to give a transport a pool with its own network backend.
    """

    def __init__(self, pool: Callable[[], httpcore.ConnectionPool]) -> None:
        # httpx's own __init__ is not called: it would make a pool and read the certificates.
        self._choose = pool

    @property
    def _pool(self) -> httpcore.ConnectionPool:  # type: ignore[override]  # httpx has an attribute here
        return self._choose()

    def close(self) -> None:
        """Do nothing: the owner of the connections closes them."""


class AsyncTransport(httpx.AsyncHTTPTransport):
    """The async twin of `Transport`."""

    def __init__(self, pool: Callable[[], httpcore.AsyncConnectionPool]) -> None:
        self._choose = pool

    @property
    def _pool(self) -> httpcore.AsyncConnectionPool:  # type: ignore[override]  # httpx has an attribute here
        return self._choose()

    async def aclose(self) -> None:
        """Do nothing: the owner of the connections closes them."""


class Unredirected:
    """A base class that keeps httpx from parsing the target of a redirect. No redirect is followed, and parsing can fail.

    Private name: `_build_redirect_request`. httpx has no public option for it.
    """

    def _build_redirect_request(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:  # noqa: ARG002
        return request


def set_content(response: httpx.Response, body: bytes) -> httpx.Response:
    """Give a response its body, which was read with a length limit.

    Private name: `_content`. Making a second response takes longer than reading the first.
    """
    response._content = body  # noqa: SLF001
    return response


def harden_lock(pool: httpcore.ConnectionPool) -> httpcore.ConnectionPool:
    """Give a pool a lock that an interrupt cannot leave locked, unlike httpcore's own lock, which is written in Python.

    Private name: `_optional_thread_lock`. httpcore has no public option for it.
    """
    pool._optional_thread_lock = threading.Lock()  # type: ignore[assignment]  # noqa: SLF001 - it has the same methods
    return pool
