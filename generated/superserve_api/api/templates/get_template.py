# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.template_response import TemplateResponse
from ...types import Response


def _get_kwargs(
    template_id: str,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/templates/{template_id}".format(
            template_id=wire.path_segment(template_id),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | TemplateResponse | None:
    if response.status_code == 200 or wire.is_other_success(response, client):
        response_200 = TemplateResponse.from_dict(wire.decoded(response))

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
) -> Response[ApiError | TemplateResponse]:
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
) -> Response[ApiError | TemplateResponse]:
    """Get a template

     One of the team's own templates or of the system's. After the first build times out, its status may
    stay `building` forever. So wait for the build (getTemplateBuild), not for the template.

    Args:
        template_id (str): The template's id; a name is not accepted.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | TemplateResponse]
    """

    kwargs = _get_kwargs(
        template_id=template_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    template_id: str,
    *,
    client: AuthenticatedClient,
) -> ApiError | TemplateResponse | None:
    """Get a template

     One of the team's own templates or of the system's. After the first build times out, its status may
    stay `building` forever. So wait for the build (getTemplateBuild), not for the template.

    Args:
        template_id (str): The template's id; a name is not accepted.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | TemplateResponse
    """

    return sync_detailed(
        template_id=template_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    template_id: str,
    *,
    client: AuthenticatedClient,
) -> Response[ApiError | TemplateResponse]:
    """Get a template

     One of the team's own templates or of the system's. After the first build times out, its status may
    stay `building` forever. So wait for the build (getTemplateBuild), not for the template.

    Args:
        template_id (str): The template's id; a name is not accepted.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | TemplateResponse]
    """

    kwargs = _get_kwargs(
        template_id=template_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    template_id: str,
    *,
    client: AuthenticatedClient,
) -> ApiError | TemplateResponse | None:
    """Get a template

     One of the team's own templates or of the system's. After the first build times out, its status may
    stay `building` forever. So wait for the build (getTemplateBuild), not for the template.

    Args:
        template_id (str): The template's id; a name is not accepted.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | TemplateResponse
    """

    return (
        await asyncio_detailed(
            template_id=template_id,
            client=client,
        )
    ).parsed
