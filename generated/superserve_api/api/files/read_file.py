# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from io import BytesIO
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.read_file_format import ReadFileFormat
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    *,
    format_: ReadFileFormat | Unset = UNSET,
    path: str,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_

    params["format"] = json_format_

    params["path"] = path

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/files",
        "params": params,
    }

    return _kwargs


def request_arguments(
    *,
    format_: ReadFileFormat | Unset = UNSET,
    path: str,
) -> dict[str, Any]:
    """Return the request as arguments for httpx (method, url and so on). Hand it to an event-stream reader, such as
    `httpx_sse.connect_sse(client.get_httpx_client(), **request_arguments(...), timeout=...)`.
    """
    return _get_kwargs(
        format_=format_,
        path=path,
    )


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | File | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = File(payload=BytesIO(response.content))

        return response_200

    if response.status_code == 400:
        response_400 = ApiError.from_dict(wire.decoded(response))

        return response_400

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ApiError | File]:
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
    format_: ReadFileFormat | Unset = UNSET,
    path: str,
) -> Response[ApiError | File]:
    """Read a file

    Args:
        format_ (ReadFileFormat | Unset):
        path (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | File]
    """

    kwargs = _get_kwargs(
        format_=format_,
        path=path,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    format_: ReadFileFormat | Unset = UNSET,
    path: str,
) -> ApiError | File | None:
    """Read a file

    Args:
        format_ (ReadFileFormat | Unset):
        path (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | File
    """

    return sync_detailed(
        client=client,
        format_=format_,
        path=path,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    format_: ReadFileFormat | Unset = UNSET,
    path: str,
) -> Response[ApiError | File]:
    """Read a file

    Args:
        format_ (ReadFileFormat | Unset):
        path (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | File]
    """

    kwargs = _get_kwargs(
        format_=format_,
        path=path,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    format_: ReadFileFormat | Unset = UNSET,
    path: str,
) -> ApiError | File | None:
    """Read a file

    Args:
        format_ (ReadFileFormat | Unset):
        path (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | File
    """

    return (
        await asyncio_detailed(
            client=client,
            format_=format_,
            path=path,
        )
    ).parsed
