# Written by scripts/unasync.py from superserve/_async/many.py. Do not edit: change that, then run `nox -s generate`.
"""Operations on many templates: build all, prune. They only call public methods."""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from superserve import _arguments
from superserve import _clock as time
from superserve._http.tasks_sync import sleep
from superserve._sync.client import Superserve
from superserve._sync.plans import SYSTEM_PREFIX, ensure
from superserve.errors import (
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    SpecError,
    ValidationError,
)
from superserve.types import BuildOutcome, BuildSummary, Plan, PruneOutcome, TemplateInfo

if TYPE_CHECKING:
    from superserve._sync.build import Build
    from superserve._sync.templates import Template
    from superserve.specs import SpecProblem, TemplateSpec

_OUTAGE_S: Final = 60.0
_MAY_PASS: Final = (RateLimitError, SandboxConnectionError, SandboxTimeoutError, ServerError)


@attrs.define
class _Running:
    """A running build."""

    spec: "TemplateSpec"
    template: "Template"
    build_id: str
    action: str
    began_at: float
    heard_at: float


class BuildAll:
    """Builds many specs: one loop starts builds and polls those that run."""

    def __init__(
        self,
        kind: "type[Template]",
        client: Superserve,
        specs: "Iterable[TemplateSpec]",
        *,
        concurrency: int | None,
        wait_for_slot: bool,
        slot_timeout_s: float,
        on_build: "Callable[[Build], object] | None",
        on_outcome: Callable[[BuildOutcome], object] | None,
        poll_interval_s: float,
    ) -> None:
        self._kind = kind
        self._client = client
        self._specs = checked(specs)
        self._limit = concurrency
        self._waits = wait_for_slot
        self._slot_timeout_s = slot_timeout_s
        self._on_build = on_build
        self._on_outcome = on_outcome
        self._poll_interval_s = poll_interval_s
        self._waiting = deque(self._specs)
        self._running: list[_Running] = []
        self._outcomes: dict[str, BuildOutcome] = {}
        self._slot_wanted_since: float | None = None

    def run(self) -> BuildSummary:
        """Build all specs, and return the outcome of each."""
        try:
            while self._waiting or self._running:
                self._start()
                if self._waiting or self._running:
                    sleep(self._poll_interval_s)
                for build in [*self._running]:
                    self._poll(build)
        except BaseException as error:
            for build in self._running:
                error.add_note(f"Build {build.build_id} of template {build.spec.name!r} goes on.")
            raise
        return BuildSummary(tuple(self._outcomes[spec.name] for spec in self._specs))

    def _start(self) -> None:
        """Start as many builds as are allowed now."""
        while self._waiting and (self._limit is None or len(self._running) < self._limit):
            spec = self._waiting[0]
            began_at = time.monotonic()
            plans: list[Plan] = []
            try:
                template = ensure(
                    self._kind,
                    self._client,
                    spec,
                    wait=False,
                    on_plan=plans.append,
                    on_log=None,
                    timeout_s=None,
                )
            except RateLimitError as error:
                if self._may_wait(error):
                    return
                self._end(spec, began_at, error=error)
            except SandboxError as error:
                self._end(spec, began_at, error=error)
            else:
                self._slot_wanted_since = None
                made = plans[-1]
                build_id = made.build_id if made.action == "reuse" else template._started_build_id
                if build_id is None:
                    self._end(spec, began_at, made.action, info=made.template)
                else:
                    self._running.append(
                        _Running(spec, template, build_id, made.action, began_at, time.monotonic())
                    )
                    if self._on_build is not None:
                        self._on_build(template.build(build_id))
            self._waiting.popleft()

    def _may_wait(self, error: RateLimitError) -> bool:
        """Whether to wait after a refusal. It also shows the team's limit: the number of builds running then."""
        if error.code != "rate_limited" and not (error.code == "too_many_builds" and self._waits):
            return False
        if self._running:
            if error.code == "too_many_builds":
                self._limit = min(self._limit or len(self._running), len(self._running))
            return True
        # Builds of others take all slots, or the service is busy.
        now = time.monotonic()
        self._slot_wanted_since = self._slot_wanted_since or now
        return now - self._slot_wanted_since < self._slot_timeout_s

    def _poll(self, build: _Running) -> None:
        try:
            info = build.template.get_build(build.build_id)
            build.heard_at = time.monotonic()
            if not info.has_ended:
                return
            ready = build.template.wait_until_ready(build_id=build.build_id, log_tail=True)
        except SandboxError as error:
            if isinstance(error, _MAY_PASS) and time.monotonic() - build.heard_at < _OUTAGE_S:
                return
            self._end(build.spec, build.began_at, build.action, error=error)
        else:
            self._end(build.spec, build.began_at, build.action, info=ready)
        self._running.remove(build)

    def _end(
        self,
        spec: "TemplateSpec",
        began_at: float,
        action: str | None = None,
        *,
        info: TemplateInfo | None = None,
        error: SandboxError | None = None,
    ) -> None:
        outcome = BuildOutcome(spec.name, action, info, error, time.monotonic() - began_at)
        self._outcomes[spec.name] = outcome
        if self._on_outcome is not None:
            self._on_outcome(outcome)


