"""Key, address and timeouts: where each comes from, and what is refused."""

import os
import re
from urllib.parse import urlsplit

import attrs

from superserve import _arguments
from superserve.errors import AuthenticationError, ValidationError

API_KEY_VARIABLE = "SUPERSERVE_API_KEY"
BASE_URL_VARIABLE = "SUPERSERVE_BASE_URL"
DEFAULT_BASE_URL = "https://api.superserve.ai"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_MAX_ATTEMPTS = 3

_REGIONS = {"use": DEFAULT_BASE_URL, "usw": "https://api-usw.superserve.ai"}
# The secret part is 32 characters and may hold "_" itself: only the length tells a region from it.
_REGIONAL_KEY = re.compile(r"ss_live_(?P<region>[a-z0-9]{1,17})_[A-Za-z0-9_-]{32}")


@attrs.frozen
class Config:
    """What a client needs to know before its first call."""

    api_key: str = attrs.field(repr=False)
    base_url: str
    timeout_s: float = DEFAULT_TIMEOUT_S
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


def resolve(
    api_key: str | None = None,
    base_url: str | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> Config:
    """Take each setting from its argument, else from the environment, else from its default.

    Raises:
        AuthenticationError: There is no API key.
        ValidationError: A setting is blank or malformed, or the key names a region that is not known.
    """
    key = _setting("api_key", api_key, API_KEY_VARIABLE)
    if key is None:
        raise AuthenticationError(f"no API key: pass api_key= or set {API_KEY_VARIABLE}")
    if not all("!" <= character <= "~" for character in key):
        raise ValidationError("api_key: only printable ASCII characters without spaces are allowed")
    url = _setting("base_url", base_url, BASE_URL_VARIABLE)
    return Config(
        api_key=key,
        base_url=_regional_url(key) if url is None else _checked_url(url),
        timeout_s=_arguments.seconds("timeout_s", timeout_s),
        max_attempts=_arguments.count("max_attempts", max_attempts),
    )


def _setting(name: str, argument: object, variable: str) -> str | None:
    if argument is None:
        return os.environ.get(variable, "").strip() or None
    # The value itself is never shown: one of the two settings is a secret.
    if not isinstance(argument, str):
        raise ValidationError(f"{name}: expected a string, got {type(argument).__name__}")
    if not argument.strip():
        raise ValidationError(f"{name}: is blank; leave it out (or pass None) to use {variable}")
    return argument.strip()


def _regional_url(key: str) -> str:
    match = _REGIONAL_KEY.fullmatch(key)
    if match is None:
        return DEFAULT_BASE_URL
    region = match["region"]
    if region not in _REGIONS:
        known = ", ".join(sorted(_REGIONS))
        raise ValidationError(
            f"api_key: its region {region!r} is not known to this version (known: {known}); "
            f"pass base_url= or set {BASE_URL_VARIABLE}"
        )
    return _REGIONS[region]


def _checked_url(url: str) -> str:
    if "@" in url:
        raise ValidationError("base_url: must not hold a user name or password")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not all("!" <= character <= "~" for character in url) or set(url) & set('"<>\\^`{|}'):
        raise ValidationError(f"base_url: expected something like {DEFAULT_BASE_URL}, got {url!r}")
    if "?" in url or "#" in url:
        raise ValidationError(f"base_url: must not have a query or a fragment, got {url!r}")
    return url.rstrip("/")
