"""The values that people pass and receive: frozen, comparable, picklable."""

from superserve.types.templates import (
    BuildLogEvent,
    BuildLogStream,
    BuildStep,
    EnvStep,
    EnvStepValue,
    RunStep,
    TemplateBuildInfo,
    TemplateBuildStatus,
    TemplateInfo,
    TemplateStatus,
    UserStep,
    UserStepValue,
    WorkdirStep,
)

__all__ = [
    "BuildLogEvent",
    "BuildLogStream",
    "BuildStep",
    "EnvStep",
    "EnvStepValue",
    "RunStep",
    "TemplateBuildInfo",
    "TemplateBuildStatus",
    "TemplateInfo",
    "TemplateStatus",
    "UserStep",
    "UserStepValue",
    "WorkdirStep",
]
