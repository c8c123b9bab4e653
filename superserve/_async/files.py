"""Files in a sandbox."""

import builtins
import contextlib
import io
import math
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superserve_api import AuthenticatedClient
from superserve_api.api.files import read_file, write_file
from superserve_api.models import ApiError, FileWriteResult
from superserve_api.types import UNSET, File, Response

from superserve import _archives, _arguments, _local_files, _sources
from superserve import _clock as time
from superserve._async.client import Send
from superserve._async.file_stream import AsyncFileStream
from superserve._http.tasks_async import call, check_callback, shielded
from superserve._local_files import Ignore, Replacement
from superserve._operations import files as operations
from superserve._operations.files import RemotePath
from superserve._operations.operation import Operation, UnreadableError
from superserve._sources import Content, LocalFile, Source
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

    Paths are absolute: strings or PurePosixPath, without `..`. Files are written by root, whoever runs the commands, with
    the mode 0644 if they are new.

    A sandbox that is paused is woken first, with one `activateSandbox` (POST /sandboxes/{sandbox_id}/activate), as it is
    when its access token has become too old; `wake=False` has SandboxNotRunningError raised instead.

    `timeout` bounds a whole call, in seconds, more than 0. Without one a call takes as long as its bytes take to come and
    go, and ends when none have for as long as the client's `timeout_s`.
    """

    def __init__(self, sandbox: "AsyncSandbox") -> None:
        self._sandbox = sandbox

    async def write(
        self,
        path: RemotePath,
        content: Content,
        *,
        atomic: bool = False,
        mode: int | None = None,
        timeout: float | None = None,
        wake: bool = True,
    ) -> None:
        """Write a file, and make the folders above it that are missing, with `writeFile` (POST /files).

        Without `atomic` the old content is gone as soon as the writing begins, and a writing that breaks off leaves no file.

        Args:
            path: The file.
            content: A string (written as UTF-8), bytes or another buffer, a path-like object (a file of this machine), a
                file opened for bytes, or an iterable of bytes. What can be read only once cannot be sent again where
                that would be needed.
            atomic: Whether to write beside the file and to put it into its place at the end, with a command, `mv`.
            mode: Permissions, such as 0o755, set with a command, `chmod`; by default they stay as they are.
            timeout: See the class.
            wake: See the class.

        Raises:
            StorageFullError: The sandbox's disk is full.
            OutcomeUnknownError: It is not known whether it was written.
            CommandError: `mv` or `chmod` failed: commands may run as a user who may not change what root has written.
            ValidationError: An argument is wrong, or the server refused the path.
        """
        target = operations.file_path("path", path)
        source = _sources.source("content", content)
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
        """Return what is in a file, with `readFile` (GET /files).

        Args:
            path: The file.
            timeout: See the class.
            max_bytes: How many bytes to take at most; by default all.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is no such file.
            SandboxError: It is larger than `max_bytes`.
            ValidationError: It is no regular file.
        """
        async with await self.open_read(path, timeout=timeout, wake=wake) as stream:
            return await stream._read_all(max_bytes)

    async def read_text(
        self,
        path: RemotePath,
        *,
        encoding: str = "utf-8",
        timeout: float | None = None,
        max_bytes: int | None = None,
        wake: bool = True,
    ) -> str:
        """Return what is in a file as text, with `readFile` (GET /files).

        Args:
            path: The file.
            encoding: How its text is encoded. Default UTF-8.
            timeout: See the class.
            max_bytes: How many bytes to take at most; by default all.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is no such file.
            SandboxError: It is not encoded so, or larger than `max_bytes`.
        """
        data = await self.read(path, timeout=timeout, max_bytes=max_bytes, wake=wake)
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise SandboxError(
                f"{path} is no text in {encoding}: {error}", hint="read() gives its bytes"
            ) from error

    async def open_read(
        self, path: RemotePath, *, timeout: float | None = None, wake: bool = True
    ) -> AsyncFileStream:
        """Open a file for reading piece by piece, with `readFile` (GET /files); close it, or use it in a `with`.

        Args:
            path: The file.
            timeout: See the class; it counts from now to the end of the reading.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is no such file.
            ValidationError: It is no regular file.
        """
        return await self._open(operations.remote_path("path", path), _How(timeout, wake))

    async def list(self, path: RemotePath, *, wake: bool = True) -> builtins.list[FileInfo]:
        """Return what is in a folder, without what is in its folders, sorted by name.

        Runs one command, `find`, over the WebSocket, as names may be any bytes.

        Raises:
            FileNotFoundInSandboxError: There is no such folder.
            ValidationError: It is no folder.
            CommandError: It cannot be read.
        """
        folder = operations.remote_path("path", path)
        result = await self._sandbox.commands.run(
            operations.list_directory(folder), cwd="/", encoding=None, wake=wake
        )
        infos = self._read_infos(folder, result, result.stderr.decode(errors="replace"))
        if not infos[0].is_dir:
            raise ValidationError(f"path: {folder!r} is a {infos[0].kind}, and no folder")
        if not result.ok or result.truncated:
            action = f"list {folder!r} of sandbox {self._sandbox.id}"
            raise CommandError("some of the folder cannot be listed", result, action=action)
        return sorted(infos[1:], key=lambda info: info.name)

    async def stat(self, path: RemotePath, *, follow_symlinks: bool = True, wake: bool = True) -> FileInfo:
        """Return what stands at a path. Runs one command, `find`.

        Args:
            path: The path.
            follow_symlinks: Whether to describe what a link leads to. One that leads nowhere is described itself.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is nothing.
        """
        checked = operations.remote_path("path", path)
        command = operations.stat(
            checked, follow_symlinks=_arguments.flag("follow_symlinks", follow_symlinks)
        )
        result = await self._sandbox.commands.run(command, cwd="/", wake=wake)
        return self._read_infos(checked, result, result.stderr)[0]

    async def exists(self, path: RemotePath, *, wake: bool = True) -> bool:
        """Whether a path leads to something: not if it is a link that leads nowhere. Runs one command, `find`."""
        try:
            return not (await self.stat(path, wake=wake)).is_symlink
        except FileNotFoundInSandboxError:
            return False

    async def make_dir(self, path: RemotePath, *, wake: bool = True) -> None:
        """Make a folder, and those above it that are missing; if it exists, that is fine. Runs one command, `mkdir`.

        Raises:
            CommandError: It cannot be made, for a file stands in the way, for example.
        """
        checked = operations.remote_path("path", path)
        await self._command(operations.make_dir(checked), checked, wake=wake)

    async def remove(self, path: RemotePath, *, recursive: bool = False, wake: bool = True) -> None:
        """Remove a file, a link or an empty folder. Runs one command, `rm`.

        Args:
            path: What to remove.
            recursive: Whether to remove a folder with all that is in it.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is nothing.
            CommandError: It cannot be removed.
        """
        checked = operations.remote_path("path", path)
        command = operations.remove(checked, recursive=_arguments.flag("recursive", recursive))
        await self._command(command, checked, wake=wake)

    async def move(self, source: RemotePath, target: RemotePath, *, wake: bool = True) -> None:
        """Give a file or a folder another path; a file that is there is replaced. Runs one command, `mv`.

        Raises:
            FileNotFoundInSandboxError: There is nothing at `source`, or no folder for `target`.
            CommandError: It cannot be moved.
        """
        checked = operations.remote_path("source", source)
        command = operations.move(checked, operations.remote_path("target", target))
        await self._command(command, checked, wake=wake)

    async def download_dir(
        self,
        path: RemotePath,
        *,
        timeout: float | None = None,
        max_bytes: int | None = None,
        wake: bool = True,
    ) -> bytes:
        """Return a folder as the bytes of a zip archive, with `readFile` (GET /files?format=zip).

        All its names begin with the folder's. Regular files and folders are in it: links, modes and times are not, and
        files that cannot be read are left out by the server, without a word. `download` writes to disk instead.

        Args:
            path: The folder.
            timeout: See the class.
            max_bytes: How many bytes to take at most; by default all.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is no such folder.
            ValidationError: It is no folder.
            SandboxError: The archive is not whole, or larger than `max_bytes`.
        """
        folder = operations.remote_path("path", path)
        async with await self._open(folder, _How(timeout, wake), as_archive=True) as stream:
            data = await stream._read_all(max_bytes)
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
        """Copy a file, or a folder with all that is in it, into the sandbox.

        Calls `writeFile` (POST /files) for each file, one after the other, and runs `mkdir` once if folders are empty. What
        is there already is written over; nothing is removed. Links to files are copied as the files; links to folders are
        left out. Permissions are not copied.

        Args:
            local: The file or folder on this machine.
            remote: What it is to be in the sandbox: the file's own path, or the folder's.
            ignore: Which files and folders of a folder to leave out, as for `shutil.copytree`, for which
                `shutil.ignore_patterns(".git", "*.pyc")` makes one.
            on_progress: Called after each piece that has been sent. What it raises ends the upload and is raised.
            timeout: Of each file's writing; see the class.
            wake: See the class.

        Raises:
            ValidationError: There is nothing at `local`, or it cannot be read, or there is something else than files in it.
            StorageFullError: The sandbox's disk is full.
            OutcomeUnknownError: It is not known whether a file was written.
        """
        source, how = Path(operations.local_path("local", local)), _How(timeout, wake)
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
                await self._command(command, target, wake=wake)
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
        """Copy a file, or a folder with all that is in it, out of the sandbox, in constant memory.

        Calls `readFile` (GET /files); if that refuses it, as it does a folder, once more for an archive. A file takes its
        place when it is whole. Of a folder see `download_dir` for what is in its archive; that is whole before anything is
        written, nothing is written outside `local`, and nothing that is there is removed.

        Args:
            remote: The file or folder in the sandbox.
            local: What it is to be on this machine: the file's own path (or a folder, in which it keeps its name), or the
                folder's. Folders above it are made.
            on_progress: Called after each piece that has come. What it raises ends the download and is raised.
            timeout: See the class.
            wake: See the class.

        Raises:
            FileNotFoundInSandboxError: There is nothing at `remote`.
            SandboxError: It did not come whole, or cannot be written.
        """
        source = operations.remote_path("remote", remote)
        target, how = Path(operations.local_path("local", local)), _How(timeout, wake)
        if on_progress is not None:
            check_callback("on_progress", on_progress)
        try:
            stream = await self._open(source, how)
        except ValidationError as error:
            # A folder is refused so, and some other things, which are refused as an archive too.
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
        problem = operations.problem_of(response, path, operation.action, as_archive=as_archive)
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
            # Anew each time that it is sent. The generated function hands it to httpx as it is.
            payload: Any = body.begin()
            return await write_file.asyncio_detailed(body=File(payload=payload), path=place, client=client)

        try:
            await self._send(send, operation, body, target, wake=how.wake)
            if permissions is not None:
                await self._command(operations.change_mode(place, permissions), target, wake=how.wake)
            if atomic:
                await self._command(operations.move(place, target), target, wake=how.wake)
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
                # The caller's own, or of this machine: it ended the sending.
                raise body.failure from None
            raise
        if size != body.sent:
            raise operations.other_size(target, operation.action, sent=body.sent, written=size)

    async def _discard(self, path: str) -> None:
        """Remove what an atomic write has left, if that can be done: something else has gone wrong."""
        with shielded(), contextlib.suppress(SandboxError):
            await self._sandbox.commands.run(operations.discard(path), timeout_seconds=5, wake=False)

    async def _command(self, command: Sequence[str], path: str, *, wake: bool) -> None:
        result = await self._sandbox.commands.run(command, cwd="/", wake=wake)
        if not result.ok:
            raise operations.failed(command[0], path, result, result.stderr, self._sandbox.id)

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
    """How long a call may take, and whether it wakes the sandbox."""

    def __init__(self, timeout: float | None, wake: bool) -> None:
        self.timeout_s = _arguments.optional(_arguments.seconds, "timeout", timeout)
        self.wake = _arguments.flag("wake", wake)


class _Meter:
    """Counts what has been transferred, and tells the caller."""

    def __init__(self, path: str, total: int | None, on_progress: OnProgress | None = None) -> None:
        self.path = path
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    async def add(self, count: int) -> None:
        self._done += count
        if self._on_progress is not None:
            await call(self._on_progress, TransferProgress(self.path, self._done, self._total))


class _Upload:
    """The body of one upload.

    Attributes:
        sent: How many bytes have been sent of it.
        failure: What kept it from being read.
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
            for piece in self._source.pieces():
                yield piece
                self.sent += len(piece)
                await self._meter.add(len(piece))
        except Exception as error:
            self.failure = error
            raise


async def _copy(stream: AsyncFileStream, write: Callable[[bytes], object], meter: _Meter) -> None:
    async for piece in stream:
        write(piece)
        await meter.add(len(piece))
