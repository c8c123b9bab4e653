"""What the environment says of proxies and certificates, and what of it is shown when it cannot be used."""

import importlib.util
import os
import ssl
import traceback
from pathlib import Path

import httpx
import pytest
import trustme

from superserve import AsyncSuperserve, SandboxError, Superserve
from superserve._http import environment as network

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    """Forget what the environment of the tests says."""
    for name in list(os.environ):
        if name.upper() in (
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "NO_PROXY",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
        ):
            monkeypatch.delenv(name)


def find(url):
    return network.find_proxy(httpx.URL(url))


# Proxies


def test_a_proxy_is_that_of_the_scheme_else_that_of_all(monkeypatch):
    assert find("http://api.test") is None
    monkeypatch.setenv("ALL_PROXY", "http://all.test:1")
    monkeypatch.setenv("HTTPS_PROXY", "https.test:2")
    assert (find("http://api.test").variable, str(find("http://api.test").url)) == (
        "ALL_PROXY",
        "http://all.test:1",
    )
    found = find("https://api.test")
    # Without a scheme of its own it is one that speaks HTTP.
    assert (found.variable, str(found.url), found.auth) == ("HTTPS_PROXY", "http://https.test:2", None)


def test_name_and_password_of_a_proxy_are_taken_out_of_its_address(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://m%40e:{SECRET}@proxy.test:3128")
    found = find("http://api.test")
    assert found.auth == (b"m@e", SECRET.encode())
    assert str(found) == "the proxy proxy.test:3128 of HTTP_PROXY"
    assert SECRET not in repr(found) + str(found.url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_reached_without_a_proxy_however_malformed_it_is(monkeypatch, scheme, host):
    for value in ("http://proxy.test:1", "ftp://x", "http://[::1", f"http://me:{SECRET}@"):
        monkeypatch.setenv("ALL_PROXY", value)
        assert find(f"{scheme}://{host}:8080") is None


EXEMPT = {
    "*": "http://api.test",
    "api.test": "http://api.test",
    "API.TEST": "http://api.test",
    ".test": "http://api.test",
    "test": "http://api.test",
    "*.test": "http://api.test",
    "other.test, api.test": "http://api.test",
    "api.test:8080": "http://api.test:8080",
    "api.test:80": "http://api.test",
    "api.test:443": "https://api.test",
    "10.1.2.3": "http://10.1.2.3",
    "10.0.0.0/8": "http://10.1.2.3",
    "10.9.9.9/8": "http://10.1.2.3",
    "10.1.2.3:8080": "http://10.1.2.3:8080",
    "fe80::/10": "http://[fe80::7]",
    "2001:db8::7/128": "http://[2001:db8::7]",
    "2001:db8::7": "http://[2001:db8::7]",
    "[2001:db8::7]": "http://[2001:db8::7]",
    "[2001:db8::7]:8080": "http://[2001:db8::7]:8080",
    "[2001:db8::7]/128": "http://[2001:db8::7]",
}
NOT_EXEMPT = {
    "": "http://api.test",
    "other.test": "http://api.test",
    "pi.test": "http://api.test",
    "api.test:8081": "http://api.test:8080",
    "api.test.": "http://api.test",
    "10.0.0.0/16": "http://10.1.2.3",
    "fe80::/10": "http://[2001:db8::7]",
    "[2001:db8::7]:8081": "http://[2001:db8::7]:8080",
    # What cannot be read names nobody.
    "api.test:port": "http://api.test",
    "http://api.test": "http://api.test",
    "[::1": "http://api.test",
    "1.2.3.4/99": "http://1.2.3.4",
    "::/x": "http://[2001:db8::7]",
    ",,; ,": "http://api.test",
    "[": "http://api.test",
    "*:80": "http://other.test:81",
}


@pytest.mark.parametrize(("entries", "url"), EXEMPT.items(), ids=EXEMPT)
def test_no_proxy_names_hosts_in_every_usual_way(monkeypatch, entries, url):
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", entries)
    assert find(url) is None
    # Entries that cannot be read keep none of the others from counting.
    monkeypatch.setenv("NO_PROXY", f"[::1,1.2.3.4/99,host:port,{entries}")
    assert find(url) is None


@pytest.mark.parametrize(("entries", "url"), NOT_EXEMPT.items(), ids=NOT_EXEMPT)
def test_no_proxy_names_no_other_hosts(monkeypatch, entries, url):
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", entries)
    assert find(url) is not None


@pytest.mark.parametrize(
    "address",
    [
        f"ftp://me:{SECRET}@proxy.test",
        f"http://me:{SECRET}@[::1",
        f"http://me:{SECRET}@proxy.test:port",
        f"http://me:{SECRET}@proxy.test:99999999",
        f"http://me:{SECRET}@",
        f"http://me:{SECRET}@a..b",
        f"http://me:{SECRET}\x00@proxy.test",
        f"me:{SECRET}@pro xy.test:\x7f",
        f"://{SECRET}",
        "http://",
        "socks9://proxy.test",
    ],
)
@pytest.mark.parametrize("client", [Superserve, AsyncSuperserve])
def test_a_proxys_address_that_cannot_be_read_is_named_by_its_variable_and_not_shown(
    monkeypatch, client, address
):
    # The environment itself holds no null characters.
    monkeypatch.setattr(network, "getproxies", lambda: {"https": address})
    with pytest.raises(SandboxError) as caught:
        client(api_key="k", base_url="https://api.test")
    assert str(caught.value) == (
        "HTTPS_PROXY: not a valid proxy address; expected something like http://proxy.example:3128"
    )
    # Nor is it in what led to the error.
    assert SECRET not in "".join(traceback.format_exception(caught.value, chain=True))


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package_says_what_to_install_and_shows_no_value(monkeypatch, scheme):
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:{SECRET}@proxy.test:1080")
    assert find("https://api.test").url.scheme == scheme
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SandboxError) as caught:
        Superserve(api_key="k", base_url="https://api.test")
    assert (
        str(caught.value) == "ALL_PROXY: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'"
    )
    # This machine is reached all the same.
    Superserve(api_key="k", base_url="http://127.0.0.1:1")


# Certificates


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_named_with_their_variable(monkeypatch, tmp_path, variable):
    missing = str(tmp_path / "missing.pem")
    monkeypatch.setenv(variable, missing)
    with pytest.raises(SandboxError) as caught:
        Superserve(api_key="k", base_url="https://api.test")
    assert (
        str(caught.value)
        == f"{variable}: {missing!r} does not exist; name a path that exists, or unset {variable}"
    )


def test_a_file_that_holds_no_certificates_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    with pytest.raises(SandboxError, match=r"^SSL_CERT_FILE: cannot read the certificates: "):
        Superserve(api_key="k", base_url="https://api.test")


def test_who_speaks_http_needs_no_certificates(monkeypatch):
    def refuse():
        raise AssertionError("nobody needs them")

    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setattr(network, "ssl_context", refuse)
    for url in ("http://127.0.0.1:1", "http://api.test"):
        Superserve(api_key="k", base_url=url)


def test_certificates_are_read_once_and_again_when_they_have_changed(monkeypatch, tmp_path):
    file = tmp_path / "certificates.pem"
    trustme.CA().cert_pem.write_to_path(file)
    usual = network.ssl_context()
    assert network.ssl_context() is usual
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    named = network.ssl_context()
    assert named is not usual
    assert network.ssl_context() is named
    assert isinstance(named, ssl.SSLContext)
    trustme.CA().cert_pem.write_to_path(file)
    os.utime(file, ns=(0, Path(file).stat().st_mtime_ns + 1))
    assert network.ssl_context() is not named
    monkeypatch.delenv("SSL_CERT_FILE")
    assert network.ssl_context() is usual


def test_what_a_signal_handler_raises_while_certificates_are_read_is_no_fault_of_theirs(monkeypatch):
    def interrupt():
        raise LookupError("from the handler")

    network._ssl_context.cache_clear()
    monkeypatch.setattr(httpx, "create_ssl_context", interrupt)
    with pytest.raises(LookupError, match=r"^from the handler$"):
        Superserve(api_key="k", base_url="https://api.test")
