"""`superserve doctor`: why this machine cannot use the service."""

import os
import re
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import click

from superserve.cli._output import Output, output_options

Finding = dict[str, Any]

_CLOCK_OFF_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
_USUAL_TEMPLATES: Final = 10


@click.command()
@output_options
def doctor(out: Output) -> int:
    """Find out what keeps this machine from using the service.

    Looks at versions, key, address, proxy, TLS, clock, quotas, and what the local server can isolate with.

    \b
    Example:
      superserve doctor
    """
    findings = list(examine())
    marks = {"ok": "ok  ", "warning": "warn", "error": "FAIL", "skipped": "skip"}
    lines = []
    for found in findings:
        lines.append(f"{marks[found['status']]}  {found['check']:<10} {found['message']}")
        if found["hint"]:
            lines.append(f"      {'':<10} {found['hint']}")
    out.data(
        findings, "\n".join(lines), ids=[found["check"] for found in findings if found["status"] == "error"]
    )
    return 7 if any(found["status"] == "error" for found in findings) else 0


def _found(check: str, status: str, message: str, hint: str | None = None) -> Finding:
    return {"check": check, "status": status, "message": message, "hint": hint}


def examine() -> Iterator[Finding]:
    """Make one check after the other. A check that needs something broken is skipped."""
    yield _versions()
    settings = list(_settings())
    yield from settings
    if any(found["status"] == "error" for found in settings):
        yield _found("service", "skipped", "the key or the address is missing or invalid")
    else:
        yield from _service()
    yield _isolation()


