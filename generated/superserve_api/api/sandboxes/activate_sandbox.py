# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.sandbox_response import SandboxResponse
from ...types import Response


def _get_kwargs(
    sandbox_id: str,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/sandboxes/{sandbox_id}/activate".format(
            sandbox_id=wire.path_segment(sandbox_id),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | SandboxResponse | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = SandboxResponse.from_dict(wire.decoded(response))

        return response_200

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
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
) -> Response[ApiError | SandboxResponse]:
    """Make a sandbox active, and get a token for it

     Resumes a paused sandbox, waits up to 6 seconds for a starting one, and changes nothing for an
    active one: it is safe to repeat. A pausing sandbox is a 409 with the code `sandbox_pausing` and
    Retry-After, a failed one a 409 with the code `conflict`.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | SandboxResponse]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
) -> ApiError | SandboxResponse | None:
    """Make a sandbox active, and get a token for it

     Resumes a paused sandbox, waits up to 6 seconds for a starting one, and changes nothing for an
    active one: it is safe to repeat. A pausing sandbox is a 409 with the code `sandbox_pausing` and
    Retry-After, a failed one a 409 with the code `conflict`.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | SandboxResponse
    """

    return sync_detailed(
        sandbox_id=sandbox_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
) -> Response[ApiError | SandboxResponse]:
    """Make a sandbox active, and get a token for it

     Resumes a paused sandbox, waits up to 6 seconds for a starting one, and changes nothing for an
    active one: it is safe to repeat. A pausing sandbox is a 409 with the code `sandbox_pausing` and
    Retry-After, a failed one a 409 with the code `conflict`.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | SandboxResponse]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
) -> ApiError | SandboxResponse | None:
    """Make a sandbox active, and get a token for it

     Resumes a paused sandbox, waits up to 6 seconds for a starting one, and changes nothing for an
    active one: it is safe to repeat. A pausing sandbox is a 409 with the code `sandbox_pausing` and
    Retry-After, a failed one a 409 with the code `conflict`.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | SandboxResponse
    """

    return (
        await asyncio_detailed(
            sandbox_id=sandbox_id,
            client=client,
        )
    ).parsed
