"""The values that people pass and receive: frozen, comparable, picklable."""

from superserve.types.builds import (
    BuildLogEvent,
    BuildLogStream,
    TemplateBuildInfo,
    TemplateBuildStatus,
)
from superserve.types.plans import (
    BuildOutcome,
    BuildSummary,
    BuildTimeline,
    Plan,
    PruneOutcome,
    TimelinePart,
)
from superserve.types.steps import (
    BuildStep,
    EnvStep,
    EnvStepDict,
    EnvStepValue,
    EnvStepValueDict,
    RunStep,
    RunStepDict,
    UserStep,
    UserStepDict,
    UserStepValue,
    UserStepValueDict,
    WorkdirStep,
    WorkdirStepDict,
)
from superserve.types.templates import TemplateInfo, TemplateStatus

__all__ = [
    "BuildLogEvent",
    "BuildLogStream",
    "BuildOutcome",
    "BuildStep",
    "BuildSummary",
    "BuildTimeline",
    "EnvStep",
    "EnvStepDict",
    "EnvStepValue",
    "EnvStepValueDict",
    "Plan",
    "PruneOutcome",
    "RunStep",
    "RunStepDict",
    "TemplateBuildInfo",
    "TemplateBuildStatus",
    "TemplateInfo",
    "TemplateStatus",
    "TimelinePart",
    "UserStep",
    "UserStepDict",
    "UserStepValue",
    "UserStepValueDict",
    "WorkdirStep",
    "WorkdirStepDict",
]
