"""The pytest plugin of the extra `local`: tests of code that uses Superserve, without an account or a network.

It is loaded by every pytest run where this package is installed, so it imports what it needs when a test asks for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from superserve.local import Faults, LocalServer

_SPEED = "superserve_speed"
# LocalServer's own bound; to ask it would import the server in every run.
_MAX_SPEED = 10_000


@dataclass(frozen=True)
class SuperserveApi:
    """What a test needs to reach the local server; code under test finds the same in the environment."""

    base_url: str
    api_key: str = field(repr=False)
    server: "LocalServer" = field(repr=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's setting to pytest.ini and pyproject.toml."""
    parser.addini(
        _SPEED,
        "how many times faster than the real service the local server is, and its builds are polled (at most 10000)",
        default="100",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a setting that can't work, before any test runs."""
    _speed(config)


def _speed(config: pytest.Config) -> float:
    value = config.getini(_SPEED)
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= _MAX_SPEED:
        raise pytest.UsageError(
            f"{_SPEED} must be a number more than 0 and at most {_MAX_SPEED}, not {value!r}"
        )
    return speed


@pytest.fixture(scope="session")
def superserve_server(pytestconfig: pytest.Config) -> "Iterator[LocalServer]":
    """Run one local server for the whole session, without limits; with pytest-xdist one for each worker."""
    from superserve.local import LocalServer

    with LocalServer(speed=_speed(pytestconfig), limits=False) as server:
        yield server


@pytest.fixture
def superserve_api(
    superserve_server: "LocalServer", pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SuperserveApi]:
    """Give the test a server in its first state, a key of its own, and both in the environment."""
    from superserve._async.client import forget_shared as forget_shared_async
    from superserve._polling import Pace
    from superserve._sync.client import forget_shared

    superserve_server.reset()
    speed, next_delay = _speed(pytestconfig), Pace.next_delay
    # The server is faster than the real one, so its builds are polled sooner.
    monkeypatch.setattr(Pace, "next_delay", lambda pace, outage: next_delay(pace, outage) / speed)
    api_key = superserve_server.add_team().api_key
    monkeypatch.setenv("SUPERSERVE_BASE_URL", superserve_server.base_url)
    monkeypatch.setenv("SUPERSERVE_API_KEY", api_key)
    yield SuperserveApi(superserve_server.base_url, api_key, superserve_server)
    # Nobody uses this key again: what the code under test shared for it would only pile up.
    forget_shared(api_key)
    forget_shared_async(api_key)


@pytest.fixture
def superserve_faults(superserve_api: SuperserveApi) -> "Faults":
    """Make requests, logs and builds of this test go wrong; see `Faults`."""
    return superserve_api.server.faults


@pytest.fixture
def superserve_official(superserve_api: SuperserveApi, monkeypatch: pytest.MonkeyPatch) -> SuperserveApi:
    """Lead programs with an official SDK, and this test if it loads one itself, to the local server; see docs/local-server.md."""
    monkeypatch.delenv("SUPERSERVE_BASE_URL")
    for name, value in superserve_api.server.official_environment().items():
        monkeypatch.setenv(name, superserve_api.api_key if name == "SUPERSERVE_API_KEY" else value)
    return superserve_api
