# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any, cast

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.pause_response import PauseResponse
from ...models.prefer import Prefer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    sandbox_id: str,
    *,
    prefer: Prefer | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(prefer, Unset):
        headers["Prefer"] = str(prefer)

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/sandboxes/{sandbox_id}/pause".format(
            sandbox_id=wire.path_segment(sandbox_id),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | ApiError | PauseResponse | None:
    if response.status_code == 202:
        response_202 = PauseResponse.from_dict(wire.decoded(response))

        return response_202

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

    if response.status_code == 410:
        response_410 = ApiError.from_dict(wire.decoded(response))

        return response_410

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
) -> Response[Any | ApiError | PauseResponse]:
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
    prefer: Prefer | Unset = UNSET,
) -> Response[Any | ApiError | PauseResponse]:
    """Pause a sandbox

     Keeps memory, processes and disk, and frees the machine. All connections into and out of the sandbox
    are lost, and commands that run over one end without a message. Refused with 409 unless the sandbox
    is active, even if it is paused. The server may take 60 seconds.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        prefer (Prefer | Unset): `respond-async`: answer with 202 at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ApiError | PauseResponse]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
        prefer=prefer,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    prefer: Prefer | Unset = UNSET,
) -> Any | ApiError | PauseResponse | None:
    """Pause a sandbox

     Keeps memory, processes and disk, and frees the machine. All connections into and out of the sandbox
    are lost, and commands that run over one end without a message. Refused with 409 unless the sandbox
    is active, even if it is paused. The server may take 60 seconds.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        prefer (Prefer | Unset): `respond-async`: answer with 202 at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ApiError | PauseResponse
    """

    return sync_detailed(
        sandbox_id=sandbox_id,
        client=client,
        prefer=prefer,
    ).parsed


async def asyncio_detailed(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    prefer: Prefer | Unset = UNSET,
) -> Response[Any | ApiError | PauseResponse]:
    """Pause a sandbox

     Keeps memory, processes and disk, and frees the machine. All connections into and out of the sandbox
    are lost, and commands that run over one end without a message. Refused with 409 unless the sandbox
    is active, even if it is paused. The server may take 60 seconds.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        prefer (Prefer | Unset): `respond-async`: answer with 202 at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ApiError | PauseResponse]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
        prefer=prefer,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    prefer: Prefer | Unset = UNSET,
) -> Any | ApiError | PauseResponse | None:
    """Pause a sandbox

     Keeps memory, processes and disk, and frees the machine. All connections into and out of the sandbox
    are lost, and commands that run over one end without a message. Refused with 409 unless the sandbox
    is active, even if it is paused. The server may take 60 seconds.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        prefer (Prefer | Unset): `respond-async`: answer with 202 at once.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ApiError | PauseResponse
    """

    return (
        await asyncio_detailed(
            sandbox_id=sandbox_id,
            client=client,
            prefer=prefer,
        )
    ).parsed
