# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.sort_order import SortOrder
from ...models.template_owner import TemplateOwner
from ...models.template_response import TemplateResponse
from ...models.template_sort import TemplateSort
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    name_prefix: str | Unset = UNSET,
    q: str | Unset = UNSET,
    owner: TemplateOwner | Unset = UNSET,
    sort: TemplateSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["name_prefix"] = name_prefix

    params["q"] = q

    json_owner: str | Unset = UNSET
    if not isinstance(owner, Unset):
        json_owner = owner

    params["owner"] = json_owner

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
        "url": "/templates",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | list[TemplateResponse] | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = []
        _response_200 = wire.array(wire.decoded(response))
        try:
            for response_200_item_data in _response_200:
                response_200_item = TemplateResponse.from_dict(response_200_item_data)

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
) -> Response[ApiError | list[TemplateResponse]]:
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
    name_prefix: str | Unset = UNSET,
    q: str | Unset = UNSET,
    owner: TemplateOwner | Unset = UNSET,
    sort: TemplateSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> Response[ApiError | list[TemplateResponse]]:
    """List templates

     The team's own templates and the system's, with any status. Newest first by default. Older servers
    know only `name_prefix`: they ignore the other parameters and always return the whole list.

    Args:
        name_prefix (str | Unset): Only names that start with this text, case-sensitive. `_`
            matches any character and `%` any text; to search for them literally, filter the answer
            again.
        q (str | Unset): Only names that contain this text. Case is ignored.
        owner (TemplateOwner | Unset): The owner of the templates to list. The server's default is
            `all`.
        sort (TemplateSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most templates to return. Default all.
        offset (int | Unset): The number of templates to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | list[TemplateResponse]]
    """

    kwargs = _get_kwargs(
        name_prefix=name_prefix,
        q=q,
        owner=owner,
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
    name_prefix: str | Unset = UNSET,
    q: str | Unset = UNSET,
    owner: TemplateOwner | Unset = UNSET,
    sort: TemplateSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> ApiError | list[TemplateResponse] | None:
    """List templates

     The team's own templates and the system's, with any status. Newest first by default. Older servers
    know only `name_prefix`: they ignore the other parameters and always return the whole list.

    Args:
        name_prefix (str | Unset): Only names that start with this text, case-sensitive. `_`
            matches any character and `%` any text; to search for them literally, filter the answer
            again.
        q (str | Unset): Only names that contain this text. Case is ignored.
        owner (TemplateOwner | Unset): The owner of the templates to list. The server's default is
            `all`.
        sort (TemplateSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most templates to return. Default all.
        offset (int | Unset): The number of templates to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | list[TemplateResponse]
    """

    return sync_detailed(
        client=client,
        name_prefix=name_prefix,
        q=q,
        owner=owner,
        sort=sort,
        order=order,
        limit=limit,
        offset=offset,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    name_prefix: str | Unset = UNSET,
    q: str | Unset = UNSET,
    owner: TemplateOwner | Unset = UNSET,
    sort: TemplateSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> Response[ApiError | list[TemplateResponse]]:
    """List templates

     The team's own templates and the system's, with any status. Newest first by default. Older servers
    know only `name_prefix`: they ignore the other parameters and always return the whole list.

    Args:
        name_prefix (str | Unset): Only names that start with this text, case-sensitive. `_`
            matches any character and `%` any text; to search for them literally, filter the answer
            again.
        q (str | Unset): Only names that contain this text. Case is ignored.
        owner (TemplateOwner | Unset): The owner of the templates to list. The server's default is
            `all`.
        sort (TemplateSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most templates to return. Default all.
        offset (int | Unset): The number of templates to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | list[TemplateResponse]]
    """

    kwargs = _get_kwargs(
        name_prefix=name_prefix,
        q=q,
        owner=owner,
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
    name_prefix: str | Unset = UNSET,
    q: str | Unset = UNSET,
    owner: TemplateOwner | Unset = UNSET,
    sort: TemplateSort | Unset = UNSET,
    order: SortOrder | Unset = UNSET,
    limit: int | Unset = UNSET,
    offset: int | Unset = UNSET,
) -> ApiError | list[TemplateResponse] | None:
    """List templates

     The team's own templates and the system's, with any status. Newest first by default. Older servers
    know only `name_prefix`: they ignore the other parameters and always return the whole list.

    Args:
        name_prefix (str | Unset): Only names that start with this text, case-sensitive. `_`
            matches any character and `%` any text; to search for them literally, filter the answer
            again.
        q (str | Unset): Only names that contain this text. Case is ignored.
        owner (TemplateOwner | Unset): The owner of the templates to list. The server's default is
            `all`.
        sort (TemplateSort | Unset): The field to sort by. The server's default is `created_at`.
        order (SortOrder | Unset): The direction to sort in. The server's default is `desc`.
        limit (int | Unset): The most templates to return. Default all.
        offset (int | Unset): The number of templates to skip. The server's default is 0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | list[TemplateResponse]
    """

    return (
        await asyncio_detailed(
            client=client,
            name_prefix=name_prefix,
            q=q,
            owner=owner,
            sort=sort,
            order=order,
            limit=limit,
            offset=offset,
        )
    ).parsed
