# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

FileFormat = Literal["zip"]

FILE_FORMAT_VALUES: set[FileFormat] = {
    "zip",
}


def check_file_format(value: str) -> FileFormat:
    """Return the value unchanged: one that is not in FILE_FORMAT_VALUES comes from a newer server."""
    return cast(FileFormat, value)
