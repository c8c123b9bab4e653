# Written by scripts/generate.py from openapi.yaml. Do not edit: change those, then run `nox -s generate`.
"""Contains some shared types for properties"""

from collections.abc import Mapping, MutableMapping
from http import HTTPStatus
from typing import IO, BinaryIO, Generic, Literal, TypeVar

from attrs import define, field


class Unset:
    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Unset = Unset()

# The types that `httpx.Client(files=)` can accept, copied from that library.
FileContent = IO[bytes] | bytes | str
FileTypes = (
    # (filename, file (or bytes), content_type)
    tuple[str | None, FileContent, str | None]
    # (filename, file (or bytes), content_type, headers)
    | tuple[str | None, FileContent, str | None, Mapping[str, str]]
)
RequestFiles = list[tuple[str, FileTypes]]


@define
class File:
    """The content of an upload: bytes, or an open file for functions that are not asyncio's."""

    payload: BinaryIO | bytes
    file_name: str | None = None
    mime_type: str | None = None

    def to_tuple(self) -> FileTypes:
        """Return a tuple representation that httpx will accept for multipart/form-data"""
        return self.file_name, self.payload, self.mime_type


T = TypeVar("T")


@define
class Response(Generic[T]):
    """A response from an endpoint

    Attributes:
        status_code: The status; a plain number if it is not a standard one.
        content: The body as it came.
        headers: The headers.
        parsed: The parsed body; None if the contract has no body for this status, or if the body cannot be read.
        problem: Why a documented body cannot be read, such as "field 'id' is missing"; None if it can be read.
            It quotes nothing of the body.
    """

    status_code: HTTPStatus | int
    content: bytes = field(repr=lambda body: f"<{len(body)} bytes>")
    headers: MutableMapping[str, str]
    parsed: T | None
    problem: str | None = None


__all__ = ["UNSET", "File", "FileTypes", "RequestFiles", "Response", "Unset"]
