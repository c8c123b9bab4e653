"""Between the contract's vocabulary and ours: the only module that knows both.

Answers are read field by field from the JSON itself, not through the generated models: a list of templates takes half
the time that way, and an odd value in a field that nobody reads cannot fail a call. That every field read here exists
in the contract is held by tests/test_contract.py.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from superserve_api import models
from superserve_api.types import UNSET, Unset

from superserve import _arguments, _json
from superserve.types import (
    BuildStep,
    EnvStep,
    RunStep,
    TemplateBuildInfo,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
    WorkdirStep,
)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class _Members(dict[str, E]):
    """The members of an open enum by value: looked up in a tenth of the time that a call of the enum takes."""

    def __init__(self, enum: type[E]) -> None:
        super().__init__((member.value, member) for member in enum)
        self._enum = enum

    def __missing__(self, value: str) -> E:
        return self._enum(value)


_TEMPLATE_STATUSES = _Members(TemplateStatus)
_BUILD_STATUSES = _Members(TemplateBuildStatus)


def template_info(answer: object) -> TemplateInfo:
    """Read a TemplateResponse."""
    source = _json.obj(answer)
    get = source.get
    # Lists hold thousands of these, so no keywords (the order is that of the class), and no call for a field whose
    # type is right: written like the others below, this takes half as long again.
    return TemplateInfo(
        id_ if type(id_ := get("id")) is str and id_ else _json.identifier(source, "id"),
        name if type(name := get("name")) is str else _json.string(source, "name"),
        team_id if type(team_id := get("team_id")) is str else _json.string(source, "team_id"),
        _TEMPLATE_STATUSES[_json.string(source, "status")],
        vcpu if type(vcpu := get("vcpu")) is int else _json.integer(source, "vcpu"),
        memory if type(memory := get("memory_mib")) is int else _json.integer(source, "memory_mib"),
        disk if type(disk := get("disk_mib")) is int else _json.integer(source, "disk_mib"),
        _json.time(source, "created_at"),
        size if type(size := get("size_bytes")) is int else _json.optional_integer(source, "size_bytes"),
        None if get("error_message") is None else _json.string(source, "error_message"),
        None if get("built_at") is None else _json.time(source, "built_at"),
        None if get("latest_build_id") is None else _json.string(source, "latest_build_id") or None,
    )


def template_infos(answer: object) -> list[TemplateInfo]:
    """Read a list of TemplateResponse."""
    return _list(answer, template_info)


def created_template(answer: object) -> TemplateInfo:
    """Read a CreateTemplateResponse; its `build_id` is the template's latest build."""
    source = _json.obj(answer)
    return TemplateInfo(
        id=_json.identifier(source, "id"),
        name=_json.string(source, "name"),
        team_id=_json.string(source, "team_id"),
        status=_TEMPLATE_STATUSES[_json.string(source, "status")],
        vcpu=_json.integer(source, "vcpu"),
        memory_mib=_json.integer(source, "memory_mib"),
        disk_mib=_json.integer(source, "disk_mib"),
        created_at=_json.time(source, "created_at"),
        latest_build_id=_json.identifier(source, "build_id"),
    )


def build_info(answer: object) -> TemplateBuildInfo:
    """Read a TemplateBuildResponse."""
    source = _json.obj(answer)
    return TemplateBuildInfo(
        id=_json.identifier(source, "id"),
        template_id=_json.string(source, "template_id"),
        status=_BUILD_STATUSES[_json.string(source, "status")],
        build_spec_hash=_json.string(source, "build_spec_hash"),
        created_at=_json.time(source, "created_at"),
        error_message=_json.optional_string(source, "error_message"),
        started_at=_json.optional_time(source, "started_at"),
        finalized_at=_json.optional_time(source, "finalized_at"),
    )


def build_infos(answer: object) -> list[TemplateBuildInfo]:
    """Read a list of TemplateBuildResponse."""
    return _list(answer, build_info)


def _list(answer: object, read: Callable[[object], T]) -> list[T]:
    items: list[T] = []
    try:
        for item in _json.array(answer):
            items.append(read(item))  # noqa: PERF401 - how far it got tells which item is wrong
    except _json.UnreadableError as error:
        raise _json.UnreadableError(f"item {len(items)}: {error}") from None
    return items


def create_request(
    *,
    name: str,
    from_: str,
    vcpu: int | None,
    memory_mib: int | None,
    disk_mib: int | None,
    steps: Sequence[BuildStep] | None,
    start_cmd: str | None,
    ready_cmd: str | None,
) -> models.CreateTemplateRequest:
    """Check what `Template.create` was given, and build the request's body; what is None is not sent."""
    return models.CreateTemplateRequest(
        name=_arguments.template_name(name),
        build_spec=models.BuildSpec(
            from_=_arguments.base_image(from_),
            steps=UNSET if steps is None else [_raw_step(step) for step in _arguments.steps(steps)],
            start_cmd=_given(_arguments.optional_text("start_cmd", start_cmd)),
            ready_cmd=_given(_arguments.optional_text("ready_cmd", ready_cmd)),
        ),
        vcpu=_given(_arguments.optional_count("vcpu", vcpu)),
        memory_mib=_given(_arguments.optional_count("memory_mib", memory_mib)),
        disk_mib=_given(_arguments.optional_count("disk_mib", disk_mib)),
    )


def _raw_step(step: _arguments.TypedStep) -> models.BuildStep:
    match step:
        case RunStep():
            return models.BuildStep(run=step.run)
        case EnvStep():
            return models.BuildStep(env=models.BuildEnv(key=step.env.key, value=step.env.value))
        case WorkdirStep():
            return models.BuildStep(workdir=step.workdir)
    # A sudo that is not wanted is not sent: equal templates then have equal spec hashes, whoever made them.
    return models.BuildStep(user=models.BuildUser(name=step.user.name, sudo=step.user.sudo or UNSET))


def _given(value: T | None) -> T | Unset:
    return UNSET if value is None else value
