"""The log stream of a build, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.types import Receive, Scope, Send

from superserve.local._app.answers import Answer
from superserve.local._app.clock import format_nanoseconds
from superserve.local._app.connection import Connection
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource, Services
from superserve.local._machines.build_host import QUEUED_EVENTS, format_event
from superserve.local._resources.builds import BuildResource

HEARTBEAT_S = 2.0
# asyncio warns at the fifth write to a lost connection.
_EVENTS_A_TURN = 4


class BuildLogResource(Resource):
    """The log streams of builds."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._builds = services.resource(BuildResource)

    @operation(
        "streamTemplateBuildLogs",
        "GET /templates/{template_id}/builds/{build_id}/logs",
        streams_events=True,
    )
    async def stream_logs(self, request: ApiRequest) -> Answer:
        """Stream the log of a build, from its start if that is still kept."""
        return self.open(self._builds.get_own(request).id)

    def open(self, build_id: str, *, queue: int = QUEUED_EVENTS) -> "LogStream":
        """Return an answer with the log of a build, for a reader with a queue of this size."""
        return LogStream(build_id, self._builds, queue)


class LogStream:
    """Answers one request with a build's log.

    Nothing is sent before the first event, not even headers, and nothing is sent between events once the build is
    dispatched.
    """

    def __init__(self, build_id: str, builds: BuildResource, queue: int = QUEUED_EVENTS) -> None:
        self.raw_headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-cache"),
            (b"connection", b"keep-alive"),
            (b"x-accel-buffering", b"no"),
        ]
        self._build_id = build_id
        self._builds = builds
        self._queue = queue
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the log ends, the client leaves or the server stops."""
        sending = asyncio.create_task(self._send_events(send))
        self._builds.services.streams.add(sending)
        leaving = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if sending.cancelled():
            # The server stops, or the client has left: without a last chunk, the client sees a broken connection.
            connection = Connection.of(scope)
            connection.abort()
            await connection.lost.wait()
            return
        await self._start(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        sent = 0
        async with aclosing(self._frames()) as frames:
            async for frame in frames:
                await self._start(send)
                await send({"type": "http.response.body", "body": frame, "more_body": True})
                sent += 1
                # Without a turn of the loop, a reader who has left would be noticed only at the end of the log. With one for each
                # event, builds would write as fast as readers read, and full queues would stay full.
                if sent % _EVENTS_A_TURN == 0:
                    await asyncio.sleep(0)

    async def _start(self, send: Send) -> None:
        if not self._started:
            self._started = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

    async def _frames(self) -> AsyncGenerator[bytes, None]:
        while True:
            build = self._builds.rows.get(self._build_id)
            if build is None:
                return
            if build.dispatched:
                break
            if not build.in_flight:
                text = build.error_message or f"build {build.status}"
                yield format_event(
                    finished=True, status=build.status, stream="system", text=text, timestamp=_now()
                )
                return
            yield format_event(
                finished=False, stream="system", text="build queued, waiting for dispatch", timestamp=_now()
            )
            await self._builds.services.clock.sleep(HEARTBEAT_S)
        record = self._builds.host.records.get(self._build_id)
        if record is None:
            yield _format_trouble("NotFound", f"build build-{self._build_id} not found")
            return
        with record.log.subscribe(self._queue) as events:
            while (frame := await events.next()) is not None:
                yield frame
        if record.log.broken:
            yield _format_trouble("Unavailable", "error reading from server: EOF")


def _format_trouble(code: str, description: str) -> bytes:
    """Return the last event of a stream that the host cannot continue. It says nothing about the build."""
    text = f"log stream ended with error: recv build log: rpc error: code = {code} desc = {description}"
    return format_event(finished=True, status="failed", stream="system", text=text)


def _now() -> str:
    return format_nanoseconds(time.time_ns())


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
