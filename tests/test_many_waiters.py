"""Many waiters at once on one client: right results, one pool, and a server that is not run over."""

import asyncio
import math
import threading
import time
from collections.abc import Iterator

import pytest

from superserve import (
    AsyncSuperserve,
    AsyncTemplate,
    BuildError,
    Superserve,
    Template,
    TemplateInfo,
)
from superserve._http import policy
from superserve.local import Limits, LocalServer, TeamLimits
from tests.conftest import Belongings

pytestmark = pytest.mark.slow


@pytest.fixture
def belongings() -> Belongings:
    return Belongings()


def builds(server: LocalServer, count: int) -> list[tuple[str, str, str]]:
    """Add builds that wait to be let go; every seventh will fail."""
    made = []
    for number in range(count):
        template_id = server.templates.add(status="building")
        made.append(
            (
                template_id,
                server.builds.add(template_id, status="pending"),
                "failed" if number % 7 == 6 else "ready",
            )
        )
    return made


def end(server: LocalServer, made: list[tuple[str, str, str]]) -> None:
    for _template_id, build_id, status in made:
        server.builds.set(build_id, status, "boot_failed: no" if status == "failed" else None)


def outcome(result: TemplateInfo | BaseException) -> str:
    assert isinstance(result, TemplateInfo | BuildError), result
    return "failed" if isinstance(result, BuildError) else "ready"


async def test_a_thousand_tasks_wait_on_one_client(server, belongings):
    server.builds.freeze()
    made = builds(server, 50)
    async with AsyncSuperserve(api_key=server.api_key, base_url=server.base_url) as client:
        templates = {made_id: await AsyncTemplate.connect(made_id, client=client) for made_id, _, _ in made}
        waits = [
            asyncio.create_task(templates[template_id].wait_until_ready(build_id=build_id, poll_interval_s=3))
            for template_id, build_id, _ in made * 20
        ]
        pool = client._connections.pool()
        await asyncio.sleep(1)
        assert len(pool.connections) <= policy.CALLS_AT_ONCE
        assert not any(wait.done() for wait in waits)
        end(server, made)
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert [outcome(result) for result in results] == [status for _, _, status in made * 20]
        assert len(pool.connections) <= policy.CALLS_AT_ONCE
        assert pool._requests == []
    assert belongings.left() == set()


def test_a_hundred_threads_wait_on_one_client(server, belongings):
    server.builds.freeze()
    made = builds(server, 20)
    results: dict[int, TemplateInfo | BaseException] = {}
    with Superserve(api_key=server.api_key, base_url=server.base_url) as client:

        def wait(number: int) -> None:
            template_id, build_id, _ = made[number % len(made)]
            template = Template.connect(template_id, client=client)
            on_log = (lambda event: None) if number % 10 == 0 else None
            try:
                results[number] = template.wait_until_ready(
                    build_id=build_id, poll_interval_s=0.5, on_log=on_log
                )
            except Exception as error:  # noqa: BLE001 - looked at below
                results[number] = error

        threads = [threading.Thread(target=wait, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        end(server, made)
        for thread in threads:
            thread.join()
        assert len(client._connections.pool().connections) <= policy.CALLS_AT_ONCE
    assert [outcome(results[number]) for number in range(100)] == [
        made[number % 20][2] for number in range(100)
    ]
    assert belongings.left() == set()


@pytest.fixture
def limited() -> Iterator[LocalServer]:
    """A server that admits 100 requests a second, in bursts of 20."""
    limits = Limits(requests_per_s=1000, burst=1000, team=TeamLimits(requests_per_s=100, burst=20))
    with LocalServer(limits=limits, system_templates=False) as server:
        yield server


async def test_a_server_that_says_it_is_too_much_slows_all_and_fails_none(limited):
    limited.builds.freeze()
    [(template_id, build_id, _)] = made = builds(limited, 1)
    async with AsyncSuperserve(api_key=limited.api_key, base_url=limited.base_url, timeout_s=20) as client:
        template = await AsyncTemplate.connect(template_id, client=client)
        waits = [
            asyncio.create_task(
                template.wait_until_ready(
                    build_id=build_id, poll_interval_s=0.2, on_log=str if number % 10 == 0 else None
                )
            )
            for number in range(90)
        ]
        async with asyncio.timeout(20):
            while client._http.gate.delay(math.inf) == 0:  # noqa: ASYNC110 - no event tells of the gate
                await asyncio.sleep(0.05)
        assert not any(wait.done() for wait in waits)
        end(limited, made)
        results = await asyncio.gather(*waits, return_exceptions=True)
    assert [outcome(result) for result in results] == ["ready"] * 90


@pytest.fixture
def real() -> Iterator[LocalServer]:
    """A server with the real limits: 20 requests a second, in bursts of 40."""
    with LocalServer(system_templates=False) as server:
        yield server


def test_three_hundred_calls_at_once_in_threads_all_succeed_at_the_real_limits(real, belongings):
    results: list[object] = []
    with Superserve(api_key=real.api_key, base_url=real.base_url, timeout_s=30) as client:

        def call() -> None:
            try:
                results.append(Template.list(client=client))
            except Exception as error:  # noqa: BLE001 - looked at below
                results.append(error)

        threads = [threading.Thread(target=call) for _ in range(300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [[]] * 300
    assert belongings.left() == set()


async def test_three_hundred_calls_at_once_in_tasks_all_succeed_at_the_real_limits(real, belongings):
    async with AsyncSuperserve(api_key=real.api_key, base_url=real.base_url, timeout_s=30) as client:
        calls = (AsyncTemplate.list(client=client) for _ in range(300))
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert results == [[]] * 300
    assert belongings.left() == set()