def _versions() -> Finding:
    from importlib.metadata import PackageNotFoundError, distributions, version

    from superserve import __version__

    parts = [f"superserve {__version__}", f"Python {sys.version.split()[0]}"]
    for name in ("httpx", "httpcore"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return _found("versions", "error", f"{name} is not installed", f"pip install {name}")
    others = (found for found in distributions() if (found.metadata["Name"] or "").lower() == "superserve")
    if any(file.as_posix() == "superserve/__init__.py" for other in others for file in other.files or ()):
        return _found(
            "versions",
            "error",
            "the package superserve is installed as well, and has files of the same names",
            "pip uninstall -y superserve superserve-client, then install superserve-client again",
        )
    return _found("versions", "ok", ", ".join(parts))


def _settings() -> Iterator[Finding]:
    from superserve import AuthenticationError, SandboxError, Superserve

    raw = os.environ.get("SUPERSERVE_API_KEY", "")
    if raw and raw.strip().strip("\"'") != raw.strip():
        yield _found("key", "error", "SUPERSERVE_API_KEY has quotes around it", "remove them where it is set")
        return
    try:
        with Superserve() as client:
            base_url = client.base_url
    except AuthenticationError as error:
        yield _found(
            "key", "error", error.message, "export SUPERSERVE_API_KEY=...; superserve local run needs none"
        )
        return
    except SandboxError as error:
        about = "address" if "SUPERSERVE_BASE_URL" in error.message.partition(":")[0] else "proxy"
        if error.message.startswith("SUPERSERVE_API_KEY"):
            about = "region" if "region" in error.message else "key"
        yield _found(about, "error", error.message, error.hint)
        return
    yield _found("key", "ok", "SUPERSERVE_API_KEY is set")
    source = (
        "SUPERSERVE_BASE_URL" if os.environ.get("SUPERSERVE_BASE_URL", "").strip() else "the key's region"
    )
    parts = urlsplit(base_url)
    is_plain = parts.scheme == "http" and not re.fullmatch(r"localhost|127\..*|::1", parts.hostname or "")
    if is_plain:
        yield _found("address", "warning", f"{base_url} ({source}) is not encrypted", "use https://")
    else:
        yield _found("address", "ok", f"{base_url} ({source})")
    proxy = _proxy(base_url)
    yield _found("proxy", "ok", f"{proxy} is used" if proxy else "none")


def _service() -> Iterator[Finding]:
    import httpx

    from superserve import Superserve

    with Superserve(timeout_s=_TIMEOUT_S, max_attempts=1) as client:
        try:
            answer = client.raw.get_httpx_client().get("/templates")
        except httpx.HTTPError as error:
            yield _unreached(error, client.base_url)
            return
    yield _clock(answer.headers.get("date"))
    infos = _infos(answer)
    yield _answered(answer, client.base_url, is_api=infos is not None)
    if infos is not None and answer.is_success:
        yield _quotas(infos, answer.headers.get("ratelimit-remaining"))


def _proxy(base_url: str) -> object | None:
    import httpx

    from superserve._http.environment import find_proxy

    return find_proxy(httpx.URL(base_url))


_UNKNOWN_NAME: Final = (
    "name or service",
    "nodename",
    "temporary failure in name",
    "getaddrinfo",
    "name resolution",
)


def _unreached(error: Exception, base_url: str) -> Finding:
    import httpx

    text = " ".join(str(part) for part in _causes(error)).lower()
    host = urlsplit(base_url).hostname
    proxy = _proxy(base_url)
    is_connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    check, message, hint = "network", f"{type(error).__name__} while talking to {host}", "try again"
    if "certificate" in text or "ssl" in text:
        check, message = "tls", f"the certificate of {host} is not trusted, or the server does not use TLS"
        hint = "behind a company's proxy, set SSL_CERT_FILE to its certificate"
    elif "proxy" in text:
        check, message = "proxy", f"{proxy or 'the proxy'} refuses the connection"
        hint = f"check it, or name {host} in NO_PROXY"
    elif proxy is not None and is_connecting:
        check, message, hint = "proxy", f"{proxy} cannot be reached", f"check it, or name {host} in NO_PROXY"
    elif any(sign in text for sign in _UNKNOWN_NAME):
        check, message = "address", f"there is no host named {host}"
        hint = "check SUPERSERVE_BASE_URL, and the network's DNS"
    elif "refused" in text:
        check, message, hint = "address", f"nothing listens at {base_url}", "check SUPERSERVE_BASE_URL"
    elif isinstance(error, httpx.TimeoutException) or "timed out" in text:
        message, hint = f"{host} does not answer within {_TIMEOUT_S:g} s", "a firewall may be in the way"
    return _found(check, "error", message, hint)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # The chain may lead back to one of its links.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _clock(date: str | None) -> Finding:
    try:
        off_s = time.time() - parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return _found("clock", "skipped", "the service does not send the time")
    if abs(off_s) > _CLOCK_OFF_S:
        return _found(
            "clock", "warning", f"this machine's clock is {off_s:+.0f} s off", "turn on time synchronization"
        )
    return _found("clock", "ok", "correct to the minute")


def _infos(answer: Any) -> list[Any] | None:
    """Return the templates of an answer, none for an error of the API, or None if the answer is not the API's."""
    try:
        found = answer.json()
    except ValueError:
        return None
    if answer.is_success:
        return found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else None
    return [] if isinstance(found, dict) and "error" in found else None


def _answered(answer: Any, base_url: str, *, is_api: bool) -> Finding:
    if answer.status_code in {401, 403}:
        return _found(
            "key", "error", f"the service at {base_url} does not accept this key ({answer.status_code})",
            "check that it is complete, not revoked, and for that region",
        )  # fmt: skip
    if answer.status_code == 429:  # noqa: PLR2004 - too many requests
        return _found("quota", "warning", "there are too many requests at the moment", "wait a moment")
    if answer.is_redirect or not (is_api or answer.is_server_error):
        return _found(
            "address",
            "error",
            f"the server at {base_url} is not the API ({answer.status_code})",
            "check SUPERSERVE_BASE_URL",
        )
    if not answer.is_success:
        return _found("service", "error", f"the service answers {answer.status_code}", "try again later")
    return _found("service", "ok", "answers, and accepts the key")


def _quotas(infos: list[Any], left: str | None) -> Finding:
    own = [one for one in infos if not str(one.get("name", "")).startswith("superserve/")]
    building = sum(one.get("status") in {"pending", "building"} for one in own)
    counted = sum(one.get("status") != "failed" for one in own)
    text = (
        f"{counted} templates, {building} building; a team may have 10 and 5, unless its limits were raised"
    )
    text += f"; {left} requests left at the moment" if left else ""
    if counted >= _USUAL_TEMPLATES:
        return _found("quota", "warning", text, "superserve template prune deletes old ones")
    return _found("quota", "ok", text)


def _isolation() -> Finding:
    try:
        from superserve.local._machines.processes.isolation import Bwrap, find_isolation
    except ImportError:
        return _found(
            "local", "skipped", "the local server is not installed", "pip install 'superserve-client[local]'"
        )
    if isinstance(find_isolation(), Bwrap):
        return _found("local", "ok", "the local server can isolate the steps that it runs, with bwrap")
    return _found(
        "local", "ok", "the local server cannot isolate the steps that it runs", "install bubblewrap for that"
    )
