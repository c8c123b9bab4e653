"""The generated client, on the connections of a `Superserve`."""

from typing import Any, NoReturn, Self

import httpx
from superserve_api import AuthenticatedClient

from superserve._http.planes import Plane
from superserve.errors import SandboxError


class RawClient(AuthenticatedClient):
    """The generated `AuthenticatedClient` with the key, address, connections and retries of a `Superserve`.

    Use the client of `Superserve` with the generated functions `sync` and `sync_detailed`, and the client of
    `AsyncSuperserve` with `asyncio` and `asyncio_detailed`. Closing the `Superserve` closes the connections.
    """

    def __init__(
        self, plane: Plane, *, http: httpx.Client | None = None, async_http: httpx.AsyncClient | None = None
    ) -> None:
        super().__init__(base_url=plane.base_url, token=plane.secret)
        self._address = plane.base_url
        self._http = http
        self._async_http = async_http

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied: it holds a key and connections")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._address}>"

    def get_httpx_client(self) -> httpx.Client:
        """Return the HTTP client for the generated functions `sync` and `sync_detailed`."""
        if self._http is None:
            raise SandboxError("this raw client is asynchronous; use Superserve().raw for sync functions")
        return self._http

    def get_async_httpx_client(self) -> httpx.AsyncClient:
        """Return the HTTP client of the running event loop for `asyncio` and `asyncio_detailed`."""
        if self._async_http is None:
            raise SandboxError(
                "this raw client is synchronous; use AsyncSuperserve().raw for asyncio functions"
            )
        return self._async_http

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def _refuse_to_differ(self, *_: Any, **__: Any) -> NoReturn:
        raise SandboxError(
            "this raw client shares its connections; to use other headers, cookies, timeouts or connections, make a Superserve "
            "with timeout_s=, or a superserve_api.AuthenticatedClient"
        )

    # These methods would change the requests of everyone who shares the connections.
    with_headers = with_cookies = with_timeout = _refuse_to_differ
    set_httpx_client = set_async_httpx_client = _refuse_to_differ
