"""Single calls and long lists, against httpx and json.loads doing the same work."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
from figures import Comparison, Figure, Stopwatch, Taken, compared
from loopback import TEMPLATE_ID, Loopback

from superserve import AsyncSuperserve, AsyncTemplate, Superserve, Template

API_KEY = "ss_benchmark_key"
HEADERS = {"X-API-Key": API_KEY}
PATH = f"/templates/{TEMPLATE_ID}"

SHARED_CONNECTION_CALLS = 100
# A call costs httpx about half a millisecond. The deadline, the retries, the checks and the values may add a tenth to
# that, which nobody notices beside a network.
GET_INFO_RATIO = 1.10
# A create also checks its arguments and makes a request of models, which the plain program has ready as a dict.
CREATE_RATIO = 1.20
# The plain program only decodes the JSON. Checking a dozen fields of each row and making a value of them, in Python,
# may cost as much again as that, with the request: a list of 5,000 then takes some 20 ms. Longer lists have no target, as
# their ratio is the same but for the garbage collector.
LIST_LENGTHS = {5_000: 2.0, 10_000: None}

STEPS: list[dict[str, object]] = [
    {"run": "pip install numpy pandas"},
    {"env": {"key": "MODE", "value": "production"}},
    {"workdir": "/app"},
    {"user": {"name": "app", "sudo": True}},
]
START = "python server.py"
READY = "curl -f localhost:8000/health"
BODY = {
    "name": "benchmark",
    "build_spec": {"from": "python:3.11", "steps": STEPS, "start_cmd": START, "ready_cmd": READY},
    "vcpu": 1,
    "memory_mib": 1024,
}


def measure(server: Loopback, *, quick: bool) -> list[Figure]:
    """Measure get_info, create and list, sync and async, and count connections."""
    calls, rounds = (20, 5) if quick else (100, 31)
    figures = _sync_calls(server, calls, rounds)
    with asyncio.Runner() as runner:
        figures += _async_calls(server, runner, calls, rounds)
    for length, ratio in LIST_LENGTHS.items():
        figures.append(_list(server, length, ratio, 3 if quick else 21))
    return figures


def _sync_calls(server: Loopback, calls: int, rounds: int) -> list[Figure]:
    url = server.url("calls")
    with (
        Superserve(api_key=API_KEY, base_url=url) as client,
        httpx.Client(base_url=url, headers=HEADERS) as http,
    ):
        template = Template.connect(TEMPLATE_ID, client=client)

        def plain_get() -> None:
            json.loads(http.get(PATH).raise_for_status().content)

        def plain_create() -> None:
            json.loads(http.post("/templates", json=BODY).raise_for_status().content)

        def create() -> None:
            Template.create(
                name="benchmark",
                from_="python:3.11",
                vcpu=1,
                memory_mib=1024,
                steps=STEPS,
                start_cmd=START,
                ready_cmd=READY,
                client=client,
            )

        figures = [
            _call_figure(
                "get_info, sync",
                _repeated(plain_get, template.get_info, calls, rounds),
                calls,
                GET_INFO_RATIO,
            ),
            _call_figure("create, sync", _repeated(plain_create, create, calls, rounds), calls, CREATE_RATIO),
        ]
    before = server.connections()
    with Superserve(api_key=API_KEY, base_url=url) as client:
        template = Template.connect(TEMPLATE_ID, client=client)
        for _ in range(SHARED_CONNECTION_CALLS - 1):
            template.get_info()
    return [*figures, _connection_figure("sync", server.connections() - before)]


def _async_calls(server: Loopback, runner: asyncio.Runner, calls: int, rounds: int) -> list[Figure]:
    url = server.url("calls")
    client = AsyncSuperserve(api_key=API_KEY, base_url=url)
    http = httpx.AsyncClient(base_url=url, headers=HEADERS)
    template = runner.run(AsyncTemplate.connect(TEMPLATE_ID, client=client))

    async def plain_get() -> None:
        json.loads((await http.get(PATH)).raise_for_status().content)

    async def plain_create() -> None:
        json.loads((await http.post("/templates", json=BODY)).raise_for_status().content)

    async def create() -> None:
        await AsyncTemplate.create(
            name="benchmark",
            from_="python:3.11",
            vcpu=1,
            memory_mib=1024,
            steps=STEPS,
            start_cmd=START,
            ready_cmd=READY,
            client=client,
        )

    def run(work: Callable[[], Awaitable[object]]) -> Callable[[], Taken]:
        async def repeat() -> Taken:
            watch = Stopwatch()
            for _ in range(calls):
                await work()
            return watch.taken()

        return lambda: runner.run(repeat())

    figures = [
        _call_figure(
            "get_info, async",
            compared(run(plain_get), run(template.get_info), rounds=rounds),
            calls,
            GET_INFO_RATIO,
        ),
        _call_figure(
            "create, async", compared(run(plain_create), run(create), rounds=rounds), calls, CREATE_RATIO
        ),
    ]
    runner.run(http.aclose())
    runner.run(client.aclose())

    async def share_a_connection() -> None:
        async with AsyncSuperserve(api_key=API_KEY, base_url=url) as client:
            template = await AsyncTemplate.connect(TEMPLATE_ID, client=client)
            for _ in range(SHARED_CONNECTION_CALLS - 1):
                await template.get_info()

    before = server.connections()
    runner.run(share_a_connection())
    return [*figures, _connection_figure("async", server.connections() - before)]


def _list(server: Loopback, length: int, ratio: float | None, rounds: int) -> Figure:
    url = server.url(f"list-{length}")
    with (
        Superserve(api_key=API_KEY, base_url=url) as client,
        httpx.Client(base_url=url, headers=HEADERS) as http,
    ):

        def plain() -> None:
            json.loads(http.get("/templates").raise_for_status().content)

        def ours() -> None:
            Template.list(client=client)

        found = _repeated(plain, ours, 1, rounds)
    note = f"{found.plain.cpu * 1e3:.1f} -> {found.ours.cpu * 1e3:.1f} ms CPU; {_clock(found, 1e3)} ms on the clock"
    return Figure(f"list of {length:,} templates", found.ratio, "x plain CPU", at_most=ratio, note=note)


def _repeated(plain: Callable[[], object], ours: Callable[[], object], calls: int, rounds: int) -> Comparison:
    def run(work: Callable[[], object]) -> Callable[[], Taken]:
        def repeat() -> Taken:
            watch = Stopwatch()
            for _ in range(calls):
                work()
            return watch.taken()

        return repeat

    return compared(run(plain), run(ours), rounds=rounds)


def _call_figure(name: str, found: Comparison, calls: int, ratio: float) -> Figure:
    cpu = f"{found.plain.cpu / calls * 1e6:.0f} -> {found.ours.cpu / calls * 1e6:.0f} µs CPU a call"
    note = f"{cpu}; {_clock(found, 1e6 / calls)} µs on the clock"
    return Figure(name, found.ratio, "x plain CPU", at_most=ratio, note=note)


def _clock(found: Comparison, scale: float) -> str:
    return f"{found.plain.wall * scale:.3g} -> {found.ours.wall * scale:.3g}"


def _connection_figure(colour: str, connections: int) -> Figure:
    name = f"connections for {SHARED_CONNECTION_CALLS} calls, {colour}"
    return Figure(name, connections, "", at_most=1)
