"""The service's addresses that a server answers for, and the environment in which a program finds it there."""

import os
import shutil
import ssl
import tempfile
from pathlib import Path

TLS_PORT = 443
# Variables that would lead a program around the proxy, or to another one.
_NEVER_PROXIED = "127.0.0.1,localhost"


class OfficialAddresses:
    """The service's host names. When they are open, a server answers `CONNECT` for them and terminates TLS.

    Attributes:
        context: The TLS context; None while they are closed.
        tunnels: Whether `CONNECT` works for other hosts.
    """

    def __init__(self) -> None:
        self.context: ssl.SSLContext | None = None
        self.tunnels = False
        self._folder: Path | None = None

    def open(self, *, tunnels: bool) -> None:
        """Open them, with a new certificate authority. The last value of `tunnels` counts.

        Raises ImportError if the extra `official` is not installed.
        """
        if self._folder is None:
            # Imported here: the library for certificates is an extra, and loads more slowly than the server.
            from superserve.local._official.authority import make_authority

            # Readable for this user only.
            folder = Path(tempfile.mkdtemp(prefix="superserve-official-"))
            self.context = make_authority(folder)
            self._folder = folder
        self.tunnels = tunnels

    def close(self) -> None:
        """Close them, and remove the authority."""
        folder, self._folder, self.context = self._folder, None, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def covers(self, host: str) -> bool:
        """Whether a host belongs to the service."""
        from superserve.local._official.authority import CONTROL_PLANES, DATA_PLANES

        return host in CONTROL_PLANES or any(
            host == plane or host.endswith(f".{plane}") for plane in DATA_PLANES
        )

    def environment(self, base_url: str, api_key: str) -> dict[str, str]:
        """Return the variables that lead a program with an official SDK to this server. The addresses must be open."""
        from superserve.local._official.authority import CA_FILE

        authority = Path(str(self._folder), CA_FILE)
        return {
            # Some programs read only one spelling, and some prefer the lower-case one.
            "HTTPS_PROXY": base_url,
            "https_proxy": base_url,
            "NO_PROXY": _NEVER_PROXIED,
            "no_proxy": _NEVER_PROXIED,
            "SSL_CERT_FILE": str(self._bundle(authority) if self.tunnels else authority),
            "NODE_EXTRA_CA_CERTS": str(authority),
            "NODE_USE_ENV_PROXY": "1",
            "SUPERSERVE_API_KEY": api_key,
        }

    def _bundle(self, authority: Path) -> Path:
        """Return a file with this authority and the usual ones: SSL_CERT_FILE replaces all others."""
        import certifi

        from superserve.local._official.authority import write_private

        usual = Path(os.environ.get("SSL_CERT_FILE") or certifi.where())
        bundle = authority.with_name("bundle.pem")
        if usual != bundle:
            write_private(bundle, authority.read_bytes() + b"\n" + usual.read_bytes())
        return bundle
