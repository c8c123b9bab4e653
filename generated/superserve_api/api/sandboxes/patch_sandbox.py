# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any, cast

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.sandbox_patch import SandboxPatch
from ...types import Response


def _get_kwargs(
    sandbox_id: str,
    *,
    body: SandboxPatch,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/sandboxes/{sandbox_id}".format(
            sandbox_id=wire.path_segment(sandbox_id),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | ApiError | None:
    if response.status_code == 204 or wire.is_other_success(response, client):
        response_204 = cast(Any, None)
        return response_204

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

    if response.status_code == 429:
        response_429 = ApiError.from_dict(wire.decoded(response))

        return response_429

    if response.status_code == 500:
        response_500 = ApiError.from_dict(wire.decoded(response))

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Any | ApiError]:
    parsed, problem = wire.parsed_or_problem(_parse_response, client=client, response=response)
    return Response(
        status_code=wire.http_status(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=parsed,
        problem=problem,
    )


def sync_detailed(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    body: SandboxPatch,
) -> Response[Any | ApiError]:
    """Change a sandbox

     Replaces the given fields as a whole, and leaves the others unchanged. They are applied in the order
    network, metadata, auto_delete_seconds, timeout_seconds, preview_access. This is not atomic: changes
    before a failure remain. A change of the network is refused with 409 if the sandbox is not active.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        body (SandboxPatch): Changes of a sandbox; at least one field.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ApiError]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    body: SandboxPatch,
) -> Any | ApiError | None:
    """Change a sandbox

     Replaces the given fields as a whole, and leaves the others unchanged. They are applied in the order
    network, metadata, auto_delete_seconds, timeout_seconds, preview_access. This is not atomic: changes
    before a failure remain. A change of the network is refused with 409 if the sandbox is not active.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        body (SandboxPatch): Changes of a sandbox; at least one field.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ApiError
    """

    return sync_detailed(
        sandbox_id=sandbox_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    body: SandboxPatch,
) -> Response[Any | ApiError]:
    """Change a sandbox

     Replaces the given fields as a whole, and leaves the others unchanged. They are applied in the order
    network, metadata, auto_delete_seconds, timeout_seconds, preview_access. This is not atomic: changes
    before a failure remain. A change of the network is refused with 409 if the sandbox is not active.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        body (SandboxPatch): Changes of a sandbox; at least one field.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ApiError]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    body: SandboxPatch,
) -> Any | ApiError | None:
    """Change a sandbox

     Replaces the given fields as a whole, and leaves the others unchanged. They are applied in the order
    network, metadata, auto_delete_seconds, timeout_seconds, preview_access. This is not atomic: changes
    before a failure remain. A change of the network is refused with 409 if the sandbox is not active.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        body (SandboxPatch): Changes of a sandbox; at least one field.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ApiError
    """

    return (
        await asyncio_detailed(
            sandbox_id=sandbox_id,
            client=client,
            body=body,
        )
    ).parsed
