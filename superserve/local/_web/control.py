"""The routes under /_local/: `server.faults`, `server.requests` and `server.reset()` for other languages.

They need the server's own key. They are not requests to the API: limits, the record and faults ignore them.
"""

import inspect
import json
from collections.abc import Awaitable, Callable
from functools import cache
from secrets import compare_digest

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from superserve.local._app import go_json
from superserve.local._app.answers import error_answer, json_answer
from superserve.local._app.errors import ApiError
from superserve.local._app.recorder import Record, Requests
from superserve.local._app.recorder import Request as Recorded
from superserve.local._faults.build_faults import BuildFaults
from superserve.local._faults.faults import Faults
from superserve.local._faults.registry import Fault, Registry

PREFIX = "/_local/"


@cache
def _kinds() -> dict[str, tuple[Callable[..., object], Callable[..., Fault]]]:
    """Return each fault by the name of the method that sets it, with the method that selects its requests or builds."""
    from superserve.local._faults.request_faults import RequestFaults  # Not needed at the server's start.

    return {
        name: (choose, method)
        for choose, methods in ((Faults.on, RequestFaults), (Faults.on_build, BuildFaults))
        for name, method in vars(methods).items()
        if not name.startswith("_")
    }


class Control:
    """Answers the requests to /_local/."""

    def __init__(
        self, registry: Registry, record: Record, *, key: str, reset: Callable[[], Awaitable[None]]
    ) -> None:
        self._faults = Faults(registry, record.operations)
        self._requests = Requests(record)
        self._key = key.encode()
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(Request(scope, receive))
        except ApiError as error:
            answer = error_answer(error)
        except ClientDisconnect:
            return
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not compare_digest(request.headers.get("x-api-key", "").encode(), self._key):
            raise ApiError(401, "auth_failed", f"{PREFIX} needs the server's own key")
        match [request.method, *request.scope["path"].removeprefix(PREFIX).split("/")]:
            case ["POST", "faults"]:
                return _make_json(201, self._add(await request.body()).describe())
            case ["GET", "faults"]:
                return _make_json(200, [fault.describe() for fault in self._faults])
            case ["GET", "faults", fault_id]:
                return _make_json(200, self._find_fault(fault_id).describe())
            case ["GET", "requests"]:
                return _make_json(200, [_describe(recorded) for recorded in self._select(request)])
            case ["DELETE", "faults"]:
                self._faults.clear()
            case ["DELETE", "faults", fault_id]:
                self._find_fault(fault_id).remove()
            case ["DELETE", "requests"]:
                self._select(request).clear()
            case ["POST", "reset"]:
                await self._reset()
            case _:
                text = f"no such route or method: there are {PREFIX}faults, faults/ID, requests and reset"
                raise ApiError(404, "not_found", text)
        return Response(status_code=204)

    def _add(self, body: bytes) -> Fault:
        """Call the methods of `server.faults` that the body names, with its arguments."""
        try:
            given = json.loads(body)
        except ValueError as error:
            raise ApiError(400, "bad_request", f"a fault is a JSON object: {error}") from None
        if not isinstance(given, dict):
            raise ApiError(400, "bad_request", "a fault is a JSON object")
        kind = given.pop("fault", None)
        if not isinstance(kind, str) or kind not in _kinds():
            kinds = ", ".join(_kinds())
            raise ApiError(400, "bad_request", f'"fault" must be one of {kinds}, not {json.dumps(kind)}')
        choose, method = _kinds()[kind]
        choosing, setting = _parameters(choose), _parameters(method)
        for name in given:
            if name not in choosing | setting:
                names = ", ".join(setting | choosing)
                raise ApiError(400, "bad_request", f'{kind} has no "{name}", but {names}')
        for name, parameter in (choosing | setting).items():
            if parameter.default is parameter.empty and name not in given:
                raise ApiError(400, "bad_request", f'{kind} needs "{name}"')
        on = [given.pop("on")] if "on" in choosing else []
        chosen = {name: given.pop(name) for name in choosing if name in given}
        try:
            return method(choose(self._faults, *on, **chosen), **given)
        except (TypeError, ValueError) as error:
            raise ApiError(400, "bad_request", str(error)) from None

    def _find_fault(self, fault_id: str) -> Fault:
        for fault in self._faults:
            if fault.id == fault_id:
                return fault
        raise ApiError(404, "not_found", f'there is no fault "{fault_id}"')

    def _select(self, request: Request) -> Requests:
        on = request.query_params.get("on")
        try:
            return self._requests if on is None else self._requests.to(on)
        except ValueError as error:
            raise ApiError(400, "bad_request", str(error)) from None


def _parameters(method: Callable[..., object]) -> dict[str, inspect.Parameter]:
    return {name: value for name, value in inspect.signature(method).parameters.items() if name != "self"}


def _describe(request: Recorded) -> dict[str, object]:
    described: dict[str, object] = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": dict(request.headers),
        "body": request.body.decode("utf-8", "replace"),
        "status": request.status,
        "operation": request.operation,
        "at": request.at.isoformat(),
    }
    try:
        described["json"] = request.json
    except ValueError:
        return described
    return described


def _make_json(status: int, value: object) -> Response:
    return json_answer(status, go_json.write(value))
