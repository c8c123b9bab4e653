"""Facts about the server, each checked by a test; and what is needed to check them on a server that is not ours.

A test is marked `fact(id, sentence)`. One that can't be run on a server elsewhere is marked `only_here(reason)` too.
"""

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

import attrs
import httpx
import pytest

from superserve.local import LocalServer
from tests.conformance.target import BASE_IMAGE, Made, PoliteClient, Target

Create = Callable[..., Made]

ENDED = {"ready", "failed", "cancelled"}
STEPS: list[dict[str, object]] = [
    {"run": "echo '<to> stdout'; echo to stderr >&2"},
    {"env": {"key": "TOKEN", "value": "not-to-be-seen"}},
    {"user": {"name": "app"}},
    {"workdir": "/srv/app"},
    {"run": "true " + "x" * 300},
]

_RESULTS = pytest.StashKey[dict[str, tuple[str, str, str]]]()
_RANK = {"held": 0, "not checked": 1, "broken": 2}


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks."""
    config.addinivalue_line("markers", "fact(id, sentence): the test checks this fact about the server")
    config.addinivalue_line("markers", "only_here(reason): the fact can't be checked on a server elsewhere")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what can't be asked of a server elsewhere."""
    mark = item.get_closest_marker("only_here")
    if mark is not None and Target.elsewhere() is not None:
        pytest.skip(mark.args[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what became of a fact."""
    report = yield
    for mark in item.iter_markers("fact"):
        name, sentence = mark.args
        results = item.config.stash.setdefault(_RESULTS, {})
        if report.failed:
            outcome, reason = "broken", ""
        elif report.skipped:
            outcome, reason = "not checked", str(call.excinfo.value) if call.excinfo else ""
        else:
            outcome, reason = "held", ""
        before = results.get(name, ("held", "", ""))[0]
        if name not in results or _RANK[outcome] > _RANK[before]:
            results[name] = (outcome, sentence, reason)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which facts hold."""
    results = config.stash.get(_RESULTS, {})
    if not results:
        return
    elsewhere = Target.elsewhere()
    terminalreporter.section(f"conformance of {elsewhere.base_url if elsewhere else 'the local server'}")
    for name, (outcome, sentence, reason) in results.items():
        if outcome != "held" or config.get_verbosity() > 0:
            terminalreporter.line(f"{outcome:<12}{name:<12}{sentence}" + (f" [{reason}]" if reason else ""))
    outcomes = Counter(outcome for outcome, _, _ in results.values())
    terminalreporter.line(
        f"{len(results)} facts: {outcomes['held']} hold, {outcomes['broken']} broken, "
        f"{outcomes['not checked']} not checked"
    )


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """The server named by CONFORMANCE_BASE_URL; without it a local one, a hundred times faster than others."""
    elsewhere = Target.elsewhere()
    if elsewhere is not None:
        yield elsewhere
        return
    with LocalServer(speed=100, limits=False) as server:
        yield Target(server.base_url, server.api_key, server.add_team().api_key, speed=100, is_local=True)


@pytest.fixture(scope="session")
def http(target: Target) -> Iterator[httpx.Client]:
    """A client of the team."""
    with target.client(target.api_key) as http:
        yield http


@pytest.fixture(scope="session")
def keyless(target: Target) -> Iterator[httpx.Client]:
    """A client without a key."""
    with target.client(None) as keyless:
        yield keyless


@pytest.fixture(scope="session")
def other(target: Target) -> Iterator[httpx.Client]:
    """A client of another team."""
    if target.other_api_key is None:
        pytest.skip("needs a second team: give its key with --other-api-key")
    with target.client(target.other_api_key) as other:
        yield other


class Maker:
    """Makes templates, and unmakes them."""

    def __init__(self, target: Target, http: httpx.Client) -> None:
        self._target = target
        self._http = http
        self.made: list[Made] = []
        self._count = 0

    @property
    def prefix(self) -> str:
        """What the names of this run begin with."""
        return f"conformance-{self._target.run}"

    def name(self) -> str:
        """Return a name that nothing has."""
        self._count += 1
        return f"{self.prefix}-{self._count:03}"

    def make(
        self,
        name: str | None = None,
        *,
        top: dict[str, object] | None = None,
        content: bytes | None = None,
        **spec: object,
    ) -> Made:
        """Create a template: from a spec and fields beside it, or from a whole body."""
        name = name or self.name()
        body = {"name": name, **(top or {}), "build_spec": {"from": BASE_IMAGE, **spec}}
        answer = self._http.post("/templates", content=content or json.dumps(body))
        assert answer.status_code == 202, answer.text
        created = answer.json()
        made = Made(name, created["id"], created["build_id"], created)
        self.made.append(made)
        return made

    def wait_for(self, made: Made, *statuses: str) -> dict[str, Any]:
        """Wait until a template's first build has one of the statuses, and return it."""

        def look() -> dict[str, Any] | None:
            build: dict[str, Any] = self._http.get(made.build_path).json()
            return build if build["status"] in statuses else None

        return self._target.until(look)

    def unmake(self, *which: Made) -> None:
        """Cancel the builds of templates, and delete them."""
        for made in which:
            for build in self._http.get(f"{made.path}/builds").json():
                if build["status"] not in ENDED:
                    self._http.delete(f"{made.path}/builds/{build['id']}")
            answer = self._http.delete(made.path)
            assert answer.status_code in {204, 404}, answer.text
            self.made.remove(made)


@pytest.fixture(scope="session")
def maker(target: Target, http: httpx.Client) -> Iterator[Maker]:
    """Everything that is made in this run, and that nothing of it is left."""
    maker = Maker(target, http)
    try:
        yield maker
    finally:
        maker.unmake(*maker.made)
        left = http.get("/templates", params={"name_prefix": maker.prefix}).json()
        assert left == []


@pytest.fixture
def make(maker: Maker) -> Iterator[Create]:
    """Create templates that are deleted after the test."""
    before = len(maker.made)
    yield maker.make
    maker.unmake(*maker.made[before:])


@pytest.fixture(scope="session")
def taken(maker: Maker, http: httpx.Client) -> str:
    """The name of a template whose first build was cancelled."""
    made = maker.make(steps=[{"run": "sleep 60"}])
    assert http.delete(made.build_path).status_code == 204
    return made.name


@pytest.fixture(scope="session")
def accepts(http: httpx.Client, taken: str) -> Callable[..., bool]:
    """Whether a spec, or a whole body, passes every check but the last: its name is taken, so nothing is made."""

    def accepts(
        spec: dict[str, object] | None = None, *, content: bytes | None = None, **more: object
    ) -> bool:
        body = {"name": taken, "build_spec": {"from": BASE_IMAGE, **(spec or {})}, **more}
        answer = http.post("/templates", content=content) if content else http.post("/templates", json=body)
        assert answer.status_code in {400, 409}, answer.text
        return answer.status_code == 409

    return accepts


@attrs.frozen
class Built(Made):
    """A template that was built, and which statuses its build had meanwhile."""

    statuses: list[str]


@pytest.fixture(scope="session")
def ready(maker: Maker, target: Target, http: httpx.Client) -> Built:
    """A template that was built with a step of each kind."""
    made = maker.make(steps=STEPS, start_cmd="false", ready_cmd="true")
    statuses = []

    def look() -> bool | None:
        statuses.append(http.get(made.build_path).json()["status"])
        return statuses[-1] in ENDED or None

    target.until(look)
    assert statuses[-1] == "ready"
    return Built(made.name, made.id, made.build_id, made.answer, statuses)


@pytest.fixture(scope="session")
def failed(maker: Maker) -> Made:
    """A template whose first build failed."""
    made = maker.make(steps=[{"run": "true"}, {"run": "exit 3"}])
    assert maker.wait_for(made, *ENDED)["status"] == "failed"
    return made


@attrs.frozen
class Flight:
    """What a template showed while its first build ran, after that was cancelled, and after it was deleted."""

    made: Made
    template: httpx.Response
    build: httpx.Response
    rebuild: httpx.Response
    rebuild_with_body: httpx.Response
    deletion: httpx.Response
    cancel: httpx.Response
    cancelled_build: httpx.Response
    cancelled_template: httpx.Response
    log: httpx.Response
    build_in_the_end: httpx.Response
    deletion_after: httpx.Response
    template_after: httpx.Response
    second_deletion: httpx.Response
    rebuild_after: httpx.Response
    build_after: httpx.Response
    builds_after: httpx.Response


@pytest.fixture(scope="session")
def flight(maker: Maker, target: Target, http: httpx.Client) -> Flight:
    """One build for all facts about builds in flight, as the host goes on with each that is cancelled."""
    flight = _fly(maker, target, http, 1)
    if "cancelled" not in flight.cancelled_build.text:
        # This machine has stopped for so long that the build was ready before.
        flight = _fly(maker, target, http, 5)
    return flight


def _fly(maker: Maker, target: Target, http: httpx.Client, longer: int) -> Flight:
    made = maker.make(steps=[{"run": target.long_command(longer)}])
    maker.wait_for(made, "building", *ENDED)
    return Flight(
        made=made,
        template=http.get(made.path),
        build=http.get(made.build_path),
        rebuild=http.post(f"{made.path}/builds"),
        rebuild_with_body=http.post(f"{made.path}/builds", content="nonsense"),
        deletion=http.delete(made.path),
        cancel=http.delete(made.build_path),
        cancelled_build=http.get(made.build_path),
        cancelled_template=http.get(made.path),
        # The rest of the log takes as long as the rest of the build.
        log=http.get(f"{made.build_path}/logs", timeout=target.patience_s),
        build_in_the_end=http.get(made.build_path),
        deletion_after=http.delete(made.path),
        template_after=http.get(made.path),
        second_deletion=http.delete(made.path),
        rebuild_after=http.post(f"{made.path}/builds"),
        build_after=http.get(made.build_path),
        builds_after=http.get(f"{made.path}/builds"),
    )


@pytest.fixture
def steered() -> Iterator[LocalServer]:
    """A local server that the test can steer, for what can't be had otherwise."""
    with LocalServer(speed=100, limits=False) as steered:
        yield steered


@pytest.fixture
def steered_http(steered: LocalServer) -> Iterator[httpx.Client]:
    """A client of that server."""
    with PoliteClient(steered.base_url, steered.api_key) as client:
        yield client


@pytest.fixture
def limited() -> Iterator[LocalServer]:
    """A local server with the real limits."""
    with LocalServer(speed=100) as limited:
        yield limited


@pytest.fixture
def limited_http(limited: LocalServer) -> Iterator[httpx.Client]:
    """A client of that server."""
    with PoliteClient(limited.base_url, limited.api_key) as client:
        yield client
