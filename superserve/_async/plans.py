"""From a spec to a ready template: find, plan, ensure. They only call public methods."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from superserve import _arguments
from superserve._arguments import LogCallback
from superserve._async.client import AsyncSuperserve
from superserve._redact import strip_controls
from superserve.errors import ConflictError, NotFoundError
from superserve.types import Plan, TemplateBuildInfo, TemplateBuildStatus, TemplateInfo, TemplateStatus

if TYPE_CHECKING:
    from superserve._async.templates import AsyncTemplate
    from superserve.specs import TemplateSpec

T = TypeVar("T", bound="AsyncTemplate")

SYSTEM_PREFIX: Final = "superserve/"

# Another process changed the template before each of these tries.
_MOST_TRIES: Final = 5
_HASH_DIGITS: Final = 64


async def find(kind: "type[AsyncTemplate]", client: AsyncSuperserve, name: str) -> TemplateInfo | None:
    """Return the template with a name: the team's own, else the system's."""
    found = [info for info in await kind.list(name_prefix=name, client=client) if info.name == name]
    if len(found) > 1:
        system = {info.team_id for info in await kind.list(name_prefix=SYSTEM_PREFIX, client=client)}
        found = [info for info in found if info.team_id not in system] or found
    return found[0] if found else None


async def get_by_name(kind: type[T], client: AsyncSuperserve, name: str) -> T:
    """Return the handle of the template with a name."""
    info = await find(kind, client, name)
    if info is None:
        raise NotFoundError(f"there is no template {name!r}", hint="Template.list() shows all names")
    return kind(info, client=client)


async def plan(kind: "type[AsyncTemplate]", client: AsyncSuperserve, spec: "TemplateSpec") -> Plan:
    """Return what `ensure` would do."""
    info = await find(kind, client, spec.name)
    if info is None:
        return Plan("create", (f"there is no template {spec.name!r}",))
    builds = await kind(info, client=client).list_builds(limit=1)
    if not builds:
        # A team's own template always has a build.
        return Plan("create", (f"the template {spec.name!r} is not this team's",))
    [newest] = builds
    build_id = None if newest.has_ended else newest.id
    reasons, is_certain = _differences(spec, info, newest.build_spec_hash)
    if reasons:
        return Plan("replace", reasons, info, build_id, is_certain)
    return _matching_plan(info, newest)


def _matching_plan(info: TemplateInfo, newest: TemplateBuildInfo) -> Plan:
    """Return the plan for a template that matches the spec."""
    if not newest.has_ended:
        return Plan("reuse", (f"the spec is the same, and build {newest.id} is running",), info, newest.id)
    if info.status is TemplateStatus.READY:
        return Plan("reuse", ("the spec is the same, and the template is ready",), info)
    if newest.status is TemplateBuildStatus.READY:
        # The template was read before its build. It is ready by now, or will be soon.
        return Plan("reuse", (f"the spec is the same, and build {newest.id} is ready",), info, newest.id)
    because = f": {strip_controls(newest.error_message)}" if newest.error_message else ""
    return Plan("rebuild", (f"the spec is the same, and the last build is {newest.status}{because}",), info)


def _differences(spec: "TemplateSpec", info: TemplateInfo, there: str) -> tuple[tuple[str, ...], bool]:
    """Return how a template differs from a spec, and whether the difference is certain."""
    reasons = [
        f"{key} is {getattr(info, key)}, the spec has {wanted}"
        for key in ("vcpu", "memory_mib", "disk_mib")
        if (wanted := getattr(spec, key)) is not None and wanted != getattr(info, key)
    ]
    if there == spec.build_spec_hash:
        return tuple(reasons), True
    if len(there) != _HASH_DIGITS or not all(digit in "0123456789abcdef" for digit in there):
        return (*reasons, "the service's hash of the spec has a form that this version does not know"), bool(
            reasons
        )
    if not spec.has_sure_hash:
        return (*reasons, "the spec has characters that services hash in different ways"), bool(reasons)
    return (*reasons, "image, steps or commands differ"), True


async def ensure(
    kind: type[T],
    client: AsyncSuperserve,
    spec: "TemplateSpec",
    *,
    wait: bool = True,
    on_plan: Callable[[Plan], object] | None = None,
    on_log: LogCallback | None = None,
    poll_interval_s: float = 2.0,
    timeout_s: float | None = None,
) -> T:
    """Carry out a plan. If another process was faster, make a new plan."""
    lost: Exception | None = None
    for _ in range(_MOST_TRIES):
        made = await plan(kind, client, spec)
        if on_plan is not None:
            on_plan(made)
        if made.action == "replace":
            await _remove(kind, client, made)
        try:
            template = await _carry_out(kind, client, spec, made)
        except (ConflictError, NotFoundError) as error:
            # Another process has created or deleted it in the meantime.
            lost = error
            continue
        build_id = made.build_id if made.action == "reuse" else None
        if wait and (made.action != "reuse" or build_id is not None):
            info = await template.wait_until_ready(
                build_id=build_id, on_log=on_log, poll_interval_s=poll_interval_s, timeout_s=timeout_s
            )
            return _handle(kind, client, spec, info)
        return template
    raise ConflictError(
        f"other processes changed the template {spec.name!r} {_MOST_TRIES} times while it was being made",
        hint="find out who creates and deletes it, then try again",
    ) from lost


async def _carry_out(kind: type[T], client: AsyncSuperserve, spec: "TemplateSpec", made: Plan) -> T:
    if made.template is None or made.action in {"create", "replace"}:
        return await kind.create(spec=spec, client=client)
    template = _handle(kind, client, spec, made.template)
    if made.action == "rebuild":
        await template.rebuild()
    return template


async def _remove(kind: "type[AsyncTemplate]", client: AsyncSuperserve, made: Plan) -> None:
    """Delete the template that a plan replaces. The service refuses this while sandboxes use it."""
    if made.template is None:
        return
    old = kind(made.template, client=client)
    if not made.is_certain:
        raise ConflictError(
            f"it is not known whether the template {old.name!r} matches the spec: {'; '.join(made.reasons)}",
            hint="delete the template to create it again",
        )
    if made.build_id is not None:
        await old.cancel_build(made.build_id)
    await old.delete()


def _handle(kind: type[T], client: AsyncSuperserve, spec: "TemplateSpec", info: TemplateInfo) -> T:
    return kind(info, client=client, steps=tuple(_arguments.steps(spec.steps)), spec=spec)
