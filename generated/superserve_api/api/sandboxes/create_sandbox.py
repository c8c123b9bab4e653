# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.create_sandbox_request import CreateSandboxRequest
from ...models.sandbox_response import SandboxResponse
from ...types import Response


def _get_kwargs(
    *,
    body: CreateSandboxRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/sandboxes",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | SandboxResponse | None:
    if response.status_code == 201 or wire.is_other_success(response, client):
        response_201 = SandboxResponse.from_dict(wire.decoded(response))

        return response_201

    if response.status_code == 400:
        response_400 = ApiError.from_dict(wire.decoded(response))

        return response_400

    if response.status_code == 401:
        response_401 = ApiError.from_dict(wire.decoded(response))

        return response_401

    if response.status_code == 403:
        response_403 = ApiError.from_dict(wire.decoded(response))

        return response_403

    if response.status_code == 404:
        response_404 = ApiError.from_dict(wire.decoded(response))

        return response_404

    if response.status_code == 409:
        response_409 = ApiError.from_dict(wire.decoded(response))

        return response_409

    if response.status_code == 410:
        response_410 = ApiError.from_dict(wire.decoded(response))

        return response_410

    if response.status_code == 429:
        response_429 = ApiError.from_dict(wire.decoded(response))

        return response_429

    if response.status_code == 500:
        response_500 = ApiError.from_dict(wire.decoded(response))

        return response_500

    if response.status_code == 503:
        response_503 = ApiError.from_dict(wire.decoded(response))

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ApiError | SandboxResponse]:
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
    body: CreateSandboxRequest,
) -> Response[ApiError | SandboxResponse]:
    """Create a sandbox and start it

     Answers when the sandbox is running, usually within a second; the server may take 90 seconds. Not
    idempotent: if an answer is lost, look with listSandboxes for a metadata entry of your own before
    you try again. For some milliseconds after the answer the row may still be `starting`; then a call
    that changes the sandbox is refused with 409. For a team at its limit the answer is a 429 with the
    code `too_many_sandboxes`.

    Args:
        body (CreateSandboxRequest): A sandbox to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | SandboxResponse]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: CreateSandboxRequest,
) -> ApiError | SandboxResponse | None:
    """Create a sandbox and start it

     Answers when the sandbox is running, usually within a second; the server may take 90 seconds. Not
    idempotent: if an answer is lost, look with listSandboxes for a metadata entry of your own before
    you try again. For some milliseconds after the answer the row may still be `starting`; then a call
    that changes the sandbox is refused with 409. For a team at its limit the answer is a 429 with the
    code `too_many_sandboxes`.

    Args:
        body (CreateSandboxRequest): A sandbox to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | SandboxResponse
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: CreateSandboxRequest,
) -> Response[ApiError | SandboxResponse]:
    """Create a sandbox and start it

     Answers when the sandbox is running, usually within a second; the server may take 90 seconds. Not
    idempotent: if an answer is lost, look with listSandboxes for a metadata entry of your own before
    you try again. For some milliseconds after the answer the row may still be `starting`; then a call
    that changes the sandbox is refused with 409. For a team at its limit the answer is a 429 with the
    code `too_many_sandboxes`.

    Args:
        body (CreateSandboxRequest): A sandbox to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | SandboxResponse]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: CreateSandboxRequest,
) -> ApiError | SandboxResponse | None:
    """Create a sandbox and start it

     Answers when the sandbox is running, usually within a second; the server may take 90 seconds. Not
    idempotent: if an answer is lost, look with listSandboxes for a metadata entry of your own before
    you try again. For some milliseconds after the answer the row may still be `starting`; then a call
    that changes the sandbox is refused with 409. For a team at its limit the answer is a 429 with the
    code `too_many_sandboxes`.

    Args:
        body (CreateSandboxRequest): A sandbox to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | SandboxResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
