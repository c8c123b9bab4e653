"""The record of all requests to the API, for tests."""

import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import attrs
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from superserve.local._app.access_log import read_status
from superserve.local._app.clock import monotonic
from superserve.local._app.patterns import Operations, Pattern
from superserve.local._app.process import Process

# The newest requests are kept, within both limits.
KEPT_REQUESTS = 10_000
KEPT_BODY_BYTES = 64 << 20
# The most bytes to keep of a file's body. A file is passed on before all of it has arrived.
FILE_BYTES = 64 << 10
# The most requests that a failed assertion shows.
SHOWN_REQUESTS = 20

_SECRETS = frozenset({b"x-api-key", b"x-access-token"})
_LOOKED_AT = _SECRETS | frozenset(
    {b"authorization", b"sec-websocket-protocol", b"expect", b"transfer-encoding", b"content-length"}
)
_TOKEN = rb"token\.[^,\s]+"


@attrs.define(eq=False)
class Request:
    """One request, without its key."""

    method: str
    """In capitals, such as `POST`."""
    path: str
    """Decoded, without the query."""
    _query: bytes = attrs.field(alias="query", repr=False)
    # Names and values, one on each line: a list of pairs would take several times the memory.
    _headers: bytes = attrs.field(alias="headers", repr=False)
    _time: float = attrs.field(alias="time", repr=False)
    _operations: Operations = attrs.field(alias="operations", repr=False)
    body: bytes = b""
    """The body; of a file that is written, the first 64 KiB."""
    status: int | None = None
    """The status of the answer; None if there is no answer, or none yet."""

    @property
    def query_string(self) -> str:
        """The query as it was sent, without the `?`."""
        return self._query.decode("latin-1")

    @property
    def query(self) -> dict[str, list[str]]:
        """The decoded parameters of the query, each with all its values."""
        return parse_qs(self.query_string, keep_blank_values=True)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers. The case of their names is ignored.

        `X-API-Key` and `X-Access-Token` are left out, and the value of
        `Authorization` is `***`.
        """
        lines = self._headers.split(b"\n") if self._headers else []
        return Headers(raw=list(zip(lines[::2], lines[1::2], strict=True)))

    @property
    def json(self) -> Any:
        """The body parsed as JSON; ValueError if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ValueError(f"the body of {self.method} {self.path} is not JSON: {error}") from None

    @property
    def operation(self) -> str | None:
        """The operation of the contract, such as `createTemplate`; None if no operation has this method and path."""
        return self._operations.find_name(self.method, self.path)

    @property
    def at(self) -> datetime:
        """When it arrived, in UTC."""
        return datetime.fromtimestamp(self._time, UTC)

    def __str__(self) -> str:
        """Show the request on one line, such as `POST /templates: 202`."""
        query = f"?{self.query_string}" if self.query_string else ""
        return f"{self.method} {self.path}{query}: {self.status or 'no answer'}"


class Record:
    """The requests of one server, shared by all views. It can be used from any thread."""

    def __init__(self, operations: Operations, process: Process) -> None:
        self.operations = operations
        self.process = process
        self.forgotten = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._requests: OrderedDict[Request, None] = OrderedDict()
        self._body_bytes = 0

    def add(self, request: Request) -> None:
        with self._lock:
            self._requests[request] = None
            self._body_bytes += len(request.body)
            self._forget()
            if self._waiting:
                self._changed.notify_all()

    def add_to_body(self, request: Request, data: bytes) -> None:
        """Keep what comes of a body when its request is here already."""
        with self._lock:
            if request in self._requests:
                request.body += data
                self._body_bytes += len(data)
                self._forget()

    def of(self, pattern: Pattern | None) -> list[Request]:
        self.process.check()
        with self._lock:
            return self._of(pattern)

    def wait_for(self, pattern: Pattern | None, count: int, timeout_s: float) -> list[Request]:
        """Return the requests once there are `count`, or those that there are after `timeout_s`."""
        self.process.check()
        until = monotonic() + timeout_s
        with self._changed:
            self._waiting += 1
            try:
                while len(found := self._of(pattern)) < count and (left := until - monotonic()) > 0:
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
            return found

    def clear(self, pattern: Pattern | None) -> None:
        self.process.check()
        with self._lock:
            kept = (
                request
                for request in self._requests
                if pattern and not pattern.matches(request.method, request.path)
            )
            self._requests = OrderedDict.fromkeys(kept)
            self._body_bytes = sum(len(request.body) for request in self._requests)
            self.forgotten = 0

    def _forget(self) -> None:
        while len(self._requests) > KEPT_REQUESTS or (
            self._body_bytes > KEPT_BODY_BYTES and len(self._requests) > 1
        ):
            oldest, _ = self._requests.popitem(last=False)
            self._body_bytes -= len(oldest.body)
            self.forgotten += 1

    def _of(self, pattern: Pattern | None) -> list[Request]:
        if pattern is None:
            return list(self._requests)
        return [request for request in self._requests if pattern.matches(request.method, request.path)]


