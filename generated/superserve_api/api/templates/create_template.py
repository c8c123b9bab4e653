# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Any

import httpx

from ... import errors, wire
from ...client import AuthenticatedClient, Client
from ...models.api_error import ApiError
from ...models.create_template_request import CreateTemplateRequest
from ...models.create_template_response import CreateTemplateResponse
from ...types import Response


def _get_kwargs(
    *,
    body: CreateTemplateRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/templates",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ApiError | CreateTemplateResponse | None:
    if response.status_code == 202 or wire.is_other_success(response, client):
        response_202 = CreateTemplateResponse.from_dict(wire.decoded(response))

        return response_202

    if response.status_code == 400:
        response_400 = ApiError.from_dict(wire.decoded(response))

        return response_400

    if response.status_code == 401:
        response_401 = ApiError.from_dict(wire.decoded(response))

        return response_401

    if response.status_code == 403:
        response_403 = ApiError.from_dict(wire.decoded(response))

        return response_403

    if response.status_code == 409:
        response_409 = ApiError.from_dict(wire.decoded(response))

        return response_409

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
) -> Response[ApiError | CreateTemplateResponse]:
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
    body: CreateTemplateRequest,
) -> Response[ApiError | CreateTemplateResponse]:
    """Create a template and queue its first build

     Answers as soon as the template exists. The build runs in the background; its row (getTemplateBuild)
    says how it ends. Not idempotent: if an answer is lost, look for the name with listTemplates before
    you try again. A name that is taken is a 409. For a team at its limit the answer is a 429 with the
    code `too_many_builds` or `too_many_templates`, even if the name is taken.

    Args:
        body (CreateTemplateRequest): A template to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | CreateTemplateResponse]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: CreateTemplateRequest,
) -> ApiError | CreateTemplateResponse | None:
    """Create a template and queue its first build

     Answers as soon as the template exists. The build runs in the background; its row (getTemplateBuild)
    says how it ends. Not idempotent: if an answer is lost, look for the name with listTemplates before
    you try again. A name that is taken is a 409. For a team at its limit the answer is a 429 with the
    code `too_many_builds` or `too_many_templates`, even if the name is taken.

    Args:
        body (CreateTemplateRequest): A template to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | CreateTemplateResponse
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: CreateTemplateRequest,
) -> Response[ApiError | CreateTemplateResponse]:
    """Create a template and queue its first build

     Answers as soon as the template exists. The build runs in the background; its row (getTemplateBuild)
    says how it ends. Not idempotent: if an answer is lost, look for the name with listTemplates before
    you try again. A name that is taken is a 409. For a team at its limit the answer is a 429 with the
    code `too_many_builds` or `too_many_templates`, even if the name is taken.

    Args:
        body (CreateTemplateRequest): A template to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiError | CreateTemplateResponse]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: CreateTemplateRequest,
) -> ApiError | CreateTemplateResponse | None:
    """Create a template and queue its first build

     Answers as soon as the template exists. The build runs in the background; its row (getTemplateBuild)
    says how it ends. Not idempotent: if an answer is lost, look for the name with listTemplates before
    you try again. A name that is taken is a 409. For a team at its limit the answer is a 429 with the
    code `too_many_builds` or `too_many_templates`, even if the name is taken.

    Args:
        body (CreateTemplateRequest): A template to create.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiError | CreateTemplateResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
