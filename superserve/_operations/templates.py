"""Templates: create, get, list, delete."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from superserve_api.models import (
    BuildEnv,
    BuildSpec,
    BuildUser,
    CreateTemplateRequest,
    CreateTemplateResponse,
    TemplateResponse,
)
from superserve_api.models import BuildStep as RawStep
from superserve_api.types import UNSET, Unset

from superserve import _arguments
from superserve._operations.operation import Operation, read_identifier, read_nothing
from superserve.types import EnvStep, RunStep, TemplateInfo, TemplateStatus, WorkdirStep

V = TypeVar("V")

# The server answers a DELETE only after it has removed the template's files, which takes up to 30 s.
_SLOW_DELETE_S: Final = 30.0
# Ten times as fast as a call of the enum.
_STATUSES: Final = {status.value: status for status in TemplateStatus}


def create_template(name: str) -> Operation[CreateTemplateResponse, TemplateInfo]:
    """Describe `createTemplate`, POST /templates."""
    return Operation(
        f"create template {name!r}",
        read_created_template,
        if_lost=(f"the template may have been created; look for it with Template.list(name_prefix={name!r})"),
        if_conflict=f"choose another name, or find the template that has it with Template.list(name_prefix={name!r})",
        is_repeatable=False,
    )


def get_template(template_id: str) -> Operation[TemplateResponse, TemplateInfo]:
    """Describe `getTemplate`, GET /templates/{template_id}."""
    return Operation(
        f"get template {template_id}", read_template, if_refused=_arguments.WHERE_IDS_ARE["template_id"]
    )


def list_templates(prefix: str) -> Operation[list[TemplateResponse], list[TemplateInfo]]:
    """Describe `listTemplates`, GET /templates. The server treats `_` and `%` as wildcards; the exact prefix is checked here."""

    def read(answer: list[TemplateResponse]) -> list[TemplateInfo]:
        return [read_template(template) for template in answer if template.name.startswith(prefix)]

    return Operation("list templates", read)


def delete_template(template_id: str) -> Operation[object, None]:
    """Describe `deleteTemplate`, DELETE /templates/{template_id}."""
    return Operation(
        f"delete template {template_id}",
        read_nothing,
        read_nothing,
        if_refused=_arguments.WHERE_IDS_ARE["template_id"],
        extra_time_s=_SLOW_DELETE_S,
    )


def read_template(answer: TemplateResponse) -> TemplateInfo:
    """Convert a template."""
    # By position, in the order of the class, because it is faster than by name: a list may have thousands.
    return TemplateInfo(
        answer.id or read_identifier("id", answer.id),
        answer.name,
        answer.team_id,
        _STATUSES.get(answer.status) or TemplateStatus(answer.status),
        answer.vcpu,
        answer.memory_mib,
        answer.disk_mib,
        answer.created_at,
        None if isinstance(answer.size_bytes, Unset) else answer.size_bytes,
        None if isinstance(answer.error_message, Unset) else answer.error_message,
        answer.built_at or None,
        answer.latest_build_id or None,
    )


def read_created_template(answer: CreateTemplateResponse) -> TemplateInfo:
    """Convert the answer to a create. Its `build_id` is the template's latest build."""
    return TemplateInfo(
        id=read_identifier("id", answer.id),
        name=answer.name,
        team_id=answer.team_id,
        status=TemplateStatus(answer.status),
        vcpu=answer.vcpu,
        memory_mib=answer.memory_mib,
        disk_mib=answer.disk_mib,
        created_at=answer.created_at,
        latest_build_id=read_identifier("build_id", answer.build_id),
    )


def write_create_request(
    *,
    name: str | None,
    from_: str | None,
    vcpu: int | None,
    memory_mib: int | None,
    disk_mib: int | None,
    steps: Sequence[_arguments.TypedStep] | None,
    start_cmd: str | None,
    ready_cmd: str | None,
) -> CreateTemplateRequest:
    """Check the arguments of `Template.create`, and build the request's body. An argument that is None is not sent."""
    return CreateTemplateRequest(
        name=_arguments.template_name(name),
        build_spec=BuildSpec(
            from_=_arguments.base_image(from_),
            steps=UNSET if steps is None else [_write_step(step) for step in steps],
            start_cmd=_optional(_arguments.text, "start_cmd", start_cmd),
            ready_cmd=_optional(_arguments.text, "ready_cmd", ready_cmd),
        ),
        vcpu=_optional(_arguments.count, "vcpu", vcpu),
        memory_mib=_optional(_arguments.count, "memory_mib", memory_mib),
        disk_mib=_optional(_arguments.count, "disk_mib", disk_mib),
    )


def _write_step(step: _arguments.TypedStep) -> RawStep:
    match step:
        case RunStep():
            return RawStep(run=step.run)
        case EnvStep():
            return RawStep(env=BuildEnv(key=step.env.key, value=step.env.value))
        case WorkdirStep():
            return RawStep(workdir=step.workdir)
    # A false `sudo` is not sent, so that equal templates have equal spec hashes, whichever client created them.
    return RawStep(user=BuildUser(name=step.user.name, sudo=step.user.sudo or UNSET))


def _optional(check: Callable[[str, object], V], argument: str, value: object) -> V | Unset:
    return UNSET if value is None else check(argument, value)
