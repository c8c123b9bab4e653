# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Contains all the data models used in inputs/outputs; each is imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api_error import ApiError
    from .api_error_detail import ApiErrorDetail
    from .build_env import BuildEnv
    from .build_log_event import BuildLogEvent
    from .build_log_status import BuildLogStatus
    from .build_log_stream import BuildLogStream
    from .build_spec import BuildSpec
    from .build_step import BuildStep
    from .build_user import BuildUser
    from .create_sandbox_request import CreateSandboxRequest
    from .create_template_request import CreateTemplateRequest
    from .create_template_response import CreateTemplateResponse
    from .create_template_status import CreateTemplateStatus
    from .env_vars import EnvVars
    from .exec_error_code import ExecErrorCode
    from .exec_request import ExecRequest
    from .exec_result import ExecResult
    from .exec_signal import ExecSignal
    from .exec_stdin_close import ExecStdinClose
    from .exec_stream_event import ExecStreamEvent
    from .file_entry import FileEntry
    from .file_format import FileFormat
    from .file_list import FileList
    from .file_write_result import FileWriteResult
    from .health import Health
    from .metadata import Metadata
    from .metadata_filters import MetadataFilters
    from .network_config import NetworkConfig
    from .pause_response import PauseResponse
    from .prefer import Prefer
    from .preview_access import PreviewAccess
    from .preview_access_policy import PreviewAccessPolicy
    from .resume_response import ResumeResponse
    from .sandbox_list_item import SandboxListItem
    from .sandbox_patch import SandboxPatch
    from .sandbox_response import SandboxResponse
    from .sandbox_secret_binding import SandboxSecretBinding
    from .sandbox_sort import SandboxSort
    from .sandbox_status import SandboxStatus
    from .secret_bindings import SecretBindings
    from .signal_name import SignalName
    from .sort_order import SortOrder
    from .string_map import StringMap
    from .template_build_response import TemplateBuildResponse
    from .template_build_status import TemplateBuildStatus
    from .template_owner import TemplateOwner
    from .template_response import TemplateResponse
    from .template_sort import TemplateSort
    from .template_status import TemplateStatus

_MODULES = {
    "ApiError": ".api_error",
    "ApiErrorDetail": ".api_error_detail",
    "BuildEnv": ".build_env",
    "BuildLogEvent": ".build_log_event",
    "BuildLogStatus": ".build_log_status",
    "BuildLogStream": ".build_log_stream",
    "BuildSpec": ".build_spec",
    "BuildStep": ".build_step",
    "BuildUser": ".build_user",
    "CreateSandboxRequest": ".create_sandbox_request",
    "CreateTemplateRequest": ".create_template_request",
    "CreateTemplateResponse": ".create_template_response",
    "CreateTemplateStatus": ".create_template_status",
    "EnvVars": ".env_vars",
    "ExecErrorCode": ".exec_error_code",
    "ExecRequest": ".exec_request",
    "ExecResult": ".exec_result",
    "ExecSignal": ".exec_signal",
    "ExecStdinClose": ".exec_stdin_close",
    "ExecStreamEvent": ".exec_stream_event",
    "FileEntry": ".file_entry",
    "FileFormat": ".file_format",
    "FileList": ".file_list",
    "FileWriteResult": ".file_write_result",
    "Health": ".health",
    "Metadata": ".metadata",
    "MetadataFilters": ".metadata_filters",
    "NetworkConfig": ".network_config",
    "PauseResponse": ".pause_response",
    "Prefer": ".prefer",
    "PreviewAccess": ".preview_access",
    "PreviewAccessPolicy": ".preview_access_policy",
    "ResumeResponse": ".resume_response",
    "SandboxListItem": ".sandbox_list_item",
    "SandboxPatch": ".sandbox_patch",
    "SandboxResponse": ".sandbox_response",
    "SandboxSecretBinding": ".sandbox_secret_binding",
    "SandboxSort": ".sandbox_sort",
    "SandboxStatus": ".sandbox_status",
    "SecretBindings": ".secret_bindings",
    "SignalName": ".signal_name",
    "SortOrder": ".sort_order",
    "StringMap": ".string_map",
    "TemplateBuildResponse": ".template_build_response",
    "TemplateBuildStatus": ".template_build_status",
    "TemplateOwner": ".template_owner",
    "TemplateResponse": ".template_response",
    "TemplateSort": ".template_sort",
    "TemplateStatus": ".template_status",
}

__all__ = (
    "ApiError",
    "ApiErrorDetail",
    "BuildEnv",
    "BuildLogEvent",
    "BuildLogStatus",
    "BuildLogStream",
    "BuildSpec",
    "BuildStep",
    "BuildUser",
    "CreateSandboxRequest",
    "CreateTemplateRequest",
    "CreateTemplateResponse",
    "CreateTemplateStatus",
    "EnvVars",
    "ExecErrorCode",
    "ExecRequest",
    "ExecResult",
    "ExecSignal",
    "ExecStdinClose",
    "ExecStreamEvent",
    "FileEntry",
    "FileFormat",
    "FileList",
    "FileWriteResult",
    "Health",
    "Metadata",
    "MetadataFilters",
    "NetworkConfig",
    "PauseResponse",
    "Prefer",
    "PreviewAccess",
    "PreviewAccessPolicy",
    "ResumeResponse",
    "SandboxListItem",
    "SandboxPatch",
    "SandboxResponse",
    "SandboxSecretBinding",
    "SandboxSort",
    "SandboxStatus",
    "SecretBindings",
    "SignalName",
    "SortOrder",
    "StringMap",
    "TemplateBuildResponse",
    "TemplateBuildStatus",
    "TemplateOwner",
    "TemplateResponse",
    "TemplateSort",
    "TemplateStatus",
)

if not TYPE_CHECKING:  # so that a type checker reports a name that does not exist

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
