"""Network settings from the environment: proxies and certificates."""

import functools
import importlib.util
import ipaddress
import os
import ssl
from pathlib import Path
from urllib.request import getproxies

import attrs
import httpx

from superserve.errors import SandboxError

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SOCKS = ("socks5", "socks5h")
_PORTS = range(1, 65536)


@attrs.frozen
class Proxy:
    """A proxy, and the environment variable that names it.

    Attributes:
        variable: The environment variable.
        url: The address, without user name and password.
        auth: User name and password, if the address has them.
    """

    variable: str
    url: httpx.URL
    auth: tuple[bytes, bytes] | None = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"the proxy {self.url.netloc.decode('ascii')} of {self.variable}"


def find_proxy(url: httpx.URL) -> Proxy | None:
    """Return the proxy for an address, or None.

    Connections to this machine never use a proxy.

    Raises:
        SandboxError: The environment names a proxy that cannot be used.
    """
    if is_loopback(url.host):
        return None
    proxies = getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    address = proxies.get(scheme)
    if not address or _is_exempt(
        url.host, url.port or (443 if url.scheme == "https" else 80), proxies.get("no", "")
    ):
        return None
    return _read_proxy(f"{scheme.upper()}_PROXY", address)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def ssl_context() -> ssl.SSLContext:
    """Return the TLS context for the certificates that the environment names at present.

    Raises:
        SandboxError: The certificates cannot be read.
    """
    named = {variable: value for variable in _CERTIFICATES if (value := os.environ.get(variable))}
    for variable, value in named.items():
        if not Path(value).exists():
            raise SandboxError(
                f"{variable}: {value!r} does not exist; name a path that exists, or unset {variable}"
            )
    try:
        stamps = tuple((variable, value, Path(value).stat().st_mtime_ns) for variable, value in named.items())
        return _ssl_context(stamps)
    except (OSError, ssl.SSLError) as error:
        source = " and ".join(named) or "the installed certificates"
        raise SandboxError(f"{source}: cannot read the certificates: {error}") from error


# Shared by all clients: reading the certificates takes longer than a call.
@functools.lru_cache(maxsize=8)
def _ssl_context(stamps: tuple[tuple[str, str, int], ...]) -> ssl.SSLContext:  # noqa: ARG001 - the cache's key
    return httpx.create_ssl_context()


def _read_proxy(variable: str, address: str) -> Proxy:
    # The message shows neither the address nor what is wrong with it: the address may hold a password.
    refusal = SandboxError(
        f"{variable}: not a valid proxy address; expected something like http://proxy.example:3128"
    )
    try:
        url = httpx.URL(address if "://" in address else f"http://{address}")
        is_usable = bool(url.host.encode("idna")) and (url.port is None or url.port in _PORTS)
        shown = url.copy_with(username=None, password=None)
    except (ValueError, TypeError, httpx.InvalidURL):
        raise refusal from None
    if not is_usable or url.scheme not in ("http", "https", *_SOCKS):
        raise refusal
    if url.scheme in _SOCKS and importlib.util.find_spec("socksio") is None:
        raise SandboxError(f"{variable}: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'")
    auth = (url.username.encode(), url.password.encode()) if url.username or url.password else None
    return Proxy(variable, shown, auth)


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names a host: by name, domain, address or network, with or without a port, or by `*`."""
    return any(_matches(entry.strip().lower(), host.lower(), port) for entry in no_proxy.split(","))


def _matches(entry: str, host: str, port: int) -> bool:
    name, _, entry_port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if not name or (entry_port and entry_port != str(port)):
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(
            name.replace("[", "").replace("]", ""), strict=False
        )
    except ValueError:
        # One of the two is a name. An entry that cannot be parsed matches nothing.
        domain = name.removeprefix("*").removeprefix(".")
        return name == "*" or host == domain or (bool(domain) and host.endswith(f".{domain}"))
