"""The commands that look at files and ports do what they are for: they are run here, on this machine."""

import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superserve import CommandError, CommandResult, FileKind, FileNotFoundInSandboxError, ValidationError
from superserve._operations import exec as exec_operations
from superserve._operations import files

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("find") is None, reason="sandboxes run Linux, with GNU find"
)


def run(command, **options):
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, **options)


def infos(command, path):
    return files.read_infos(str(path), run(command).stdout)


def error(command, path):
    done = run(command, text=True)
    result = CommandResult(done.returncode, done.stdout, done.stderr, False, False, 0.0)
    assert not result.ok
    return files.failed(command[0], str(path), result, done.stderr, "box")


def test_a_file_is_described(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    path.chmod(0o640)
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    [info] = infos(files.stat(str(path), follow_symlinks=True), path)
    assert (info.path, info.name, info.kind) == (str(path), "x", FileKind.FILE)
    assert (info.size, info.mode, info.target) == (3, 0o640, None)
    assert info.modified_at == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert info.owner == path.owner()


def test_times_before_1970_are_times(tmp_path):
    os.utime(tmp_path, ns=(0, -1_500_000_000))
    [info] = infos(files.stat(str(tmp_path), follow_symlinks=True), tmp_path)
    assert info.modified_at == datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC)


def test_links_are_followed_or_not(tmp_path):
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to("nowhere")
    path = str(tmp_path / "link")
    assert infos(files.stat(path, follow_symlinks=True), path)[0].is_dir
    assert infos(files.stat(path, follow_symlinks=False), path)[0].target == "folder"
    broken = str(tmp_path / "broken")
    assert infos(files.stat(broken, follow_symlinks=True), broken)[0].is_symlink
    assert infos(files.list_directory(path), path)[0].is_dir


names = st.binary(min_size=1, max_size=20).filter(
    lambda name: not set(name) & {0, ord("/")} and name not in (b".", b"..")
)


@settings(max_examples=20, deadline=None)
@given(st.sets(names, max_size=5))
def test_names_of_any_bytes_are_told_apart(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("folder")
    for name in found:
        (folder / os.fsdecode(name)).touch()
    first, *others = infos(files.list_directory(str(folder)), str(folder))
    assert first.is_dir
    assert sorted(info.name for info in others) == sorted(name.decode(errors="replace") for name in found)


def test_what_is_missing_is_told_from_what_cannot_be_done(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "full" / "er").mkdir(parents=True)
    missing, below, full = (str(tmp_path / name) for name in ("x", "file/x", "full"))
    for command in (
        files.stat(missing, follow_symlinks=True),
        files.stat(below, follow_symlinks=True),
        files.list_directory(missing),
        files.remove(missing, recursive=False),
        files.remove(missing, recursive=True),
        files.move(missing, str(tmp_path / "y")),
        files.move(str(tmp_path / "file"), str(tmp_path / "no" / "y")),
        files.change_mode(missing, "0644"),
    ):
        assert isinstance(error(command, missing), FileNotFoundInSandboxError), command
    for command in (
        files.remove(full, recursive=False),
        files.move(str(tmp_path / "file"), full),
        files.move(str(tmp_path / "full"), str(tmp_path / "file")),
    ):
        assert isinstance(error(command, full), CommandError), command


def test_folders_and_files_are_made_moved_and_removed(tmp_path):
    odd = str(tmp_path / "-a $(b)\n'c'" / "d")
    for command in (
        files.make_dir(odd),
        files.make_dir(odd),
        files.move(odd, str(tmp_path / "e")),
        files.change_mode(str(tmp_path / "e"), files.mode(0o700)),
        files.remove(str(tmp_path / "e"), recursive=False),
        files.remove(str(tmp_path / "-a $(b)\n'c'"), recursive=True),
        files.discard(str(tmp_path / "not there")),
        *files.make_dirs([str(tmp_path / "f"), str(tmp_path / "g" / "h")]),
    ):
        assert run(command).returncode == 0, command
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "g"]


def test_a_file_that_is_moved_takes_the_place_of_another(tmp_path):
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    assert run(files.move(str(tmp_path / "a"), str(tmp_path / "b"))).returncode == 0
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("b", b"new")]


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_that_is_listened_on_is_noticed(family, host):
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no such addresses here")
    with listener:
        command = exec_operations.wait_for_port(listener.getsockname()[1])
        assert run(command, timeout=120).returncode == 0


def test_a_port_is_waited_for():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with subprocess.Popen(exec_operations.wait_for_port(port), stdin=subprocess.DEVNULL) as waiting:
            # Bound, and connected to nowhere, is not listened on.
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(0.1)
            unused.listen()
            assert waiting.wait(20) == 0


def test_a_coroutine_function_chooses_no_files_to_leave_out():
    async def nothing(_folder, _names):
        return set()

    with pytest.raises(
        ValidationError, match=r"^ignore: expected a plain function .*, got a coroutine function"
    ):
        files.check_ignore(nothing)
