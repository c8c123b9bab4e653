# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from io import BytesIO
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.file_format import FileFormat
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    *,
    path: str,
    format_: FileFormat | Unset = UNSET,
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

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_

    params["format"] = json_format_

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/files",
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def request_arguments(
    *,
    path: str,
    format_: FileFormat | Unset = UNSET,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> dict[str, Any]:
    """Return the request as arguments for httpx (method, url and so on). Pass it to an event-stream reader, such as
    `httpx_sse.connect_sse(client.get_httpx_client(), **request_arguments(...), timeout=...)`.
    """
    return _get_kwargs(
        path=path,
        format_=format_,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
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
    path: str,
    format_: FileFormat | Unset = UNSET,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> Response[ApiError | File]:
    """Read a file, or a folder as an archive

     A regular file, unchanged; with `format=zip` a folder. An archive ends at 100,000 entries or 2 GiB,
    and is still valid; it does not contain links, other special files and unreadable files. A file is
    always returned as itself. The generated function returns all of it. To read it in pieces, pass
    `request_arguments()` to httpx.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        format_ (FileFormat | Unset): `zip`: a folder as an archive.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | File]
    """

    kwargs = _get_kwargs(
        path=path,
        format_=format_,
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
    path: str,
    format_: FileFormat | Unset = UNSET,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> ApiError | File | None:
    """Read a file, or a folder as an archive

     A regular file, unchanged; with `format=zip` a folder. An archive ends at 100,000 entries or 2 GiB,
    and is still valid; it does not contain links, other special files and unreadable files. A file is
    always returned as itself. The generated function returns all of it. To read it in pieces, pass
    `request_arguments()` to httpx.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        format_ (FileFormat | Unset): `zip`: a folder as an archive.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | File
    """

    return sync_detailed(
        client=client,
        path=path,
        format_=format_,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    path: str,
    format_: FileFormat | Unset = UNSET,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> Response[ApiError | File]:
    """Read a file, or a folder as an archive

     A regular file, unchanged; with `format=zip` a folder. An archive ends at 100,000 entries or 2 GiB,
    and is still valid; it does not contain links, other special files and unreadable files. A file is
    always returned as itself. The generated function returns all of it. To read it in pieces, pass
    `request_arguments()` to httpx.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        format_ (FileFormat | Unset): `zip`: a folder as an archive.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | File]
    """

    kwargs = _get_kwargs(
        path=path,
        format_=format_,
        x_superserve_sandbox_id=x_superserve_sandbox_id,
        x_superserve_routing_hint=x_superserve_routing_hint,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    path: str,
    format_: FileFormat | Unset = UNSET,
    x_superserve_sandbox_id: str | Unset = UNSET,
    x_superserve_routing_hint: str | Unset = UNSET,
) -> ApiError | File | None:
    """Read a file, or a folder as an archive

     A regular file, unchanged; with `format=zip` a folder. An archive ends at 100,000 entries or 2 GiB,
    and is still valid; it does not contain links, other special files and unreadable files. A file is
    always returned as itself. The generated function returns all of it. To read it in pieces, pass
    `request_arguments()` to httpx.

    Args:
        path (str): An absolute path without `..` and without NUL. `/proc`, `/sys` and `/dev` are
            refused.
        format_ (FileFormat | Unset): `zip`: a folder as an archive.
        x_superserve_sandbox_id (str | Unset): The sandbox's id. Required at an address that
            sandboxes share.
        x_superserve_routing_hint (str | Unset): The latest `routing_hint` of the sandbox. It
            saves the server a look-up. A wrong one is ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | File
    """

    return (
        await asyncio_detailed(
            client=client,
            path=path,
            format_=format_,
            x_superserve_sandbox_id=x_superserve_sandbox_id,
            x_superserve_routing_hint=x_superserve_routing_hint,
        )
    ).parsed
