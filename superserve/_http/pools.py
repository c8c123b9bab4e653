"""How connection pools are made: for which proxy, with which certificates, over which kind of socket operations."""

import ssl
from typing import Any, Final

import httpcore
import httpx

from superserve._http import environment, policy, private, transport_sync


class PoolMaker:
    """Makes the pools of a client, as the environment says when the client is made.

    Args:
        base_url: Where the connections lead to.
        certificates: Those of another maker, as reading them takes a while.

    Attributes:
        certificates: What https needs; None where it isn't used.
        proxy: The proxy that all connections go through, or None.

    Raises:
        SandboxError: The environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, base_url: str, certificates: ssl.SSLContext | None = None) -> None:
        url = httpx.URL(base_url)
        if certificates is None and url.scheme == "https":
            certificates = environment.ssl_context()
        self.certificates: Final = certificates
        self.proxy: Final = environment.find_proxy(url)
        self._arguments: Final[dict[str, Any]] = {
            "keepalive_expiry": policy.KEEPALIVE_EXPIRY_S,
            "max_connections": None,
            "ssl_context": certificates if url.scheme == "https" else None,
            "proxy": self.proxy and httpcore.Proxy(str(self.proxy.url), auth=self.proxy.auth),
        }

    def make_sync(self, kept: int) -> httpcore.ConnectionPool:
        """Return a pool that keeps so many idle connections."""
        pool = httpcore.ConnectionPool(
            **self._arguments, max_keepalive_connections=kept, network_backend=transport_sync.Backend()
        )
        return private.harden_lock(pool)

    def make_async(self, kept: int) -> httpcore.AsyncConnectionPool:
        """Return a pool that keeps so many idle connections."""
        return httpcore.AsyncConnectionPool(**self._arguments, max_keepalive_connections=kept)
