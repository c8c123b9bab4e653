"""A plane: one address of the service with the secret for it. A secret is never sent to the other plane."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs
import httpx

from superserve._config import Config
from superserve._redact import Redactor

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@attrs.frozen(eq=False)
class Access:
    """The temporary access to one sandbox. Two objects with the same values are still different.

    Attributes:
        token: The access token.
        hint: The value of a header that saves the server a look-up. It is optional.
    """

    token: str = attrs.field(repr=False)
    hint: str | None = attrs.field(repr=False, default=None)


@attrs.frozen
class Plane:
    """Where requests go, how they are authenticated, and how errors name both.

    Attributes:
        base_url: The address, without a slash at the end.
        header: The header that carries the secret.
        secret: The secret.
        redactor: Removes the secret from texts that are shown.
        setting: The setting to change if the address is wrong. Errors name it.
        others: Other headers to send with the secret.
    """

    base_url: str
    header: str
    secret: str = attrs.field(repr=False)
    redactor: Redactor = attrs.field(repr=False)
    setting: str
    others: Mapping[str, str] = attrs.field(default=_NONE, repr=False)

    def authenticate(self, request: httpx.Request) -> None:
        """Add the secret to a request of this plane. A request to any other address gets none."""
        url, own = request.url, self.locate("/")
        if (url.host, url.scheme, url.port) == (own.host, own.scheme, own.port):
            request.headers[self.header] = self.secret
            request.headers.update(self.others)

    def locate(self, path: str) -> httpx.URL:
        """Return the URL of a path on this plane."""
        return _absolute_url(self.base_url, path)


def control_plane(config: Config) -> Plane:
    """Return the control plane: templates, builds and sandboxes, with the API key."""
    return Plane(
        config.base_url,
        "X-API-Key",
        config.api_key,
        Redactor(config.api_key),
        "base_url= or SUPERSERVE_BASE_URL",
    )


def data_plane(config: Config, sandbox_id: str, access: Access, redactor: Redactor) -> Plane:
    """Return the data plane of one sandbox: its commands and files, with its access token."""
    others = {"X-Superserve-Sandbox-Id": sandbox_id}
    if access.hint is not None:
        others["X-Superserve-Routing-Hint"] = access.hint
    return Plane(
        config.sandbox_url,
        "X-Access-Token",
        access.token,
        redactor,
        "sandbox_url= or SUPERSERVE_SANDBOX_URL",
        others,
    )


# httpx parses each URL twice, which takes longer than everything that this package adds to a call.
@functools.lru_cache(maxsize=1024)
def _absolute_url(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(base_url + path)
