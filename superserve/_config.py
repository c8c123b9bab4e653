"""API key, addresses and timeouts: where each setting comes from, and which values are refused."""

import os
import re
from urllib.parse import urlsplit

import attrs
import httpx

from superserve import _arguments
from superserve.errors import AuthenticationError, ValidationError

API_KEY_VARIABLE = "SUPERSERVE_API_KEY"
BASE_URL_VARIABLE = "SUPERSERVE_BASE_URL"
SANDBOX_URL_VARIABLE = "SUPERSERVE_SANDBOX_URL"
DEFAULT_BASE_URL = "https://api.superserve.ai"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_MAX_ATTEMPTS = 3

_REGIONS = {"use": DEFAULT_BASE_URL, "usw": "https://api-usw.superserve.ai"}
# The data plane's address for each known API address. No answer of the API contains it.
_SANDBOX_URLS = {
    DEFAULT_BASE_URL: "https://sandbox.superserve.ai",
    "https://api-usw.superserve.ai": "https://usw-sandbox.superserve.ai",
    "https://api-staging.superserve.ai": "https://staging-sandbox.superserve.ai",
}
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?")
# The secret part has 32 characters and may contain "_": only its length separates it from the region.
_REGIONAL_KEY = re.compile(r"ss_live_(?P<region>[a-z0-9]{1,17})_[A-Za-z0-9_-]{32}")


@attrs.frozen
class Config:
    """The settings that a client needs before its first call."""

    api_key: str = attrs.field(repr=False)
    base_url: str
    sandbox_url: str
    timeout_s: float = DEFAULT_TIMEOUT_S
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


def resolve(
    api_key: str | None = None,
    base_url: str | None = None,
    *,
    sandbox_url: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> Config:
    """Take each setting from its argument, else from the environment, else from its default.

    Raises:
        AuthenticationError: There is no API key.
        ValidationError: A setting is blank or malformed, or the key names a region that is not known.
    """
    key, source = _setting("api_key", api_key, API_KEY_VARIABLE)
    if key is None:
        raise AuthenticationError(f"no API key: pass api_key= or set {API_KEY_VARIABLE}")
    # The message shows no part of the key: it is a secret.
    if not _is_printable(key):
        raise ValidationError(f"{source}: only printable ASCII characters without spaces are allowed")
    url, url_source = _setting("base_url", base_url, BASE_URL_VARIABLE)
    resolved_url = _regional_url(key, source) if url is None else _checked_url(url, url_source)
    return Config(
        api_key=key,
        base_url=resolved_url,
        sandbox_url=_sandbox_url(sandbox_url, resolved_url),
        timeout_s=_arguments.seconds("timeout_s", timeout_s),
        max_attempts=_arguments.count("max_attempts", max_attempts),
    )


def _setting(argument: str, value: object, variable: str) -> tuple[str | None, str]:
    """Return a setting, and the name of its source."""
    if value is None:
        return os.environ.get(variable, "").strip() or None, variable
    if not isinstance(value, str):
        raise ValidationError(f"{argument}: expected a string, got {type(value).__name__}")
    if not value.strip():
        raise ValidationError(f"{argument}: is blank; leave it out (or pass None) to use {variable}")
    return value.strip(), argument


def _is_printable(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def _regional_url(key: str, source: str) -> str:
    match = _REGIONAL_KEY.fullmatch(key)
    if match is None:
        return DEFAULT_BASE_URL
    region = match["region"]
    if region not in _REGIONS:
        known = ", ".join(sorted(_REGIONS))
        raise ValidationError(
            f"{source}: this version does not know its region {region!r} (known: {known}); "
            f"pass base_url= or set {BASE_URL_VARIABLE}"
        )
    return _REGIONS[region]


def _sandbox_url(given: str | None, base_url: str) -> str:
    """Return the data plane's address. It is Superserve's only if the API's address is Superserve's."""
    url, source = _setting("sandbox_url", given, SANDBOX_URL_VARIABLE)
    if url is None:
        parts = httpx.URL(base_url)
        origin = f"{parts.scheme}://{parts.netloc.decode()}"
        return _SANDBOX_URLS.get(origin, base_url)
    return _checked_url(f"https://{url}" if _HOST.fullmatch(url) else url, source)


def session_url(sandbox_url: str, sandbox_id: str) -> str:
    """Return the WebSocket address of a sandbox. At Superserve's own addresses each sandbox has a host of its own."""
    parts = httpx.URL(sandbox_url)
    return f"https://boxd-{sandbox_id}.{parts.host}" if sandbox_url in _SANDBOX_URLS.values() else sandbox_url


def _checked_url(url: str, source: str) -> str:
    if "@" in url:
        raise ValidationError(f"{source}: must not contain a user name or password")
    problem = _problem(url)
    if problem:
        # The caller may have passed the key as the address: only something like an address is shown.
        got = f", got {url!r}" if "://" in url else ""
        raise ValidationError(f"{source}: {problem}; expected something like {DEFAULT_BASE_URL}{got}")
    return url.rstrip("/")


def _problem(url: str) -> str | None:
    """Return what is wrong with a URL as the address of an API, or None."""
    if not url.lower().startswith(("https://", "http://")):
        return "it must start with https:// or http://"
    if "?" in url or "#" in url:
        return "it must not have a query or a fragment"
    if not _is_printable(url) or set(url) & set('"<>\\^`{|}'):
        return "it contains a character that is not allowed in an address"
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        return "its port must be a number from 1 to 65535"
    try:
        host = httpx.URL(url).host
        # As in the name look-up: it refuses a label that is empty or too long.
        is_host = bool(host.encode("idna"))
    except (ValueError, httpx.InvalidURL):
        is_host = False
    return None if is_host else "its host is neither a name nor an IP address"
