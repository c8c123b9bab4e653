# Written by scripts/unasync.py from tests/client/_async/test_files.py. Do not edit: change that, then run `nox -s generate`.
"""Files: what reading and writing them sends, and what is made of the answers."""

import array
import hashlib
import io
import os
import pathlib
import shutil
import zipfile

import httpx
import pytest

from superserve import (
    AuthenticationError,
    CommandError,
    FileKind,
    FileNotFoundInSandboxError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    SandboxConnectionError,
    SandboxError,
    SandboxTimeoutError,
    ServerError,
    StorageFullError,
    TransferProgress,
    ValidationError,
)
from superserve._streams import output
from tests.patience import given_time
from tests.talk import SANDBOX_ID, talking
from tests.wire import chunk, cut, envelope, head, log, reply

BOX = f"sandbox {SANDBOX_ID}"
OK = reply(json={"stdout": "", "stderr": "", "exit_code": 0})
MISSING = reply(404, '{"error":"file not found"}\n', content_type="text/plain; charset=utf-8")


def wrote(peer, request):
    """Answer as the server does that has written all of it."""
    peer.send(reply(json={"path": request.query["path"][0], "size": len(request.body)}))


def file(data, **headers):
    return reply(200, data, headers={"Content-Disposition": 'inline; filename="x"', **headers})


def failed(stderr, code=1):
    return reply(json={"stdout": "", "stderr": stderr, "exit_code": code})


