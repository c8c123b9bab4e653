# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.file_write_result import FileWriteResult
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    *,
    body: File,
    path: str,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(x_superserve_sandbox_id, Unset):
        headers["X-Superserve-Sandbox-Id"] = x_superserve_sandbox_id

    if not isinstance(x_superserve_routing_hint, Unset):
        headers["X-Superserve-Routing-Hint"] = x_superserve_routing_hint

    params: dict[str, Any] = {}

    params["path"] = path

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/files",
        "params": params,
    }

    _kwargs["content"] = body.payload
    headers["Content-Type"] = "application/octet-stream"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | FileWriteResult | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = FileWriteResult.from_dict(wire.decoded(response))

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

    if response.status_code == 413:
        response_413 = ApiError.from_dict(wire.decoded(response))

        return response_413

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

    if response.status_code == 507:
        response_507 = ApiError.from_dict(wire.decoded(response))

        return response_507

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ApiError | FileWriteResult]:
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
    body: File,
    path: str,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> Response[ApiError | FileWriteResult]:
    """Write a file

     Creates missing folders, and replaces an existing file. The old content is lost when writing begins.
    If the upload breaks, there is no file. At most 4 GiB.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | FileWriteResult]
    """

    kwargs = _get_kwargs(
        body=body,
        path=path,
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
    body: File,
    path: str,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> ApiError | FileWriteResult | None:
    """Write a file

     Creates missing folders, and replaces an existing file. The old content is lost when writing begins.
    If the upload breaks, there is no file. At most 4 GiB.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | FileWriteResult
    """

    return sync_detailed(
        client=client,
        body=body,
        path=path,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: File,
    path: str,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> Response[ApiError | FileWriteResult]:
    """Write a file

     Creates missing folders, and replaces an existing file. The old content is lost when writing begins.
    If the upload breaks, there is no file. At most 4 GiB.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | FileWriteResult]
    """

    kwargs = _get_kwargs(
        body=body,
        path=path,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: File,
    path: str,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> ApiError | FileWriteResult | None:
    """Write a file

     Creates missing folders, and replaces an existing file. The old content is lost when writing begins.
    If the upload breaks, there is no file. At most 4 GiB.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | FileWriteResult
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            path=path,
            x_superserve_sandbox_id=x_superserve_sandbox_id,
            x_superserve_routing_hint=x_superserve_routing_hint,
        )
    ).parsed
