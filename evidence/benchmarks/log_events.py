"""How fast log events reach the caller, against httpx, httpx-sse and json.loads reading the same stream."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress

import attrs
import httpx
from calls import API_KEY, HEADERS
from figures import Figure, Stopwatch, Taken, compared
from httpx_sse import EventSource
from loopback import TEMPLATE_ID, Loopback

from superserve import AsyncSuperserve, AsyncTemplate, BuildLogEvent, Superserve, Template

# The plain program does httpx's and httpx-sse's work, which ours pays for, too, and decodes the JSON. On top of that come
# a value for each event and what finds it again in a replay; a quarter of the work is what that may take. In between
# stands a task or thread that reads ahead, so that a slow caller doesn't make the server drop events. Each batch has to go
# from one task to the other, which httpx's own asynchronous reading doesn't: hence less is asked of it.
RATES = {"sync": 0.75, "async": 0.60}
# In a replay all events are read twice and handed over once; the plain program hands them over twice. This much of the
# log is there when the connection breaks: nearly all, as it is the replay that is measured.
BREAKS_AFTER = 0.9
FRAMINGS = {"events": "a chunk an event", "blocks": "64 KiB chunks"}

Reader = Callable[[], Taken]


@attrs.frozen
class Readers:
    """Ways to read a whole log; each returns what it took until the last event was there.

    Attributes:
        plain: httpx, httpx-sse and json.loads: what ours are measured against. It begins anew when the connection
            breaks.
        lines: httpx's iter_lines and json.loads. Not the same work (it knows nothing of events, and takes U+2028 for
            the end of a line), but what many programs do.
        iterate: `iter_build_logs`.
        wait: `wait_until_ready(on_log=...)`.
    """

    plain: Reader
    lines: Reader
    iterate: Reader
    wait: Reader


class Stream:
    """A log of `count` events, whose connection may break the first time; each reading is of a build of its own."""

    def __init__(self, server: Loopback, framing: str, count: int, *, breaks: bool = False) -> None:
        self.url = server.url(f"log-{count}-{framing}{f'-{int(count * BREAKS_AFTER)}' if breaks else ''}")
        self.count = count
        self._numbers = itertools.count()

    def new_build(self) -> str:
        """Return the id of a build that has not been asked for."""
        return f"build-{next(self._numbers)}"

    def new_path(self) -> str:
        """Return the path of a log that has not been asked for."""
        return f"/templates/{TEMPLATE_ID}/builds/{self.new_build()}/logs"


class Finish:
    """A log callback that takes the time of the last event: what a wait does after that says nothing of the rate."""

    def __init__(self) -> None:
        self.taken: Taken
        self._watch = Stopwatch()

    def __call__(self, event: BuildLogEvent) -> None:
        """Look at one event."""
        if event.finished:
            self.taken = self._watch.taken()


def measure(server: Loopback, *, quick: bool) -> list[Figure]:
    """Measure events per second, for both ways of framing, sync and async, and the same when the connection breaks."""
    count, rounds = (2_000, 3) if quick else (20_000, 11)
    figures = []
    for framing, meaning in FRAMINGS.items():
        for colour, readers_of in COLOURS.items():

            def figure(name: str, plain: Reader, ours: Reader, target: float | None = None) -> Figure:
                found = compared(plain, ours, rounds=rounds)
                rates = f"{count / found.plain.wall:,.0f} -> {count / found.ours.wall:,.0f} a second"
                return Figure(
                    f"{name}, {colour}",  # noqa: B023 - called at once
                    1 / found.ratio,
                    "x plain rate, CPU",
                    at_least=target,
                    note=f"{meaning}: {rates} on the clock",  # noqa: B023
                )

            with readers_of(Stream(server, framing, count)) as readers:
                figures += [
                    figure("iter_build_logs", readers.plain, readers.iterate, RATES[colour]),
                    figure("wait_until_ready(on_log=)", readers.plain, readers.wait, RATES[colour]),
                    figure("iter_build_logs against iter_lines", readers.lines, readers.iterate),
                ]
            with readers_of(Stream(server, framing, count, breaks=True)) as readers:
                figures.append(
                    figure("iter_build_logs with a replay", readers.plain, readers.iterate, RATES[colour])
                )
    return figures


@contextmanager
def _sync_readers(stream: Stream) -> Iterator[Readers]:
    with (
        httpx.Client(base_url=stream.url, headers=HEADERS) as http,
        Superserve(api_key=API_KEY, base_url=stream.url) as client,
    ):
        template = Template.connect(TEMPLATE_ID, client=client)

        def plain() -> Taken:
            watch = Stopwatch()
            path = stream.new_path()
            with suppress(httpx.RemoteProtocolError):
                read(path)
                return watch.taken()
            read(path)
            return watch.taken()

        def read(path: str) -> None:
            with http.stream("GET", path) as response:
                for sse in EventSource(response).iter_sse():
                    json.loads(sse.data)

        def lines() -> Taken:
            watch = Stopwatch()
            with http.stream("GET", stream.new_path()) as response:
                for line in response.iter_lines():
                    if line.startswith("data:"):
                        json.loads(line[5:])
            return watch.taken()

        def iterate() -> Taken:
            watch = Stopwatch()
            for _ in template.iter_build_logs(build_id=stream.new_build()):
                pass
            return watch.taken()

        def wait() -> Taken:
            finish = Finish()
            template.wait_until_ready(on_log=finish, build_id=stream.new_build())
            return finish.taken

        yield Readers(plain, lines, iterate, wait)


@contextmanager
def _async_readers(stream: Stream) -> Iterator[Readers]:  # noqa: C901 - four readers and what they share
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(base_url=stream.url, headers=HEADERS)
        client = AsyncSuperserve(api_key=API_KEY, base_url=stream.url)
        template = runner.run(AsyncTemplate.connect(TEMPLATE_ID, client=client))

        async def plain() -> Taken:
            watch = Stopwatch()
            path = stream.new_path()
            with suppress(httpx.RemoteProtocolError):
                await read(path)
                return watch.taken()
            await read(path)
            return watch.taken()

        async def read(path: str) -> None:
            async with http.stream("GET", path) as response:
                async for sse in EventSource(response).aiter_sse():
                    json.loads(sse.data)

        async def lines() -> Taken:
            watch = Stopwatch()
            async with http.stream("GET", stream.new_path()) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        json.loads(line[5:])
            return watch.taken()

        async def iterate() -> Taken:
            watch = Stopwatch()
            async with aclosing(template.iter_build_logs(build_id=stream.new_build())) as events:
                async for _ in events:
                    pass
            return watch.taken()

        async def wait() -> Taken:
            finish = Finish()
            await template.wait_until_ready(on_log=finish, build_id=stream.new_build())
            return finish.taken

        def blocking(read: Callable[[], Awaitable[Taken]]) -> Reader:
            async def once() -> Taken:
                return await read()

            return lambda: runner.run(once())

        try:
            yield Readers(blocking(plain), blocking(lines), blocking(iterate), blocking(wait))
        finally:
            runner.run(http.aclose())
            runner.run(client.aclose())


COLOURS = {"sync": _sync_readers, "async": _async_readers}