def archive(*entries, base="box"):
    """Return the answer that an archive of a folder is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            made.writestr(name, data)
    return zipped(buffer.getvalue(), base)


def zipped(data, base="box"):
    headers = {"Content-Disposition": f'attachment; filename="{base}.zip"', "Transfer-Encoding": "chunked"}
    # Without a length, as the server sends it.
    return head(200, {"Content-Type": "application/zip", **headers}) + chunk(data) + chunk(b"")


def found(*files):
    """Answer with what `find` prints of files: kind, size, mode, time, owner, group, name, target."""

    def script(talk):
        talk.send(b"\x01" + b"".join(field + b"\0" for fields in files for field in fields))
        talk.exit()

    return talking(script)


FOLDER = (b"d", b"4096", b"755", b"1700000000.1234567890", b"root", b"root", b"", b"")


def test_reading_is_one_request(box):
    sandbox, wire = box(file(b"\x00\xff"))
    assert sandbox.files.read("/home/user/a b+c&d?e#f%20é") == b"\x00\xff"
    [request] = wire.requests
    assert (request.method, request.path) == ("GET", "/files")
    assert request.query == {"path": ["/home/user/a b+c&d?e#f%20é"]}
    assert request.headers["accept-encoding"] == "identity"
    assert "x-api-key" not in request.headers


def test_surprise_27_writing_is_one_request(box):
    sandbox, wire = box(wrote)
    sandbox.files.write(pathlib.PurePosixPath("/home/user/x"), "é")
    [request] = wire.requests
    assert (request.method, request.path, request.body) == ("POST", "/files", "é".encode())
    assert request.query == {"path": ["/home/user/x"]}
    assert request.headers["content-type"] == "application/octet-stream"


def pieces():
    yield b"ab"
    yield b""
    yield b"c"


def test_s25_contents_of_all_kinds_can_be_written(box, tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    sandbox, wire = box(wrote)
    with (tmp_path / "x").open("rb") as opened:
        contents = [
            "abc", b"abc", bytearray(b"abc"), memoryview(b"a.b.c.")[::2], array.array("B", b"abc"),
            tmp_path / "x", opened, io.BytesIO(b"abc"), pieces(), [b"a", b"bc"], [memoryview(b"abc")],
        ]  # fmt: skip
        for content in contents:
            sandbox.files.write("/x", content)
    assert [request.body for request in wire.requests] == [b"abc"] * len(contents)


def test_an_empty_file_can_be_written(box):
    sandbox, wire = box(wrote)
    for content in ("", b"", [], io.BytesIO()):
        sandbox.files.write("/x", content)
    assert [request.body for request in wire.requests] == [b""] * 4


def test_an_open_file_is_sent_from_where_it_stands(box):
    sandbox, wire = box(wrote)
    content = io.BytesIO(b"abcdef")
    content.seek(4)
    sandbox.files.write("/x", content)
    assert wire.requests[0].body == b"ef"


@pytest.mark.parametrize("content", [None, 5, "\ud800", io.StringIO("a"), {1: 2}.keys(), object()])
def test_s25_what_has_no_bytes_is_refused(box, content):
    sandbox, _ = box(wrote)
    with pytest.raises(ValidationError, match="content"):
        sandbox.files.write("/x", content)


def test_a_local_file_that_is_missing_is_refused_before_anything_is_sent(box, tmp_path):
    sandbox, wire = box(wrote)
    for path in (tmp_path / "x", tmp_path):
        with pytest.raises(ValidationError, match=str(path)):
            sandbox.files.write("/x", path)
    assert wire.requests == []


ABSOLUTE = "path: expected an absolute path such as '/home/user/x', got"
PATHS = [
    ("x", f"{ABSOLUTE} 'x'"),
    ("", "path: must not be empty, got ''"),
    ("~/x", f"{ABSOLUTE} '~/x'"),
    ("./x", f"{ABSOLUTE} './x'"),
    ("/a/../b", "path: must not contain '..', got '/a/../b'"),
    ("/..", "path: must not contain '..', got '/..'"),
    ("/a/..", "path: must not contain '..', got '/a/..'"),
    ("a\0b", "path: must not contain a NUL character"),
    ("/a\0b", "path: must not contain a NUL character"),
    ("/\ud800", "path: must not contain half of a surrogate pair"),
    (5, "path: expected a string, got int"),
    (None, "path: expected a string, got None"),
    (pathlib.PureWindowsPath("/x"), "path: got a Windows path, but sandboxes run Linux; pass a string"),
]


@pytest.mark.parametrize(("path", "text"), PATHS)
def test_paths_that_lead_elsewhere_are_refused(box, path, text):
    sandbox, wire = box(wrote)
    files = sandbox.files
    for call in (
        lambda: files.read(path),
        lambda: files.write(path, b""),
        lambda: files.download_dir(path),
        lambda: files.list(path),
        lambda: files.stat(path),
        lambda: files.exists(path),
        lambda: files.make_dir(path),
        lambda: files.remove(path),
        lambda: files.move("/x", path),
        lambda: files.move(path, "/x"),
    ):
        with pytest.raises(ValidationError) as caught:
            call()
        assert str(caught.value).replace("source: ", "path: ").replace("target: ", "path: ") == text
    assert wire.requests == []


def test_a_refused_argument_of_files_is_named(box):
    sandbox, wire = box(wrote)
    files = sandbox.files
    for call, argument in (
        (lambda: files.read(""), "path"),
        (lambda: files.read_text(""), "path"),
        (lambda: files.open_read(""), "path"),
        (lambda: files.write("", b""), "path"),
        (lambda: files.write("/x", None), "content"),
        (lambda: files.write("/x", b"", mode="x"), "mode"),
        (lambda: files.write("/x", b"", atomic=1), "atomic"),
        (lambda: files.list(""), "path"),
        (lambda: files.stat(""), "path"),
        (lambda: files.stat("/x", follow_symlinks=1), "follow_symlinks"),
        (lambda: files.exists(""), "path"),
        (lambda: files.make_dir(""), "path"),
        (lambda: files.remove(""), "path"),
        (lambda: files.remove("/x", recursive=1), "recursive"),
        (lambda: files.move("", "/x"), "source"),
        (lambda: files.move("/x", ""), "target"),
        (lambda: files.download_dir(""), "path"),
        (lambda: files.upload("", "/x"), "local"),
        (lambda: files.upload(__file__, ""), "remote"),
        (lambda: files.upload(__file__, "/x", on_progress=1), "on_progress"),
        (lambda: files.download("", "x"), "remote"),
        (lambda: files.download("/x", ""), "local"),
        (lambda: files.download("/x", "x", on_progress=1), "on_progress"),
        (lambda: files.read("/x", timeout="1"), "timeout"),
        (lambda: files.read("/x", wake=1), "wake"),
        (lambda: files.read("/x", max_bytes=True), "max_bytes"),
        (lambda: files.read("/x", max_bytes="1"), "max_bytes"),
        (lambda: files.read_text("/x", max_bytes=-1), "max_bytes"),
        (lambda: files.read_text("/x", encoding=None), "encoding"),
        (lambda: files.read_text("/x", encoding="a\0"), "encoding"),
        (lambda: files.read_text("/x", encoding="nonsense"), "encoding"),
        (lambda: files.read_text("/x", encoding="base64"), "encoding"),
        (lambda: files.download_dir("/x", max_bytes=1.5), "max_bytes"),
        (lambda: files.list("/x", wake=1), "wake"),
        (lambda: files.stat("/x", wake=None), "wake"),
        (lambda: files.exists("/x", wake=[]), "wake"),
        (lambda: files.make_dir("/x", wake=1), "wake"),
        (lambda: files.remove("/x", wake=1), "wake"),
        (lambda: files.move("/x", "/y", wake=1), "wake"),
        (lambda: files.upload(__file__, "/x", ignore=".git"), "ignore"),
        (lambda: files.write("/x", {"a": 1}), "content"),
    ):
        with pytest.raises(ValidationError, match=f"^{argument}: "):
            call()
    assert wire.requests == []


def test_a_path_that_linux_cannot_take_is_refused(box):
    sandbox, wire = box(file(b""))
    sandbox.files.read("/" + "x" * 4094)
    for call in (sandbox.files.read, sandbox.files.list, sandbox.files.remove):
        with pytest.raises(ValidationError) as caught:
            call("/" + "é" * 2048)
        assert str(caught.value) == "path: expected at most 4095 bytes, got 4097"
    assert len(wire.requests) == 1


def test_a_path_that_ends_like_a_folder_is_no_file(box):
    sandbox, wire = box(wrote)
    with pytest.raises(ValidationError) as caught:
        sandbox.files.write("/x/", b"")
    assert str(caught.value) == ("path: expected the path of a file, got the path of a folder, '/x/'")
    assert wire.requests == []


def test_dots_that_are_no_steps_upwards_are_names(box):
    sandbox, wire = box(file(b""))
    sandbox.files.read("/a..b/...")
    assert wire.requests[0].query == {"path": ["/a..b/..."]}


def test_a_file_that_is_missing_is_an_error_of_its_own(box):
    sandbox, wire = box(MISSING)
    with pytest.raises(FileNotFoundInSandboxError, match="/home/user/x") as caught:
        sandbox.files.read("/home/user/x")
    assert isinstance(caught.value, NotFoundError)
    assert (caught.value.path, caught.value.status_code) == ("/home/user/x", 404)
    assert wire.activations.count == 0


def test_surprise_25_a_404_of_the_edge_is_no_missing_file(box):
    sandbox, _ = box(reply(404, "404 page not found\n", content_type="text/plain"))
    with pytest.raises(NotFoundError) as caught:
        sandbox.files.read("/x")
    assert not isinstance(caught.value, FileNotFoundInSandboxError)


def test_text_is_decoded(box):
    sandbox, _ = box(file("é".encode("latin-1")))
    assert sandbox.files.read_text("/x", encoding="latin-1") == "é"
    with pytest.raises(SandboxError, match="utf-8"):
        sandbox.files.read_text("/x")
    with pytest.raises(SandboxError, match="undefined"):
        sandbox.files.read_text("/x", encoding="undefined")


def test_a_file_can_be_read_piece_by_piece(box):
    sandbox, wire = box(file(b"abcdef"))
    with sandbox.files.open_read("/x") as stream:
        assert stream.size == 6
        assert stream.read(2) == b"ab"
        assert stream.read(0) == b""
        assert b"".join([piece for piece in stream]) == b"cdef"
        assert stream.read() == b""
    stream.close()
    assert len(wire.requests) == 1


@pytest.mark.parametrize("size", [None, "1", 1.5, True])
def test_a_wrong_size_is_refused_and_the_stream_goes_on(box, size):
    sandbox, _ = box(file(b"abc"))
    with sandbox.files.open_read("/x") as stream:
        with pytest.raises(ValidationError, match=r"^size: expected an integer"):
            stream.read(size)
        assert stream.read() == b"abc"


def test_a_stream_that_is_left_early_gives_its_connection_back(box):
    sandbox, wire = box(head(200, {"Content-Length": "1000000"}) + b"a" * 1000)
    with sandbox.files.open_read("/x") as stream:
        stream.read(1)
    wire.until(lambda: wire.open_connections == 0)


def test_s42_a_file_that_breaks_off_is_told_with_its_bytes(box):
    sandbox, _ = box(cut(head(200, {"Content-Length": "100"}) + b"abc"))
    with pytest.raises(SandboxConnectionError) as caught:
        sandbox.files.read("/x")
    assert str(caught.value) == (
        f"could not read '/x' of {BOX}: incomplete download: received 3 of 100 bytes: "
        "peer closed connection without sending complete message body (received 3 bytes, expected 100)"
    )


def test_s28_a_file_that_is_too_large_is_not_read(box):
    sandbox, _ = box(file(b"abcd"))
    assert sandbox.files.read("/x", max_bytes=4) == b"abcd"
    with pytest.raises(SandboxError) as caught:
        sandbox.files.read("/x", max_bytes=3)
    assert str(caught.value) == (
        f"could not read '/x' of {BOX}: it has more than 3 bytes; "
        "raise max_bytes, or read it in pieces with open_read()"
    )
    sandbox, _ = box(head(200, {"Transfer-Encoding": "chunked"}) + chunk(b"abcd") + chunk(b""))
    with pytest.raises(SandboxError, match="more than 3 bytes"):
        sandbox.files.read_text("/x", max_bytes=3)


def test_s28_a_packed_file_is_not_unpacked(box):
    sandbox, _ = box(file(b"x", **{"Content-Encoding": "gzip"}))
    with pytest.raises(SandboxError) as caught:
        sandbox.files.read("/x")
    assert str(caught.value) == (
        f"could not read '/x' of {BOX}: the server's answer is compressed, although that was not asked for"
    )


@given_time
def test_s13_surprise_22_bytes_that_drip_do_not_put_off_the_deadline(box, *, longer):
    def script(peer, _request):
        peer.send(head(200, {"Content-Length": "1000000"}))
        peer.drip(b"a" * 10_000, 0.001)

    sandbox, wire = box(script)
    with pytest.raises(SandboxTimeoutError, match="of 1000000 bytes"):
        sandbox.files.read("/x", timeout=0.05 * longer)
    wire.until(lambda: wire.open_connections == 0)


def test_a_file_on_which_nothing_more_comes_is_given_up(box):
    sandbox, _ = box(head(200, {"Content-Length": "100"}) + b"a", timeout_s=0.05)
    with pytest.raises(SandboxTimeoutError):
        sandbox.files.read("/x")


ASLEEP = reply(503, json=envelope("sandbox_unavailable", "It is paused."))
REFUSED = reply(401, "invalid access token\n", content_type="text/plain")


@pytest.mark.parametrize("answer", [ASLEEP, REFUSED])
def test_s4_a_file_that_is_sent_again_is_sent_whole(box, tmp_path, answer):
    (tmp_path / "x").write_bytes(b"abc")
    with (tmp_path / "x").open("rb") as opened:
        for content in (opened, tmp_path / "x", [b"a", b"bc"], "abc"):
            sandbox, wire = box(answer, wrote)
            sandbox.files.write("/x", content)
            assert [request.body for request in wire.requests] == [b"abc", b"abc"]
            assert wire.activations.count == 1


def test_s4_what_can_be_read_only_once_is_not_sent_again(box):
    read_end, write_end = os.pipe()
    os.write(write_end, b"abc")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        for content in (pipe, pieces()):
            sandbox, wire = box(ASLEEP, wrote)
            with pytest.raises(SandboxError, match="read only once"):
                sandbox.files.write("/x", content)
            assert [request.body for request in wire.requests] == [b"abc"]


def test_s4_another_size_than_what_was_sent_is_an_error(box):
    sandbox, _ = box(reply(json={"path": "/x", "size": 1}))
    with pytest.raises(OutcomeUnknownError, match="3 bytes were sent") as caught:
        sandbox.files.write("/x", b"abc")
    assert "/x" in caught.value.hint


def test_s3_what_may_have_been_written_is_not_written_again(box):
    for answer in (
        reply(503, "upstream\n", content_type="text/plain"),
        reply(502),
        reply(504),
        reply(200, "<html>"),
        cut(),
    ):
        sandbox, wire = box(answer)
        with pytest.raises(OutcomeUnknownError, match="/home/x"):
            sandbox.files.write("/home/x", b"abc")
        assert len(wire.requests) == 1


def test_surprise_5_a_full_disk_is_an_error_of_its_own(box):
    sandbox, wire = box(reply(507, json=envelope("sandbox_storage_full", "It is full.")))
    with pytest.raises(StorageFullError):
        sandbox.files.write("/x", b"abc")
    assert len(wire.requests) == 1


def test_what_the_server_cannot_do_with_a_file_is_raised(box):
    for answer, kind in (
        (
            reply(500, '{"error":"create file: open /x: is a directory"}\n', content_type="text/plain"),
            ServerError,
        ),
        (reply(400, '{"error":"access denied: /proc/x"}\n', content_type="text/plain"), ValidationError),
        (reply(413, "request body too large\n", content_type="text/plain"), SandboxError),
        (reply(403, "no\n", content_type="text/plain"), AuthenticationError),
    ):
        sandbox, wire = box(answer)
        with pytest.raises(kind) as caught:
            sandbox.files.write("/x", b"abc")
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert len(wire.requests) == 1


def test_what_the_callers_iterator_raises_comes_out(box):
    raised = OSError(5, "mine")

    def broken():
        yield b"a"
        raise raised

    sandbox, wire = box(wrote)
    with pytest.raises(OSError, match="mine") as caught:
        sandbox.files.write("/x", broken())
    assert caught.value is raised
    wire.until(lambda: wire.open_connections == 0)


OF_ANOTHER = [
    httpx.ConnectError("mine"),
    httpx.ReadTimeout("mine"),
    RateLimitError("mine", status_code=429),
    ServerError("mine", status_code=503, code="sandbox_unavailable"),
    FileNotFoundError(2, "mine"),
]


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("error", OF_ANOTHER, ids=lambda error: type(error).__name__)
def test_content_that_comes_from_elsewhere_and_fails_is_not_sent_again(box, error, tmp_path):
    begun = []

    class Content:
        def __iter__(self):
            begun.append(1)
            yield b"a"
            raise error

    def fails(_progress):
        begun.append(1)
        raise error

    (tmp_path / "x").write_bytes(b"abc")
    sandbox, wire = box(wrote)
    for call in (
        lambda: sandbox.files.write("/x", Content()),
        lambda: sandbox.files.upload(tmp_path / "x", "/x", on_progress=fails),
    ):
        with pytest.raises(type(error), match="mine") as caught:
            call()
        assert caught.value is error
    assert (len(begun), wire.activations.count) == (2, 0)
    sandbox, wire = box(file(b"abc"))
    with pytest.raises(type(error), match="mine") as caught:
        sandbox.files.download("/x", tmp_path / "y", on_progress=fails)
    assert caught.value is error
    assert wire.activations.count == 0
    assert len(wire.requests) == 1


def test_surprise_27_a_mode_is_set_by_a_command(box):
    sandbox, wire = box(wrote, OK)
    sandbox.files.write("/x", b"", mode=0o755)
    assert wire.requests[1].json["args"] == ["--", "0755", "/x"]
    for mode in (-1, 0o10000, "755", True):
        with pytest.raises(ValidationError, match="mode"):
            sandbox.files.write("/x", b"", mode=mode)


def test_s44_an_atomic_write_is_moved_into_place(box):
    sandbox, wire = box(wrote, OK)
    sandbox.files.write("/home/x", b"abc", atomic=True, mode=0o600)
    upload, chmod, move = wire.requests
    [beside] = upload.query["path"]
    assert beside.startswith("/home/.x.")
    assert chmod.json["args"] == ["--", "0600", beside]
    assert (move.json["command"], move.json["args"]) == ("mv", ["-f", "-T", "--", beside, "/home/x"])


@pytest.mark.parametrize("answers", [(reply(507),), (wrote, failed("mv: no"))])
def test_an_atomic_write_that_fails_leaves_nothing(box, answers):
    sandbox, wire = box(*answers, OK)
    with pytest.raises(SandboxError):
        sandbox.files.write("/home/x", b"abc", atomic=True)
    [beside] = wire.requests[0].query["path"]
    assert wire.requests[-1].json["command"] == "rm"
    assert wire.requests[-1].json["args"] == ["-f", "--", beside]


def test_a_folder_is_listed_by_one_command(box):
    sandbox, wire = box(
        found(
            FOLDER,
            (b"f", b"5", b"644", b"1700000000.5000000000", b"user", b"1000", b"b\n c", b""),
            (b"l", b"1", b"777", b"-1.0", b"root", b"root", "é".encode(), b"/home"),
            (b"?", b"0", b"0", b"0", b"root", b"root", b"a\xff", b""),
        )
    )
    infos = sandbox.files.list("/home//user/")
    assert [info.name for info in infos] == ["a\ufffd", "b\n c", "é"]
    assert [info.path for info in infos] == ["/home/user/a\ufffd", "/home/user/b\n c", "/home/user/é"]
    assert [info.kind for info in infos] == ["?", FileKind.FILE, FileKind.SYMLINK]
    assert [info.target for info in infos] == [None, None, "/home"]
    assert (infos[1].size, infos[1].mode, infos[1].owner, infos[1].group) == (5, 0o644, "user", "1000")
    assert infos[1].modified_at.isoformat() == "2023-11-14T22:13:20.500000+00:00"
    assert [request.target for request in wire.requests] == ["/exec/connect"]


def test_what_is_no_folder_is_not_listed(box):
    sandbox, _ = box(found((b"f", *FOLDER[1:])))
    with pytest.raises(ValidationError, match="not a folder"):
        sandbox.files.list("/x")


def test_a_folder_of_which_some_is_not_listed_is_an_error(box):
    def script(talk):
        talk.send(b"\x01" + b"".join(field + b"\0" for field in FOLDER))
        talk.send(b"\x02find: '/x': Permission denied\n")
        talk.exit(1)

    sandbox, _ = box(talking(script))
    with pytest.raises(CommandError) as caught:
        sandbox.files.list("/x")
    assert str(caught.value) == (f"could not list '/x' of {BOX}: a part of the folder cannot be listed")


def printed(*fields, code=0):
    return reply(json={"stdout": "".join(f"{field}\0" for field in fields), "stderr": "", "exit_code": code})


def test_what_stands_at_a_path_is_told(box):
    sandbox, wire = box(printed("d", "4096", "1777", "0.0", "root", "root", "", ""))
    info = sandbox.files.stat("/tmp")
    assert (info.path, info.name, info.is_dir, info.is_file, info.mode) == (
        "/tmp",
        "tmp",
        True,
        False,
        0o1777,
    )
    sandbox.files.stat("/tmp", follow_symlinks=False)
    assert [request.json["args"][0] for request in wire.requests] == ["-H", "-P"]


def test_nonsense_instead_of_a_description_is_an_error(box):
    for answer in (printed("d"), printed("d", "x", "1", "0", "", "", "", ""), printed(*"dddddddd"), OK):
        sandbox, _ = box(answer)
        with pytest.raises(SandboxError):
            sandbox.files.stat("/tmp")


GONE = failed("find: '/x': No such file or directory\n")


def test_to_look_at_files_no_folder_is_needed_but_the_root(box):
    sandbox, wire = box(printed("f", "1", "644", "0", "root", "root", "", ""))
    sandbox.files.stat("/x")
    assert wire.requests[0].json["working_dir"] == "/"
    starts = []

    def script(talk):
        starts.append(talk.start)
        talk.send(b"\x01" + b"".join(field + b"\0" for field in FOLDER))
        talk.exit()

    sandbox, _ = box(talking(script))
    assert sandbox.files.list("/x") == []
    assert starts[0]["working_dir"] == "/"


def test_whether_something_is_there_is_told(box):
    link = printed("l", "1", "777", "0", "root", "root", "", "/nowhere")
    file = printed("f", "1", "644", "0", "root", "root", "", "")
    for answer, there in ((file, True), (link, False), (GONE, False)):
        sandbox, _ = box(answer)
        assert sandbox.files.exists("/x") is there


def test_commands_on_files_see_paths_and_no_shell(box):
    sandbox, wire = box(OK)
    sandbox.files.make_dir("/-a $b")
    sandbox.files.remove("/x")
    sandbox.files.remove("/x", recursive=True)
    sandbox.files.move("/a", "/b")
    assert [[request.json["command"], *request.json["args"]] for request in wire.requests] == [
        ["mkdir", "-p", "--", "/-a $b"],
        ["rm", "-d", "--", "/x"],
        ["rm", "-r", "--", "/x"],
        ["mv", "-f", "-T", "--", "/a", "/b"],
    ]
    # The folder where commands run by default may be gone.
    assert {request.json["working_dir"] for request in wire.requests} == {"/"}


COMMANDS = {
    "stat": lambda files, timeout: files.stat("/x", timeout=timeout),
    "exists": lambda files, timeout: files.exists("/x", timeout=timeout),
    "make_dir": lambda files, timeout: files.make_dir("/x", timeout=timeout),
    "remove": lambda files, timeout: files.remove("/x", timeout=timeout),
    "move": lambda files, timeout: files.move("/x", "/y", timeout=timeout),
}


@pytest.mark.parametrize("call", COMMANDS.values(), ids=COMMANDS)
def test_a_command_on_a_file_has_a_timeout(box, monkeypatch, call):
    killed = reply(json={"stdout": "", "stderr": "", "exit_code": 124})
    for timeout, least, most in ((None, 30, 30), (40.5, 1, 41), (0.1, 1, 1)):
        sandbox, wire = box(killed)
        # As if its time had passed.
        monkeypatch.setattr(output, "_SLACK_S", 1000)
        with pytest.raises(SandboxTimeoutError, match="did not end in time"):
            call(sandbox.files, timeout)
        assert least <= wire.requests[0].json["timeout_s"] <= most
    sandbox, wire = box(killed)
    with pytest.raises(ValidationError, match="timeout"):
        call(sandbox.files, 0)
    assert wire.requests == []


def test_a_listing_has_a_timeout(box, monkeypatch):
    monkeypatch.setattr(output, "_SLACK_S", 1000)
    asked = []

    def script(talk):
        asked.append(talk.start)
        talk.exit(124)

    sandbox, _ = box(talking(script))
    with pytest.raises(SandboxTimeoutError, match="did not end in time"):
        sandbox.files.list("/x", timeout=5)
    assert 1 <= asked[0]["timeout_s"] <= 5


def test_a_long_timeout_is_that_of_the_bytes_and_its_command_has_a_day(box):
    sandbox, wire = box(wrote, log({"exit_code": 0, "finished": True}))
    sandbox.files.write("/x", b"", mode=0o755, timeout=1e9)
    assert wire.requests[1].json["timeout_s"] == 86_400


def test_what_follows_a_write_has_what_is_left_of_its_timeout(box):
    sandbox, wire = box(wrote, OK, OK)
    sandbox.files.write("/x", b"", mode=0o755, atomic=True, timeout=20)
    assert [1 <= request.json["timeout_s"] <= 20 for request in wire.requests[1:]] == [True, True]


def test_what_is_missing_or_cannot_be_done_is_told(box):
    for call in (
        lambda files: files.remove("/x"),
        lambda files: files.move("/x", "/y"),
        lambda files: files.stat("/x"),
    ):
        sandbox, _ = box(GONE)
        with pytest.raises(FileNotFoundInSandboxError) as caught:
            call(sandbox.files)
        assert caught.value.path == "/x"
        sandbox, _ = box(failed("find: '/x': Permission denied\n"))
        with pytest.raises(CommandError, match="Permission denied"):
            call(sandbox.files)


def test_a_folder_is_downloaded_as_an_archive(box):
    sandbox, wire = box(archive(("box/a", b"1"), ("box/b/", b"")))
    data = sandbox.files.download_dir("/home/box")
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["box/a", "box/b/"]
    assert wire.requests[0].query == {"path": ["/home/box"], "format": ["zip"]}


@pytest.mark.parametrize(
    "answer",
    [file(b"PK\x03\x04 not the folder"), reply(200, "<html>", content_type="text/html"), file(b"abc")],
)
def test_s39_what_is_no_archive_of_the_folder_is_an_error(box, answer):
    sandbox, _ = box(answer)
    with pytest.raises(ValidationError, match="not a folder"):
        sandbox.files.download_dir("/home/x")


def test_surprise_6_an_archive_that_is_not_whole_is_an_error(box, tmp_path):
    whole = archive(("box/a", os.urandom(5000)), ("box/b", b"2"))
    data = whole.partition(b"\r\n\r\n")[2].partition(b"\r\n")[2]
    sandbox, _ = box(zipped(data[:3000]))
    with pytest.raises(SandboxError, match="not complete"):
        sandbox.files.download_dir("/home/box")
    sandbox, _ = box(reply(400), zipped(data[:3000]))
    with pytest.raises(SandboxError, match="not complete"):
        sandbox.files.download("/home/box", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_file_is_downloaded_to_disk(box, tmp_path):
    sandbox, wire = box(file(b"abc"))
    told = []
    sandbox.files.download("/home/x", tmp_path / "new" / "y", on_progress=told.append)
    assert (tmp_path / "new" / "y").read_bytes() == b"abc"
    assert told == [TransferProgress("/home/x", 3, 3)]
    sandbox.files.download("/home/x", str(tmp_path))
    assert (tmp_path / "x").read_bytes() == b"abc"
    assert len(wire.requests) == 2


def test_a_download_that_breaks_off_leaves_what_was_there(box, tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    sandbox, _ = box(cut(head(200, {"Content-Length": "100"}) + b"new"))
    with pytest.raises(SandboxConnectionError):
        sandbox.files.download("/home/x", tmp_path / "x")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"old")]


def test_a_folder_is_downloaded_to_disk(box, tmp_path):
    (tmp_path / "kept").write_bytes(b"kept")
    sandbox, wire = box(
        reply(400, '{"error":"path is a directory"}\n', content_type="text/plain"),
        archive(("box/a", b"1"), ("box/b/", b""), ("box/c/d/e", b"2")),
    )
    sandbox.files.download("/home/box", tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "a", "b", "c", "c/d", "c/d/e", "kept",
    ]  # fmt: skip
    assert (tmp_path / "c/d/e").read_bytes() == b"2"
    assert [request.query.get("format") for request in wire.requests] == [None, ["zip"]]


def test_a_folder_that_cannot_be_written_to_is_an_error(box, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    sandbox, _ = box(file(b"abc"))
    with pytest.raises(SandboxError, match="cannot write"):
        sandbox.files.download("/home/x", tmp_path / "file" / "x")


def test_a_file_is_uploaded_from_disk(box, tmp_path):
    (tmp_path / "x").write_bytes(b"a" * 600_000)
    sandbox, wire = box(wrote)
    told = []
    sandbox.files.upload(tmp_path / "x", "/home/y", on_progress=told.append)
    assert hashlib.sha256(wire.requests[0].body).digest() == hashlib.sha256(b"a" * 600_000).digest()
    assert [(progress.path, progress.total_bytes) for progress in told] == [("/home/y", 600_000)] * len(told)
    assert told[-1].transferred_bytes == 600_000
    assert len(told) == 3


def test_a_folder_is_uploaded_file_by_file(box, tmp_path):
    for name, data in (("a", b"1"), ("b/c", b"23"), (".git/x", b""), ("n.pyc", b"")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "linked").symlink_to("b")
    told = []

    def answer(peer, request):
        (wrote if request.path == "/files" else lambda peer, _: peer.send(OK))(peer, request)

    sandbox, wire = box(answer)
    sandbox.files.upload(
        tmp_path, "/home/box", ignore=shutil.ignore_patterns(".git", "*.pyc"), on_progress=told.append
    )
    mkdir, *writes = wire.requests
    assert mkdir.json["args"] == ["-p", "--", "/home/box/empty/er"]
    assert {request.query["path"][0]: request.body for request in writes} == {
        "/home/box/a": b"1",
        "/home/box/b/c": b"23",
        "/home/box/link": b"1",
    }
    assert told[-1].transferred_bytes == told[-1].total_bytes == 4


def test_what_cannot_be_uploaded_is_refused_before_anything_is_sent(box, tmp_path):
    sandbox, wire = box(wrote)
    with pytest.raises(ValidationError, match="missing"):
        sandbox.files.upload(tmp_path / "x", "/home/x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValidationError, match="not a regular file"):
        sandbox.files.upload(tmp_path, "/home/x")
    assert wire.requests == []


def test_what_a_callback_raises_ends_a_transfer_and_comes_out(box, tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    raised = OSError("mine")

    def fails(_progress):
        raise raised

    sandbox, _ = box(wrote)
    with pytest.raises(OSError, match="mine") as caught:
        sandbox.files.upload(tmp_path / "x", "/x", on_progress=fails)
    assert caught.value is raised
    sandbox, _ = box(file(b"abc"))
    with pytest.raises(OSError, match="mine") as caught:
        sandbox.files.download("/x", tmp_path / "y", on_progress=fails)
    assert caught.value is raised
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_s27_cookies_are_neither_kept_nor_sent(box):
    sandbox, wire = box(file(b"", **{"Set-Cookie": "a=b; Path=/"}))
    sandbox.files.read("/x")
    sandbox.files.read("/x")
    assert "cookie" not in wire.requests[1].headers


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\rb", "a;b", "x.zip"])
def test_folders_with_odd_names_are_told_from_files(box, name):
    headers = {"Content-Type": "application/zip"}
    shown = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", " ")
    folder = archive(("x/a", b"1")).replace(b'"box.zip"', f'"{shown}.zip"'.encode())
    sandbox, _ = box(folder)
    assert zipfile.is_zipfile(io.BytesIO(sandbox.files.download_dir(f"/home/{name}")))
    sandbox, _ = box(file(b"PK", **{"Content-Disposition": f'inline; filename="{shown}"', **headers}))
    with pytest.raises(ValidationError, match="not a folder"):
        sandbox.files.download_dir(f"/home/{name}")
