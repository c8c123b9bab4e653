"""The effects of faults on a request and its answer, on the socket where that is necessary."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal, Protocol, TypeAlias, get_args

import attrs
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from superserve.local._app.connection import Connection

Garbling = Literal["truncated", "html", "text", "empty", "binary", "mistyped"]
Ending = Literal["cut", "reset", "stall", "end"]

_EVENT_STREAM = b"text/event-stream"
_FRAME = b"data: ", b"\n\n"
_HTML = (
    b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n"
)
_TEXT = b"upstream connect error or disconnect/reset before headers"
_TYPES = {"html": b"text/html", "text": b"text/plain"}
_BINARY_BYTES = 64
_STARTS = frozenset({"http.response.start", "websocket.accept"})
_FRAMES = frozenset({"websocket.accept", "websocket.send"})
# A WebSocket that closes as if all were well, without the end of the command.
_GOOD_CLOSE: Message = {"type": "websocket.close", "code": 1000, "reason": "bridge closed"}
_GARBLINGS: tuple[Garbling, ...] = get_args(Garbling)

_There: TypeAlias = Callable[[bytes, Message], Awaitable[None]]


@attrs.frozen
class Place:
    """A place in a response: a number of bytes of its head or body, or a number of log events."""

    unit: Literal["head", "body", "events"]
    count: int


@attrs.frozen
class Exchange:
    """A request that a fault affects, with all that is needed to answer it."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    connection: Connection
    random: Random
    land: Callable[[], None]
    """To be called when the fault makes a difference."""

    async def answer(self, send: Send) -> None:
        """Let the API answer, through another `send`."""
        await self.app(self.scope, self.receive, send)

    async def lose_answer(self) -> None:
        """Let the API carry out the request, and drop its answer."""
        answered = asyncio.Event()

        async def drop(_message: Message) -> None:
            answered.set()

        # An answer may be an endless stream, but it only begins when the work is done.
        tasks = [asyncio.ensure_future(self.answer(drop)), asyncio.ensure_future(answered.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the client leaves."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.connection.lost.wait()


class Effect(Protocol):
    """The effect of a fault on one exchange."""

    async def strike(self, exchange: Exchange) -> None:
        """Answer in a wrong way; return when the answer or the connection has ended."""
        ...


@attrs.frozen
class Answer:
    """Another answer, as from a gateway in front of the server."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    delay_s: float
    handled: bool

    async def strike(self, exchange: Exchange) -> None:
        """Answer in the API's place."""
        if self.handled:
            await exchange.lose_answer()
        exchange.land()
        if self.delay_s:
            await exchange.pause(self.delay_s)
        response = Response(self.body, self.status)
        response.raw_headers.extend(self.headers)
        await response(exchange.scope, exchange.receive, exchange.send)


@attrs.frozen
class Delay:
    """A late answer, or a late rest of its body."""

    seconds: float
    place: Place | None

    async def strike(self, exchange: Exchange) -> None:
        """Let the API answer, and hold the answer back."""
        place = self.place

        async def wait(before: bytes, message: Message) -> None:
            if before:
                await exchange.send({**message, "body": before, "more_body": True})
            if message["type"] == "websocket.send":
                await exchange.send(message)
            exchange.land()
            await exchange.pause(self.seconds)
            if message["type"] == "http.response.body":
                await exchange.send({**message, "body": message.get("body", b"")[len(before) :]})

        async def wait_first(message: Message) -> None:
            if message["type"] in _STARTS:
                exchange.land()
                await exchange.pause(self.seconds)
            await exchange.send(message)

        await exchange.answer(_Passage(exchange.send, place, wait) if place else wait_first)


@attrs.frozen
class Drip:
    """An answer whose body comes a few bytes at a time."""

    every_s: float
    count: int

    async def strike(self, exchange: Exchange) -> None:
        """Let the API answer, and send its body slowly."""

        async def send(message: Message) -> None:
            body = message.get("body", b"")
            if message["type"] != "http.response.body" or not body:
                await exchange.send(message)
                return
            for start in range(0, len(body), self.count):
                exchange.land()
                await exchange.pause(self.every_s)
                if exchange.connection.lost.is_set():
                    return
                piece = body[start : start + self.count]
                more = message.get("more_body", False) or start + self.count < len(body)
                await exchange.send({**message, "body": piece, "more_body": more})

        await exchange.answer(send)


@attrs.frozen
class End:
    """An answer that stops at a place. The connection is closed, reset or left open, or all seems well."""

    how: Ending
    place: Place | None
    handled: bool

    async def strike(self, exchange: Exchange) -> None:
        """Answer in part, or not at all."""
        place = self.place
        if place is None:
            if self.handled:
                await exchange.lose_answer()
            await self._end(exchange)
        elif place.unit == "head":
            await exchange.answer(self._in_head(exchange, place.count))
        else:
            await exchange.answer(self._in_body(exchange, place))

    def _in_head(self, exchange: Exchange, count: int) -> Send:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                data, _ = exchange.connection.frame(message)
                await exchange.connection.write(data[:count])
                await self._end(exchange)

        return send

    def _in_body(self, exchange: Exchange, place: Place) -> Send:
        ended = False

        async def end(before: bytes, message: Message) -> None:
            nonlocal ended
            ended = True
            if message["type"] in _FRAMES:
                if message["type"] == "websocket.send":
                    await exchange.send(message)
                if self.how == "end":
                    exchange.land()
                    await exchange.send(_GOOD_CLOSE)
                else:
                    await self._end(exchange)
                return
            if self.how == "end":
                exchange.land()
                await exchange.send({"type": "http.response.body", "body": before, "more_body": False})
                return
            if before:
                data, begin = exchange.connection.frame(message)
                is_whole = len(before) == len(message["body"])
                await exchange.connection.write(data if is_whole else data[: begin + len(before)])
            await self._end(exchange)

        passage = _Passage(exchange.send, place, end)

        async def send(message: Message) -> None:
            if ended:
                return
            if self.how == "end" and message["type"] == "http.response.start":
                message = _shorten(message, place)
            await passage(message)

        return send

    async def _end(self, exchange: Exchange) -> None:
        exchange.land()
        if self.how == "cut":
            exchange.connection.close()
        elif self.how == "reset":
            exchange.connection.reset()
        await exchange.connection.lost.wait()


@attrs.frozen
class Garble:
    """An answer whose body does not fit its status and type; in a log stream, every event is spoiled."""

    how: Garbling | None
    """None for a random one."""

    async def strike(self, exchange: Exchange) -> None:
        """Let the API answer, and spoil the body."""
        start: Message = {}
        pieces: list[bytes] = []

        async def send(message: Message) -> None:
            nonlocal start
            if message["type"].startswith("websocket."):
                await exchange.send(message)
                return
            if message["type"] == "http.response.start":
                start = message
                if _is_stream(start):
                    await exchange.send(message)
                return
            body = message.get("body", b"")
            if _is_stream(start):
                await exchange.send({**message, "body": self._event(body, exchange)})
                return
            pieces.append(body)
            if not message.get("more_body", False):
                await self._send_all(b"".join(pieces), start, exchange)

        await exchange.answer(send)

    async def _send_all(self, body: bytes, start: Message, exchange: Exchange) -> None:
        if body:
            how = self._choice(exchange)
            body = _garble_body(body, how, exchange.random)
            changed = {b"content-length": b"%d" % len(body)}
            if how in _TYPES:
                changed[b"content-type"] = _TYPES[how]
            headers = [(name, changed.get(name, value)) for name, value in start["headers"]]
            start = {**start, "headers": headers}
            exchange.land()
        await exchange.send(start)
        await exchange.send({"type": "http.response.body", "body": body, "more_body": False})

    def _event(self, frame: bytes, exchange: Exchange) -> bytes:
        if not frame:
            return frame
        begin, end = _FRAME
        data = frame.removeprefix(begin).removesuffix(end)
        data = _garble_body(data, self._choice(exchange), exchange.random)
        exchange.land()
        # A line break would end the event.
        return begin + data.replace(b"\r", b" ").replace(b"\n", b" ") + end

    def _choice(self, exchange: Exchange) -> Garbling:
        return exchange.random.choice(_GARBLINGS) if self.how is None else self.how


@attrs.frozen
class Duplicate:
    """A log stream whose events come twice."""

    chance: float

    async def strike(self, exchange: Exchange) -> None:
        """Let the API answer, and repeat events."""

        async def send(message: Message) -> None:
            await exchange.send(message)
            if _is_event(message) and exchange.random.random() < self.chance:
                exchange.land()
                await exchange.send(message)

        await exchange.answer(send)


@attrs.frozen
class Reorder:
    """A log stream whose events come in another order, shuffled in groups."""

    group: int

    async def strike(self, exchange: Exchange) -> None:
        """Let the API answer, and hold events back until their group is complete."""
        held: list[Message] = []

        async def send_held() -> None:
            if len(held) > 1:
                exchange.land()
            order = exchange.random.sample(held, len(held))
            if order == held:
                order.reverse()
            held.clear()
            for message in order:
                await exchange.send(message)

        async def send(message: Message) -> None:
            if not _is_event(message):
                await send_held()
                await exchange.send(message)
                return
            held.append(message)
            if len(held) == self.group:
                await send_held()

        await exchange.answer(send)


class _Passage:
    """A `send` that passes messages on, until one contains a place of the body: that one it hands over.

    The part before the place is handed over with it. Later messages are passed on again.
    """

    def __init__(self, send: Send, place: Place, there: _There) -> None:
        self._send = send
        self._counts_events = place.unit == "events"
        self._there = there
        self._left = place.count
        self._counting = True

    async def __call__(self, message: Message) -> None:
        if not self._counting:
            await self._send(message)
            return
        if message["type"] in _FRAMES:
            await self._pass_frame(message)
            return
        if message["type"] == "http.response.start":
            # Only event streams have events.
            self._counting = not self._counts_events or _is_stream(message)
            await self._send(message)
            if self._counting and not self._left:
                self._counting = False
                await self._there(b"", message)
            return
        body: bytes = message.get("body", b"")
        size = int(bool(body)) if self._counts_events else len(body)
        if size < self._left:
            self._left -= size
            await self._send(message)
            return
        self._counting = False
        await self._there(body if self._counts_events else body[: self._left], message)

    async def _pass_frame(self, message: Message) -> None:
        """Count the frames of a WebSocket as events."""
        if message["type"] == "websocket.accept":
            await self._send(message)
        elif self._left > 1:
            self._left -= 1
            await self._send(message)
            return
        if message["type"] == "websocket.send" or not self._left:
            self._counting = False
            await self._there(b"", message)


def _is_stream(start: Message) -> bool:
    return any(name == b"content-type" and value == _EVENT_STREAM for name, value in start["headers"])


def _is_event(message: Message) -> bool:
    # A body that comes in one piece is not a stream.
    return bool(message.get("more_body") and message["body"])


def _shorten(start: Message, place: Place) -> Message:
    """Return the head of an answer whose body ends at a place."""
    headers = [
        (
            name,
            b"%d" % min(int(value), place.count)
            if name == b"content-length" and place.unit == "body"
            else value,
        )
        for name, value in start["headers"]
    ]
    return {**start, "headers": headers}


def _garble_body(body: bytes, how: Garbling, random: Random) -> bytes:
    if how == "truncated":
        return body[: random.randrange(1, max(2, len(body)))]
    if how == "binary":
        # The first byte never occurs in UTF-8.
        return b"\xff" + random.randbytes(_BINARY_BYTES)
    if how == "mistyped":
        return b'{"items":' + body + b"}" if body.startswith(b"[") else b"[" + body + b"]"
    return {"html": _HTML, "text": _TEXT, "empty": b""}[how]
