"""Every call of the API as a value: what is sent, what it is called in errors, how its answer is read. No I/O.

Path, query and body come from the generated operations, each loaded when it is first used.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
from superserve_api import models
from superserve_api.types import UNSET

from superserve import _arguments, _convert
from superserve.types import TemplateBuildInfo, TemplateInfo

T = TypeVar("T")


@attrs.frozen
class Call(Generic[T]):
    """One call of the API.

    Attributes:
        request: The generated operation's arguments for httpx.
        action: What it does and to which object, for error messages.
        read: Reads the decoded answer; `nothing` where the answer has no body.
        if_lost: What to add to an error after which it is unknown whether the server acted.
        if_refused: What to add when the server says that the request makes no sense (400).
        extra_time_s: Seconds granted on top of the client's timeout.
    """

    request: dict[str, Any]
    action: str
    read: Callable[[object], T]
    if_lost: str = ""
    if_refused: str = ""
    extra_time_s: float = 0.0


def nothing(_answer: object) -> None:
    """Read an answer that has no body."""


def create_template(body: models.CreateTemplateRequest) -> Call[TemplateInfo]:
    """`createTemplate`, POST /templates."""
    from superserve_api.api.templates.create_template import _get_kwargs as request

    return Call(
        request(body=body),
        f"create template {body.name!r}",
        _convert.created_template,
        if_lost=(
            "the template may have been created all the same; "
            f"look for it with Template.list(name_prefix={body.name!r})"
        ),
    )


def get_template(template_id: str) -> Call[TemplateInfo]:
    """`getTemplate`, GET /templates/{template_id}."""
    from superserve_api.api.templates.get_template import _get_kwargs as request

    template = _template(template_id)
    return Call(
        request(template), f"get template {template}", _convert.template_info, if_refused=_NO_TEMPLATE_ID
    )


def list_templates(name_prefix: str | None) -> Call[list[TemplateInfo]]:
    """`listTemplates`, GET /templates; an exact prefix, although the server takes `_` and `%` for wildcards."""
    from superserve_api.api.templates.list_templates import _get_kwargs as request

    prefix = _arguments.optional_text("name_prefix", name_prefix, may_be_empty=True) or ""

    def read(answer: object) -> list[TemplateInfo]:
        infos = _convert.template_infos(answer)
        return [info for info in infos if info.name.startswith(prefix)] if prefix else infos

    return Call(request(name_prefix=prefix or UNSET), "list templates", read)


def delete_template(template_id: str) -> Call[None]:
    """`deleteTemplate`, DELETE /templates/{template_id}."""
    from superserve_api.api.templates.delete_template import _get_kwargs as request

    template = _template(template_id)
    return Call(
        request(template),
        f"delete template {template}",
        nothing,
        if_refused=_NO_TEMPLATE_ID,
        extra_time_s=_SLOW_DELETE_S,
    )


def create_build(template_id: str) -> Call[TemplateBuildInfo]:
    """`createTemplateBuild`, POST /templates/{template_id}/builds; 200 and 201 alike."""
    from superserve_api.api.templates.create_template_build import _get_kwargs as request

    template = _template(template_id)
    return Call(
        request(template),
        f"rebuild template {template}",
        _convert.build_info,
        if_lost="a build may be queued all the same; rebuild() again returns it while it runs",
    )


def list_builds(template_id: str, limit: int | None) -> Call[list[TemplateBuildInfo]]:
    """`listTemplateBuilds`, GET /templates/{template_id}/builds; cut to `limit` here, as the server ignores it."""
    from superserve_api.api.templates.list_template_builds import _get_kwargs as request

    template = _template(template_id)
    count = _arguments.optional_count("limit", limit)

    def read(answer: object) -> list[TemplateBuildInfo]:
        return _convert.build_infos(answer)[:count]

    return Call(request(template, limit=count or UNSET), f"list the builds of template {template}", read)


def get_build(template_id: str, build_id: str) -> Call[TemplateBuildInfo]:
    """`getTemplateBuild`, GET /templates/{template_id}/builds/{build_id}."""
    from superserve_api.api.templates.get_template_build import _get_kwargs as request

    template, build = _template(template_id), _build(build_id)
    return Call(
        request(template, build),
        f"get build {build} of template {template}",
        _convert.build_info,
        if_refused=_NO_BUILD_ID,
    )


def cancel_build(template_id: str, build_id: str) -> Call[None]:
    """`cancelTemplateBuild`, DELETE /templates/{template_id}/builds/{build_id}."""
    from superserve_api.api.templates.cancel_template_build import _get_kwargs as request

    template, build = _template(template_id), _build(build_id)
    return Call(
        request(template, build),
        f"cancel build {build} of template {template}",
        nothing,
        if_refused=_NO_BUILD_ID,
    )


def stream_build_logs(template_id: str, build_id: str) -> Call[None]:
    """`streamTemplateBuildLogs`, GET /templates/{template_id}/builds/{build_id}/logs."""
    from superserve_api.api.templates.stream_template_build_logs import _get_kwargs as request

    template, build = _template(template_id), _build(build_id)
    return Call(request(template, build), f"read the log of build {build} of template {template}", nothing)


def _template(template_id: str) -> str:
    return _arguments.identifier("template_id", template_id)


def _build(build_id: str) -> str:
    return _arguments.identifier("build_id", build_id)


# A name, as a rule, where an id is due.
_NO_TEMPLATE_ID = _arguments.WHERE_IDS_ARE["template_id"]
_NO_BUILD_ID = _arguments.WHERE_IDS_ARE["build_id"]
# The server holds back its answer to a DELETE while it removes the template's files, for up to 30 s.
_SLOW_DELETE_S = 30.0
