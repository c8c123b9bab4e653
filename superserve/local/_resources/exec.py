"""Commands in sandboxes: POST /exec, POST /exec/stream and the WebSocket."""

import asyncio
import codecs
import contextlib
import json
import posixpath
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import attrs
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message

from superserve.local._app import go_json
from superserve.local._app.answers import json_answer
from superserve.local._app.clock import format_nanoseconds
from superserve.local._app.connection import Connection
from superserve.local._app.data_plane import PROTOCOL, DataRequest, text_answer
from superserve.local._app.services import Resource, Services
from superserve.local._machines.sandboxes.guest import Command, Lost, Refused
from superserve.local._machines.sandboxes.scripts import Playing
from superserve.local._resources.sandboxes import SandboxResource, SandboxRow

DEFAULT_LIMIT_S = 30
KEEPALIVE_S = 15.0
FIRST_FRAME_S = 10.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CUT = "\n[superserve] output is longer than 8 MiB; the rest was dropped\n"
_GATEWAY_TIMEOUT = (
    "<html><head><title>504 Gateway Timeout</title></head><body>504 Gateway Timeout</body></html>\n"
)
_SIGNALS = {name: getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")}
_STDIN, _STDOUT, _STDERR = b"\0", b"\x01", b"\x02"
_MILLISECONDS = 2**32
_GO = "superserve-go"

Send: TypeAlias = Callable[[Message], Awaitable[None]]


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    # As Go does; Python's own handler replaces a broken sequence as a whole.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_GO, _replace_each_byte)


@attrs.frozen
class ExecRequest:
    """What is to be run."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str
    limit_s: float | None

    @property
    def line(self) -> str:
        """The command as one line, for whoever looks at it."""
        return " ".join((self.command, *self.args))


class Malformed(Exception):  # noqa: N818 - describes the body, as its message does
    """The body isn't a request to run something; the message says why."""


def read_exec(body: bytes, *, default_s: float | None) -> ExecRequest:
    """Read a request to run something, as leniently as the machine does; raises Malformed."""
    try:
        value, _ = json.JSONDecoder().raw_decode(body.decode(errors="replace").lstrip())
    except ValueError:
        raise Malformed("invalid JSON body") from None
    if not isinstance(value, dict):
        raise Malformed("invalid JSON body")
    found = {key: item for key, item in value.items() if item is not None}
    command, cwd = found.get("command", ""), found.get("working_dir", "")
    args, env, timeout = found.get("args", []), found.get("env", {}), found.get("timeout_s", 0)
    if (
        not isinstance(command, str)
        or not isinstance(cwd, str)
        or not isinstance(args, list)
        or not all(isinstance(arg, str) for arg in args)
        or not isinstance(env, dict)
        or not all(isinstance(item, str) for item in env.values())
        or type(timeout) is not int
    ):
        raise Malformed("invalid JSON body")
    if not command:
        raise Malformed("command is required")
    if timeout == 0 or (default_s is None and timeout < 0):
        limit = default_s
    else:
        # As the machine multiplies: a negative time is a very long one.
        limit = timeout * 1000 % _MILLISECONDS / 1000
    return ExecRequest(command, tuple(args), env, cwd, limit)


class ExecResource(Resource):
    """The tag Exec."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.sandboxes = services.resource(SandboxResource)
        self.sandboxes.on_pause.append(self._cut)
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
        collected = _Collected(behaviour.output_bytes)
        try:
            code = await self._carry_out(request, wanted, collected.add, idle_s=behaviour.idle_s)
        except _IdleError:
            await _answer(request, Response(_GATEWAY_TIMEOUT, 504, media_type="text/html"))
        except _CannotStartError as error:
            text = error.text if error.is_request else f"internal: {error.text}"
            await _answer(request, text_answer(400 if error.is_request else 500, text))
        except Lost:
            Connection.of(request.scope).abort()
        else:
            await _answer(request, json_answer(200, go_json.write(collected.answer(code)) + b"\n"))

    async def stream_command(self, request: DataRequest) -> None:
        """Answer POST /exec/stream: events as they come."""
        try:
            wanted = read_exec(await _read_body(request), default_s=DEFAULT_LIMIT_S)
        except Malformed as error:
            await _answer(request, text_answer(400, str(error)))
            return
        events = _Events(request.send)
        keeping = asyncio.create_task(self._keep_alive(events))
        try:
            code = await self._carry_out(request, wanted, events.output)
            await events.write({"exit_code": code, "finished": True, "timestamp": _now()})
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
        session = _Session(request)
        try:
            wanted = await session.read_first()
            if wanted is not None:
                await self._converse(session, wanted)
        except (ClientDisconnect, _GoneError):
            return

    async def _converse(self, session: "_Session", wanted: ExecRequest) -> None:
        listening: asyncio.Task[None] | None = None
        command: Command | Playing | None = None
        request = session.request
        row = self.sandboxes.rows[request.sandbox_id]
        try:
            command = await self._start(row, wanted, has_stdin=True)
            listening = asyncio.create_task(session.listen(command))
            finishing = asyncio.create_task(command.finish(wanted.limit_s, session.output))
            self._connections[Connection.of(request.scope)] = row.id
            await asyncio.wait([listening, finishing], return_when=asyncio.FIRST_COMPLETED)
            if not finishing.done():
                finishing.cancel()
                await asyncio.wait([finishing])
                return
            code = finishing.result()
            await session.send_text({"exit_code": code, "finished": True})
            await session.close(1000, "command exited")
        except _CannotStartError as error:
            code_word = "bad_request" if error.is_request else "exec_failed"
            text = error.text if error.is_request else "the command failed to run"
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
                await command.kill()

    # -- Carrying out

    async def _carry_out(
        self,
        request: DataRequest,
        wanted: ExecRequest,
        deliver: Callable[[str, bytes], Awaitable[None]],
        *,
        idle_s: float | None = None,
    ) -> int:
        """Run a command to its end, or until its client hangs up: then it is killed.

        Where nothing is said of it for `idle_s`, whoever is in between gives up, and it goes on.
        """
        row = self.sandboxes.rows[request.sandbox_id]
        command = await self._start(row, wanted, has_stdin=False)
        connection = Connection.of(request.scope)
        self._connections[connection] = row.id
        finishing = asyncio.create_task(command.finish(wanted.limit_s, deliver))
        hanging_up = asyncio.create_task(_wait_for_disconnect(request))
        try:
            await asyncio.wait([finishing, hanging_up], timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
            if not finishing.done() and not hanging_up.done():
                self._abandon(command, finishing)
            return _read_result(finishing, hanging_up)
        finally:
            hanging_up.cancel()
            self._connections.pop(connection, None)
            if finishing not in self._abandoned:
                finishing.cancel()
                await asyncio.wait([finishing, hanging_up])
                # What it left in the background goes on.
                if finishing.cancelled():
                    command.signal(signal.SIGKILL)
                await command.let_go()

    async def _start(self, row: SandboxRow, wanted: ExecRequest, *, has_stdin: bool) -> Command | Playing:
        script = self.sandboxes.scripts.find(wanted.line)
        if script is not None:
            return Playing(script, self.services.clock)
        guest = await self.sandboxes.guest(row)
        if isinstance(guest, str):
            raise _CannotStartError(guest)
        home, user, workdir, env = self.sandboxes.surroundings(row)
        cwd = posixpath.join(home, wanted.working_dir) if wanted.working_dir else workdir
        path = _PATH if guest.space.is_isolated else f"{guest.space.programs}:{_PATH}"
        layers = {"PATH": path, "HOME": guest.path(home), "USER": user, **env, **wanted.env}
        argv = [wanted.command, *wanted.args] if wanted.args else ["/bin/sh", "-c", wanted.command]
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

    async def _keep_alive(self, events: "_Events") -> None:
        while True:
            await self.services.clock.sleep(KEEPALIVE_S)
            await events.keep_alive()

    def _abandon(self, command: Command | Playing, finishing: "asyncio.Task[int]") -> None:
        """Let a command that nobody waits for go on to its end."""

        async def see_out() -> None:
            with contextlib.suppress(Lost):
                await finishing
            await command.let_go()

        self._abandoned.add(finishing)
        ending = asyncio.create_task(see_out())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        ending.add_done_callback(lambda _: self._abandoned.discard(finishing))

    async def aclose(self) -> None:
        """Wait for what was abandoned: its machines are gone."""
        for finishing in self._abandoned:
            finishing.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)

    def _cut(self, sandbox_id: str) -> None:
        """End the connections to a machine that is paused or gone: nothing tells them why."""
        for connection, other in list(self._connections.items()):
            if other == sandbox_id:
                connection.abort()


class _CannotStartError(Exception):
    def __init__(self, text: str, *, is_request: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.is_request = is_request


class _IdleError(Exception):
    """The load balancer gave up on an answer."""


class _GoneError(Exception):
    """The other end of a WebSocket is gone."""


class _Collected:
    """The output of a command whose answer is one body."""

    def __init__(self, most: int) -> None:
        self._texts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._left = most
        self._is_cut = False

    async def add(self, stream: str, data: bytes) -> None:
        """Keep a piece, or what still fits of it."""
        if self._is_cut:
            return
        text = data.decode("utf-8", _GO)
        size = len(go_json.write(text)) - 2
        if size > self._left:
            self._is_cut = True
            kept = 0
            while kept < len(text) and (size := len(go_json.write(text[kept])) - 2) <= self._left:
                self._left -= size
                kept += 1
            text = text[:kept]
        else:
            self._left -= size
        self._texts[stream].append(text)

    def answer(self, code: int) -> dict[str, object]:
        """Return the body."""
        stderr = "".join(self._texts["stderr"]) + (_CUT if self._is_cut else "")
        answer: dict[str, object] = {
            "stdout": "".join(self._texts["stdout"]), "stderr": stderr, "exit_code": code,
        }  # fmt: skip
        return {**answer, "truncated": True} if self._is_cut else answer


class _Events:
    """An event stream, whose headers go with the first event."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self._lock = asyncio.Lock()

    async def output(self, stream: str, data: bytes) -> None:
        """Send a piece of output."""
        await self.write({stream: data.decode("utf-8", _GO), "timestamp": _now()})

    async def write(self, event: Mapping[str, object]) -> None:
        """Send an event."""
        await self._write(b"data: " + go_json.write(dict(event), sort_keys=True) + b"\n\n")

    async def keep_alive(self) -> None:
        """Send a comment."""
        await self._write(b": keepalive\n\n")

    async def end(self) -> None:
        """End the stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            if not self._has_begun:
                self._has_begun = True
                headers = {
                    b"content-type": b"text/event-stream",
                    b"cache-control": b"no-cache",
                    b"x-accel-buffering": b"no",
                    b"referrer-policy": b"no-referrer",
                }
                await self._send(
                    {"type": "http.response.start", "status": 200, "headers": list(headers.items())}
                )
            await self._send({"type": "http.response.body", "body": data, "more_body": True})


class _Session:
    """One WebSocket."""

    def __init__(self, request: DataRequest) -> None:
        self.request = request

    async def read_first(self) -> ExecRequest | None:
        """Return what is to be run; None if the socket was closed for want of that."""
        try:
            async with asyncio.timeout(FIRST_FRAME_S):
                message = await self._receive()
        except TimeoutError:
            message = {}
        if message.get("bytes") is not None:
            await self.close(1003, "expected start message")
            return None
        try:
            return read_exec((message.get("text") or "").encode(), default_s=None)
        except Malformed:
            await self.close(1008, "expected start message")
            return None

    async def listen(self, command: Command | Playing) -> None:
        """Do what the client says until it hangs up: one thing at a time, so a stuck input holds up what is behind it."""
        with contextlib.suppress(_GoneError):
            while True:
                message = await self._receive()
                data, text = message.get("bytes"), message.get("text")
                if data is not None:
                    if data[:1] == _STDIN:
                        await command.write(data[1:])
                    continue
                try:
                    said = json.loads(text or "")
                except ValueError:
                    continue
                match said:
                    case {"type": "stdin_close"}:
                        command.close_stdin()
                    case {"type": "signal", "name": str(name)} if name in _SIGNALS:
                        command.signal(_SIGNALS[name])
                    case _:
                        pass

    async def output(self, stream: str, data: bytes) -> None:
        """Send a piece of output."""
        await self._send({"bytes": (_STDOUT if stream == "stdout" else _STDERR) + data})

    async def send_text(self, value: Mapping[str, object]) -> None:
        """Send a frame of JSON."""
        await self._send({"text": go_json.write(dict(value)).decode()})

    async def close(self, code: int, reason: str) -> None:
        """Close it."""
        with contextlib.suppress(Exception):
            await self.request.send({"type": "websocket.close", "code": code, "reason": reason})

    async def _send(self, frame: Mapping[str, object]) -> None:
        try:
            await self.request.send({"type": "websocket.send", **frame})
        except Exception as error:  # uvicorn's own kinds, different ones by its version
            raise _GoneError from error

    async def _receive(self) -> Message:
        message = await self.request.receive()
        if message["type"] == "websocket.disconnect":
            raise _GoneError
        return message


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


def _now() -> str:
    return format_nanoseconds(time.time_ns())
