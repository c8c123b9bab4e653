"""Files in a sandbox."""

import builtins
import contextlib
import io
import math
import os
import secrets
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superserve_api import AuthenticatedClient
from superserve_api.api.files import read_file, write_file
from superserve_api.models import ApiError, FileWriteResult
from superserve_api.types import UNSET, File, Response

from superserve import _archives, _arguments, _local_files, _sources
from superserve import _clock as time
from superserve._async.client import Send
from superserve._async.commands import DEFAULT_TIMEOUT_S
from superserve._async.file_stream import AsyncFileStream
from superserve._http.tasks_async import call, check_callback, shielded
from superserve._local_files import Ignore, Replacement
from superserve._operations import files as operations
from superserve._operations.exec import LONGEST_TIMEOUT_S
from superserve._operations.files import RemotePath
from superserve._operations.operation import Operation, UnreadableError
from superserve._sources import AsyncContent, LocalFile, Source
from superserve.errors import (
    CommandError,
    FileNotFoundInSandboxError,
    SandboxError,
    ValidationError,
)
from superserve.types import CommandBytesResult, CommandResult, FileInfo, TransferProgress

if TYPE_CHECKING:
    from superserve._async.sandboxes import AsyncSandbox

OnProgress = Callable[[TransferProgress], object]


