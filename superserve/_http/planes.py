"""A plane: one address of the service and the secret that opens it. Secrets never cross from one plane to another."""

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
    """What opens one sandbox for a while; two that say the same are still two.

    Attributes:
        token: The access token.
        hint: What saves the server a look-up; advice only.
    """

    token: str = attrs.field(repr=False)
    hint: str | None = attrs.field(repr=False, default=None)


@attrs.frozen
class Plane:
    """Where requests go, what they are authenticated with, and how errors speak of both.

    Attributes:
        base_url: The address, without a slash at its end.
        header: The header that carries the secret.
        secret: The secret.
        redactor: Takes the secret out of what is shown.
        setting: The setting to change when the address is wrong.
        others: Other headers that go with it.
    """

    base_url: str
    header: str
    secret: str = attrs.field(repr=False)
    redactor: Redactor = attrs.field(repr=False)
    setting: str
    others: Mapping[str, str] = attrs.field(default=_NONE, repr=False)

    def authenticate(self, request: httpx.Request) -> None:
        """Add the secret to a request of this plane; one that leads elsewhere goes without."""
        url = request.url
        if (url.host, url.scheme, url.port) == _origin(self.base_url):
            request.headers[self.header] = self.secret
            for name, value in self.others.items():
                request.headers[name] = value

    def locate(self, path: str) -> httpx.URL:
        """Return the address of a path."""
        return _absolute_url(self.base_url, path)


def control_plane(config: Config) -> Plane:
    """Return the plane of templates and builds, which the API key opens."""
    return Plane(
        config.base_url,
        "X-API-Key",
        config.api_key,
        Redactor(config.api_key),
        "base_url= or SUPERSERVE_BASE_URL",
    )


def data_plane(config: Config, sandbox_id: str, access: Access, redactor: Redactor) -> Plane:
    """Return the plane of what goes on inside a sandbox, which its access token opens."""
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


# httpx parses an address twice a request, which takes longer than all that this package adds.
@functools.lru_cache(maxsize=1024)
def _absolute_url(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(base_url + path)


@functools.lru_cache(maxsize=1024)
def _origin(base_url: str) -> tuple[str, str, int | None]:
    url = _absolute_url(base_url, "/")
    return url.host, url.scheme, url.port
