"""Commands in sandboxes: POST /exec, POST /exec/stream and the WebSocket."""

import asyncio
import contextlib
import posixpath
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from superserve.local._app import go_json
from superserve.local._app.clock import monotonic
from superserve.local._app.connection import Connection
from superserve.local._app.data_plane import PROTOCOL, DataRequest, text_answer
from superserve.local._app.services import Resource, Services
from superserve.local._machines.sandboxes.guest import Command, Lost, Refused
from superserve.local._machines.sandboxes.scripts import Playing
from superserve.local._resources.exec_history import History
from superserve.local._resources.exec_output import Collected, Events, now
from superserve.local._resources.exec_session import GoneError, Session
from superserve.local._resources.exec_spec import ExecRequest, Malformed, read_exec
from superserve.local._resources.sandbox_rows import SandboxRow
from superserve.local._resources.sandboxes import SandboxResource

DEFAULT_LIMIT_S = 30
KEEPALIVE_S = 15.0
LONGEST_SESSION_S = 12 * 3600.0
_GATEWAY_TIMEOUT = (
    "<html><head><title>504 Gateway Timeout</title></head><body>504 Gateway Timeout</body></html>\n"
)


class ExecResource(Resource):
    """The operations of the tag Exec."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.sandboxes = services.resource(SandboxResource)
        self.sandboxes.on_pause.append(self._cut)
        self.history = History()
        self._connections: dict[Connection, str] = {}
        self._abandoned: set[asyncio.Task[int]] = set()
        self._endings: set[asyncio.Task[None]] = set()

    # -- Operations

    async def run_command(self, request: DataRequest) -> None:
        """Answer POST /exec: one body when everything has ended."""
        try:
            wanted = read_exec(await _read_body(request), default_s=DEFAULT_LIMIT_S)
        except Malformed as error:
            await _answer(request, text_answer(400, str(error)))
            return
        behaviour = self.sandboxes.behaviour
        collected = Collected(behaviour.output_bytes)
        try:
            ran = await self._carry_out(request, wanted, collected.add, idle_s=behaviour.idle_s)
        except _IdleError:
            await _answer(request, Response(_GATEWAY_TIMEOUT, 504, media_type="text/html"))
        except _CannotStartError as error:
            text = error.text if error.is_request else f"internal: {error.text}"
            await _answer(request, text_answer(400 if error.is_request else 500, text))
        except Lost:
            Connection.of(request.scope).abort()
        else:
            headers = {
                "content-type": "application/json",
                "x-boxd-spawn-ms": f"{1000 * ran.spawn_s:.0f}",
                "x-boxd-run-ms": f"{1000 * ran.run_s:.0f}",
            }
            body = go_json.write(collected.answer(ran.code)) + b"\n"
            await _answer(request, Response(body, headers=headers))

    async def stream_command(self, request: DataRequest) -> None:
        """Answer POST /exec/stream: events as they come."""
        try:
            wanted = read_exec(await _read_body(request), default_s=DEFAULT_LIMIT_S)
        except Malformed as error:
            await _answer(request, text_answer(400, str(error)))
            return
        events = Events(request.send)
        keeping = asyncio.create_task(self._keep_alive(events))
        try:
            ran = await self._carry_out(request, wanted, events.output)
            await events.write({"exit_code": ran.code, "finished": True, "timestamp": now()})
        except _CannotStartError as error:
            text, code_word = (
                (f"invalid_argument: {error.text}", "bad_request")
                if error.is_request
                else (error.text, "exec_failed")
            )
            await events.write({"code": code_word, "error": text, "finished": True})
        except Lost:
            Connection.of(request.scope).abort()
            return
        finally:
            keeping.cancel()
        await events.end()

    async def connect(self, request: DataRequest) -> None:
        """Serve GET /exec/connect: a WebSocket."""
        await request.receive()
        offered = request.scope.get("subprotocols", [])
        await request.send(
            {"type": "websocket.accept", "subprotocol": PROTOCOL if PROTOCOL in offered else None}
        )
        session = Session(request)
        try:
            wanted = await session.read_first()
            if wanted is not None:
                await self._converse(session, wanted)
        except (ClientDisconnect, GoneError):
            return

    async def _converse(self, session: "Session", wanted: ExecRequest) -> None:
        listening: asyncio.Task[None] | None = None
        command: Command | Playing | None = None
        request = session.request
        is_over = False
        try:
            row = self.sandboxes.running(request.sandbox_id)
            command = await self._start(row, wanted, has_stdin=True)
            listening = asyncio.create_task(session.listen(command))
            seen = self.history.begin(row.id, wanted.line)
            finishing = asyncio.create_task(
                seen.watch(command.finish(wanted.limit_s, seen.tap(session.output)))
            )
            self._connections[Connection.of(request.scope)] = row.id
            await asyncio.wait(
                [listening, finishing], timeout=LONGEST_SESSION_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not finishing.done():
                finishing.cancel()
                await asyncio.wait([finishing])
                # To a client that is still there, this looks like a session that ended well.
                await session.close(1000, "bridge closed")
                return
            code = finishing.result()
            is_over = True
            await session.send_text({"exit_code": code, "finished": True})
            await session.close(1000, "command exited")
        except _CannotStartError as error:
            code_word = "bad_request" if error.is_request else "exec_failed"
            text = error.text if error.is_told else "the command failed to run"
            await session.send_text({"error": text, "code": code_word, "finished": True})
            await session.close(1011, text[:100])
        except Lost:
            Connection.of(request.scope).abort()
        finally:
            self._connections.pop(Connection.of(request.scope), None)
            if listening is not None:
                listening.cancel()
                await asyncio.wait([listening])
            if command is not None:
                # Processes that it left in the background go on.
                await (command.let_go() if is_over else command.kill())

    # -- Running commands

    async def _carry_out(
        self,
        request: DataRequest,
        wanted: ExecRequest,
        deliver: Callable[[str, bytes], Awaitable[None]],
        *,
        idle_s: float | None = None,
    ) -> "_Ran":
        """Run a command to its end. If its client hangs up, the command is killed.

        If the answer is silent for `idle_s`, a load balancer in between gives up, and the command goes on.
        """
        row = self.sandboxes.running(request.sandbox_id)
        asked_at = monotonic()
        command = await self._start(row, wanted, has_stdin=False)
        started_at = monotonic()
        connection = Connection.of(request.scope)
        self._connections[connection] = row.id
        seen = self.history.begin(row.id, wanted.line)
        finishing = asyncio.create_task(seen.watch(command.finish(wanted.limit_s, seen.tap(deliver))))
        hanging_up = asyncio.create_task(_wait_for_disconnect(request))
        idle_real_s = None if idle_s is None else self.services.clock.real(idle_s)
        try:
            await asyncio.wait(
                [finishing, hanging_up], timeout=idle_real_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not finishing.done() and not hanging_up.done():
                self._abandon(command, finishing)
            code = _read_result(finishing, hanging_up)
            return _Ran(code, started_at - asked_at, monotonic() - started_at)
        finally:
            hanging_up.cancel()
            self._connections.pop(connection, None)
            if finishing not in self._abandoned:
                finishing.cancel()
                await asyncio.wait([finishing, hanging_up])
                # Processes that it left in the background go on.
                if finishing.cancelled():
                    command.signal(signal.SIGKILL)
                await command.let_go()

    async def _start(self, row: SandboxRow, wanted: ExecRequest, *, has_stdin: bool) -> Command | Playing:
        script = self.sandboxes.scripts.find(wanted.line)
        if script is not None:
            return Playing(script, self.services.clock)
        guest = await self.sandboxes.machines.of(row)
        if isinstance(guest, str):
            raise _CannotStartError(guest, is_ours=True)
        around = self.sandboxes.machines.surroundings(row)
        cwd = posixpath.join(around.home, wanted.working_dir) if wanted.working_dir else around.cwd
        layers = {**around.layers(guest), **wanted.env}
        given = [wanted.command, *wanted.args]
        argv = guest.argv(given) if wanted.args else ["/bin/sh", "-c", wanted.command]
        try:
            return await guest.spawn(
                argv, executable=None, env=layers, cwd=guest.path(cwd), has_stdin=has_stdin
            )
        except Refused as error:
            if wanted.args and "/" not in wanted.command and error.is_missing:
                text = f'resolve "{wanted.command}": executable file not found in PATH'
                raise _CannotStartError(text, is_request=True) from None
            raise _CannotStartError(str(error)) from None
        except OSError as error:
            raise _CannotStartError(str(error)) from None

    async def _keep_alive(self, events: "Events") -> None:
        while True:
            await self.services.clock.sleep(KEEPALIVE_S)
            await events.keep_alive()

    def _abandon(self, command: Command | Playing, finishing: "asyncio.Task[int]") -> None:
        """Let a command that nobody waits for run to its end."""

        async def see_out() -> None:
            with contextlib.suppress(Lost):
                await finishing
            await command.let_go()

        self._abandoned.add(finishing)
        ending = asyncio.create_task(see_out())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        ending.add_done_callback(lambda _: self._abandoned.discard(finishing))

    def reset(self) -> None:
        """Forget which commands were run."""
        self.history.clear()

    async def aclose(self) -> None:
        """Wait for abandoned commands: their machines are gone."""
        for finishing in self._abandoned:
            finishing.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)

    def _cut(self, sandbox_id: str) -> None:
        """End the connections to a machine that is paused or gone. Nothing tells the clients why."""
        for connection, other in list(self._connections.items()):
            if other == sandbox_id:
                connection.abort()


@attrs.frozen
class _Ran:
    """A command that has ended, and how long it took to start it and to run it."""

    code: int
    spawn_s: float
    run_s: float


class _CannotStartError(Exception):
    """A command did not start.

    Args:
        text: The reason.
        is_request: Whether the request is invalid.
        is_ours: Whether this server needs another setting.
    """

    def __init__(self, text: str, *, is_request: bool = False, is_ours: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.is_request = is_request
        # On a WebSocket the real server does not tell internal errors.
        self.is_told = is_request or is_ours


class _IdleError(Exception):
    """The load balancer gave up on an answer."""


def _read_result(finishing: "asyncio.Task[int]", hanging_up: "asyncio.Task[None]") -> int:
    if not finishing.done():
        raise ClientDisconnect if hanging_up.done() else _IdleError
    return finishing.result()


async def _wait_for_disconnect(request: DataRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_body(request: DataRequest) -> bytes:
    pieces: list[bytes] = []
    message: dict[str, Any] = {"more_body": True}
    while message.get("more_body", False):
        message = dict(await request.receive())
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


async def _answer(request: DataRequest, response: Response) -> None:
    response.raw_headers.append((b"referrer-policy", b"no-referrer"))
    await response(request.scope, request.receive, request.send)
