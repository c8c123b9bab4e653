# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.template_build_response import TemplateBuildResponse
from ...types import UNSET, Response, Unset


def _get_kwargs(
    template_id: str,
    *,
    limit: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["limit"] = limit

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/templates/{template_id}/builds".format(
            template_id=wire.path_segment(template_id),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | list[TemplateBuildResponse] | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = []
        _response_200 = wire.array(wire.decoded(response))
        try:
            for response_200_item_data in _response_200:
                response_200_item = TemplateBuildResponse.from_dict(response_200_item_data)

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
) -> Response[ApiError | list[TemplateBuildResponse]]:
    parsed, problem = wire.parsed_or_problem(_parse_response, client=client, response=response)
    return Response(
        status_code=wire.http_status(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=parsed,
        problem=problem,
    )


def sync_detailed(
    template_id: str,
    *,
    client: AuthenticatedClient,
    limit: int | Unset = UNSET,
) -> Response[ApiError | list[TemplateBuildResponse]]:
    """List the builds of a template

     The latest builds, newest first. For an unknown template, older servers return an empty list instead
    of 404. They also ignore `limit`, and return at most 20 builds.

    Args:
        template_id (str): The template's id; a name is not accepted.
        limit (int | Unset): The most builds to return. The server's default is 20.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | list[TemplateBuildResponse]]
    """

    kwargs = _get_kwargs(
        template_id=template_id,
        limit=limit,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    template_id: str,
    *,
    client: AuthenticatedClient,
    limit: int | Unset = UNSET,
) -> ApiError | list[TemplateBuildResponse] | None:
    """List the builds of a template

     The latest builds, newest first. For an unknown template, older servers return an empty list instead
    of 404. They also ignore `limit`, and return at most 20 builds.

    Args:
        template_id (str): The template's id; a name is not accepted.
        limit (int | Unset): The most builds to return. The server's default is 20.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | list[TemplateBuildResponse]
    """

    return sync_detailed(
        template_id=template_id,
        client=client,
        limit=limit,
    ).parsed


async def asyncio_detailed(
    template_id: str,
    *,
    client: AuthenticatedClient,
    limit: int | Unset = UNSET,
) -> Response[ApiError | list[TemplateBuildResponse]]:
    """List the builds of a template

     The latest builds, newest first. For an unknown template, older servers return an empty list instead
    of 404. They also ignore `limit`, and return at most 20 builds.

    Args:
        template_id (str): The template's id; a name is not accepted.
        limit (int | Unset): The most builds to return. The server's default is 20.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | list[TemplateBuildResponse]]
    """

    kwargs = _get_kwargs(
        template_id=template_id,
        limit=limit,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    template_id: str,
    *,
    client: AuthenticatedClient,
    limit: int | Unset = UNSET,
) -> ApiError | list[TemplateBuildResponse] | None:
    """List the builds of a template

     The latest builds, newest first. For an unknown template, older servers return an empty list instead
    of 404. They also ignore `limit`, and return at most 20 builds.

    Args:
        template_id (str): The template's id; a name is not accepted.
        limit (int | Unset): The most builds to return. The server's default is 20.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | list[TemplateBuildResponse]
    """

    return (
        await asyncio_detailed(
            template_id=template_id,
            client=client,
            limit=limit,
        )
    ).parsed
