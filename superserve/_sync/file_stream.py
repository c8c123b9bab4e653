# Written by scripts/unasync.py from superserve/_async/file_stream.py. Do not edit: change that, then run `nox -s generate`.
"""A file of a sandbox, read in pieces."""

import math
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from superserve import _arguments
from superserve import _clock as time
from superserve._http.responses import reason
from superserve._http.tasks_sync import next_piece, shielded
from superserve._operations.operation import Operation
from superserve.errors import SandboxConnectionError, SandboxError, SandboxTimeoutError


class FileStream:
    """The content of a file in a sandbox, opened with `sandbox.files.open_read`.

    Iterating yields its bytes in pieces. It holds a connection: use it as a context manager, or close it.

    Attributes:
        size: The number of bytes, if the server said so.

    Example:
        >>> from superserve import Sandbox
        >>> with Sandbox.create(name="my-box") as sandbox:
        ...     sandbox.files.write("/tmp/x", "hello")
        ...     with sandbox.files.open_read("/tmp/x") as stream:
        ...         pieces = [piece for piece in stream]
        >>> print(b"".join(pieces))
        b'hello'
    """

    def __init__(
        self,
        response: httpx.Response,
        operation: Operation[Any, Any],
        *,
        until: float = math.inf,
        silence_s: float = math.inf,
    ) -> None:
        length = response.headers.get("content-length", "")
        self.size = int(length) if length.isascii() and length.isdigit() else None
        self._response = response
        self._action = operation.action
        self._until = until
        self._silence_s = silence_s
        self._pieces = response.iter_bytes()
        self._rest = b""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._response.is_closed else 'open'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._rest or self._next():
            self._rest = b""
            yield piece

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes: at most `size`, and fewer only at the end. By default all the rest.

        Raises:
            ValidationError: `size` is not an integer.
            SandboxConnectionError: The connection broke before the end.
            SandboxTimeoutError: The call's `timeout` has passed, or no byte came for the client's `timeout_s`.
        """
        size = _arguments.integer("size", size)
        wanted = math.inf if size < 0 else size
        pieces = [self._rest]
        length = len(self._rest)
        while length < wanted and (piece := self._next()):
            pieces.append(piece)
            length += len(piece)
        data = b"".join(pieces)
        self._rest = b"" if size < 0 else data[size:]
        return data if size < 0 else data[:size]

    def close(self) -> None:
        """Close the stream and release its connection. May be called twice."""
        with shielded():
            self._response.close()

    def _read_all(self, max_bytes: int | None) -> bytes:
        pieces: list[bytes] = []
        length = 0
        self._refuse(self.size or 0, max_bytes)
        for piece in self:
            pieces.append(piece)
            length += len(piece)
            self._refuse(length, max_bytes)
        return b"".join(pieces)

    def _refuse(self, length: int, max_bytes: int | None) -> None:
        if max_bytes is not None and length > max_bytes:
            raise SandboxError(
                f"it has more than {max_bytes} bytes",
                action=self._action,
                hint="raise max_bytes, or read it in pieces with open_read()",
            )

    def _next(self) -> bytes:
        """Return the next piece; empty at the end."""
        if self._response.is_closed:
            return b""
        began_at = time.monotonic()
        try:
            while (piece := next_piece(self._pieces, min(self._until, began_at + self._silence_s))) == b"":
                pass
        except httpx.TimeoutException as error:
            raise SandboxTimeoutError(
                f"the download did not end in time: {self._progress()}", action=self._action
            ) from error
        except httpx.HTTPError as error:
            raise SandboxConnectionError(
                f"incomplete download: {self._progress()}: {reason(error)}", action=self._action
            ) from error
        return piece or b""

    def _progress(self) -> str:
        of = "" if self.size is None else f" of {self.size}"
        return f"received {self._response.num_bytes_downloaded}{of} bytes"
