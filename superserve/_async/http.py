"""httpx's client for one plane: with a deadline for each call, retries, and a limit on the size of answers."""

from functools import partial
from typing import Any, Final

import attrs
import httpx

from superserve import _clock as time
from superserve._http import policy, private, retry
from superserve._http.connections_async import Connections
from superserve._http.gate import Gate
from superserve._http.planes import Plane
from superserve._http.policy import Options, Repeatable
from superserve._http.private import AsyncTransport
from superserve._http.tasks_async import run_until, sleep

# The status of a WebSocket's answer. It has no body, and reading one would close the connection.
_SWITCHING: Final = 101


class AsyncHTTPClient(private.Unredirected, httpx.AsyncClient):
    """Sends the requests of one plane.

    Args:
        plane: The plane.
        connections: The connections to use. Their owner closes them.
        default: The options of a call that has none of its own. A call that changes something is sent once.
        gate: The gate of other clients of the same plane, to share it.

    Attributes:
        gate: The gate that calls go through after a 429.
    """

    def __init__(
        self, plane: Plane, connections: Connections, default: Options, gate: Gate | None = None
    ) -> None:
        super().__init__(
            base_url=plane.base_url,
            headers=policy.common_headers(),
            timeout=default.timeout_s,
            transport=AsyncTransport(connections.pool),
        )
        self.gate = gate or Gate()
        self._plane = plane
        self._connections = connections
        self._default = default

    @property
    def cookies(self) -> httpx.Cookies:
        """An empty jar: this client has no cookies."""
        return policy.NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        """Ignore new cookies."""

    def build_request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        """Build a request as httpx does, and authenticate it."""
        if isinstance(url, str) and url.startswith("/"):
            url = self._plane.locate(url)
        request = super().build_request(method, url, **arguments)
        self._plane.authenticate(request)
        return request

    async def send(self, request: httpx.Request, *, stream: bool = False, **arguments: Any) -> httpx.Response:
        """Send a request as httpx does, within its deadline.

        With `stream`, the request is sent once, and the reader of the body decides on its deadline. A refusal is read here.
        """
        arguments.pop("follow_redirects", None)
        if stream:
            return await self._open(request, **arguments)
        # Raise first if there can be no connections.
        self._connections.pool()
        options = policy.current_options.get()
        if options is None:
            options = self._default
            if request.method not in policy.REPEATED_METHODS:
                options = attrs.evolve(options, attempts=1)
        else:
            # httpx has put its default here. The options decide instead.
            request.extensions.pop("timeout", None)
        deadline = time.monotonic() + options.timeout_s
        exchange = partial(self._exchange, request, deadline, options.silence_s, super().send, **arguments)
        if options.attempts == 1:
            return await run_until(deadline, exchange)

        @retry.repeat(attempts=options.attempts, deadline=deadline)
        async def attempt() -> httpx.Response:
            try:
                response = await run_until(deadline, exchange)
            except httpx.RequestError as error:
                if not policy.may_pass(error):
                    raise
                raise Repeatable(error) from error
            if policy.is_worth_repeating(response):
                raise Repeatable(response)
            return response

        try:
            return await attempt()
        except Repeatable as last:
            return last.outcome()

    async def _open(self, request: httpx.Request, **arguments: Any) -> httpx.Response:
        sent_at = time.monotonic()
        response = await super().send(request, stream=True, **arguments)
        if not (response.is_success or response.status_code == _SWITCHING):
            deadline = time.monotonic() + self._default.timeout_s
            await run_until(deadline, partial(read_whole, response))
        self.gate.note(response, sent_at)
        return response

    async def _exchange(
        self, request: httpx.Request, deadline: float, silence_s: float, send: Any, **arguments: Any
    ) -> httpx.Response:
        async with self._connections.lease(deadline):
            if delay := self.gate.delay(deadline):
                if delay >= policy.time_left(deadline):
                    raise policy.OutOfTurnError(delay, request)
                await sleep(delay)
            policy.set_timeouts(request, policy.time_left(deadline), silence_s)
            sent_at = time.monotonic()
            response = await read_whole(await send(request, stream=True, **arguments))
        self.gate.note(response, sent_at)
        return response


async def read_whole(response: httpx.Response) -> httpx.Response:
    """Read an answer to its end; raise if it is too long. Of a refusal, read the first 64 KiB."""
    chunks: list[bytes] = []
    said = response.headers.get("content-length", "")
    length = 0
    try:
        if response.is_success:
            policy.refuse_length(response.request, int(said) if said.isdecimal() else 0)
        policy.refuse_encoding(response)
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            length += len(chunk)
            if length > policy.REFUSAL_LIMIT and not response.is_success:
                break
            policy.refuse_length(response.request, length)
    finally:
        await response.aclose()
    return private.set_content(response, b"".join(chunks))
