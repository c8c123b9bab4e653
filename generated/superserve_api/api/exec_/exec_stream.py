# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.exec_request import ExecRequest
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: ExecRequest,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(x_superserve_sandbox_id, Unset):
        headers["X-Superserve-Sandbox-Id"] = x_superserve_sandbox_id

    if not isinstance(x_superserve_routing_hint, Unset):
        headers["X-Superserve-Routing-Hint"] = x_superserve_routing_hint

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/exec/stream",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def request_arguments(
    *,
    body: ExecRequest,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> dict[str, Any]:
    """Return the request as arguments for httpx (method, url and so on). Pass it to an event-stream reader, such as
    `httpx_sse.connect_sse(client.get_httpx_client(), **request_arguments(...), timeout=...)`.
    """
    return _get_kwargs(
        body=body,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    )


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | str | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = response.text
        return response_200

    if response.status_code == 400:
        response_400 = ApiError.from_dict(wire.decoded(response))

        return response_400

    if response.status_code == 401:
        response_401 = ApiError.from_dict(wire.decoded(response))

        return response_401

    if response.status_code == 404:
        response_404 = ApiError.from_dict(wire.decoded(response))

        return response_404

    if response.status_code == 429:
        response_429 = ApiError.from_dict(wire.decoded(response))

        return response_429

    if response.status_code == 500:
        response_500 = ApiError.from_dict(wire.decoded(response))

        return response_500

    if response.status_code == 502:
        response_502 = ApiError.from_dict(wire.decoded(response))

        return response_502

    if response.status_code == 503:
        response_503 = ApiError.from_dict(wire.decoded(response))

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ApiError | str]:
    parsed, problem = wire.parsed_or_problem(_parse_response, client=client, response=response)
    return Response(
        status_code=wire.http_status(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=parsed,
        problem=problem,
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ExecRequest,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> Response[ApiError | str]:
    """Run a command and follow its output

     Server-sent events, each with an ExecStreamEvent as its data, and a comment every 15 seconds. Only
    the last event has `finished`; if the stream ends without it, it is not known how the command ended.
    The generated function returns all events at the end. To follow a command, pass
    `request_arguments()` to an event-stream reader. The headers come with the first event or comment.
    Not idempotent.

    Args:
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (ExecRequest): A command to run.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | str]
    """

    kwargs = _get_kwargs(
        body=body,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: ExecRequest,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> ApiError | str | None:
    """Run a command and follow its output

     Server-sent events, each with an ExecStreamEvent as its data, and a comment every 15 seconds. Only
    the last event has `finished`; if the stream ends without it, it is not known how the command ended.
    The generated function returns all events at the end. To follow a command, pass
    `request_arguments()` to an event-stream reader. The headers come with the first event or comment.
    Not idempotent.

    Args:
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (ExecRequest): A command to run.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | str
    """

    return sync_detailed(
        client=client,
        body=body,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ExecRequest,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> Response[ApiError | str]:
    """Run a command and follow its output

     Server-sent events, each with an ExecStreamEvent as its data, and a comment every 15 seconds. Only
    the last event has `finished`; if the stream ends without it, it is not known how the command ended.
    The generated function returns all events at the end. To follow a command, pass
    `request_arguments()` to an event-stream reader. The headers come with the first event or comment.
    Not idempotent.

    Args:
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (ExecRequest): A command to run.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | str]
    """

    kwargs = _get_kwargs(
        body=body,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ExecRequest,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> ApiError | str | None:
    """Run a command and follow its output

     Server-sent events, each with an ExecStreamEvent as its data, and a comment every 15 seconds. Only
    the last event has `finished`; if the stream ends without it, it is not known how the command ended.
    The generated function returns all events at the end. To follow a command, pass
    `request_arguments()` to an event-stream reader. The headers come with the first event or comment.
    Not idempotent.

    Args:
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (ExecRequest): A command to run.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | str
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            x_superserve_sandbox_id=x_superserve_sandbox_id,
            x_superserve_routing_hint=x_superserve_routing_hint,
        )
    ).parsed
