# Written by scripts/unasync.py from superserve/_async/data_plane.py. Do not edit: change that, then run `nox -s generate`.
"""Requests to one sandbox: its access token, waking it, and which requests are sent again."""

import base64
import copy
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import httpx
from superserve_api import AuthenticatedClient
from superserve_api.models import ApiError

from superserve import _clock as time
from superserve._config import session_url
from superserve._http import policy, responses, retry
from superserve._http.planes import Access, Plane, data_plane
from superserve._http.policy import Options
from superserve._http.raw import RawClient
from superserve._http.resend import Verdict, judge
from superserve._http.tasks_sync import Flight, run_until, sleep
from superserve._operations import sandboxes
from superserve._operations.operation import Operation
from superserve._redact import Redactor
from superserve._streams.exec import PROTOCOL
from superserve._sync.client import Send, Superserve
from superserve._sync.http import HTTPClient
from superserve.errors import AuthenticationError, SandboxError

R = TypeVar("R")
T = TypeVar("T")

Refresh = Callable[[bool], Access]
"""Gets a new access. True wakes the sandbox if necessary."""

MOST_ATTEMPTS: Final = 5
"""How often a request is sent that was refused before anything ran."""


@attrs.frozen(eq=False)
class _Route:
    """The plane and HTTP client for one access token. Two objects with the same values are still different."""

    access: Access
    plane: Plane
    http: HTTPClient
    raw: RawClient


