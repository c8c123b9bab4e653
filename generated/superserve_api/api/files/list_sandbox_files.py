# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.file_list import FileList
from ...types import UNSET, Response, Unset


def _get_kwargs(
    sandbox_id: str,
    *,
    path: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["path"] = path

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/sandboxes/{sandbox_id}/files".format(
            sandbox_id=wire.path_segment(sandbox_id),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | FileList | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = FileList.from_dict(wire.decoded(response))

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
) -> Response[ApiError | FileList]:
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
    path: str | Unset = UNSET,
) -> Response[ApiError | FileList]:
    """List a folder of a sandbox

     The folder itself, without subfolders. On the control plane. It wakes a paused sandbox, so the key
    needs write permission.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        path (str | Unset): The folder, as an absolute path without `..`. The server's default is
            `/`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | FileList]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
        path=path,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    path: str | Unset = UNSET,
) -> ApiError | FileList | None:
    """List a folder of a sandbox

     The folder itself, without subfolders. On the control plane. It wakes a paused sandbox, so the key
    needs write permission.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        path (str | Unset): The folder, as an absolute path without `..`. The server's default is
            `/`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | FileList
    """

    return sync_detailed(
        sandbox_id=sandbox_id,
        client=client,
        path=path,
    ).parsed


async def asyncio_detailed(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    path: str | Unset = UNSET,
) -> Response[ApiError | FileList]:
    """List a folder of a sandbox

     The folder itself, without subfolders. On the control plane. It wakes a paused sandbox, so the key
    needs write permission.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        path (str | Unset): The folder, as an absolute path without `..`. The server's default is
            `/`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | FileList]
    """

    kwargs = _get_kwargs(
        sandbox_id=sandbox_id,
        path=path,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    sandbox_id: str,
    *,
    client: AuthenticatedClient,
    path: str | Unset = UNSET,
) -> ApiError | FileList | None:
    """List a folder of a sandbox

     The folder itself, without subfolders. On the control plane. It wakes a paused sandbox, so the key
    needs write permission.

    Args:
        sandbox_id (str): The sandbox's id, with or without its region.
        path (str | Unset): The folder, as an absolute path without `..`. The server's default is
            `/`.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | FileList
    """

    return (
        await asyncio_detailed(
            sandbox_id=sandbox_id,
            client=client,
            path=path,
        )
    ).parsed
