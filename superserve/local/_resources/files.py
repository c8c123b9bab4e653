"""Files of sandboxes: GET and POST /files. Each file is opened inside the sandbox, and read and written here."""

import asyncio
import contextlib
import email.utils
import errno
import mimetypes
import os
import posixpath
import re
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import IO, Self
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from superserve.local._app import go_json
from superserve.local._app.answers import Answer, error_answer, json_answer
from superserve.local._app.data_plane import DataRequest, text_answer
from superserve.local._app.errors import ApiError
from superserve.local._app.router import ApiRequest, operation
from superserve.local._app.services import Resource, Services
from superserve.local._machines.sandboxes.disk import Disk
from superserve.local._machines.sandboxes.guest import Guest, Lost
from superserve.local._resources.sandbox_behaviour import Behaviour
from superserve.local._resources.sandbox_spec import refuse
from superserve.local._resources.sandboxes import SandboxResource

_PIECE_BYTES = 256 * 1024
_DENIED = ("/proc", "/sys", "/dev", "/sbin/init", "/usr/local/bin/boxd")
_NO_HEADER = r"[\s\x00\x7f]"
_RANGE = r"bytes=(\d*)-(\d*)"
_FULL = ApiError(507, "sandbox_storage_full", "no space left in the sandbox")
# Zero where the flags do not exist, as on Windows, where no sandbox has files.
_FOLDER = sum(getattr(os, name, 0) for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC"))


class FileResource(Resource):
    """The operations of the tag Files."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.sandboxes = services.resource(SandboxResource)

    async def read_file(self, request: DataRequest) -> None:
        """Answer GET /files."""
        await self._answer(request, self._read)

    async def write_file(self, request: DataRequest) -> None:
        """Answer POST /files."""
        await self._answer(request, self._write)

    @operation("listSandboxFiles", "GET /sandboxes/{sandbox_id}/files")
    async def list_files(self, request: ApiRequest) -> Answer:
        """List a folder. This operation wakes a paused sandbox, before it checks the path."""
        guest = await self.sandboxes.wake(request)
        path = request.http.query_params.get("path") or "/"
        if not path.startswith("/") or ".." in path.split("/"):
            raise refuse("path must be absolute, without '..'")
        try:
            descriptor = await guest.open(_clean(path), os.O_RDONLY)
        except FileNotFoundError:
            raise ApiError(404, "not_found", "Folder not found.") from None
        except (OSError, Lost):
            raise ApiError(500, "internal_error", "the folder could not be read") from None
        with _Keeper(descriptor):
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise refuse("path is not a folder")
            entries = _list(descriptor, self.sandboxes.behaviour.listed)["entries"]
        return json_answer(200, go_json.write({"entries": entries}))

    async def _answer(self, request: DataRequest, make: Callable[[DataRequest], Awaitable[Response]]) -> None:
        try:
            response = _refuse(_clean(request.path)) or await make(request)
        except Lost:
            response = text_answer(502, "sandbox unreachable", **{"retry-after": "2"})
        except _RefusedError as error:
            response = error.response
        response.raw_headers.append((b"referrer-policy", b"no-referrer"))
        await response(request.scope, request.receive, request.send)

    async def _read(self, request: DataRequest) -> Response:  # noqa: PLR0911 - one for each kind of file
        guest, path = await self._guest(request), _clean(request.path)
        query = parse_qs(request.scope["query_string"].decode("latin-1"))
        form = query.get("format", [""])[0]
        try:
            descriptor = await guest.open(path, os.O_RDONLY, denied=_DENIED)
        except FileNotFoundError:
            return _error(404, "file not found")
        except PermissionError as error:
            return _error(400, str(error.strerror))
        except OSError as error:
            return _error(500, error.strerror or "cannot be read")
        keeper, name = _Keeper(descriptor), posixpath.basename(path)
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode) and form == "zip":
            if await _is_link(guest, path):
                keeper.close()
                return _error(400, "path is a symbolic link")
            return _zip_answer(keeper, name, self.sandboxes.behaviour)
        if stat.S_ISREG(facts.st_mode):
            return _file_answer(request, keeper, facts, name)
        with keeper:
            if not stat.S_ISDIR(facts.st_mode):
                return _error(400, "not a regular file")
            if form == "json":
                return json_answer(200, go_json.write(_list(descriptor, self.sandboxes.behaviour.listed)))
            return _error(400, "path is a directory")

    async def _write(self, request: DataRequest) -> Response:
        path = _clean(request.path)
        guest = await self._guest(request)
        behaviour = self.sandboxes.behaviour
        if behaviour.is_full:
            return error_answer(_FULL)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            descriptor = await guest.open(path, flags, parents=True, denied=_DENIED)
        except PermissionError as error:
            return _error(400, str(error.strerror))
        except (FileExistsError, NotADirectoryError) as error:
            return _error(500, f"mkdir: {error.strerror}")
        except OSError as error:
            return _error(500, f"create file: {error.strerror}")
        try:
            with _Keeper(descriptor):
                size = await _receive_into(descriptor, request, behaviour.upload_bytes, guest.disk)
        except BaseException as error:
            # The old content is gone, and half of the new content is useless.
            with contextlib.suppress(OSError, Lost):
                await guest.remove(path)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                return error_answer(_FULL)
            raise
        return json_answer(200, go_json.write({"path": path, "size": size}))

    async def _guest(self, request: DataRequest) -> Guest:
        guest = await self.sandboxes.machines.of(self.sandboxes.running(request.sandbox_id))
        if isinstance(guest, str):
            raise _RefusedError(_error(500, guest))
        return guest


async def _is_link(guest: Guest, path: str) -> bool:
    try:
        os.close(await guest.open(path, os.O_RDONLY | _FOLDER))
    except OSError as error:
        return error.errno in (errno.ELOOP, errno.ENOTDIR)
    return False


class _RefusedError(Exception):
    """Ends a request with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


async def _receive_into(descriptor: int, request: DataRequest, most: int, disk: Disk) -> int:
    """Write the body of a request to a file, and return its size."""
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        view = memoryview(message.get("body", b""))
        size += len(view)
        if size > most:
            raise _RefusedError(text_answer(413, "request body too large"))
        if not await disk.has_room(len(view)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        while view:
            view = view[os.write(descriptor, view) :]
    return size


class _Keeper:
    """Closes a descriptor once, when its answer has been sent or has failed."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor: int | None = descriptor

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _clean(path: str) -> str:
    return posixpath.normpath(path if path.startswith("/") else f"/{path}").replace("//", "/", 1)


def _refuse(path: str) -> Response | None:
    if path == "/":
        return _error(400, "path must name a file or a folder")
    if any(path == denied or path.startswith(f"{denied}/") for denied in _DENIED):
        return _error(400, f"access denied: {path}")
    return None


def _error(status: int, text: str) -> Response:
    # Like the machine: JSON with the content type of text.
    return Response(
        go_json.write({"error": text}) + b"\n", status, {"content-type": "text/plain; charset=utf-8"}
    )


def _file_answer(request: DataRequest, keeper: _Keeper, facts: os.stat_result, name: str) -> Response:
    size = facts.st_size
    headers = dict(request.scope["headers"])
    modified = email.utils.formatdate(facts.st_mtime, usegmt=True)
    common = {
        "content-type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "content-disposition": f'inline; filename="{_quote(name)}"',
        "last-modified": modified,
        "accept-ranges": "bytes",
    }
    if headers.get(b"if-modified-since", b"").decode("latin-1") == modified:
        keeper.close()
        return Response(status_code=304, headers={"last-modified": modified})
    start, end, status = 0, size, 200
    if match := re.fullmatch(_RANGE, headers.get(b"range", b"").decode("latin-1")):
        first, last = match.groups()
        if first:
            start, end = int(first), min(int(last) + 1 if last else size, size)
        elif last:
            start = max(size - int(last), 0)
        if start >= end:
            keeper.close()
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        status, common["content-range"] = 206, f"bytes {start}-{end - 1}/{size}"
    common["content-length"] = str(end - start)
    return _Streamed(_read_pieces(keeper, start, end), status, common, keeper)


class _Streamed(StreamingResponse):
    """An answer that closes its file, however it ends."""

    def __init__(
        self, pieces: AsyncIterator[bytes], status: int, headers: dict[str, str], keeper: _Keeper
    ) -> None:
        super().__init__(pieces, status, headers)
        self._keeper = keeper

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        try:
            await super().__call__(scope, receive, send)  # type: ignore[arg-type]  # passed on
        finally:
            self._keeper.close()


async def _read_pieces(keeper: _Keeper, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end and keeper.descriptor is not None:
        piece = os.pread(keeper.descriptor, min(_PIECE_BYTES, end - start), start)
        if not piece:
            return
        start += len(piece)
        yield piece


def _zip_answer(keeper: _Keeper, base: str, limits: Behaviour) -> Response:
    headers = {
        "content-type": "application/zip",
        "content-disposition": f'attachment; filename="{_quote(base)}.zip"',
    }
    return _Streamed(_zip_pieces(keeper, base, limits), 200, headers, keeper)


async def _zip_pieces(keeper: _Keeper, base: str, limits: Behaviour) -> AsyncIterator[bytes]:
    """Pack a folder in a thread, as fast as the client reads."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(4)
    is_over = threading.Event()
    descriptor = os.dup(keeper.descriptor if keeper.descriptor is not None else -1)

    def pack() -> None:
        try:
            _pack(descriptor, base, _Outlet(put, is_over), limits)
        except _OverError:
            return
        finally:
            os.close(descriptor)
            with contextlib.suppress(_OverError):
                put(None)

    def put(data: bytes | None) -> None:
        handed = asyncio.run_coroutine_threadsafe(pieces.put(data), loop)
        while not is_over.is_set():
            with contextlib.suppress(TimeoutError):
                handed.result(0.1)
                return
        handed.cancel()
        raise _OverError

    packing = asyncio.create_task(asyncio.to_thread(pack))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
    finally:
        is_over.set()
        await asyncio.wait([packing])


class _OverError(Exception):
    """Nobody reads the archive any more."""


class _Outlet:
    """A write-only file for zipfile that passes the bytes on."""

    def __init__(self, put: Callable[[bytes], None], is_over: threading.Event) -> None:
        self._put = put
        self._is_over = is_over
        self.size = 0

    def write(self, data: bytes) -> int:
        if self._is_over.is_set():
            raise _OverError
        self.size += len(data)
        self._put(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""


def _pack(folder: int, base: str, outlet: _Outlet, limits: Behaviour) -> None:
    import zipfile  # Not needed at the server's start.

    left = limits.zip_entries
    file: IO[bytes] = outlet  # type: ignore[assignment]  # it has all that zipfile needs
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir(f"{base}/")
        for name, descriptor in _walk(folder, f"{base}/"):
            left -= 1
            if left < 0 or outlet.size > limits.zip_bytes:
                return
            if descriptor is None:
                archive.mkdir(name)
                continue
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as entry:
                while data := os.read(descriptor, _PIECE_BYTES):
                    entry.write(data)


def _walk(folder: int, prefix: str) -> Iterator[tuple[str, int | None]]:
    """Yield folders, and files opened for reading, below a folder, without links and unreadable files."""
    for name in sorted(os.listdir(folder)):
        with contextlib.suppress(OSError):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                inner = os.open(name, _FOLDER, dir_fd=folder)
                try:
                    yield f"{prefix}{name}/", None
                    yield from _walk(inner, f"{prefix}{name}/")
                finally:
                    os.close(inner)
            elif stat.S_ISREG(mode):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                inner = os.open(name, flags, dir_fd=folder)
                try:
                    yield f"{prefix}{name}", inner
                finally:
                    os.close(inner)


def _list(folder: int, most: int) -> dict[str, object]:
    names = os.listdir(folder)
    entries: list[dict[str, object]] = []
    for name in names[:most]:
        size = modified = mode = 0
        with contextlib.suppress(OSError):
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            size, modified, mode = facts.st_size, int(facts.st_mtime), facts.st_mode
        entries.append({"name": name, "is_dir": stat.S_ISDIR(mode), "size": size, "modified_unix": modified})
    return {"entries": entries, "truncated": len(names) > most}


def _quote(name: str) -> str:
    # Headers cannot have line breaks; the service's own server writes spaces instead.
    line = re.sub(_NO_HEADER, " ", name)
    return line.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "replace").decode()
