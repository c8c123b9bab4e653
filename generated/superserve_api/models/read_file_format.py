# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
from typing import Literal, cast

ReadFileFormat = Literal["zip"]

READ_FILE_FORMAT_VALUES: set[ReadFileFormat] = {
    "zip",
}


def check_read_file_format(value: str) -> ReadFileFormat:
    """Return the value as it is: one that isn't in READ_FILE_FORMAT_VALUES comes from a newer server."""
    return cast(ReadFileFormat, value)
