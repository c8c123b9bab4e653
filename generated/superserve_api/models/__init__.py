# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Contains all the data models used in inputs/outputs; each is imported when it is first asked for."""

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
    from .create_template_request import CreateTemplateRequest
    from .create_template_response import CreateTemplateResponse
    from .create_template_status import CreateTemplateStatus
    from .exec_request import ExecRequest
    from .exec_request_env import ExecRequestEnv
    from .exec_result import ExecResult
    from .file_write_result import FileWriteResult
    from .health import Health
    from .read_file_format import ReadFileFormat
    from .sort_order import SortOrder
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
    "CreateTemplateRequest": ".create_template_request",
    "CreateTemplateResponse": ".create_template_response",
    "CreateTemplateStatus": ".create_template_status",
    "ExecRequest": ".exec_request",
    "ExecRequestEnv": ".exec_request_env",
    "ExecResult": ".exec_result",
    "FileWriteResult": ".file_write_result",
    "Health": ".health",
    "ReadFileFormat": ".read_file_format",
    "SortOrder": ".sort_order",
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
    "CreateTemplateRequest",
    "CreateTemplateResponse",
    "CreateTemplateStatus",
    "ExecRequest",
    "ExecRequestEnv",
    "ExecResult",
    "FileWriteResult",
    "Health",
    "ReadFileFormat",
    "SortOrder",
    "TemplateBuildResponse",
    "TemplateBuildStatus",
    "TemplateOwner",
    "TemplateResponse",
    "TemplateSort",
    "TemplateStatus",
)

if not TYPE_CHECKING:  # a type checker is to report a name that doesn't exist

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