class AsyncFiles:
    """Reads and writes files in a sandbox: `sandbox.files`.

    Paths are absolute, as strings or PurePosixPath, without `..`. Files are written as root, whichever user runs the
    commands. A new file gets the mode 0644.

    A paused sandbox is first woken with one `activateSandbox` (POST /sandboxes/{sandbox_id}/activate). The same call
    renews an access token that is too old. With `wake=False`, SandboxNotRunningError is raised instead.

    A request that was certainly not carried out (429, or no connection) is sent again after a pause, five times in all. So is
    the opening of a file to read, also when the server is busy (502, 503, 504) or the connection breaks.

    `timeout` limits a whole call, in seconds, more than 0. Without it a call may take any time while its bytes keep moving;
    it ends when none have moved for the client's `timeout_s`. A command that a method runs gets what is left of it as its
    `timeout_seconds`, by default 30; if that passes, SandboxTimeoutError is raised.
    """

    def __init__(self, sandbox: "AsyncSandbox") -> None:
        self._sandbox = sandbox

    async def write(
        self,
        path: RemotePath,
        content: AsyncContent,
        *,
        atomic: bool = False,
        mode: int | None = None,
        timeout: float | None = None,
        wake: bool = True,
    ) -> None:
        """Write a file, and create missing folders above it, with `writeFile` (POST /files).

        Without `atomic` the old content is lost when writing begins, and an interrupted write leaves no file.

        Args:
            path: The file.
            content: A string (written as UTF-8), bytes or another buffer, a path-like object (a file on this machine), a
                file opened for reading bytes, or an iterable of bytes (AsyncSandbox only: also an asynchronous one).
                Content that can be read only once cannot be sent again if that is necessary.
            atomic: Whether to write to a temporary file first, and replace the file with a command, `mv`.
            mode: Permissions, such as 0o755, set with a command, `chmod`. Default: unchanged.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            StorageFullError: The sandbox's disk is full.
            OutcomeUnknownError: It is not known whether the file was written.
            CommandError: `mv` or `chmod` failed: the commands' user may not be allowed to change files of root.
            ValidationError: An argument is invalid, or the server refused the path.
        """
        target = operations.file_path("path", path)
        source = _sources.source("content", content, AsyncIterable)
        permissions = None if mode is None else operations.mode(mode)
        how = _How(timeout, wake)
        await self._write(target, source, permissions, how, atomic=_arguments.flag("atomic", atomic))

    async def read(
        self,
        path: RemotePath,
        *,
        timeout: float | None = None,
        max_bytes: int | None = None,
        wake: bool = True,
    ) -> bytes:
        """Return the content of a file, with `readFile` (GET /files).

        Args:
            path: The file.
            timeout: See the class.
            max_bytes: The most bytes to read. Default: no limit.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: The file does not exist.
            SandboxError: The file is larger than `max_bytes`.
            ValidationError: It is not a regular file.
        """
        most = _arguments.optional(_arguments.size, "max_bytes", max_bytes)
        async with await self.open_read(path, timeout=timeout, wake=wake) as stream:
            return await stream._read_all(most)

    async def read_text(
        self,
        path: RemotePath,
        *,
        encoding: str = "utf-8",
        timeout: float | None = None,
        max_bytes: int | None = None,
        wake: bool = True,
    ) -> str:
        """Return the content of a file as text, with `readFile` (GET /files).

        Args:
            path: The file.
            encoding: The encoding of the text. Default UTF-8.
            timeout: See the class.
            max_bytes: The most bytes to read. Default: no limit.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: The file does not exist.
            ValidationError: It is not a regular file, or Python does not know the encoding.
            SandboxError: The file has another encoding, or is larger than `max_bytes`.
        """
        operations.text_encoding(encoding)
        data = await self.read(path, timeout=timeout, max_bytes=max_bytes, wake=wake)
        try:
            return data.decode(encoding)
        except UnicodeError as error:
            raise SandboxError(
                f"{path} is not text in {encoding}: {error}", hint="read() returns its bytes"
            ) from error

    async def open_read(
        self, path: RemotePath, *, timeout: float | None = None, wake: bool = True
    ) -> AsyncFileStream:
        """Open a file to read it in pieces, with `readFile` (GET /files). Close it, or use it in a `with` statement.

        Args:
            path: The file.
            timeout: See the class. It runs from now until the end of reading.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: The file does not exist.
            ValidationError: It is not a regular file.
        """
        return await self._open(operations.remote_path("path", path), _How(timeout, wake))

    async def list(
        self, path: RemotePath, *, timeout: float | None = None, wake: bool = True
    ) -> builtins.list[FileInfo]:
        """Return the files and folders in a folder, without those in its subfolders, sorted by name.

        Runs one command, `find`, over the WebSocket, because names may contain any bytes.

        Args:
            path: The folder.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: The folder does not exist.
            ValidationError: It is not a folder.
            CommandError: The folder cannot be read.
        """
        folder = operations.remote_path("path", path)
        how = _How(timeout, wake)
        result = await self._sandbox.commands.run(
            operations.list_directory(folder),
            cwd="/",
            encoding=None,
            timeout_seconds=how.command_s(),
            wake=how.wake,
        )
        self._check_time("find", folder, result)
        infos = self._read_infos(folder, result, result.stderr.decode(errors="replace"))
        if not infos[0].is_dir:
            raise ValidationError(f"path: {folder!r} is a {infos[0].kind}, not a folder")
        if not result.ok or result.truncated:
            action = f"list {folder!r} of sandbox {self._sandbox.id}"
            raise CommandError("a part of the folder cannot be listed", result, action=action)
        return sorted(infos[1:], key=lambda info: info.name)

    async def stat(
        self,
        path: RemotePath,
        *,
        follow_symlinks: bool = True,
        timeout: float | None = None,
        wake: bool = True,
    ) -> FileInfo:
        """Return a description of what is at a path. Runs one command, `find`.

        Args:
            path: The path.
            follow_symlinks: Whether to describe the target of a link. A link without a target is described itself.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: There is nothing at the path.
        """
        checked = operations.remote_path("path", path)
        command = operations.stat(
            checked, follow_symlinks=_arguments.flag("follow_symlinks", follow_symlinks)
        )
        how = _How(timeout, wake)
        result = await self._run(command, checked, how)
        return self._read_infos(checked, result, result.stderr)[0]

    async def exists(self, path: RemotePath, *, timeout: float | None = None, wake: bool = True) -> bool:
        """Whether there is something at a path. False for a link without a target. Runs one command, `find`.

        Args:
            path: The path.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.
        """
        try:
            return not (await self.stat(path, timeout=timeout, wake=wake)).is_symlink
        except FileNotFoundInSandboxError:
            return False

    async def make_dir(self, path: RemotePath, *, timeout: float | None = None, wake: bool = True) -> None:
        """Create a folder, and missing folders above it. It is not an error if it exists. Runs one command, `mkdir`.

        Args:
            path: The folder.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            CommandError: The folder cannot be created, for example because there is a file in its place.
        """
        checked = operations.remote_path("path", path)
        await self._command(operations.make_dir(checked), checked, _How(timeout, wake))

    async def remove(
        self, path: RemotePath, *, recursive: bool = False, timeout: float | None = None, wake: bool = True
    ) -> None:
        """Remove a file, a link or an empty folder. Runs one command, `rm`.

        Args:
            path: What to remove.
            recursive: Whether to remove a folder with everything in it.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: There is nothing at the path.
            CommandError: It cannot be removed.
        """
        checked = operations.remote_path("path", path)
        command = operations.remove(checked, recursive=_arguments.flag("recursive", recursive))
        await self._command(command, checked, _How(timeout, wake))

    async def move(
        self, source: RemotePath, target: RemotePath, *, timeout: float | None = None, wake: bool = True
    ) -> None:
        """Move a file or a folder to another path. An existing file is replaced. Runs one command, `mv`.

        Args:
            source: What to move.
            target: Its new path.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: There is nothing at `source`, or `target` is in no folder.
            CommandError: It cannot be moved.
        """
        checked = operations.remote_path("source", source)
        command = operations.move(checked, operations.remote_path("target", target))
        await self._command(command, checked, _How(timeout, wake))

    async def download_dir(
        self,
        path: RemotePath,
        *,
        timeout: float | None = None,
        max_bytes: int | None = None,
        wake: bool = True,
    ) -> bytes:
        """Return a folder as the bytes of a zip archive, with `readFile` (GET /files?format=zip).

        All names in it start with the folder's name. It contains regular files and folders, without links, modes and times.
        The server silently leaves out files that it cannot read. `download` writes to disk instead.

        Args:
            path: The folder.
            timeout: See the class.
            max_bytes: The most bytes to read. Default: no limit.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: The folder does not exist.
            ValidationError: It is not a folder.
            SandboxError: The archive is not complete, or larger than `max_bytes`.
        """
        folder = operations.remote_path("path", path)
        most = _arguments.optional(_arguments.size, "max_bytes", max_bytes)
        async with await self._open(folder, _How(timeout, wake), as_archive=True) as stream:
            data = await stream._read_all(most)
        _archives.check(io.BytesIO(data))
        return data

    async def upload(
        self,
        local: str | os.PathLike[str],
        remote: RemotePath,
        *,
        ignore: Ignore | None = None,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        wake: bool = True,
    ) -> None:
        """Copy a file, or a folder with everything in it, into the sandbox.

        Calls `writeFile` (POST /files) for each file, one after the other, and runs `mkdir` once if there are empty folders.
        Existing files are overwritten, and nothing is removed. A link to a file is copied as the file; a link to a folder is
        left out. Permissions are not copied.

        Args:
            local: The file or folder on this machine.
            remote: The path in the sandbox of the file or folder itself.
            ignore: Which files and folders of a folder to leave out: a function as for `shutil.copytree`, such as
                `shutil.ignore_patterns(".git", "*.pyc")`.
            on_progress: Called after each piece that was sent. An exception ends the upload and is raised.
            timeout: For each file; see the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            ValidationError: `local` does not exist, cannot be read, or contains something other than files and folders.
            StorageFullError: The sandbox's disk is full.
            OutcomeUnknownError: It is not known whether a file was written.
        """
        source, how = Path(operations.local_path("local", local)), _How(timeout, wake)
        if ignore is not None:
            operations.check_ignore(ignore)
        if on_progress is not None:
            check_callback("on_progress", on_progress)
        if not source.is_dir():
            file = LocalFile("local", source)
            meter = _Meter(operations.file_path("remote", remote), file.size, on_progress)
            await self._write(meter.path, file, None, how, meter=meter)
            return
        target = operations.remote_path("remote", remote)
        files, empty = _local_files.walk(source, ignore)
        meter = _Meter(target, sum(file.size or 0 for _, file in files), on_progress)
        if empty:
            for command in operations.make_dirs([operations.join(target, path) for path in empty]):
                await self._command(command, target, how)
        for path, file in files:
            meter.path = operations.join(target, path)
            await self._write(meter.path, file, None, how, meter=meter)

    async def download(
        self,
        remote: RemotePath,
        local: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        wake: bool = True,
    ) -> None:
        """Copy a file, or a folder with everything in it, out of the sandbox, in constant memory.

        Calls `readFile` (GET /files). If the server refuses that, as for a folder, calls it again for an archive. The local
        file is replaced when the download is complete. For a folder, see `download_dir` for the content of the archive. The
        archive is complete before anything is written; nothing is written outside `local`, and no existing file is removed.

        Args:
            remote: The file or folder in the sandbox.
            local: The path on this machine of the file itself (or an existing folder for it), or of the folder itself. Missing
                folders above it are created.
            on_progress: Called after each piece that was received. An exception ends the download and is raised.
            timeout: See the class.
            wake: Whether to wake a paused sandbox, with one POST activate. Default True.

        Raises:
            FileNotFoundInSandboxError: There is nothing at `remote`.
            SandboxError: The download was not complete, or cannot be written.
        """
        source = operations.remote_path("remote", remote)
        target, how = Path(operations.local_path("local", local)), _How(timeout, wake)
        if on_progress is not None:
            check_callback("on_progress", on_progress)
        try:
            stream = await self._open(source, how)
        except ValidationError as error:
            # The server refuses a folder in this way. It also refuses some other things, and their archive, too.
            if error.status_code is None:
                raise
            await self._download_folder(source, target, on_progress, how)
            return
        async with stream:
            target = target / Path(source).name if target.is_dir() else target
            meter = _Meter(source, stream.size, on_progress)
            with Replacement(target) as file:
                await _copy(stream, file.write, meter)

    async def _download_folder(
        self, source: str, target: Path, on_progress: OnProgress | None, how: "_How"
    ) -> None:
        meter = _Meter(source, None, on_progress)
        with tempfile.TemporaryFile() as file:
            async with await self._open(source, how, as_archive=True) as stream:
                await _copy(stream, file.write, meter)
            _archives.extract(file, target)

    async def _open(self, path: str, how: "_How", *, as_archive: bool = False) -> AsyncFileStream:
        timeout_s = how.timeout_s
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        silence_s = self._sandbox._client.timeout_s
        operation = operations.read(path, self._sandbox.id)
        request = read_file.request_arguments(path=path, format_="zip" if as_archive else UNSET)
        response = await self._sandbox._data.open(
            operation,
            request,
            headers=lambda _token: operations.READ_HEADERS,
            timeout_s=silence_s if timeout_s is None else timeout_s,
            silence_s=silence_s,
            wake=how.wake,
        )
        stream = AsyncFileStream(response, operation, until=until, silence_s=silence_s)
        problem = operations.find_problem(response, path, operation.action, as_archive=as_archive)
        if problem is not None:
            await stream.close()
            raise problem
        return stream

    async def _write(
        self,
        target: str,
        source: Source,
        permissions: str | None,
        how: "_How",
        *,
        atomic: bool = False,
        meter: "_Meter | None" = None,
    ) -> None:
        place = operations.sibling(target, secrets.token_hex(6)) if atomic else target
        body = _Upload(source, meter or _Meter(target, source.size))
        operation = operations.write(
            target, self._sandbox.id, timeout_s=how.timeout_s, silence_s=self._sandbox._client.timeout_s
        )

        async def send(client: AuthenticatedClient) -> Response[ApiError | FileWriteResult]:
            # A new body for each attempt. The generated function passes it to httpx unchanged.
            payload: Any = body.begin()
            return await write_file.asyncio_detailed(body=File(payload=payload), path=place, client=client)

        try:
            await self._send(send, operation, body, target, wake=how.wake)
            if permissions is not None:
                await self._command(operations.change_mode(place, permissions), target, how)
            if atomic:
                await self._command(operations.move(place, target), target, how)
        except BaseException:
            if atomic:
                await self._discard(place)
            raise

    async def _send(
        self,
        send: Send[..., ApiError | FileWriteResult],
        operation: Operation[FileWriteResult, int],
        body: "_Upload",
        target: str,
        *,
        wake: bool,
    ) -> None:
        try:
            size = await self._sandbox._data.call(operation, send, wake=wake)
        except BaseException:
            if body.failure is not None:
                # An error of the caller's content, or of this machine, has ended the sending.
                raise body.failure from None
            raise
        if size != body.sent:
            raise operations.size_error(target, operation.action, sent=body.sent, written=size)

    async def _discard(self, path: str) -> None:
        """Remove the temporary file of an atomic write, if possible. Another error is already being raised."""
        with shielded(), contextlib.suppress(SandboxError):
            await self._sandbox.commands.run(operations.discard(path), timeout_seconds=5, wake=False)

    async def _command(self, command: Sequence[str], path: str, how: "_How") -> None:
        result = await self._run(command, path, how)
        if not result.ok:
            raise operations.failed(command[0], path, result, result.stderr, self._sandbox.id)

    async def _run(self, command: Sequence[str], path: str, how: "_How") -> CommandResult:
        result = await self._sandbox.commands.run(
            command, cwd="/", timeout_seconds=how.command_s(), wake=how.wake
        )
        self._check_time(command[0], path, result)
        return result

    def _check_time(self, program: str, path: str, result: CommandResult | CommandBytesResult) -> None:
        if result.timed_out:
            raise operations.timed_out(program, path, self._sandbox.id)

    def _read_infos(
        self, path: str, result: CommandResult | CommandBytesResult, stderr: str
    ) -> builtins.list[FileInfo]:
        output = result.stdout if isinstance(result.stdout, bytes) else result.stdout.encode()
        try:
            infos = operations.read_infos(path, output)
        except UnreadableError as error:
            raise SandboxError(
                str(error), action=f"look at {path!r} in sandbox {self._sandbox.id}"
            ) from error
        if not infos:
            raise operations.failed("find", path, result, stderr, self._sandbox.id)
        return infos


