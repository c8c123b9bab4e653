"""The values that people pass and receive: frozen, comparable, picklable."""

from superserve.types.builds import (
    BuildLogEvent,
    BuildLogStream,
    TemplateBuildInfo,
    TemplateBuildStatus,
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
    "BuildStep",
    "EnvStep",
    "EnvStepDict",
    "EnvStepValue",
    "EnvStepValueDict",
    "RunStep",
    "RunStepDict",
    "TemplateBuildInfo",
    "TemplateBuildStatus",
    "TemplateInfo",
    "TemplateStatus",
    "UserStep",
    "UserStepDict",
    "UserStepValue",
    "UserStepValueDict",
    "WorkdirStep",
    "WorkdirStepDict",
]
