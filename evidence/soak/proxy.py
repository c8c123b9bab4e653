"""A proxy on loopback between a client and a server, through which one request in ten goes wrong.

What happens to a request is rolled on seeded dice when it arrives. It may be refused or lost, or answered by the proxy
itself as an overloaded gateway does; its answer may be cut, reset or stalled at a random byte; or the connection may be
closed a moment after a good answer, when the client believes that it can be used again.

As a program it also starts the local server that it stands in front of: it prints both addresses and the key as one
line of JSON, serves until its standard input ends, and then prints its tallies as another.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import math
import random
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, NoReturn
from urllib.parse import urlsplit

import attrs

from superserve.local import LocalServer

HOST: Final = "127.0.0.1"
FAULTS: Final = (
    "refused",  # reset before the server has seen the request
    "lost",  # closed after the server has acted, before any answer
    "cut",  # the answer ends in order, too early
    "reset",
    "stalled",  # nothing more comes, until the client hangs up; without a stream the proxy does, after 10 s
    "overloaded",  # 429 or 5xx, and the server has not seen the request
    "gateway",  # 5xx, and the server has acted
    "closed after",  # the answer is good, and the connection is closed soon after
)
_STATUSES: Final = (429, 429, 500, 502, 503, 503, 504)
_READ_SIZE: Final = 65536
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_STALL_S: Final = 10.0
_LONGEST_CLOSING_S: Final = 0.05
# Streams have no length that is known beforehand: they break somewhere in their first 32 KiB, early ones more often.
_STREAM_BITS: Final = 15
# A socket begins with some 200 bytes that agree to it.
_SOCKET_BITS: Final = 10


@attrs.define
class Tally:
    """What the proxy has done so far; a fault counts when it has struck."""

    connections: int = 0
    requests: int = 0
    streams: int = 0
    sockets: int = 0
    faults: Counter[str] = attrs.field(factory=Counter)


class Proxy:
    """Forwards requests one by one, each over a connection of its own to the server."""

    def __init__(self, upstream: str, *, seed: int, rate: float) -> None:
        address = urlsplit(upstream)
        self.tally = Tally()
        self._upstream = (address.hostname, address.port)
        self._dice = random.Random(seed)
        self._rate = rate

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Serve one connection until one side hangs up."""
        self.tally.connections += 1
        # The next request is waited for while the present one is answered: that is how a hang-up is noticed.
        head = asyncio.ensure_future(client.readuntil(_HEAD_END))
        try:
            while True:
                request = await head
                if b"\r\nupgrade:" in request.lower():
                    await self._tunnel(request, client, back)
                request += await _read_body(client, request)
                head = asyncio.ensure_future(client.readuntil(_HEAD_END))
                await self._answer(request, back, hang_up=head)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            head.cancel()
            with contextlib.suppress(asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
                await head
            back.close()

    async def _answer(
        self, request: bytes, back: asyncio.StreamWriter, *, hang_up: "asyncio.Future[bytes]"
    ) -> None:
        """Answer a request, well or badly; raise ConnectionError if the connection is over."""
        self.tally.requests += 1
        fault = self._dice.choice(FAULTS) if self._dice.random() < self._rate else None
        if fault == "refused":
            await self._strike(fault, back)
        if fault == "overloaded":
            self.tally.faults[fault] += 1
            back.write(self._gateway_answer())
            return
        exchange = asyncio.ensure_future(self._exchange(request, back, fault))
        try:
            await asyncio.wait({exchange, hang_up}, return_when=asyncio.FIRST_COMPLETED)
            if not exchange.done():
                raise ConnectionAbortedError("the client hung up")
            exchange.result()
        finally:
            exchange.cancel()
            await asyncio.wait({exchange})

    async def _tunnel(
        self, request: bytes, client: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> NoReturn:
        """Forward a WebSocket, up to the byte of the server's at which the fault strikes."""
        self.tally.requests += 1
        self.tally.sockets += 1
        fault = self._dice.choice(FAULTS) if self._dice.random() < self._rate else None
        if fault == "refused":
            await self._strike(fault, back)
        if fault in ("overloaded", "gateway"):
            self.tally.faults[fault] += 1
            back.write(self._gateway_answer(hides_work=fault == "gateway"))
            await back.drain()
            raise ConnectionAbortedError(fault)
        server, there = await asyncio.open_connection(*self._upstream)
        there.write(request)
        sending = asyncio.create_task(_pump(client, there))
        try:
            left = 0 if fault == "lost" else int(2 ** self._dice.uniform(0, _SOCKET_BITS))
            while data := await server.read(_READ_SIZE):
                if fault not in (None, "closed after") and len(data) >= left:
                    back.write(data[:left])
                    await back.drain()
                    if fault == "stalled":
                        await asyncio.wait({sending})
                    await self._strike(fault, back)
                left -= len(data)
                back.write(data)
                await back.drain()
        finally:
            sending.cancel()
            there.close()
            await asyncio.wait({sending})
        raise ConnectionAbortedError("the socket is closed")

    async def _exchange(self, request: bytes, back: asyncio.StreamWriter, fault: str | None) -> None:
        """Forward a request and its answer, as far as the fault lets it."""
        server, there = await asyncio.open_connection(*self._upstream)
        try:
            there.write(request)
            start = await server.readuntil(_HEAD_END)
            if b"text/event-stream" in start:
                self.tally.streams += 1
                await self._relay_stream(start, server, back, fault)
                return
            answer = start + await server.readexactly(_length(start))
        finally:
            there.close()
        if fault == "gateway":
            self.tally.faults[fault] += 1
            back.write(self._gateway_answer(hides_work=True))
        elif fault in (None, "closed after"):
            back.write(answer)
            await back.drain()
            if fault is not None:
                await asyncio.sleep(self._dice.uniform(0, _LONGEST_CLOSING_S))
                await self._strike(fault, back)
        else:
            back.write(answer[: 0 if fault == "lost" else self._dice.randrange(len(answer))])
            await back.drain()
            await self._strike(fault, back, stall_s=_STALL_S)

    async def _relay_stream(
        self, start: bytes, server: asyncio.StreamReader, back: asyncio.StreamWriter, fault: str | None
    ) -> None:
        """Forward an event stream as it comes, up to the byte at which the fault strikes, if it is that long."""
        if fault == "gateway":
            self.tally.faults[fault] += 1
            back.write(self._gateway_answer(hides_work=True))
            return
        left = 0 if fault == "lost" else int(2 ** self._dice.uniform(0, _STREAM_BITS))
        data, end = start, b""
        while data:
            if fault not in (None, "closed after") and len(data) >= left:
                back.write(data[:left])
                await back.drain()
                await self._strike(fault, back, stall_s=math.inf)
            left -= len(data)
            back.write(data)
            await back.drain()
            end = (end + data)[-len(_LAST_CHUNK) :]
            if end == _LAST_CHUNK:
                if fault is not None:
                    await self._strike("closed after", back)
                return
            data = await server.read(_READ_SIZE)
        raise ConnectionAbortedError("the server hung up")

    async def _strike(self, fault: str, back: asyncio.StreamWriter, *, stall_s: float = 0.0) -> NoReturn:
        """Let a fault happen; it ends the connection."""
        self.tally.faults[fault] += 1
        if fault == "stalled":
            await asyncio.sleep(stall_s)
        if fault in ("reset", "refused"):
            back.transport.abort()
        raise ConnectionAbortedError(fault)

    def _gateway_answer(self, *, hides_work: bool = False) -> bytes:
        status = self._dice.choice([502, 504] if hides_work else _STATUSES)
        if status == 429:  # noqa: PLR2004 - the status itself
            kind = "application/json"
            body = json.dumps({"error": {"code": "rate_limited", "message": "too many requests"}})
        else:
            kind, body = "text/html", f"<html><body><h1>{status}</h1></body></html>"
        retry_after = self._dice.choice(
            [None, None, "0", "1", format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)]
        )
        lines = [f"HTTP/1.1 {status} Reason", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        if retry_after is not None and status in (429, 503):
            lines.append(f"Retry-After: {retry_after}")
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Forward what a client sends until it hangs up, and hang up then."""
    with contextlib.suppress(OSError):
        while data := await source.read(_READ_SIZE):
            target.write(data)
            await target.drain()
    target.close()


async def _read_body(client: asyncio.StreamReader, head: bytes) -> bytes:
    """Return the body that follows the head of a request, as it comes: whole, or in chunks."""
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return await client.readexactly(_length(head))
    body = b""
    line = b""
    while line != b"0\r\n":
        line = await client.readuntil(b"\r\n")
        body += line + await client.readexactly(int(line, 16) + 2)
    return body


def _length(head: bytes) -> int:
    """Return the length of the body that follows a head; answers without one that are no streams have none."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


async def _serve(server: LocalServer, *, seed: int, rate: float) -> None:
    proxy = Proxy(server.base_url, seed=seed, rate=rate)
    listener = await asyncio.start_server(proxy.serve, HOST, 0, backlog=1024)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        addresses = {"url": f"http://{HOST}:{port}", "api_key": server.api_key, "direct": server.base_url}
        print(json.dumps(addresses), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(attrs.asdict(proxy.tally)), flush=True)
        # What still hangs on a stalled connection is of no interest any more.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    parser.add_argument("--rate", type=float, default=0.1, help="of requests that go wrong (default: 0.1)")
    parser.add_argument("--speed", type=float, default=2.0, help="of the local server (default: 2)")
    parser.add_argument("--isolation", default="auto", help="of sandboxes (default: auto)")
    arguments = parser.parse_args()
    # It warns of each write to a client that has just hung up: here that is what is wanted.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with LocalServer(speed=arguments.speed, limits=False, isolation=arguments.isolation) as server:
        asyncio.run(_serve(server, seed=arguments.seed, rate=arguments.rate))


if __name__ == "__main__":
    main()