def checked(specs: "Iterable[TemplateSpec]") -> "list[TemplateSpec]":
    """Return the specs if they have no errors and different names; else raise one error with everything that is wrong."""
    if not isinstance(specs, Iterable):
        raise ValidationError(f"specs: expected a list of TemplateSpecs, got {type(specs).__name__}")
    found = list(specs)
    problems: list[SpecProblem] = []
    for spec in found:
        try:
            _arguments.whole_spec(spec)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError.of(problems)
    names = [spec.name for spec in found]
    for name in names:
        if names.count(name) > 1:
            raise ValidationError(f"specs: two specs have the name {name!r}")
    return found


def prune(
    kind: "type[Template]",
    client: Superserve,
    *,
    name_prefix: str | None,
    keep: int | None,
    older_than: timedelta | None,
    dry_run: bool,
) -> list[PruneOutcome]:
    """Delete the team's templates that match, or only return them."""
    prefix = _arguments.text("name_prefix", "" if name_prefix is None else name_prefix, may_be_empty=True)
    # An empty prefix is often a variable that was not set.
    if not prefix and keep is None and older_than is None:
        raise ValidationError(
            "prune: pass name_prefix=, keep= or older_than= to choose templates; without one it would delete all"
        )
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 0):
        raise ValidationError(f"keep: expected the number of newest templates to keep, got {keep!r}")
    if older_than is not None and not isinstance(older_than, timedelta):
        raise ValidationError(f"older_than: expected a timedelta, got {type(older_than).__name__}")
    everything = kind.list(client=client)
    system = {info.team_id for info in everything if info.name.startswith(SYSTEM_PREFIX)}
    own = [info for info in everything if info.team_id not in system and info.name.startswith(prefix)]
    own.sort(key=_age, reverse=True)
    try:
        before = None if older_than is None else datetime.now(UTC) - older_than
    except OverflowError:
        raise ValidationError("older_than: reaches back before the year 1") from None
    chosen = [info for info in own[keep or 0 :] if before is None or _age(info) < before]
    outcomes = []
    for info in chosen:
        if dry_run:
            outcomes.append(PruneOutcome(info))
            continue
        try:
            kind.delete_by_id(info.id, client=client)
        except SandboxError as error:
            outcomes.append(PruneOutcome(info, error=error))
        else:
            outcomes.append(PruneOutcome(info, is_deleted=True))
    return outcomes


def _age(info: TemplateInfo) -> datetime:
    """Return when a template was last built, or created if it was never built."""
    return info.built_at or info.created_at
