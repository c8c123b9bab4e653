# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.template_build_response import TemplateBuildResponse
from ...types import Response


def _get_kwargs(
    template_id: str,
    build_id: str,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/templates/{template_id}/builds/{build_id}".format(
            template_id=wire.path_segment(template_id),
            build_id=wire.path_segment(build_id),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | TemplateBuildResponse | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = TemplateBuildResponse.from_dict(wire.decoded(response))

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
) -> Response[ApiError | TemplateBuildResponse]:
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
    build_id: str,
    *,
    client: AuthenticatedClient,
) -> Response[ApiError | TemplateBuildResponse]:
    """Get a build

     Only this answer decides whether a build has ended, and how. Its log stream is ahead of it, and may
    differ.

    Args:
        template_id (str): The template's id; a name is not accepted.
        build_id (str): The build's id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | TemplateBuildResponse]
    """

    kwargs = _get_kwargs(
        template_id=template_id,
        build_id=build_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    template_id: str,
    build_id: str,
    *,
    client: AuthenticatedClient,
) -> ApiError | TemplateBuildResponse | None:
    """Get a build

     Only this answer decides whether a build has ended, and how. Its log stream is ahead of it, and may
    differ.

    Args:
        template_id (str): The template's id; a name is not accepted.
        build_id (str): The build's id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | TemplateBuildResponse
    """

    return sync_detailed(
        template_id=template_id,
        build_id=build_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    template_id: str,
    build_id: str,
    *,
    client: AuthenticatedClient,
) -> Response[ApiError | TemplateBuildResponse]:
    """Get a build

     Only this answer decides whether a build has ended, and how. Its log stream is ahead of it, and may
    differ.

    Args:
        template_id (str): The template's id; a name is not accepted.
        build_id (str): The build's id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | TemplateBuildResponse]
    """

    kwargs = _get_kwargs(
        template_id=template_id,
        build_id=build_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    template_id: str,
    build_id: str,
    *,
    client: AuthenticatedClient,
) -> ApiError | TemplateBuildResponse | None:
    """Get a build

     Only this answer decides whether a build has ended, and how. Its log stream is ahead of it, and may
    differ.

    Args:
        template_id (str): The template's id; a name is not accepted.
        build_id (str): The build's id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | TemplateBuildResponse
    """

    return (
        await asyncio_detailed(
            template_id=template_id,
            build_id=build_id,
            client=client,
        )
    ).parsed
