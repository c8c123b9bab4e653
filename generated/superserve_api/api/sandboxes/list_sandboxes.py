# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.metadata_filters import MetadataFilters
from ...models.sandbox_list_item import SandboxListItem
from ...models.sandbox_sort import SandboxSort
from ...models.sort_order import SortOrder
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    metadata_filters: MetadataFilters | Unset = UNSET,
    q: str | Unset = UNSET,
    status: str | Unset = UNSET,
    sort: SandboxSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_metadata_filters: dict[str, Any] | Unset = UNSET
    if not isinstance(metadata_filters, Unset):
        json_metadata_filters = metadata_filters.to_dict()
    if not isinstance(json_metadata_filters, Unset):
        params.update(json_metadata_filters)

    params["q"] = q

    params["status"] = status

    json_sort: str | Unset = UNSET
    if not isinstance(sort, Unset):
        json_sort = sort

    params["sort"] = json_sort

    json_order: str | Unset = UNSET
    if not isinstance(order, Unset):
        json_order = order

    params["order"] = json_order

    params["limit"] = limit

    params["offset"] = offset

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/sandboxes",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | list[SandboxListItem] | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = []
        _response_200 = wire.array(wire.decoded(response))
        try:
            for response_200_item_data in _response_200:
                response_200_item = SandboxListItem.from_dict(response_200_item_data)

                response_200.append(response_200_item)
        except (AttributeError, KeyError, TypeError, ValueError) as unreadable:
            raise wire.in_item(len(response_200), unreadable) from None

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
) -> Response[ApiError | list[SandboxListItem]]:
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
    metadata_filters: MetadataFilters | Unset = UNSET,
    q: str | Unset = UNSET,
    status: str | Unset = UNSET,
    sort: SandboxSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> Response[ApiError | list[SandboxListItem]]:
    """List sandboxes

     The team's sandboxes, with any status except deleted, without their tokens. Newest first by default.
    Older servers know only the metadata filters, and always return the whole list.

    Args:
        metadata_filters (MetadataFilters | Unset): Only sandboxes whose metadata has all of these
            entries. Each is a separate parameter, with `metadata.` and the entry's key as its name,
            such as `metadata.env`.
        q (str | Unset): Only sandboxes whose name contains this text. Case is ignored.
        status (str | Unset): Only sandboxes with this SandboxStatus. Newer servers accept
            several, separated by commas.
        sort (SandboxSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most sandboxes to return. Default all.
        offset (int | Unset): The number of sandboxes to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | list[SandboxListItem]]
    """

    kwargs = _get_kwargs(
        metadata_filters=metadata_filters,
        q=q,
        status=status,
        sort=sort,
        order=order,
        limit=limit,
        offset=offset,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    metadata_filters: MetadataFilters | Unset = UNSET,
    q: str | Unset = UNSET,
    status: str | Unset = UNSET,
    sort: SandboxSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> ApiError | list[SandboxListItem] | None:
    """List sandboxes

     The team's sandboxes, with any status except deleted, without their tokens. Newest first by default.
    Older servers know only the metadata filters, and always return the whole list.

    Args:
        metadata_filters (MetadataFilters | Unset): Only sandboxes whose metadata has all of these
            entries. Each is a separate parameter, with `metadata.` and the entry's key as its name,
            such as `metadata.env`.
        q (str | Unset): Only sandboxes whose name contains this text. Case is ignored.
        status (str | Unset): Only sandboxes with this SandboxStatus. Newer servers accept
            several, separated by commas.
        sort (SandboxSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most sandboxes to return. Default all.
        offset (int | Unset): The number of sandboxes to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | list[SandboxListItem]
    """

    return sync_detailed(
        client=client,
        metadata_filters=metadata_filters,
        q=q,
        status=status,
        sort=sort,
        order=order,
        limit=limit,
        offset=offset,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    metadata_filters: MetadataFilters | Unset = UNSET,
    q: str | Unset = UNSET,
    status: str | Unset = UNSET,
    sort: SandboxSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> Response[ApiError | list[SandboxListItem]]:
    """List sandboxes

     The team's sandboxes, with any status except deleted, without their tokens. Newest first by default.
    Older servers know only the metadata filters, and always return the whole list.

    Args:
        metadata_filters (MetadataFilters | Unset): Only sandboxes whose metadata has all of these
            entries. Each is a separate parameter, with `metadata.` and the entry's key as its name,
            such as `metadata.env`.
        q (str | Unset): Only sandboxes whose name contains this text. Case is ignored.
        status (str | Unset): Only sandboxes with this SandboxStatus. Newer servers accept
            several, separated by commas.
        sort (SandboxSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most sandboxes to return. Default all.
        offset (int | Unset): The number of sandboxes to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | list[SandboxListItem]]
    """

    kwargs = _get_kwargs(
        metadata_filters=metadata_filters,
        q=q,
        status=status,
        sort=sort,
        order=order,
        limit=limit,
        offset=offset,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    metadata_filters: MetadataFilters | Unset = UNSET,
    q: str | Unset = UNSET,
    status: str | Unset = UNSET,
    sort: SandboxSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> ApiError | list[SandboxListItem] | None:
    """List sandboxes

     The team's sandboxes, with any status except deleted, without their tokens. Newest first by default.
    Older servers know only the metadata filters, and always return the whole list.

    Args:
        metadata_filters (MetadataFilters | Unset): Only sandboxes whose metadata has all of these
            entries. Each is a separate parameter, with `metadata.` and the entry's key as its name,
            such as `metadata.env`.
        q (str | Unset): Only sandboxes whose name contains this text. Case is ignored.
        status (str | Unset): Only sandboxes with this SandboxStatus. Newer servers accept
            several, separated by commas.
        sort (SandboxSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most sandboxes to return. Default all.
        offset (int | Unset): The number of sandboxes to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | list[SandboxListItem]
    """

    return (
        await asyncio_detailed(
            client=client,
            metadata_filters=metadata_filters,
            q=q,
            status=status,
            sort=sort,
            order=order,
            limit=limit,
            offset=offset,
        )
    ).parsed