class Requests:
    """The requests that arrived, oldest first: `server.requests`. It can be used from any thread.

    Requests to `/_local/` are not recorded. The newest 10,000 are kept, with at most 64 MiB of bodies. They can still be
    read after `server.stop()`; `server.reset()` and `server.start()` forget them.

    Example:
        >>> from superserve.local import LocalServer
        >>> with LocalServer() as server:
        ...     template = Template.create(
        ...         name="demo", from_="python:3.11", api_key=server.api_key, base_url=server.base_url
        ...     )
        ...     server.requests.to("POST", "/templates").last.json["name"]
        'demo'

    """

    def __init__(self, record: Record, pattern: Pattern | None = None) -> None:
        self._record = record
        self._pattern = pattern

    def to(self, on: str, path: str | None = None, /) -> "Requests":
        """Return a live view of some of the requests.

        Args:
            on: The method, such as `POST`. Without a path: an operation (`createTemplate`), a path, or a method and a
                path, as for `server.faults`.
            path: The path. A part in braces matches any text: `/templates/{id}`.
        """
        pattern = self._record.operations.read(on if path is None else f"{on} {path}")
        if self._pattern is not None:
            raise ValueError(
                f"these are only the requests to {self._pattern.text!r}: use server.requests.to()"
            )
        return Requests(self._record, pattern)

    def count(self, on: str | None = None, path: str | None = None, /) -> int:
        """Return the number of requests, or of those that `to()` returns for the same arguments."""
        return len(self if on is None else self.to(on, path))

    @property
    def last(self) -> Request:
        """The newest request; LookupError if there is none."""
        found = self._all()
        if not found:
            raise LookupError(self._missing("no request"))
        return found[-1]

    @property
    def forgotten(self) -> int:
        """The number of older requests, of any kind, that were dropped because there were too many."""
        return self._record.forgotten

    def wait_for(self, count: int = 1, *, timeout_s: float = 10.0) -> list[Request]:
        """Wait until there are at least `count` requests, and return all of them. Do not call it in your event loop.

        The requests may not be answered yet.

        Args:
            count: The number of requests. Default 1.
            timeout_s: Seconds after which TimeoutError says which requests arrived instead. Default 10.

        """
        found = self._record.wait_for(self._pattern, count, timeout_s)
        if len(found) < count:
            raise TimeoutError(self._missing(f"{len(found)} of {count} requests"))
        return found

    def clear(self) -> None:
        """Forget these requests; on `server.requests` itself, all."""
        self._record.clear(self._pattern)

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Request]:
        return iter(self._all())

    def __getitem__(self, index: int) -> Request:
        return self._all()[index]

    def __repr__(self) -> str:
        """Show the number of requests, and the newest."""
        if self._record.process.is_forked:
            return "<requests to a server in another process>"
        found = self._all()
        of = f" to {self._pattern.text!r}" if self._pattern else ""
        shown = "".join(f"\n  {request}" for request in found[-SHOWN_REQUESTS:])
        return f"<{len(found)} requests{of}>{shown}"

    def _all(self) -> list[Request]:
        return self._record.of(self._pattern)

    def _missing(self, found: str) -> str:
        of = f" to {self._pattern.text!r}" if self._pattern else ""
        return f"{found}{of} arrived; all that did: {Requests(self._record)!r}"


class Recorder:
    """Records requests. It runs in the server's event loop."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def record(
        self, scope: Scope, receive: Receive, send: Send, *, is_file: bool = False
    ) -> tuple[Receive, Send]:
        """Record a request with its body (only the start of a file). Return the functions to receive and to answer it with."""
        has_body = expects = False
        lines: list[bytes] = []
        for header in scope["headers"]:
            name, value = header
            if name in _LOOKED_AT:
                if name in _SECRETS:
                    continue
                expects = expects or name == b"expect"
                has_body = (
                    has_body or name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
                )
                if name == b"sec-websocket-protocol":
                    header = (name, re.sub(_TOKEN, b"token.***", value))  # noqa: PLW2901
                elif name == b"authorization":
                    # A client may send its key here by mistake.
                    header = (name, b"***")  # noqa: PLW2901
            lines += header
        request = Request(
            scope["method"],
            scope["path"],
            scope["query_string"],
            b"\n".join(lines),
            time.time(),
            self._record.operations,
        )
        if has_body and is_file:
            receive = self._receive_and_keep(request, receive, FILE_BYTES)
        elif has_body:
            # Like the real server, read the body before answering, even if the answer does not depend on it. A client that
            # waits for `100 Continue` gets it from whoever reads the body.
            receive = (
                self._receive_and_keep(request, receive) if expects else await _receive_all(request, receive)
            )
        self._record.add(request)

        async def answer(message: Message) -> None:
            request.status = request.status or read_status(message)
            await send(message)

        return receive, answer

    def _receive_and_keep(self, request: Request, receive: Receive, most: int = KEPT_BODY_BYTES) -> Receive:
        """Receive as before, and add each piece of the body to the record, up to a size."""

        async def next_message() -> Message:
            message = await receive()
            data = message.get("body", b"")
            if data and (left := most - len(request.body)) > 0:
                self._record.add_to_body(request, data[:left])
            return message

        return next_message


async def _receive_all(request: Request, receive: Receive) -> Receive:
    """Receive the whole body, and return a function that receives it again."""
    pieces: list[bytes] = []
    message: Message = {"more_body": True}
    while message.get("more_body", False):
        message = await receive()
        pieces.append(message.get("body", b""))
    request.body = b"".join(pieces)
    ending = message if message["type"] == "http.disconnect" else {**message, "body": request.body}
    handed_out = False

    async def next_message() -> Message:
        nonlocal handed_out
        if handed_out:
            return await receive()
        handed_out = True
        return ending

    return next_message