class _How:
    """The timeout of a call, and whether it wakes the sandbox."""

    def __init__(self, timeout: float | None, wake: bool) -> None:
        self.timeout_s = _arguments.optional(_arguments.seconds, "timeout", timeout)
        self.wake = _arguments.flag("wake", wake)
        self._began_at = time.monotonic()

    def command_s(self) -> float:
        """Return the timeout of a command that begins now. The server kills it after a second at the earliest."""
        if self.timeout_s is None:
            return DEFAULT_TIMEOUT_S
        left_s = self.timeout_s - (time.monotonic() - self._began_at)
        return min(max(1.0, left_s), LONGEST_TIMEOUT_S)


class _Meter:
    """Counts the bytes transferred, and calls the caller's callback."""

    def __init__(self, path: str, total: int | None, on_progress: OnProgress | None = None) -> None:
        self.path = path
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    async def add(self, count: int) -> None:
        self._done += count
        if self._on_progress is not None:
            await call(self._on_progress, TransferProgress(self.path, self._done, self._total))


class _StoppedError(Exception):
    """Ends an upload whose content cannot be read on.

    The content's own error could be one of httpx or of this package. That would be taken for one of this upload, which
    might then be sent again.
    """


class _Upload:
    """The body of one upload.

    Attributes:
        sent: The number of bytes sent.
        failure: The error that ended reading its content, if any.
    """

    def __init__(self, source: Source, meter: _Meter) -> None:
        self.sent = 0
        self.failure: Exception | None = None
        self._source = source
        self._meter = meter

    def begin(self) -> bytes | AsyncIterator[bytes]:
        whole = self._source.whole()
        self.sent = 0 if whole is None else len(whole)
        return self._pieces() if whole is None else whole

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._source:
                yield piece
                self.sent += len(piece)
                await self._meter.add(len(piece))
        except Exception as error:
            self.failure = error
            raise _StoppedError from error


async def _copy(stream: AsyncFileStream, write: Callable[[bytes], object], meter: _Meter) -> None:
    async for piece in stream:
        write(piece)
        await meter.add(len(piece))
