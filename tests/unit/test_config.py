"""Key, region and address: which are taken, and what is said of those that are refused."""

import traceback

import pytest

from superserve import ValidationError
from superserve._config import resolve, session_url

SECRET = "abcdefgh_jklmnopqrstuv_x-z012345"
LEGACY_KEY = f"ss_live_{SECRET}"
USE, USW = "https://api.superserve.ai", "https://api-usw.superserve.ai"


def base_url(**options):
    return resolve(**options).base_url


@pytest.mark.parametrize(
    ("key", "url"),
    [
        (LEGACY_KEY, USE),
        (f"ss_live_use_{SECRET}", USE),
        (f"ss_live_usw_{SECRET}", USW),
        # A secret that looks as if it began with a region: only the length tells.
        ("ss_live_usw_efgh_jklmnopqrstuv_x-z0123", USE),
        ("ss_live_abc_efgh_jklmnopqrstuv_x-z012345"[:40], USE),
        ("sk-test-1234", USE),
        ("usw_" + SECRET, USE),
        (f"ss_test_usw_{SECRET}", USE),
    ],
)
def test_the_region_in_a_key_tells_the_address(key, url):
    assert base_url(api_key=key) == url


@pytest.mark.parametrize("region", ["eu", "usw2", "x" * 17, "0"])
def test_an_unknown_region_is_an_error_and_not_another_region(environment, region):
    key = f"ss_live_{region}_{SECRET}"
    with pytest.raises(ValidationError) as caught:
        base_url(api_key=key)
    assert str(caught.value) == (
        f"api_key: this version does not know its region {region!r} (known: use, usw); "
        "pass base_url= or set SUPERSERVE_BASE_URL"
    )
    environment.setenv("SUPERSERVE_API_KEY", key)
    with pytest.raises(ValidationError, match=r"^SUPERSERVE_API_KEY: this version does not know its region"):
        base_url()
    assert base_url(base_url="https://eu.example.com") == "https://eu.example.com"


def test_an_address_wins_over_the_region(environment):
    environment.setenv("SUPERSERVE_BASE_URL", "http://localhost:8080")
    assert base_url(api_key=f"ss_live_usw_{SECRET}") == "http://localhost:8080"


EXPECTED = "; expected something like https://api.superserve.ai"
NO_HOST = "its host is neither a name nor an IP address"
NO_PORT = "its port must be a number from 1 to 65535"
NO_CHARACTER = "it contains a character that is not allowed in an address"
NO_QUERY = "it must not have a query or a fragment"
NO_SCHEME = "it must start with https:// or http://"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://", NO_HOST),
        ("https:///templates", NO_HOST),
        ("http://a..b", NO_HOST),
        (f"http://{'a' * 64}.com", NO_HOST),
        ("http://xn--a", NO_HOST),
        ("http://xn--zzzzzz--a.com", NO_HOST),
        ("http://256.1.1.1", NO_HOST),
        ("http://host:99999", NO_PORT),
        ("http://host:0", NO_PORT),
        ("http://host:port", NO_PORT),
        ("http://[::1", NO_PORT),
        ("http://[zz]", NO_PORT),
        ("http://bücher.example", NO_CHARACTER),
        ("http://a b", NO_CHARACTER),
        ("http://a/b c", NO_CHARACTER),
        ("http://a/<b>", NO_CHARACTER),
        ("http://a\n/b", NO_CHARACTER),
        ("http://a/\x7f", NO_CHARACTER),
        ("http://a\\b", NO_CHARACTER),
        ("https://example.com?x=1", NO_QUERY),
        ("https://example.com/#here", NO_QUERY),
        ("ftp://example.com", NO_SCHEME),
        ("'https://example.com'", NO_SCHEME),
    ],
)
def test_an_address_that_is_none_is_refused_with_what_is_wrong_with_it(url, problem):
    with pytest.raises(ValidationError) as caught:
        base_url(api_key=LEGACY_KEY, base_url=url)
    assert str(caught.value) == f"base_url: {problem}{EXPECTED}, got {url!r}"


@pytest.mark.parametrize("url", [LEGACY_KEY, "example.com", "localhost:8080", "//example.com"])
def test_what_does_not_begin_like_an_address_is_not_shown_as_it_may_be_the_key(url):
    with pytest.raises(ValidationError) as caught:
        base_url(api_key="https://api.superserve.ai", base_url=url)
    assert str(caught.value) == f"base_url: {NO_SCHEME}{EXPECTED}"


def test_an_address_with_a_password_is_refused_and_not_shown(environment):
    environment.setenv("SUPERSERVE_BASE_URL", "https://me:hunter2@example.com")
    with pytest.raises(ValidationError) as caught:
        base_url(api_key=LEGACY_KEY)
    assert str(caught.value) == "SUPERSERVE_BASE_URL: must not contain a user name or password"


@pytest.mark.parametrize(
    "url", ["http://localhost:8080", "http://[::1]:80", "https://x.example/v1", "HTTP://A_b."]
)
def test_any_other_address_is_taken(url):
    assert base_url(api_key=LEGACY_KEY, base_url=url) == url


@pytest.mark.parametrize(
    "key", [f"{SECRET}\n{SECRET}", f"{SECRET} x", f"{SECRET}\x00", f"{SECRET}é", f"{SECRET}\ud800"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_never_shown(environment, key):
    with pytest.raises(ValidationError) as caught:
        base_url(api_key=key)
    assert str(caught.value) == "api_key: only printable ASCII characters without spaces are allowed"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_any_printable_key_is_taken():
    assert base_url(api_key="".join(map(chr, range(ord("!"), ord("~") + 1)))) == USE


@pytest.mark.parametrize(
    ("url", "sessions"),
    [
        ("https://sandbox.superserve.ai", "https://boxd-ID.sandbox.superserve.ai"),
        ("https://usw-sandbox.superserve.ai", "https://boxd-ID.usw-sandbox.superserve.ai"),
        ("https://staging-sandbox.superserve.ai", "https://boxd-ID.staging-sandbox.superserve.ai"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://sandbox.superserve.ai.example", "https://sandbox.superserve.ai.example"),
        ("https://proxy.example/sandbox.superserve.ai", "https://proxy.example/sandbox.superserve.ai"),
    ],
)
def test_websockets_go_to_the_sandboxs_own_address_where_that_is_known(url, sessions):
    assert session_url(url, "ID") == sessions
