"""Making connection pools: with the right proxy, certificates and socket operations."""

import ssl
from typing import Any, Final

import httpcore
import httpx

from superserve._http import environment, policy, private, transport_sync


class PoolMaker:
    """Makes the pools of a client. It reads the environment when it is made.

    Args:
        base_url: The address that the connections lead to.
        certificates: The certificates of another maker, because reading them is slow.

    Attributes:
        certificates: The TLS context for https; None for http.
        proxy: The proxy for all connections, or None.

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
        """Return a pool that keeps at most `kept` idle connections."""
        pool = httpcore.ConnectionPool(
            **self._arguments, max_keepalive_connections=kept, network_backend=transport_sync.Backend()
        )
        return private.harden_lock(pool)

    def make_async(self, kept: int) -> httpcore.AsyncConnectionPool:
        """Return a pool that keeps at most `kept` idle connections."""
        return httpcore.AsyncConnectionPool(**self._arguments, max_keepalive_connections=kept)