class DataPlane:
    """Sends requests to one sandbox.

    Args:
        client: The client whose connections and settings are used.
        sandbox_id: The sandbox.
        access: The access token; None to ask for one first.
        refresh: Gets a new access token.
    """

    def __init__(self, client: Superserve, sandbox_id: str, access: Access | None, refresh: Refresh) -> None:
        self.refresh = refresh
        self.redactor = Redactor(client._config.api_key)
        self._client = client
        self._id = sandbox_id
        self._route: _Route | None = None
        self._tokens: tuple[str, ...] = ()
        self._flights: dict[bool, Flight] = {}
        if access is not None:
            self.take(access)

    def take(self, access: Access) -> None:
        """Use an access from now on."""
        # Requests under route still use older tokens, and their errors must not show those either.
        secrets = (access.token, access.hint) if access.hint else (access.token,)
        self._tokens = tuple(dict.fromkeys((*secrets, *self._tokens)))[:8]
        self.redactor = Redactor(self._client._config.api_key, *self._tokens)
        # The control plane never gets them. But it issues them, so an answer of it may quote them.
        self._client._plane.redactor.learn(*secrets)
        plane = data_plane(self._client._config, self._id, access, self.redactor)
        http = HTTPClient(
            plane,
            self._client._sandbox_connections,
            Options(self._client.timeout_s, self._client.max_attempts),
            self._client._sandbox_gate,
        )
        self._route = _Route(access, plane, http, RawClient(plane, http=http))

    def forget(self) -> None:
        """Drop the access: get a new one before the next request."""
        self._route = None

    def call(
        self,
        operation: Operation[R, T],
        send: Send[[AuthenticatedClient], ApiError | R],
        *,
        wake: bool = True,
    ) -> T:
        """Make a call with the raw client, and return the value of its answer."""

        def once(route: _Route) -> T:
            proxy = self._client._sandbox_pool_maker.proxy
            return self._client._exchange(partial(send, route.raw), operation, route.plane, proxy)

        return self._settle(operation, once, wake=wake)

    def open(
        self,
        operation: Operation[object, None],
        request: dict[str, Any],
        *,
        headers: Callable[[str], dict[str, str]],
        timeout_s: float,
        silence_s: float,
        wake: bool = True,
        statuses: tuple[int, ...] = (200,),
    ) -> httpx.Response:
        """Make a request whose answer is read in pieces, and return the answer when its headers are there.

        Args:
            operation: The operation.
            request: Arguments for httpx.
            headers: Returns further headers for an access token.
            timeout_s: Seconds until the headers must be there.
            silence_s: Seconds for one operation on the network, then and later.
            wake: Whether to wake the sandbox if it is paused.
            statuses: The statuses that are no refusal.
        """

        def once(route: _Route) -> httpx.Response:
            timeout = httpx.Timeout(
                connect=policy.CONNECT_TIMEOUT_S, read=silence_s, write=silence_s, pool=None
            )
            # The headers are in no variable here, because a traceback could show it.
            built = route.http.build_request(
                **{**request, "headers": headers(route.plane.secret), "timeout": timeout}
            )
            deadline = time.monotonic() + timeout_s
            handled = sys.exception()
            try:
                response = run_until(deadline, partial(route.http.send, built, stream=True))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise responses.failure(
                    operation,
                    error,
                    route.plane,
                    timeout_s=timeout_s,
                    proxy=self._client._sandbox_pool_maker.proxy,
                    handled=handled,
                ) from error
            if response.status_code not in statuses:
                response.close()
                if response.is_success:
                    raise SandboxError(
                        "the server sent a success with another status than this operation has",
                        action=operation.action,
                        status_code=response.status_code,
                    )
                raise responses.refusal(operation, response, route.plane)
            return response

        return self._settle(operation, once, wake=wake)

    def upgrade(self, operation: Operation[object, None], *, wake: bool = True) -> httpx.Response:
        """Open the WebSocket of a command, and return the answer with its connection."""
        from websockets.utils import accept_key

        key = base64.b64encode(os.urandom(16)).decode()

        def headers(token: str) -> dict[str, str]:
            offered = [PROTOCOL, f"token.{token}"]
            if self._route is not None and self._route.access.hint is not None:
                offered.append(f"route.{self._route.access.hint}")
            return {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": key,
                "Sec-WebSocket-Protocol": ", ".join(offered),
            }

        response = self.open(
            operation,
            {"method": "get", "url": f"{session_url(self._client.sandbox_url, self._id)}/exec/connect"},
            headers=headers,
            timeout_s=policy.CONNECT_TIMEOUT_S,
            silence_s=policy.CONNECT_TIMEOUT_S,
            wake=wake,
            statuses=(101,),
        )
        if response.headers.get("sec-websocket-accept") != accept_key(key):
            response.close()
            raise SandboxError("the server's answer is not a WebSocket", action=operation.action)
        return response

    def _settle(self, operation: Operation[Any, Any], once: Callable[[_Route], T], *, wake: bool) -> T:
        """Send a request, again as long as that helps and is safe: `judge` decides."""
        route = self._route or self._renew(None, wake=wake)
        has_renewed = False
        failures = 0
        while True:
            # Raise without an earlier exception as the context.
            try:
                return once(route)
            except SandboxError as error:
                refused = error
            verdict = judge(refused, may_repeat=operation.is_repeatable)
            if verdict is Verdict.WAKE and not has_renewed:
                has_renewed = True
                route = self._renew(route, wake=wake)
            elif verdict is Verdict.BACK_OFF and failures < MOST_ATTEMPTS - 1:
                failures += 1
                sleep(retry.delay_s(failures, policy.retry_after(refused.headers)))
            else:
                raise self._explain(operation, refused, verdict)

    def _explain(self, operation: Operation[Any, Any], error: SandboxError, verdict: Verdict) -> SandboxError:
        if verdict is Verdict.WAKE and error.status_code == policy.UNAVAILABLE:
            refusal = sandboxes.not_running_error(error, self._id, None)
            refusal.__cause__ = error
            return refusal
        if isinstance(error, AuthenticationError):
            # The API key's hint would be wrong: the key is never sent here.
            error.hint = "activate() gets another access token"
        if operation.explain is None:
            return error
        explained = operation.explain(error)
        explained.__cause__ = error.__cause__
        return explained

    def _renew(self, used: _Route | None, *, wake: bool) -> _Route:
        """Get a new route after `used` was refused. One caller asks for it, and the others wait."""
        while (route := self._route) is used or route is None:
            mine = Flight()
            # setdefault is atomic: only one of several callers gets a flight of its own.
            flight = self._flights.setdefault(wake, mine)
            if not flight.can_wait_here:
                self._flights[wake] = flight = mine
            if flight is not mine:
                flight.wait_until_landed()
                if flight.error is not None:
                    raise copy.copy(flight.error)
                continue
            try:
                self.take(self.refresh(wake))
            except SandboxError as error:
                mine.error = error
                raise
            finally:
                if self._flights.get(wake) is mine:
                    del self._flights[wake]
                mine.land()
        return route
