"""The values that people pass and receive: frozen, comparable, picklable."""

from superserve.types.builds import (
    BuildLogEvent,
    BuildLogStream,
    TemplateBuildInfo,
    TemplateBuildStatus,
)
from superserve.types.commands import CommandBytesResult, CommandOutput, CommandResult, CommandStream
from superserve.types.files import FileInfo, FileKind, TransferProgress
from superserve.types.plans import (
    BuildOutcome,
    BuildSummary,
    BuildTimeline,
    Plan,
    PruneOutcome,
    TimelinePart,
)
from superserve.types.sandboxes import (
    NetworkConfig,
    NetworkConfigDict,
    PreviewAccess,
    SandboxInfo,
    SandboxSecretBinding,
    SandboxStatus,
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
    "CommandBytesResult",
    "CommandOutput",
    "CommandResult",
    "CommandStream",
    "EnvStep",
    "EnvStepDict",
    "EnvStepValue",
    "EnvStepValueDict",
    "FileInfo",
    "FileKind",
    "NetworkConfig",
    "NetworkConfigDict",
    "Plan",
    "PreviewAccess",
    "PruneOutcome",
    "RunStep",
    "RunStepDict",
    "SandboxInfo",
    "SandboxSecretBinding",
    "SandboxStatus",
    "TemplateBuildInfo",
    "TemplateBuildStatus",
    "TemplateInfo",
    "TemplateStatus",
    "TimelinePart",
    "TransferProgress",
    "UserStep",
    "UserStepDict",
    "UserStepValue",
    "UserStepValueDict",
    "WorkdirStep",
    "WorkdirStepDict",
]
