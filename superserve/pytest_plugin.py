"""The pytest plugin of the extra `local`: test code that uses Superserve without an account or a network.

Every pytest run with this package installed loads it, so it imports what it needs only when a test asks for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from superserve import Sandbox
    from superserve.local import Faults, LocalServer

_SPEED = "superserve_speed"
_BLOCK = "superserve_block_network"
_ISOLATION = "superserve_isolation"
# The bound of LocalServer. Importing LocalServer would load the server in every run.
_MAX_SPEED = 10_000


@dataclass(frozen=True)
class SuperserveApi:
    """What a test needs to reach the local server. Code under test finds the same in the environment."""

    base_url: str
    api_key: str = field(repr=False)
    server: "LocalServer" = field(repr=False)


_API = pytest.StashKey[SuperserveApi]()
_PASSED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's settings to pytest.ini and pyproject.toml."""
    parser.addini(
        _SPEED,
        "how many times faster than the real service the local server runs and its builds are polled (at most 10000)",
        default="100",
    )
    parser.addini(
        _ISOLATION,
        "how commands of sandboxes are isolated from this machine: auto, or none where neither bwrap nor unshare works",
        default="auto",
    )
    parser.addini(
        _BLOCK,
        "allow clients of superserve to connect to this machine only, so that no test reaches the real service",
        type="bool",
        default=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an invalid setting before any test runs, and block the network if that is set."""
    _speed(config)
    if config.getini(_BLOCK):
        patch = pytest.MonkeyPatch()
        config.add_cleanup(patch.undo)
        _block_network(patch)


# trylast: this runs after the test itself, if the test has passed.
@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail a test that passed although one of its faults never struck: the test did not check what it is about."""
    api = item.stash.get(_API, None)
    if api is not None and (missed := api.server.faults.missed):
        shown = "".join(f"\n  {fault!r}" for fault in missed)
        pytest.fail(
            f"never struck, and not set with optional=True:{shown}\nRequests: {api.server.requests!r}",
            pytrace=False,
        )
    item.stash[_PASSED] = True


def _block_network(patch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines. A request to a mock makes no connection, so it passes."""
    from superserve._http.environment import is_loopback
    from superserve._http.pools import PoolMaker

    def refuse_others(create: Any) -> Any:
        def create_connection(origin: Any) -> Any:
            host = origin.host.decode("ascii")
            if not is_loopback(host):
                pytest.fail(
                    f"{_BLOCK}: a client of superserve was about to connect to {host}; let the test use the fixture "
                    f"superserve_api or a mock, or run it with -o {_BLOCK}=false"
                )
            return create(origin)

        return create_connection

    for name in ("make_sync", "make_async"):
        make = getattr(PoolMaker, name)

        def make_blocked(maker: PoolMaker, kept: int, make: Any = make) -> Any:
            pool = make(maker, kept)
            pool.create_connection = refuse_others(pool.create_connection)
            return pool

        patch.setattr(PoolMaker, name, make_blocked)


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
    """Run one local server for the whole session, without limits; with pytest-xdist, one for each worker."""
    from superserve.local import LocalServer

    isolation = pytestconfig.getini(_ISOLATION)
    with LocalServer(speed=_speed(pytestconfig), limits=False, isolation=isolation) as server:
        yield server


@pytest.fixture
def superserve_api(
    superserve_server: "LocalServer",
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SuperserveApi]:
    """Give the test a server in its initial state and a new key, and set both in the environment.

    A fault that the test sets must strike, unless it is set with `optional=True`, and a sandbox that the test starts must be
    killed.
    """
    from superserve._async.client import forget_shared as forget_shared_async
    from superserve._sync.client import forget_shared

    superserve_server.reset()
    team = superserve_server.add_team()
    api_key = team.api_key
    monkeypatch.setenv("SUPERSERVE_BASE_URL", superserve_server.base_url)
    monkeypatch.setenv("SUPERSERVE_API_KEY", api_key)
    api = SuperserveApi(superserve_server.base_url, api_key, superserve_server)
    request.node.stash[_API] = api
    yield api
    left = superserve_server.sandboxes.of(team.id)
    # This key is never used again: drop the shared clients that the code under test made for it.
    forget_shared(api_key)
    forget_shared_async(api_key)
    # The error of a failed test is more useful than this one.
    if left and request.node.stash.get(_PASSED, False):
        shown = "".join(f"\n  {sandbox_id} {name!r}" for sandbox_id, name in left)
        pytest.fail(f"not killed at the end of the test:{shown}\nUse them in with statements.", pytrace=False)


@pytest.fixture
def superserve_sandbox(superserve_api: SuperserveApi) -> "Iterator[Sandbox]":
    """Give the test a running sandbox from the template `superserve/base`. It is killed at the end of the test."""
    from superserve import Sandbox

    with Sandbox.create(
        name="test", api_key=superserve_api.api_key, base_url=superserve_api.base_url
    ) as sandbox:
        yield sandbox


@pytest.fixture
def superserve_faults(superserve_api: SuperserveApi) -> "Faults":
    """Make requests, logs and builds of this test fail; see `Faults`."""
    return superserve_api.server.faults


@pytest.fixture
def superserve_official(superserve_api: SuperserveApi, monkeypatch: pytest.MonkeyPatch) -> SuperserveApi:
    """Connect programs with an official SDK, or this test if it imports one, to the local server; see docs/local-server.md."""
    monkeypatch.delenv("SUPERSERVE_BASE_URL")
    for name, value in superserve_api.server.official_environment().items():
        monkeypatch.setenv(name, superserve_api.api_key if name == "SUPERSERVE_API_KEY" else value)
    return superserve_api
