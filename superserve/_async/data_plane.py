"""The door to one sandbox: its token, waking it, and what is sent to it again."""

import base64
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

import httpx
from superserve_api.models import ApiError
from websockets.utils import accept_key

from superserve._async.client import AsyncSuperserve, Send
from superserve._async.http import AsyncHTTPClient
from superserve._http import policy, responses, retry
from superserve._http.planes import Plane
from superserve._http.policy import Options
from superserve._http.raw import RawClient
from superserve._http.resend import Verdict, judge
from superserve._http.tasks_async import run_until, sleep
from superserve._operations.operation import Operation
from superserve._redact import Redactor
from superserve._streams.exec import PROTOCOL
from superserve.errors import SandboxError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Activate = Callable[[], Any]

MOST_BACKING_OFF: Final = 5


class AsyncDataPlane:
    """Sends requests to one sandbox (scaffold until the real one comes)."""

    def __init__(self, client: AsyncSuperserve, sandbox_id: str, token: str, activate: Activate) -> None:
        self._client = client
        self._id = sandbox_id
        self._activate = activate
        self._take(token)

    def _take(self, token: str) -> None:
        self._token = token
        self.redactor = Redactor(token)
        plane = Plane(self._client.base_url, "X-Access-Token", token, self.redactor, "sandbox_url=")
        self._plane = plane
        self._http = AsyncHTTPClient(
            plane, self._client._connections, Options(self._client.timeout_s, self._client.max_attempts)
        )
        self._http.headers["X-Superserve-Sandbox-Id"] = self._id

    async def call(
        self, operation: Operation[R, T], send: Send[[RawClient], ApiError | R], *, wake: bool = True
    ) -> T:
        async def once() -> T:
            options = operation.options or Options(30.0, 1)
            try:
                with policy.applying(options):
                    response = await send(RawClient(self._plane, async_http=self._http))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise responses.failure(operation, error, self._plane, timeout_s=options.timeout_s) from error
            return responses.result(operation, response, self._plane)

        return await self._settle(once)

    async def open(
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
        async def once() -> httpx.Response:
            timeout = httpx.Timeout(connect=10.0, read=silence_s, write=silence_s, pool=None)
            built = self._http.build_request(
                **{**request, "headers": headers(self._token), "timeout": timeout}
            )
            deadline = time.monotonic() + timeout_s
            try:
                response = await run_until(deadline, partial(self._http.send, built, stream=True))
            except httpx.RequestError as error:
                raise responses.failure(operation, error, self._plane, timeout_s=timeout_s) from error
            if response.status_code not in statuses:
                await response.aclose()
                if response.is_success:
                    raise SandboxError(
                        "the server's answer is not what was asked for",
                        action=operation.action,
                        status_code=response.status_code,
                    )
                raise responses.refusal(operation, response, self._plane)
            return response

        return await self._settle(once)

    async def upgrade(self, operation: Operation[object, None], *, wake: bool = True) -> httpx.Response:
        key = base64.b64encode(os.urandom(16)).decode()

        def headers(token: str) -> dict[str, str]:
            return {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": key,
                "Sec-WebSocket-Protocol": f"{PROTOCOL}, token.{token}",
            }

        response = await self.open(
            operation,
            {"method": "get", "url": "/exec/connect"},
            headers=headers,
            timeout_s=10.0,
            silence_s=10.0,
            statuses=(101,),
        )
        if response.headers.get("sec-websocket-accept") != accept_key(key):
            await response.aclose()
            raise SandboxError("the server's answer is no WebSocket", action=operation.action)
        return response

    async def _settle(self, once: Callable[[], Any]) -> Any:
        has_woken = False
        for failures in range(1, 1000):
            try:
                return await once()
            except SandboxError as error:
                verdict = judge(error)
                if verdict is Verdict.WAKE and not has_woken:
                    has_woken = True
                    self._take(await self._activate())
                elif verdict is Verdict.BACK_OFF and failures < MOST_BACKING_OFF:
                    await sleep(retry.delay_s(failures, None))
                else:
                    raise
        raise AssertionError
