"""Builds of templates: start, get, list, cancel, read the log."""

from superserve_api.models import TemplateBuildResponse

from superserve import _arguments
from superserve._operations.operation import Operation, none_if_unset, read_identifier, read_nothing
from superserve.types import TemplateBuildInfo, TemplateBuildStatus


def create_build(template_id: str) -> Operation[TemplateBuildResponse, TemplateBuildInfo]:
    """Describe `createTemplateBuild`, POST /templates/{template_id}/builds."""
    return Operation(
        f"rebuild template {template_id}",
        read_build,
        if_lost="a build may be queued; rebuild() again returns it while it runs",
        is_repeatable=False,
    )


def get_build(template_id: str, build_id: str) -> Operation[TemplateBuildResponse, TemplateBuildInfo]:
    """Describe `getTemplateBuild`, GET /templates/{template_id}/builds/{build_id}."""
    return Operation(
        f"get build {build_id} of template {template_id}",
        read_build,
        if_refused=_arguments.WHERE_IDS_ARE["build_id"],
    )


def list_builds(
    template_id: str, limit: int | None
) -> Operation[list[TemplateBuildResponse], list[TemplateBuildInfo]]:
    """Describe `listTemplateBuilds`, GET /templates/{template_id}/builds. The server ignores `limit`; it is applied here."""

    def read(answer: list[TemplateBuildResponse]) -> list[TemplateBuildInfo]:
        return [read_build(build) for build in answer[:limit]]

    return Operation(f"list the builds of template {template_id}", read)


def cancel_build(template_id: str, build_id: str) -> Operation[object, None]:
    """Describe `cancelTemplateBuild`, DELETE /templates/{template_id}/builds/{build_id}."""
    return Operation(
        f"cancel build {build_id} of template {template_id}",
        read_nothing,
        read_nothing,
        if_refused=_arguments.WHERE_IDS_ARE["build_id"],
    )


def stream_build_logs(template_id: str, build_id: str) -> Operation[object, None]:
    """Describe `streamTemplateBuildLogs`, GET /templates/{template_id}/builds/{build_id}/logs."""
    return Operation(
        f"read the log of build {build_id} of template {template_id}", read_nothing, read_nothing
    )


def read_build(answer: TemplateBuildResponse) -> TemplateBuildInfo:
    """Convert a build."""
    return TemplateBuildInfo(
        id=read_identifier("id", answer.id),
        template_id=answer.template_id,
        status=TemplateBuildStatus(answer.status),
        build_spec_hash=answer.build_spec_hash,
        created_at=answer.created_at,
        error_message=none_if_unset(answer.error_message),
        started_at=none_if_unset(answer.started_at),
        finalized_at=none_if_unset(answer.finalized_at),
    )
